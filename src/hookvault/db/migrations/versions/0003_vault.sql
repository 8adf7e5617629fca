-- A blank line ends a statement. Lines that start with -- are left out.

ALTER TABLE key_history ADD COLUMN superseded_at timestamptz, ADD COLUMN retired_at timestamptz, ADD COLUMN retired_by text,
    ADD COLUMN retired_why text

-- Which master keys every living process holds: none is left behind when another key becomes the active one. A row whose
-- process has not been seen for a while is a dead one's.
CREATE TABLE key_holders (
    process uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('serve', 'worker')),
    host text NOT NULL,
    fingerprints text[] NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
)

-- Rekeying, of one tenant or (tenant_id '') of all. How far it came is not noted: it is what the rows' key_version says.
CREATE TABLE key_jobs (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'finished', 'cancelled')),
    total bigint NOT NULL DEFAULT 0,
    unreadable bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    started_by text NOT NULL,
    finished_at timestamptz
)

CREATE UNIQUE INDEX key_jobs_one_running ON key_jobs ((true)) WHERE state = 'running'

ALTER TABLE data_keys ADD COLUMN superseded_at timestamptz

CREATE INDEX data_keys_superseded ON data_keys (superseded_at) WHERE state = 'decrypt_only'

-- Tombstones: whose secrets were destroyed, and when. A restore honours them: data keys made before do not come back.
CREATE TABLE shredded_tenants (
    tenant_id text NOT NULL,
    shredded_at timestamptz NOT NULL,
    shredded_by text NOT NULL,
    PRIMARY KEY (tenant_id, shredded_at)
)

-- Stored secrets that do not open, as the last scan or rekeying found them.
CREATE TABLE secret_faults (
    tenant_id text NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    field text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('key_missing', 'key_destroyed', 'key_lost', 'does_not_open', 'malformed')),
    key_needed text,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, table_name, row_id, field)
)

CREATE TABLE secret_scans (
    id uuid PRIMARY KEY,
    started_at timestamptz NOT NULL,
    started_by text NOT NULL,
    finished_at timestamptz,
    secrets bigint NOT NULL DEFAULT 0,
    unreadable bigint NOT NULL DEFAULT 0
)

-- Backups made, so that no master key is retired that one of them still needs.
CREATE TABLE backups (
    id uuid PRIMARY KEY,
    made_at timestamptz NOT NULL,
    made_by text NOT NULL,
    file_name text NOT NULL,
    bytes bigint NOT NULL,
    rows bigint NOT NULL,
    fingerprints text[] NOT NULL
)

-- The secrets of an integration as they are rotated: staged, tested, current, previous (still valid for a while), revoked.
-- What is current stands in tenant_integrations and only there; a version's values are sealed, and never shown.
CREATE TABLE credential_versions (
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('whatsapp', 'sms', 'n8n')),
    provider text NOT NULL,
    number integer NOT NULL,
    state text NOT NULL CHECK (state IN ('staged', 'current', 'previous', 'revoked', 'discarded')),
    secrets jsonb NOT NULL DEFAULT '{}',
    secret_hints jsonb NOT NULL DEFAULT '{}',
    key_version integer NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    tested_at timestamptz,
    test_code text,
    switched_at timestamptz,
    grace_until timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX credential_versions_number ON credential_versions (tenant_id, kind, number)

CREATE UNIQUE INDEX credential_versions_single ON credential_versions (tenant_id, kind, state)
WHERE state IN ('staged', 'current', 'previous')

CREATE INDEX credential_versions_grace ON credential_versions (grace_until) WHERE state = 'previous'

-- Events of a tenant form a chain: each carries the hash of all before it. Events from before the chain have no number.
ALTER TABLE audit_events ADD COLUMN seq bigint, ADD COLUMN hash bytea

CREATE UNIQUE INDEX audit_events_chain ON audit_events (tenant_id, seq)

-- All events newest first, whole or by what was done or how it ended; a tenant's are served by the primary key.
CREATE INDEX audit_events_newest ON audit_events (id)

CREATE INDEX audit_events_action ON audit_events (action, id)

CREATE INDEX audit_events_outcome ON audit_events (outcome, id)

SELECT hookvault_protect('key_holders', NULL),
    hookvault_protect('key_jobs', 'tenant_id'),
    hookvault_protect('shredded_tenants', 'tenant_id'),
    hookvault_protect('secret_faults', 'tenant_id'),
    hookvault_protect('secret_scans', NULL),
    hookvault_protect('backups', NULL),
    hookvault_protect('credential_versions', 'tenant_id')

SELECT hookvault_grant('key_holders', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('key_jobs', '', 'SELECT, INSERT, UPDATE'),
    hookvault_grant('shredded_tenants', '', 'SELECT, INSERT'),
    hookvault_grant('secret_faults', 'SELECT, DELETE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('secret_scans', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('backups', '', 'SELECT, INSERT, DELETE'),
    hookvault_grant('credential_versions', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE')
