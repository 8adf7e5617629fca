"""Which tables hold an installation's data, for backups. A test holds this list to what the migrations make."""

# Those that others refer to stand before them: they are filled in this order.
SAVED = (
    "tenants",
    "data_keys",
    "key_history",
    "shredded_tenants",
    "backups",
    "tenant_integrations",
    "credential_versions",
    "n8n_webhooks",
    "n8n_webhook_counters",
    "api_keys",
    "platform_users",
    "user_totp",
    "user_recovery_codes",
    "audit_events",
    "key_jobs",
    "secret_faults",
    "secret_scans",
    "webhook_call_rollups",
    "webhook_call_spans",
    "webhook_spans_due",
    "webhook_rollup_progress",
    "webhook_analytics",
    "webhook_deliveries",
    "delivery_queue",
    "delivery_ledger",
    "delivery_holds",
    "delivery_replays",
    "idempotency_keys",
    "call_tokens",
)

# What is true of the running processes and of the machine's clock only, and would be false wherever it is restored.
KEPT = ("key_holders", "delivery_clock")
# Nor may a restore bring back to life who was signed out, or a link that was used or revoked.
EMPTIED = ("call_slots", "user_sessions", "user_invitations", "password_resets", "login_attempts")

# What must not be forgotten by going back: which keys there were, whose secrets were destroyed, which backups need which key.
UNITED = ("key_history", "shredded_tenants", "backups")
