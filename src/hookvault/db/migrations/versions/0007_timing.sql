-- Milliseconds before the response's first byte: null where a kept connection needed none, and in records of before.
ALTER TABLE webhook_analytics ADD COLUMN resolve_ms real, ADD COLUMN connect_ms real, ADD COLUMN tls_ms real,
    ADD COLUMN wait_ms real
