-- A blank line ends a statement. Lines that start with -- are left out.

-- Who is signed in, by the hash of the token that the browser keeps. At the stage `second_factor` the password was right and the
-- code is still missing.
CREATE TABLE user_sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES platform_users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE,
    stage text NOT NULL CHECK (stage IN ('second_factor', 'full')),
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    user_agent text NOT NULL DEFAULT '',
    ip text
)

CREATE INDEX user_sessions_user ON user_sessions (user_id, id)

CREATE INDEX user_sessions_expiry ON user_sessions (expires_at)

-- Secrets of second factors, sealed by the data key of the platform itself, whose tenant id is `*`: no tenant can have it.
-- `last_step` is the last code that was used: none is taken twice.
CREATE TABLE user_totp (
    tenant_id text NOT NULL DEFAULT '*' CHECK (tenant_id = '*'),
    user_id uuid NOT NULL UNIQUE REFERENCES platform_users (id) ON DELETE CASCADE,
    secret text NOT NULL,
    key_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, user_id)
)

CREATE TABLE user_recovery_codes (
    user_id uuid NOT NULL REFERENCES platform_users (id) ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, code_hash)
)

CREATE TABLE user_invitations (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'viewer')),
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz
)

CREATE UNIQUE INDEX user_invitations_open ON user_invitations (lower(email)) WHERE accepted_at IS NULL AND revoked_at IS NULL

-- Links to a new password. Those of a user are deleted with the first that is used.
CREATE TABLE password_resets (
    token_hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES platform_users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
)

CREATE INDEX password_resets_user ON password_resets (user_id)

CREATE INDEX password_resets_expiry ON password_resets (expires_at)

-- What was tried, by a keyed hash of who or what was named: how often, and when it may be tried again.
CREATE TABLE login_attempts (
    kind text NOT NULL,
    subject bytea NOT NULL,
    count integer NOT NULL,
    open_at timestamptz NOT NULL,
    forget_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)
)

CREATE INDEX login_attempts_forget ON login_attempts (forget_at)

SELECT hookvault_protect('user_sessions', NULL),
    hookvault_protect('user_totp', 'tenant_id'),
    hookvault_protect('user_recovery_codes', NULL),
    hookvault_protect('user_invitations', NULL),
    hookvault_protect('password_resets', NULL),
    hookvault_protect('login_attempts', NULL)

SELECT hookvault_grant('user_sessions', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('user_totp', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('user_recovery_codes', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('user_invitations', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('password_resets', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('login_attempts', '', 'SELECT, INSERT, UPDATE, DELETE')
