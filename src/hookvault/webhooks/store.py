"""All SQL on n8n_webhooks and their counters, and the group commit of recorded calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from hookvault.admission.model import RateLimit
from hookvault.db.pool import Row, SystemTx, TenantTx, Tx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.webhooks.model import TEST_TRIGGER, CallRecord, Counters, StoredWebhook
from hookvault.webhooks.outcome import UNREACHED

_COLUMNS = """w.id, w.tenant_id, w.workflow_name, w.webhook_url, w.description, w.is_active, w.auth_type, w.auth_config,
    w.auth_token, w.static_headers, w.signing_secret, w.policy, w.secret_hints, w.key_version, w.config_version,
    w.created_at, w.created_by, w.updated_at, w.updated_by, w.previous_signing_secret, w.previous_signing_until"""
_COUNTED = f"""SELECT {_COLUMNS}, c.total_calls, c.successful_calls, c.failed_calls, c.last_called_at
FROM n8n_webhooks w LEFT JOIN n8n_webhook_counters c ON c.tenant_id = w.tenant_id AND c.webhook_id = w.id
WHERE w.tenant_id = $1 AND w.deleted_at IS NULL"""  # noqa: S608 - constants only

_INSERT = """
INSERT INTO n8n_webhooks (id, tenant_id, workflow_name, webhook_url, description, is_active, auth_type, auth_config,
    auth_token, static_headers, signing_secret, policy, secret_hints, key_version, config_version, created_at, created_by,
    updated_at, updated_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""

_INSERT_COUNTERS = """
INSERT INTO n8n_webhook_counters (tenant_id, webhook_id, total_calls, successful_calls, failed_calls, last_called_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""

_UPDATE = """
UPDATE n8n_webhooks SET workflow_name = $3, webhook_url = $4, description = $5, is_active = $6, auth_type = $7,
    auth_config = $8, auth_token = $9, static_headers = $10, signing_secret = $11, policy = $12, secret_hints = $13,
    key_version = $14, config_version = $15, updated_at = $16, updated_by = $17, previous_signing_secret = $18,
    previous_signing_until = $19
WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
"""

# The row stays, so that its calls keep their webhook's name; its secrets do not, and the workflow name is free at once.
_DELETE = """
UPDATE n8n_webhooks SET deleted_at = $3, updated_at = $3, updated_by = $4, is_active = false, auth_token = NULL,
    static_headers = '{}', signing_secret = NULL, previous_signing_secret = NULL, previous_signing_until = NULL,
    secret_hints = '{}', config_version = config_version + 1
WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL
"""

_LOCK = (
    f"SELECT {_COLUMNS} FROM n8n_webhooks w WHERE w.tenant_id = $1 AND w.id = $2 AND w.deleted_at IS NULL FOR UPDATE"  # noqa: S608 - constants only
)

# What a call needs, in one round trip: the webhook and whether its tenant is active.
_TARGET = f"""
SELECT t.status AS tenant_status, t.rate_limit, t.concurrency, EXISTS (SELECT FROM delivery_holds h WHERE h.tenant_id = t.id
    AND h.webhook_id = w.id AND h.reason = 'circuit_open' AND h.until IS NULL) AS circuit_open, {_COLUMNS}
FROM tenants t LEFT JOIN n8n_webhooks w ON w.tenant_id = t.id AND w.workflow_name = $2 AND w.deleted_at IS NULL
WHERE t.id = $1
"""  # noqa: S608 - constants only

_TARGETS = f"""
SELECT t.rate_limit, t.concurrency, {_COLUMNS}
FROM unnest($1::text[], $2::uuid[]) AS wanted (tenant_id, webhook_id)
JOIN n8n_webhooks w ON w.tenant_id = wanted.tenant_id AND w.id = wanted.webhook_id AND w.deleted_at IS NULL
JOIN tenants t ON t.id = w.tenant_id
"""  # noqa: S608 - constants only

# The latest calls that ended within the window, and how many of them broke: the receiver was not reached, timed out or 5xx.
_BROKEN = """
SELECT count(*) AS calls, count(*) FILTER (WHERE status_code >= 500 OR error_code = ANY($4)) AS broken FROM (
    SELECT status_code, error_code FROM webhook_analytics
    WHERE tenant_id = $1 AND webhook_id = $2 AND "timestamp" > $3::timestamptz - interval '120 seconds'
        AND "timestamp" + response_time * interval '1 millisecond' > $3 AND triggered_by IS DISTINCT FROM $5
    ORDER BY "timestamp" DESC LIMIT 1000
) latest
"""

_SWITCH_OFF = """
UPDATE n8n_webhooks SET is_active = false, config_version = config_version + 1, updated_at = $3, updated_by = $4
WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND is_active
"""

_DROP_PREVIOUS = """
UPDATE n8n_webhooks SET previous_signing_secret = NULL, previous_signing_until = NULL, config_version = config_version + 1
WHERE previous_signing_until < now()
"""

# Counters are made with the webhook and outlive it, also when its tenant is deleted.
_EXISTED = "SELECT EXISTS (SELECT FROM n8n_webhook_counters WHERE tenant_id = $1 AND webhook_id = $2)"

_INCREMENT = """
INSERT INTO n8n_webhook_counters AS c (tenant_id, webhook_id, total_calls, successful_calls, failed_calls, last_called_at)
VALUES ($1, $2, 1, $3::bigint, 1 - $3::bigint, $4)
ON CONFLICT (tenant_id, webhook_id) DO UPDATE SET total_calls = c.total_calls + 1,
    successful_calls = c.successful_calls + excluded.successful_calls, failed_calls = c.failed_calls + excluded.failed_calls,
    last_called_at = greatest(c.last_called_at, excluded.last_called_at)
"""

# The group commit, in one statement and so in one round trip: it ends as three at once would. Both upserts get their keys
# sorted, so two processes can't deadlock. It fails where its oldest minute, $33, is rolled up already: that must be noted.
_RECORD = """
WITH counted AS (
    INSERT INTO n8n_webhook_counters AS c (tenant_id, webhook_id, total_calls, successful_calls, failed_calls, last_called_at)
    SELECT * FROM unnest($23::text[], $24::uuid[], $25::bigint[], $26::bigint[], $27::bigint[], $28::timestamptz[])
    ON CONFLICT (tenant_id, webhook_id) DO UPDATE SET total_calls = c.total_calls + excluded.total_calls,
        successful_calls = c.successful_calls + excluded.successful_calls,
        failed_calls = c.failed_calls + excluded.failed_calls,
        last_called_at = greatest(c.last_called_at, excluded.last_called_at)
), rolled_up AS (
    INSERT INTO webhook_call_rollups AS r (tenant_id, webhook_id, minute, total_calls, successful_calls, failed_calls,
        response_time_sum, response_time_max)
    SELECT * FROM unnest($29::text[], $30::uuid[], $31::timestamptz[], $32::bigint[], $33::bigint[], $34::bigint[],
        $35::bigint[], $36::int[])
    WHERE CASE WHEN $37 >= (SELECT closed_until FROM webhook_rollup_progress WHERE id) THEN true ELSE hookvault_late() END
    ON CONFLICT (tenant_id, webhook_id, minute) DO UPDATE SET total_calls = r.total_calls + excluded.total_calls,
        successful_calls = r.successful_calls + excluded.successful_calls,
        failed_calls = r.failed_calls + excluded.failed_calls,
        response_time_sum = r.response_time_sum + excluded.response_time_sum,
        response_time_max = greatest(r.response_time_max, excluded.response_time_max)
)
INSERT INTO webhook_analytics (tenant_id, id, webhook_id, "timestamp", request_payload, request_headers, status_code,
    response_body, response_time, success, error_code, error_message, triggered_by, metadata, delivery_id, attempt, retry_of,
    altered, resolve_ms, connect_ms, tls_ms, wait_ms)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::jsonb[], $6::jsonb[], $7::int[], $8::jsonb[],
    $9::int[], $10::bool[], $11::text[], $12::text[], $13::text[], $14::jsonb[], $15::uuid[], $16::int[], $17::uuid[],
    $18::bool[], $19::real[], $20::real[], $21::real[], $22::real[])
"""

# Rollups that hold these minutes are to be built anew (see `analytics/rolling`).
_NOTE_LATE = """
INSERT INTO webhook_spans_due AS d (tenant_id, span, start)
SELECT DISTINCT m.tenant_id, 5, date_bin('5 minutes', m.minute, 'epoch')
FROM unnest($1::text[], $2::timestamptz[]) AS m (tenant_id, minute) ORDER BY 1, 3
ON CONFLICT (tenant_id, span, start) DO UPDATE SET version = d.version + 1
"""
_NEVER_LATE = datetime.max.replace(tzinfo=UTC)

_IS_RECORDED = 'SELECT EXISTS (SELECT FROM webhook_analytics WHERE tenant_id = $1 AND "timestamp" = $2 AND id = $3)'

# A call's result from its record: its last attempt, the first one's id being the call's.
_RESULT = """
SELECT status_code, response_body::text AS response_body, response_time, success, error_code, error_message, attempt AS attempts
FROM webhook_analytics
WHERE tenant_id = $1 AND (id = $2 OR retry_of = $2)
    AND "timestamp" >= $3 AND "timestamp" < $3::timestamptz + interval '180 seconds'
ORDER BY attempt DESC LIMIT 1
"""

_MAKE_DAY = "SELECT hookvault_make_day($1)"


@dataclass(frozen=True, slots=True)
class CallTarget:
    """A webhook as a call finds it: its tenant's status, and the webhook unless there is none of that name."""

    tenant_status: str
    webhook: StoredWebhook | None
    limits: "Limits"
    circuit_open: bool


class Limits(NamedTuple):
    """A tenant's limits over all its webhooks."""

    rate: RateLimit | None
    concurrency: int | None


async def insert(tx: TenantTx, webhook: StoredWebhook, counters: Counters) -> None:
    """Stores a new webhook, counted so far. Raises ConflictError, code `webhook_exists`, when the workflow name is taken."""
    values = (
        webhook.config_version,
        webhook.created_at,
        webhook.created_by,
        webhook.updated_at,
        webhook.updated_by,
    )
    try:
        await tx.execute(_INSERT, webhook.id, webhook.tenant_id, *_settable(webhook), *values)
    except asyncpg.UniqueViolationError:
        raise _taken(webhook) from None
    counted = (counters.total_calls, counters.successful_calls, counters.failed_calls, counters.last_called_at)
    await tx.execute(_INSERT_COUNTERS, webhook.tenant_id, webhook.id, *counted)


async def update(tx: TenantTx, webhook: StoredWebhook) -> None:
    """Stores a webhook's changed fields. Raises ConflictError, code `webhook_exists`, when the name is taken."""
    previous = (webhook.previous_signing_secret, webhook.previous_signing_until)
    values = (webhook.config_version, webhook.updated_at, webhook.updated_by, *previous)
    try:
        await tx.execute(_UPDATE, webhook.tenant_id, webhook.id, *_settable(webhook), *values)
    except asyncpg.UniqueViolationError:
        raise _taken(webhook) from None


async def delete(tx: TenantTx, webhook_id: UUID, *, moment: datetime, author: str) -> bool:
    """Deletes a webhook and its secrets, keeping what its calls refer to; whether there was one."""
    return await tx.execute(_DELETE, tx.tenant_id, webhook_id, moment, author) > 0


async def get(tx: TenantTx, webhook_id: UUID) -> tuple[StoredWebhook, Counters]:
    """A webhook with its counters. Raises NotFoundError, code `webhook_not_found`."""
    row = await tx.fetchrow(_COUNTED + " AND w.id = $2", tx.tenant_id, webhook_id)
    if row is None:
        raise not_found(str(webhook_id))
    return _stored(row), _counters(row)


async def get_by_name(tx: TenantTx, workflow_name: str) -> tuple[StoredWebhook, Counters]:
    """A webhook by its workflow name. Raises NotFoundError, code `webhook_not_found`."""
    row = await tx.fetchrow(_COUNTED + " AND w.workflow_name = $2", tx.tenant_id, workflow_name)
    if row is None:
        raise not_found(workflow_name)
    return _stored(row), _counters(row)


async def list_page(
    tx: TenantTx, *, limit: int | None = None, after: str | None = None, active_only: bool = False
) -> Sequence[tuple[StoredWebhook, Counters]]:
    """The tenant's webhooks in the order of their workflow names."""
    statement = _COUNTED + " AND ($2::text IS NULL OR w.workflow_name > $2)"
    if active_only:
        statement += " AND w.is_active"
    rows = await tx.fetch(statement + " ORDER BY w.workflow_name LIMIT $3", tx.tenant_id, after, limit)
    return [(_stored(row), _counters(row)) for row in rows]


async def lock(tx: TenantTx, webhook_id: UUID) -> StoredWebhook:
    """A webhook, locked against other admins. Raises NotFoundError, code `webhook_not_found`."""
    row = await tx.lock(_LOCK, tx.tenant_id, webhook_id)
    if row is None:
        raise not_found(str(webhook_id))
    return _stored(row)


async def existed(tx: TenantTx, webhook_id: UUID) -> bool:
    """Whether the tenant has or had this webhook; its calls are readable then."""
    return bool(await tx.fetchval(_EXISTED, tx.tenant_id, webhook_id))


async def find_target(tx: Tx, tenant_id: str, workflow_name: str) -> CallTarget | None:
    """What a call to a webhook needs; None when there is no such tenant."""
    row = await tx.fetchrow(_TARGET, tenant_id, workflow_name)
    if row is None:
        return None
    webhook = _stored(row) if row["id"] is not None else None
    return CallTarget(row["tenant_status"], webhook, _limits(row), row["circuit_open"])


async def list_targets(
    tx: SystemTx, tenant_ids: Sequence[str], webhook_ids: Sequence[UUID]
) -> Sequence[tuple[StoredWebhook, Limits]]:
    """Webhooks of many tenants with their tenants' limits; those that are gone are missing."""
    rows = await tx.fetch(_TARGETS, tenant_ids, webhook_ids)
    return [(_stored(row), _limits(row)) for row in rows]


async def count_broken(tx: TenantTx, webhook_id: UUID, since: datetime) -> tuple[int, int]:
    """How many of a webhook's latest calls ended since a moment, and how many of them broke (see `Verdict`); tests don't count."""
    row = await tx.fetchrow(_BROKEN, tx.tenant_id, webhook_id, since, ["timeout", *UNREACHED], TEST_TRIGGER)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row["calls"], row["broken"]


async def switch_off(tx: TenantTx, webhook_id: UUID, *, moment: datetime, author: str) -> bool:
    """Switches a webhook off; whether it was on."""
    return await tx.execute(_SWITCH_OFF, tx.tenant_id, webhook_id, moment, author) > 0


async def drop_previous_secrets(tx: SystemTx) -> int:
    """Deletes former signing secrets whose time is over; how many."""
    return await tx.execute(_DROP_PREVIOUS)


async def find_result(tx: TenantTx, call_id: UUID, moment: datetime) -> Row | None:
    """What a call came to, from its record; None when it was not recorded."""
    return await tx.fetchrow(_RESULT, tx.tenant_id, call_id, moment)


async def increment(tx: TenantTx, webhook_id: UUID, *, success: bool, moment: datetime) -> None:
    """Counts one call of a webhook."""
    await tx.execute(_INCREMENT, tx.tenant_id, webhook_id, int(success), moment)


async def record(
    tx: SystemTx, calls: Sequence[CallRecord], *, counted_already: bool = False, late: bool = False
) -> None:
    """Records calls: their rows, their minutes, and unless counted already their webhooks' counters, in one statement.

    Args:
        tx: Of which this may be all, unless they are late.
        calls: Whose days exist.
        counted_already: Whether the counters have them.
        late: Whether to note in this transaction that the rollups of their times are to be built anew.

    Raises:
        asyncpg.RaiseError: one is of a time that is rolled up already; nothing was recorded, and it must be said to be late.
        asyncpg.CheckViolationError: a day has no partition; nothing was recorded.
    """
    minutes: dict[tuple[str, UUID, datetime], list[Any]] = {}
    for call in calls:
        moment = call.timestamp
        key = (call.tenant_id, call.webhook_id, moment.replace(second=0, microsecond=0))
        minute = minutes.get(key)
        if minute is None:
            minute = minutes[key] = [0, 0, 0, 0, moment]
        minute[0] += 1
        minute[1] += call.success
        minute[2] += call.response_time
        minute[3] = max(minute[3], call.response_time)
        minute[4] = max(minute[4], moment)
    counted: dict[tuple[str, UUID], list[Any]] = {}
    rolled: dict[tuple[str, UUID, datetime], list[Any]] = {}
    for key in sorted(minutes):
        total, won, time_sum, time_max, last = minutes[key]
        rolled[key] = [total, won, total - won, time_sum, time_max]
        if counted_already:
            total = won = 0
        counters = counted.setdefault(key[:2], [0, 0, 0, last])
        counters[0] += total
        counters[1] += won
        counters[2] += total - won
        counters[3] = max(counters[3], last)
    columns = _columns(rolled)
    if late:
        await tx.execute(_NOTE_LATE, columns[0], columns[2])
    oldest = _NEVER_LATE if late else min(columns[2])
    await tx.execute(_RECORD, *zip(*calls, strict=True), *_columns(counted), *columns, oldest)


async def is_recorded(tx: SystemTx, call: CallRecord) -> bool:
    """Whether a call's row is committed."""
    return bool(await tx.fetchval(_IS_RECORDED, call.tenant_id, call.timestamp, call.id))


async def make_day(tx: SystemTx, moment: datetime) -> None:
    """Makes the partition for the day (UTC) of a moment where it is missing."""
    await tx.execute(_MAKE_DAY, moment.astimezone(UTC).date())


def not_found(name: str) -> NotFoundError:
    """The error for a webhook that this tenant does not have."""
    return NotFoundError(f"This tenant has no webhook {name}.", code="webhook_not_found")


def _columns(rows: Mapping[Any, list[Any]]) -> list[list[Any]]:
    """The columns of rows that come sorted by their keys."""
    return [list(column) for column in zip(*[(*key, *values) for key, values in rows.items()], strict=True)]


def _settable(webhook: StoredWebhook) -> tuple[Any, ...]:
    return (
        webhook.workflow_name,
        webhook.webhook_url,
        webhook.description,
        webhook.is_active,
        webhook.auth_type,
        webhook.auth_config,
        webhook.auth_token,
        webhook.static_headers,
        webhook.signing_secret,
        webhook.policy,
        webhook.secret_hints,
        webhook.key_version,
    )


def _limits(row: Row) -> Limits:
    return Limits(None if row["rate_limit"] is None else RateLimit(**row["rate_limit"]), row["concurrency"])


def _stored(row: Row) -> StoredWebhook:
    return StoredWebhook(**{name: row[name] for name in StoredWebhook.__slots__})


def _counters(row: Row) -> Counters:
    if row["total_calls"] is None:
        return Counters()
    return Counters(row["total_calls"], row["successful_calls"], row["failed_calls"], row["last_called_at"])


def _taken(webhook: StoredWebhook) -> ConflictError:
    return ConflictError(
        f"This tenant has a webhook with the workflow name {webhook.workflow_name} already.",
        code="webhook_exists",
    )
