-- A blank line ends a statement. Lines that start with -- are left out.

-- ## Rollups

-- What was called in a span of 5, 60 or 1440 minutes (UTC). The nil webhook stands for all of a tenant's webhooks together,
-- the tenant '' for all tenants. `buckets` and `bucket_calls` are a sparse histogram of response times (see
-- `analytics/rollups/histogram.py`); the `error_` columns tell what failed, one entry a cause, code and status.
CREATE TABLE webhook_call_spans (
    tenant_id text NOT NULL,
    webhook_id uuid NOT NULL,
    span smallint NOT NULL CHECK (span IN (5, 60, 1440)),
    start timestamptz NOT NULL,
    total_calls bigint NOT NULL,
    successful_calls bigint NOT NULL,
    failed_calls bigint NOT NULL,
    response_time_sum bigint NOT NULL,
    response_time_max integer NOT NULL,
    buckets smallint[] NOT NULL DEFAULT '{}',
    bucket_calls integer[] NOT NULL DEFAULT '{}',
    error_causes text[] NOT NULL DEFAULT '{}',
    error_codes text[] NOT NULL DEFAULT '{}',
    error_statuses integer[] NOT NULL DEFAULT '{}',
    error_calls bigint[] NOT NULL DEFAULT '{}',
    error_last_at timestamptz[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, webhook_id, span, start)
) WITH (fillfactor = 80)

-- What the tenants came to at one time, for the platform's own rollups and lists.
CREATE INDEX webhook_call_spans_totals ON webhook_call_spans (span, start, tenant_id)
    WHERE webhook_id = '00000000-0000-0000-0000-000000000000'

-- Spans that must not be read, since calls were recorded that they don't hold yet. Whoever records a call of a time that is
-- rolled up already adds its span here in the same transaction. `version` grows with each, so that the builder deletes only what
-- it saw.
CREATE TABLE webhook_spans_due (
    tenant_id text NOT NULL,
    span smallint NOT NULL,
    start timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, span, start)
)

CREATE INDEX webhook_spans_due_start ON webhook_spans_due (span, start)

-- How far the rollups go. From `closed_until` on, recorders note late calls; before `built_until` every span that is not due
-- may be read.
CREATE TABLE webhook_rollup_progress (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    closed_until timestamptz NOT NULL DEFAULT '-infinity',
    built_until timestamptz NOT NULL DEFAULT '-infinity'
)

INSERT INTO webhook_rollup_progress DEFAULT VALUES

-- What a recording commit runs into whose calls belong to a time that is rolled up already.
CREATE FUNCTION hookvault_late() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'Calls of a time that is rolled up: Hookvault records them again, as late. Nothing is wrong.';
END $$

SELECT hookvault_protect('webhook_call_spans', 'tenant_id'),
    hookvault_protect('webhook_spans_due', 'tenant_id'),
    hookvault_protect('webhook_rollup_progress', NULL)

CREATE POLICY everyone_reads ON webhook_rollup_progress FOR SELECT USING (true)

SELECT hookvault_grant('webhook_call_spans', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('webhook_spans_due', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('webhook_rollup_progress', 'SELECT', 'SELECT, INSERT, UPDATE')

-- ## Call log

-- Newest first over all tenants; and what failed, of one tenant and of all.
CREATE INDEX webhook_analytics_time ON webhook_analytics ("timestamp", id)

CREATE INDEX webhook_analytics_failed ON webhook_analytics (tenant_id, "timestamp", id) WHERE NOT success

CREATE INDEX webhook_analytics_failed_time ON webhook_analytics ("timestamp", id) WHERE NOT success

-- ## Retention

-- A tenant's own retention, shorter than the platform's; whose payloads were removed, and when; and the policy that hides the
-- payload of what has failed, also when it is no longer the webhook's.
ALTER TABLE tenants ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500)

ALTER TABLE webhook_analytics ADD COLUMN expunged_at timestamptz

ALTER TABLE webhook_deliveries ADD COLUMN expunged_at timestamptz, ADD COLUMN kept_policy jsonb, ALTER COLUMN payload DROP NOT NULL

-- The system deletes what is past a tenant's retention, and removes payloads; what was counted of a call it can't change.
SELECT hookvault_grant('webhook_analytics', '',
        'DELETE, UPDATE (request_payload, response_body, metadata, altered, expunged_at)'),
    hookvault_grant('webhook_deliveries', '', 'DELETE'),
    hookvault_grant('webhook_call_rollups', '', 'DELETE')

DROP FUNCTION hookvault_drop_days(date), hookvault_drop_delivery_days(date)

-- Drops the partition of one day of calls or of deliveries; whether there was one. It waits half a second at most for those who
-- read the table, since whoever records waits behind it, and gives up after one: to be tried again later.
CREATE FUNCTION hookvault_drop_day(parent text, day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET lock_timeout = '500ms' AS $$
DECLARE
    partition text := parent || '_p' || to_char(day, 'YYYYMMDD');
BEGIN
    IF parent NOT IN ('webhook_analytics', 'webhook_deliveries') THEN
        RAISE EXCEPTION 'There are no days of %.', left(parent, 64);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hookvault_drop_day'));
    IF to_regclass(partition) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', partition);
    RETURN true;
END $$

-- The sessions that hold a table of calls or deliveries, those with the oldest transaction first. Not what they ask: that may
-- hold anything.
CREATE FUNCTION hookvault_in_the_way(parent text) RETURNS TABLE (pid integer, application text, since timestamptz)
LANGUAGE sql SECURITY DEFINER AS $$
    SELECT DISTINCT a.pid, a.application_name, a.xact_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid() AND l.relation = to_regclass(parent)
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY a.xact_start LIMIT 5
$$

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['hookvault_drop_day(text, date)', 'hookvault_in_the_way(text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    IF (SELECT value FROM hookvault_meta WHERE name = 'access') = 'roles' THEN
        GRANT EXECUTE ON FUNCTION hookvault_drop_day(text, date), hookvault_in_the_way(text) TO hookvault_system;
    END IF;
END $$
