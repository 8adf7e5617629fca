-- A blank line ends a statement. Lines that start with -- are left out.

-- One row per delivery: what is to be sent, and how it ended. It is written twice: as it is accepted and as it ends. The
-- payload stays text as it came, since jsonb would not keep its bytes; JSON text holds no NUL, so bytea costs nothing.
CREATE TABLE webhook_deliveries (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    accepted_at timestamptz NOT NULL,
    webhook_id uuid NOT NULL,
    payload bytea NOT NULL,
    triggered_by text,
    metadata jsonb,
    timeout_ms integer,
    max_retries integer,
    ordering_key text,
    deliver_before timestamptz CHECK (deliver_before BETWEEN '2000-01-01' AND '9000-01-01'),
    idempotency_key text,
    replay_of uuid,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed', 'expired')),
    attempts integer NOT NULL DEFAULT 0,
    status_code integer,
    error_code text,
    error_message text,
    finished_at timestamptz,
    trail jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, accepted_at, id),
    CHECK ((status = 'pending') = (finished_at IS NULL))
) PARTITION BY RANGE (accepted_at)

CREATE INDEX webhook_deliveries_replays ON webhook_deliveries (tenant_id, replay_of) WHERE replay_of IS NOT NULL

-- Jobs that are due or will be. A job is ready, or waits for due_at: a retry's time, or the end of its worker's lease.
-- leased_by is set while a worker has it, so a lease that ended and one that was never taken can be told apart. claims fences
-- the worker's answer; lost counts claims that came to no attempt, since a worker died or failed. Of an ordering key one job at a time is the head; the others wait until 'infinity'.
CREATE TABLE delivery_queue (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    accepted_at timestamptz NOT NULL,
    webhook_id uuid NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    ready boolean NOT NULL,
    due_at timestamptz NOT NULL,
    leased_by uuid,
    claims integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    lost integer NOT NULL DEFAULT 0,
    ordering_key text,
    head boolean NOT NULL DEFAULT false,
    deliver_before timestamptz CHECK (deliver_before BETWEEN '2000-01-01' AND '9000-01-01'),
    trail jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0)

-- Ready jobs by webhook: workers hop from webhook to webhook, so what one tenant has waiting costs the others nothing.
CREATE INDEX delivery_queue_ready ON delivery_queue (webhook_id, seq) WHERE ready

CREATE INDEX delivery_queue_due ON delivery_queue (due_at) WHERE NOT ready AND (ordering_key IS NULL OR head)

-- Ordered jobs that nobody has looked at yet.
CREATE INDEX delivery_queue_unseen ON delivery_queue (webhook_id, ordering_key)
WHERE NOT ready AND NOT head AND ordering_key IS NOT NULL AND due_at < 'infinity'

CREATE INDEX delivery_queue_order ON delivery_queue (webhook_id, ordering_key, seq) WHERE ordering_key IS NOT NULL

-- The database itself refuses a second head.
CREATE UNIQUE INDEX delivery_queue_one_head ON delivery_queue (webhook_id, ordering_key) WHERE head

CREATE INDEX delivery_queue_expiry ON delivery_queue (deliver_before) WHERE deliver_before IS NOT NULL

-- What was accepted and how it ended, counted in the transactions that did it. Each writer has a row of its own, which
-- nobody else waits for; a transaction of an application adds one. Old rows are folded into the one with the zero id.
CREATE TABLE delivery_ledger (
    tenant_id text NOT NULL DEFAULT '',
    id uuid NOT NULL,
    accepted bigint NOT NULL DEFAULT 0,
    delivered bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)

-- Why deliveries wait: a webhook switched off, its circuit open, or (webhook_id 0) its tenant suspended. A delivery is held
-- while such a row has no end; rows that ended tell its story.
CREATE TABLE delivery_holds (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('webhook_inactive', 'tenant_suspended', 'circuit_open')),
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz,
    probe_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE UNIQUE INDEX delivery_holds_present ON delivery_holds (tenant_id, webhook_id, reason) WHERE until IS NULL

CREATE INDEX delivery_holds_past ON delivery_holds (tenant_id, webhook_id, until)

CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    message_id uuid NOT NULL,
    answer jsonb,
    locked_until timestamptz,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
)

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at)

-- Rate limits as token buckets; scope is a webhook, or 0 for the whole tenant.
CREATE TABLE call_tokens (
    tenant_id text NOT NULL,
    scope uuid NOT NULL,
    tokens double precision NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, scope)
) WITH (fillfactor = 50)

-- Concurrency limits: how many calls each process may have in flight, for as long as its lease is renewed.
CREATE TABLE call_slots (
    tenant_id text NOT NULL,
    scope uuid NOT NULL,
    process uuid NOT NULL,
    held integer NOT NULL CHECK (held > 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, scope, process)
) WITH (fillfactor = 50)

CREATE TABLE delivery_replays (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    filter jsonb NOT NULL,
    rate double precision NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'finished', 'cancelled')),
    after_at timestamptz NOT NULL,
    after_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, id)
)

CREATE INDEX delivery_replays_running ON delivery_replays (updated_at) WHERE status = 'running'

-- The latest moment that a worker saw here. Should the clock be set back, what waits is brought back with it.
CREATE TABLE delivery_clock (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    seen_at timestamptz NOT NULL
)

INSERT INTO delivery_clock (seen_at) VALUES (now())

ALTER TABLE n8n_webhooks ADD COLUMN previous_signing_secret text, ADD COLUMN previous_signing_until timestamptz

ALTER TABLE tenants ADD COLUMN rate_limit jsonb, ADD COLUMN concurrency integer CHECK (concurrency > 0)

SELECT hookvault_protect('webhook_deliveries', 'tenant_id'),
    hookvault_protect('delivery_queue', 'tenant_id'),
    hookvault_protect('delivery_ledger', 'tenant_id'),
    hookvault_protect('delivery_holds', 'tenant_id'),
    hookvault_protect('idempotency_keys', 'tenant_id'),
    hookvault_protect('call_tokens', 'tenant_id'),
    hookvault_protect('call_slots', 'tenant_id'),
    hookvault_protect('delivery_replays', 'tenant_id'),
    hookvault_protect('delivery_clock', NULL)

SELECT hookvault_grant('webhook_deliveries', 'SELECT', 'SELECT, INSERT, UPDATE'),
    hookvault_grant('delivery_queue', 'SELECT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('delivery_ledger', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('delivery_holds', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('idempotency_keys', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('call_tokens', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('call_slots', '', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('delivery_replays', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE, DELETE'),
    hookvault_grant('delivery_clock', '', 'SELECT, INSERT, UPDATE')

-- The moment inside a UUIDv7, to the millisecond.
CREATE FUNCTION hookvault_id_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'epoch'::timestamptz
        + ('x' || lpad(left(replace(id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint * interval '1 millisecond'
$$

CREATE FUNCTION hookvault_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$

-- What other processes must know at once. Whatever changed it, they hear of it when it is committed.
CREATE FUNCTION hookvault_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'api_keys' THEN
        PERFORM pg_notify('hookvault_changes', 'keys');
    ELSIF TG_TABLE_NAME = 'tenants' THEN
        PERFORM pg_notify('hookvault_changes', 'tenant ' || OLD.id);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('hookvault_changes', 'tenant ' || OLD.tenant_id);
    ELSE
        PERFORM pg_notify('hookvault_changes', 'tenant ' || NEW.tenant_id);
    END IF;
    RETURN NULL;
END $$

CREATE TRIGGER changed AFTER UPDATE OR DELETE ON n8n_webhooks FOR EACH ROW EXECUTE FUNCTION hookvault_changed()

CREATE TRIGGER changed AFTER UPDATE OR DELETE ON tenants FOR EACH ROW EXECUTE FUNCTION hookvault_changed()

CREATE TRIGGER changed AFTER INSERT OR UPDATE ON delivery_holds FOR EACH ROW EXECUTE FUNCTION hookvault_changed()

CREATE TRIGGER changed AFTER UPDATE OF revoked_at OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION hookvault_changed()

-- What waits already: webhooks that are switched off and tenants that are suspended hold their deliveries from now on. The
-- owner sees no rows of tenants, so it goes by each tenant's own policy.
DO $$
DECLARE
    tenant text;
BEGIN
    ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY;
    FOR tenant IN SELECT id FROM tenants LOOP
        PERFORM set_config('app.tenant_id', tenant, true);
        INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason)
        SELECT tenant_id, hookvault_new_id(), id, 'webhook_inactive' FROM n8n_webhooks
        WHERE tenant_id = tenant AND deleted_at IS NULL AND NOT is_active;
        INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason)
        SELECT id, hookvault_new_id(), '00000000-0000-0000-0000-000000000000', 'tenant_suspended' FROM tenants
        WHERE id = tenant AND status = 'suspended';
    END LOOP;
    PERFORM set_config('app.tenant_id', '', true);
    ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
END $$

-- Up to `want` tokens of a bucket that holds `calls` and fills in `seconds`; none means: wait so many seconds for one.
CREATE FUNCTION hookvault_take_tokens(tenant text, bucket uuid, calls double precision, seconds double precision, want integer,
    OUT granted integer, OUT wait_s double precision) LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    found call_tokens;
    have double precision;
BEGIN
    INSERT INTO call_tokens VALUES (tenant, bucket, calls, clock_timestamp()) ON CONFLICT DO NOTHING;
    SELECT * INTO found FROM call_tokens t WHERE t.tenant_id = tenant AND t.scope = bucket FOR UPDATE;
    moment := clock_timestamp();
    have := least(calls, found.tokens + greatest(0, extract(epoch FROM moment - found.updated_at)) * calls / seconds);
    granted := least(want, floor(have + 1e-9)::integer);
    wait_s := CASE WHEN granted > 0 THEN 0 ELSE (1 - have) * seconds / calls END;
    UPDATE call_tokens t SET tokens = greatest(0, have - granted), updated_at = moment
    WHERE t.tenant_id = tenant AND t.scope = bucket;
END $$

-- Sets how many calls a process may have in flight under a limit over all processes: what it wants, as far as others leave it.
CREATE FUNCTION hookvault_hold_slots(tenant text, bucket uuid, holder uuid, want integer, most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    taken integer;
    granted integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('slots ' || tenant || ' ' || bucket, 0));
    DELETE FROM call_slots s WHERE s.tenant_id = tenant AND s.scope = bucket AND s.expires_at < clock_timestamp();
    SELECT coalesce(sum(held), 0) INTO taken FROM call_slots s
    WHERE s.tenant_id = tenant AND s.scope = bucket AND s.process <> holder;
    granted := greatest(0, least(want, most - taken));
    IF granted = 0 THEN
        DELETE FROM call_slots s WHERE s.tenant_id = tenant AND s.scope = bucket AND s.process = holder;
    ELSE
        INSERT INTO call_slots AS s VALUES (tenant, bucket, holder, granted, clock_timestamp() + interval '15 seconds')
        ON CONFLICT (tenant_id, scope, process) DO UPDATE SET held = excluded.held, expires_at = excluded.expires_at;
    END IF;
    RETURN granted;
END $$

-- Refuses what no delivery can be, with a code at the beginning of the message, as the API's errors have one.
CREATE FUNCTION hookvault_check_delivery(payload text, options jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    unknown text;
    moment text := options ->> 'deliverBefore';
BEGIN
    IF payload IS NULL OR options IS NULL OR jsonb_typeof(options) <> 'object' THEN
        RAISE EXCEPTION 'invalid_input: A delivery needs a payload, and its options are a JSON object.';
    END IF;
    SELECT name INTO unknown FROM jsonb_object_keys(options) AS name
    WHERE name NOT IN ('triggeredBy', 'metadata', 'timeoutMs', 'maxRetries', 'deliverBefore', 'orderingKey') LIMIT 1;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'invalid_input: There is no option %.', left(unknown, 64);
    ELSIF octet_length(payload) > 16777216 THEN
        RAISE EXCEPTION 'payload_too_large: The payload has more than 16777216 bytes.';
    ELSIF length(options ->> 'orderingKey') NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'invalid_input: orderingKey must have 1 to 200 characters.';
    ELSIF length(options ->> 'triggeredBy') > 200 OR octet_length(options ->> 'metadata') > 16384 THEN
        RAISE EXCEPTION 'invalid_input: triggeredBy has 200 characters, and metadata 16,384 bytes, or fewer.';
    ELSIF options ? 'metadata' AND jsonb_typeof(options -> 'metadata') NOT IN ('object', 'null') THEN
        RAISE EXCEPTION 'invalid_input: metadata must be an object.';
    ELSIF options ->> 'timeoutMs' !~ '^[0-9]{1,6}$' OR (options ->> 'timeoutMs')::integer NOT BETWEEN 1 AND 120000 THEN
        RAISE EXCEPTION 'invalid_input: timeoutMs must be a whole number from 1 to 120000.';
    ELSIF options ->> 'maxRetries' !~ '^[0-9]{1,2}$' OR (options ->> 'maxRetries')::integer NOT BETWEEN 0 AND 10 THEN
        RAISE EXCEPTION 'invalid_input: maxRetries must be a whole number from 0 to 10.';
    ELSIF moment !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[+-][0-9]{2}:?[0-9]{2})$' THEN
        RAISE EXCEPTION 'invalid_input: deliverBefore must be a time with its zone, such as 2026-12-01T12:00:00Z.';
    ELSIF moment::timestamptz <= clock_timestamp() THEN
        RAISE EXCEPTION 'deliver_before_passed: deliverBefore is over already.';
    ELSIF moment::timestamptz > clock_timestamp() + interval '10 years' THEN
        RAISE EXCEPTION 'invalid_input: deliverBefore must be within ten years.';
    END IF;
    PERFORM payload::json;
EXCEPTION
    WHEN invalid_text_representation OR datetime_field_overflow OR invalid_datetime_format OR statement_too_complex
        OR invalid_time_zone_displacement_value THEN
        RAISE EXCEPTION 'invalid_input: The payload is not JSON, or deliverBefore is no time.';
END $$

-- Accepts a delivery inside the transaction of whoever calls it: it is sent if and only if that commits. For applications
-- that share this database; the owner grants EXECUTE to their role.
CREATE FUNCTION hookvault_enqueue(tenant text, workflow text, payload text, options jsonb DEFAULT '{}')
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before text := current_setting('app.tenant_id', true);
    delivery uuid := hookvault_new_id();
    moment timestamptz := hookvault_id_time(delivery);
    target uuid;
    lane text;
    deadline timestamptz;
BEGIN
    PERFORM hookvault_check_delivery(payload, options);
    lane := options ->> 'orderingKey';
    deadline := (options ->> 'deliverBefore')::timestamptz;
    PERFORM set_config('app.tenant_id', tenant, true);
    SELECT w.id INTO target FROM n8n_webhooks w
    WHERE w.tenant_id = tenant AND w.workflow_name = workflow AND w.deleted_at IS NULL;
    IF target IS NULL THEN
        IF NOT EXISTS (SELECT FROM tenants t WHERE t.id = tenant) THEN
            RAISE EXCEPTION 'tenant_not_found: There is no tenant %.', tenant;
        END IF;
        RAISE EXCEPTION 'webhook_not_found: This tenant has no webhook %.', workflow;
    END IF;
    PERFORM hookvault_make_day((moment AT TIME ZONE 'UTC')::date)
    WHERE to_regclass('webhook_deliveries_p' || to_char(moment AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NULL;
    INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload, triggered_by, metadata, timeout_ms,
        max_retries, ordering_key, deliver_before)
    VALUES (tenant, delivery, moment, target, convert_to(payload, 'UTF8'), options ->> 'triggeredBy', nullif(options -> 'metadata', 'null'),
        (options ->> 'timeoutMs')::integer, (options ->> 'maxRetries')::integer, lane, deadline);
    INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at, ordering_key, deliver_before)
    VALUES (tenant, delivery, moment, target, lane IS NULL, clock_timestamp(), lane, deadline);
    INSERT INTO delivery_ledger (tenant_id, id, accepted) VALUES (tenant, delivery, 1);
    PERFORM pg_notify('hookvault_deliveries', CASE WHEN lane IS NULL THEN target::text ELSE 'ordered' END);
    PERFORM set_config('app.tenant_id', coalesce(before, ''), true);
    RETURN delivery;
END $$

-- Makes a day's partitions (UTC) where they are missing; True when it made one. Runs as the owner, for the system role only.
CREATE OR REPLACE FUNCTION hookvault_make_day(day date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    partition text;
    made boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hookvault_days'));
    FOREACH parent IN ARRAY ARRAY['webhook_analytics', 'webhook_deliveries'] LOOP
        partition := parent || '_p' || to_char(day, 'YYYYMMDD');
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = %s)', partition,
                parent, day::timestamptz, (day + 1)::timestamptz, CASE parent WHEN 'webhook_deliveries' THEN 50 ELSE 100 END);
            PERFORM hookvault_protect(partition::regclass, 'tenant_id');
            made := true;
        END IF;
    END LOOP;
    RETURN made;
END $$

-- Drops the deliveries of all days before one; the number of partitions dropped. The caller has seen to it that none of
-- them is still waiting.
CREATE FUNCTION hookvault_drop_delivery_days(before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hookvault_days'));
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'webhook_deliveries'::regclass
            AND c.relname < 'webhook_deliveries_p' || to_char(before, 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$

-- SECURITY DEFINER functions must not be led astray by a caller's search_path.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['hookvault_make_day(date)', 'hookvault_drop_delivery_days(date)',
        'hookvault_enqueue(text, text, text, jsonb)', 'hookvault_check_delivery(text, jsonb)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    IF (SELECT value FROM hookvault_meta WHERE name = 'access') = 'roles' THEN
        GRANT EXECUTE ON FUNCTION hookvault_make_day(date), hookvault_drop_delivery_days(date) TO hookvault_system;
    END IF;
END $$

SELECT hookvault_make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 7) AS n
