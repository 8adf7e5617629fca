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
-- rolled up already adds its span here in the same commit. `version` grows with each, so that the builder deletes only what
-- it saw.
CREATE TABLE webhook_spans_due (
    tenant_id text NOT NULL,
    span smallint NOT NULL,
    start timestamptz NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, span, start)
)

CREATE INDEX webhook_spans_due_start ON webhook_spans_due (start)

-- How far the rollups go. From `closed_until` on, recorders note late calls; before `built_until` every span that is not due
-- may be read.
CREATE TABLE webhook_rollup_progress (
    id boolean PRIMARY KEY DEFAULT true CHECK (id),
    closed_until timestamptz NOT NULL DEFAULT '-infinity',
    built_until timestamptz NOT NULL DEFAULT '-infinity'
)

INSERT INTO webhook_rollup_progress DEFAULT VALUES

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

-- A tenant's own retention, shorter than the platform's; and whose payloads were removed, and when.
ALTER TABLE tenants ADD COLUMN retention_days integer CHECK (retention_days BETWEEN 1 AND 36500)

ALTER TABLE webhook_analytics ADD COLUMN expunged_at timestamptz

ALTER TABLE webhook_deliveries ADD COLUMN expunged_at timestamptz
