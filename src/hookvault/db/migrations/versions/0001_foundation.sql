-- A blank line ends a statement. Lines that start with -- are left out.

CREATE TABLE hookvault_meta (
    name text PRIMARY KEY,
    value text NOT NULL
)

-- Access is separated by two roles that can't log in. Where this database's owner may not make roles, by settings in
-- one role instead (the policies differ, see hookvault_protect); 'access' tells which.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['hookvault_tenant', 'hookvault_system'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster was migrated at the same moment
            END;
        END IF;
        -- Since PostgreSQL 16 whoever makes a role is a member of it, but may not act as it until that is granted too.
        IF NOT pg_has_role(current_user, wanted,
            CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
        END IF;
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO hookvault_tenant, hookvault_system', current_schema());
    INSERT INTO hookvault_meta VALUES ('access', 'roles');
EXCEPTION WHEN insufficient_privilege THEN
    INSERT INTO hookvault_meta VALUES ('access', 'settings');
END $$

-- Puts a table behind row-level security: a tenant sees the rows that carry its id, and none when no tenant is set.
-- FORCE makes it hold for the owner too. Without a tenant column only the system sees the rows.
CREATE FUNCTION hookvault_protect(target regclass, tenant_column name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    mine text := format('%I = (SELECT nullif(current_setting(''app.tenant_id'', true), ''''))', coalesce(tenant_column, 'id'));
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    IF tenant_column IS NOT NULL THEN
        EXECUTE format('CREATE POLICY tenant_rows ON %s USING (%s) WITH CHECK (%s)', target, mine, mine);
    END IF;
    IF (SELECT value FROM hookvault_meta WHERE name = 'access') = 'roles' THEN
        EXECUTE format('CREATE POLICY system_rows ON %s TO hookvault_system USING (true) WITH CHECK (true)', target);
    ELSE
        EXECUTE format('CREATE POLICY system_rows ON %s USING ((SELECT current_setting(''app.role'', true)) = ''system'') '
            'WITH CHECK ((SELECT current_setting(''app.role'', true)) = ''system'')', target);
    END IF;
END $$

-- Gives the two roles what they need on a table, and nothing where there are no roles.
CREATE FUNCTION hookvault_grant(target regclass, tenant_rights text, system_rights text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT value FROM hookvault_meta WHERE name = 'access') = 'roles' THEN
        IF tenant_rights <> '' THEN
            EXECUTE format('GRANT %s ON %s TO hookvault_tenant', tenant_rights, target);
        END IF;
        EXECUTE format('GRANT %s ON %s TO hookvault_system', system_rights, target);
    END IF;
END $$

CREATE TABLE tenants (
    id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
)

CREATE TABLE data_keys (
    tenant_id text NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    wrapped text NOT NULL,
    key_fingerprint text NOT NULL,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'decrypt_only', 'destroyed')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version)
)

CREATE UNIQUE INDEX data_keys_one_active ON data_keys (tenant_id) WHERE state = 'active'

-- Which master keys this database has known. Rows are never deleted: they tell which key an old backup needs.
CREATE TABLE key_history (
    fingerprint text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('active', 'previous', 'retired')),
    first_seen_at timestamptz NOT NULL,
    activated_at timestamptz
)

CREATE UNIQUE INDEX key_history_one_active ON key_history ((true)) WHERE state = 'active'

CREATE TABLE tenant_integrations (
    tenant_id text PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    n8n_enabled boolean NOT NULL DEFAULT true,
    n8n_base_url text,
    n8n_api_key text,
    whatsapp_enabled boolean NOT NULL DEFAULT false,
    whatsapp_config jsonb,
    sms_enabled boolean NOT NULL DEFAULT false,
    sms_config jsonb,
    extra_configs jsonb NOT NULL DEFAULT '{}',
    secret_hints jsonb NOT NULL DEFAULT '{}',
    updated jsonb NOT NULL DEFAULT '{}',
    key_version integer NOT NULL,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text NOT NULL
)

CREATE TABLE n8n_webhooks (
    tenant_id text NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id uuid NOT NULL,
    workflow_name text NOT NULL CHECK (workflow_name ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'),
    webhook_url text NOT NULL,
    description text NOT NULL DEFAULT '',
    is_active boolean NOT NULL DEFAULT true,
    auth_type text NOT NULL DEFAULT 'none' CHECK (auth_type IN ('none', 'bearer', 'header', 'basic', 'jwt')),
    auth_config jsonb NOT NULL DEFAULT '{}',
    auth_token text,
    static_headers jsonb NOT NULL DEFAULT '{}',
    signing_secret text,
    policy jsonb NOT NULL DEFAULT '{}',
    secret_hints jsonb NOT NULL DEFAULT '{}',
    key_version integer NOT NULL,
    config_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text NOT NULL,
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX n8n_webhooks_name ON n8n_webhooks (tenant_id, workflow_name) WHERE deleted_at IS NULL

-- Apart from n8n_webhooks and without a foreign key to it: the recorder's update waits for no admin's transaction.
CREATE TABLE n8n_webhook_counters (
    tenant_id text NOT NULL,
    webhook_id uuid NOT NULL,
    total_calls bigint NOT NULL DEFAULT 0,
    successful_calls bigint NOT NULL DEFAULT 0,
    failed_calls bigint NOT NULL DEFAULT 0,
    last_called_at timestamptz,
    PRIMARY KEY (tenant_id, webhook_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)

-- One row per call. The timestamp is the millisecond inside the UUIDv7 id, so an id alone names its partition.
CREATE TABLE webhook_analytics (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    "timestamp" timestamptz NOT NULL,
    request_payload jsonb,
    request_headers jsonb,
    status_code integer,
    response_body jsonb,
    response_time integer NOT NULL,
    success boolean NOT NULL,
    error_code text,
    error_message text,
    triggered_by text,
    metadata jsonb,
    delivery_id uuid,
    attempt integer NOT NULL DEFAULT 1,
    retry_of uuid,
    altered boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, "timestamp", id)
) PARTITION BY RANGE ("timestamp")

CREATE INDEX webhook_analytics_webhook ON webhook_analytics (tenant_id, webhook_id, "timestamp")

CREATE TABLE webhook_call_rollups (
    tenant_id text NOT NULL,
    webhook_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    total_calls bigint NOT NULL,
    successful_calls bigint NOT NULL,
    failed_calls bigint NOT NULL,
    response_time_sum bigint NOT NULL,
    response_time_max integer NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id, minute)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    tenant_id text REFERENCES tenants (id) ON DELETE CASCADE,
    name text NOT NULL,
    key_hash bytea NOT NULL UNIQUE,
    hint text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    CHECK ((tenant_id IS NULL) = ('platform' = ANY (scopes)))
)

CREATE INDEX api_keys_tenant ON api_keys (tenant_id)

CREATE TABLE platform_users (
    id uuid PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL DEFAULT '',
    password_hash text NOT NULL,
    role text NOT NULL DEFAULT 'admin' CHECK (role IN ('owner', 'admin', 'viewer')),
    must_change_password boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_login_at timestamptz,
    disabled_at timestamptz
)

CREATE UNIQUE INDEX platform_users_email ON platform_users (lower(email))

-- The platform's own events carry the tenant id ''. Nobody may change or delete a row.
CREATE TABLE audit_events (
    tenant_id text NOT NULL DEFAULT '',
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    action text NOT NULL,
    target_type text NOT NULL,
    target_id text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('success', 'denied', 'failed')),
    detail jsonb NOT NULL DEFAULT '{}',
    ip text,
    request_id text,
    PRIMARY KEY (tenant_id, id)
)

SELECT hookvault_protect('tenants', 'id'),
    hookvault_protect('data_keys', 'tenant_id'),
    hookvault_protect('key_history', NULL),
    hookvault_protect('tenant_integrations', 'tenant_id'),
    hookvault_protect('n8n_webhooks', 'tenant_id'),
    hookvault_protect('n8n_webhook_counters', 'tenant_id'),
    hookvault_protect('webhook_analytics', 'tenant_id'),
    hookvault_protect('webhook_call_rollups', 'tenant_id'),
    hookvault_protect('api_keys', 'tenant_id'),
    hookvault_protect('platform_users', NULL),
    hookvault_protect('audit_events', 'tenant_id')

-- Where one role owns everything there are no grants to withhold: these policies keep the log from it as well.
CREATE POLICY never_changed ON audit_events AS RESTRICTIVE FOR UPDATE USING (false)

CREATE POLICY never_deleted ON audit_events AS RESTRICTIVE FOR DELETE USING (false)

SELECT hookvault_grant('hookvault_meta', 'SELECT', 'SELECT'),
    hookvault_grant('alembic_version', 'SELECT', 'SELECT'),
    hookvault_grant('tenants', 'SELECT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('data_keys', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('key_history', '', 'SELECT, INSERT, UPDATE'),
    hookvault_grant('tenant_integrations', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('n8n_webhooks', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('n8n_webhook_counters', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('webhook_analytics', 'SELECT', 'SELECT, INSERT'),
    hookvault_grant('webhook_call_rollups', 'SELECT', 'SELECT, INSERT, UPDATE'),
    hookvault_grant('api_keys', 'SELECT', 'SELECT, INSERT, UPDATE'),
    hookvault_grant('platform_users', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('audit_events', 'SELECT, INSERT', 'SELECT, INSERT')

-- Makes the partition of a day (UTC) where it is missing; True when it made one. Runs as the owner, for the system role only.
CREATE FUNCTION hookvault_make_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' AS $$
DECLARE
    partition text := 'webhook_analytics_p' || to_char(day, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hookvault_days'));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF webhook_analytics FOR VALUES FROM (%L) TO (%L)', partition,
        day::timestamptz, (day + 1)::timestamptz);
    PERFORM hookvault_protect(partition::regclass, 'tenant_id');
    RETURN true;
END $$

-- Drops the partitions of all days before one; the number of calls that went with them.
CREATE FUNCTION hookvault_drop_days(before date) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' AS $$
DECLARE
    partition text;
    calls bigint;
    dropped bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hookvault_days'));
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'webhook_analytics'::regclass
            AND c.relname < 'webhook_analytics_p' || to_char(before, 'YYYYMMDD')
    LOOP
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format('SELECT count(*) FROM %I', partition) INTO calls;
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + calls;
    END LOOP;
    RETURN dropped;
END $$

-- SECURITY DEFINER functions must not be led astray by a caller's search_path.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION hookvault_make_day(date) SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION hookvault_drop_days(date) SET search_path = %I, pg_temp', current_schema());
    REVOKE ALL ON FUNCTION hookvault_make_day(date), hookvault_drop_days(date) FROM PUBLIC;
    REVOKE ALL ON FUNCTION hookvault_protect(regclass, name), hookvault_grant(regclass, text, text) FROM PUBLIC;
    IF (SELECT value FROM hookvault_meta WHERE name = 'access') = 'roles' THEN
        GRANT EXECUTE ON FUNCTION hookvault_make_day(date), hookvault_drop_days(date) TO hookvault_system;
    END IF;
END $$

SELECT hookvault_make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 7) AS n
