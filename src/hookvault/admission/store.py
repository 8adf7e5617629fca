"""All SQL on holds, limits and idempotency keys."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hookvault.admission.model import WHOLE_TENANT, KeyUse, OpenHold, RateLimit
from hookvault.db.pool import Row, SystemTx, Tx
from hookvault.ids import new_id

# Does nothing where such a hold is in force already, so that whoever comes second need not know.
_HOLD = """
INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason, probe_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
ON CONFLICT (tenant_id, webhook_id, reason) WHERE until IS NULL DO NOTHING
"""

_RELEASE = """
UPDATE delivery_holds SET until = clock_timestamp() WHERE tenant_id = $1 AND webhook_id = $2 AND reason = $3 AND until IS NULL
"""

# A tenant's id may be given to another: nothing of this one's may bind that one.
_FORGET_TENANT = (
    "UPDATE delivery_holds SET until = clock_timestamp() WHERE tenant_id = $1 AND until IS NULL",
    "DELETE FROM idempotency_keys WHERE tenant_id = $1",
    "DELETE FROM call_tokens WHERE tenant_id = $1",
    "DELETE FROM call_slots WHERE tenant_id = $1",
)

_WAKE = "SELECT pg_notify('hookvault_deliveries', $1)"

_OPEN_HOLDS = """
SELECT h.tenant_id, t.name AS tenant_name, h.webhook_id, w.workflow_name, h.reason, h.since
FROM delivery_holds h JOIN tenants t ON t.id = h.tenant_id
LEFT JOIN n8n_webhooks w ON w.tenant_id = h.tenant_id AND w.id = h.webhook_id
WHERE h.until IS NULL AND h.reason = $1 ORDER BY h.since DESC LIMIT $2
"""

# Of all who ask at once, one may probe; the next only after the pause.
_TAKE_PROBE = """
UPDATE delivery_holds SET probe_at = clock_timestamp() + make_interval(secs => $3)
WHERE tenant_id = $1 AND webhook_id = $2 AND reason = 'circuit_open' AND until IS NULL AND probe_at <= clock_timestamp()
"""

_PROBE_IN = """
SELECT extract(epoch FROM probe_at - clock_timestamp())::float8 FROM delivery_holds
WHERE tenant_id = $1 AND webhook_id = $2 AND reason = 'circuit_open' AND until IS NULL
"""

# Both from one snapshot: whoever finds it closed knows of its closing.
_CIRCUIT = """
SELECT coalesce(bool_or(until IS NULL), false) AS is_open, max(until) AS closed_at FROM delivery_holds
WHERE tenant_id = $1 AND webhook_id = $2 AND reason = 'circuit_open' AND (until IS NULL OR until > now() - interval '60 seconds')
"""

# Nothing lies farther ahead than it was put, unless the clock was set back since.
_SET_BACK_PROBES = """
UPDATE delivery_holds SET probe_at = probe_at - $1::interval
WHERE until IS NULL AND probe_at > clock_timestamp() + make_interval(secs => $2)
"""

_SET_BACK_SLOTS = """
UPDATE call_slots SET expires_at = expires_at - $1::interval WHERE expires_at > clock_timestamp() + interval '15 seconds'
"""

_PRUNE_HOLDS = "DELETE FROM delivery_holds WHERE until < now() - make_interval(days => $1)"

_TAKE_TOKENS = "SELECT granted, wait_s FROM hookvault_take_tokens($1, $2, $3, $4, $5)"

_HOLD_SLOTS = "SELECT hookvault_hold_slots($1, $2, $3, $4, $5)"

_BEGIN = """
INSERT INTO idempotency_keys AS k (tenant_id, key, request_hash, message_id, locked_until, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5), now() + interval '24 hours')
ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash, message_id = excluded.message_id,
    answer = NULL, locked_until = excluded.locked_until, expires_at = excluded.expires_at WHERE k.expires_at <= now()
RETURNING 1
"""

_FIND = """
SELECT request_hash, message_id, answer, coalesce(locked_until > clock_timestamp(), false) AS running,
    expires_at <= now() AS expired
FROM idempotency_keys
WHERE tenant_id = $1 AND key = $2
"""

_FIND_MANY = """
SELECT k.tenant_id, k.key, k.request_hash, k.message_id, k.answer, coalesce(k.locked_until > clock_timestamp(), false) AS running,
    k.expires_at <= now() AS expired
FROM unnest($1::text[], $2::text[]) AS wanted (tenant_id, key)
JOIN idempotency_keys k ON k.tenant_id = wanted.tenant_id AND k.key = wanted.key
"""

# Of those who find that a request's process died, one takes it over.
_TAKE_OVER = """
UPDATE idempotency_keys SET locked_until = clock_timestamp() + make_interval(secs => $3)
WHERE tenant_id = $1 AND key = $2 AND answer IS NULL AND locked_until <= clock_timestamp()
"""

_FINISH = (
    "UPDATE idempotency_keys SET answer = $4, locked_until = NULL WHERE tenant_id = $1 AND key = $2 AND message_id = $3"
)

_FORGET = "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND message_id = $3 AND answer IS NULL"

_PRUNE_KEYS = """
DELETE FROM idempotency_keys WHERE (tenant_id, key) IN (
    SELECT tenant_id, key FROM idempotency_keys WHERE expires_at < now() LIMIT 5000)
"""


async def hold(tx: Tx, tenant_id: str, webhook_id: UUID, reason: str, *, probe_s: float | None = None) -> bool:
    """Has a webhook's deliveries wait from now on (WHOLE_TENANT: all of them); whether they did not already."""
    return await tx.execute(_HOLD, tenant_id, new_id(), webhook_id, reason, probe_s) > 0


async def release(tx: Tx, tenant_id: str, webhook_id: UUID, reason: str) -> bool:
    """Ends a hold, and wakes the workers; whether there was one."""
    ended = await tx.execute(_RELEASE, tenant_id, webhook_id, reason) > 0
    if ended:
        await tx.execute(_WAKE, "" if webhook_id == WHOLE_TENANT else str(webhook_id))
    return ended


async def set_hold(tx: Tx, tenant_id: str, webhook_id: UUID, reason: str, *, held: bool) -> None:
    """Brings a hold in line with the switch that it stands for."""
    await (hold if held else release)(tx, tenant_id, webhook_id, reason)


async def hold_tenant(tx: Tx, tenant_id: str, *, held: bool) -> None:
    """Has all of a tenant's deliveries wait, or go on."""
    await set_hold(tx, tenant_id, WHOLE_TENANT, "tenant_suspended", held=held)


async def forget_tenant(tx: SystemTx, tenant_id: str) -> None:
    """Ends a deleted tenant's holds, and deletes its idempotency keys and what its limits stood at."""
    for statement in _FORGET_TENANT:
        await tx.execute(statement, tenant_id)


async def list_open_holds(tx: SystemTx, reason: str, limit: int) -> Sequence[OpenHold]:
    """The holds of all tenants that are in force for a reason, the newest first."""
    return [OpenHold(**row) for row in await tx.fetch(_OPEN_HOLDS, reason, limit)]


async def take_probe(tx: Tx, tenant_id: str, webhook_id: UUID, pause_s: float) -> bool:
    """Whether this caller may try a webhook whose circuit is open."""
    return await tx.execute(_TAKE_PROBE, tenant_id, webhook_id, pause_s) > 0


async def probe_in(tx: Tx, tenant_id: str, webhook_id: UUID) -> float | None:
    """Seconds until an open circuit may be tried; None when it is closed."""
    found: float | None = await tx.fetchval(_PROBE_IN, tenant_id, webhook_id)
    return found


async def read_circuit(tx: Tx, tenant_id: str, webhook_id: UUID) -> tuple[bool, datetime | None]:
    """Whether a circuit is open, and when it closed last within the last minute."""
    row = await tx.fetchrow(_CIRCUIT, tenant_id, webhook_id)
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row["is_open"], row["closed_at"]


async def set_back(tx: SystemTx, back: timedelta, probe_s: float) -> None:
    """After the clock was set back: open circuits are probed, and slots of dead processes freed, no later than they should be."""
    await tx.execute(_SET_BACK_PROBES, back, probe_s)
    await tx.execute(_SET_BACK_SLOTS, back)


async def prune_holds(tx: SystemTx, days: int) -> None:
    """Forgets holds that ended so many days ago."""
    await tx.execute(_PRUNE_HOLDS, days)


async def take_tokens(tx: SystemTx, tenant_id: str, scope: UUID, rate: RateLimit, want: int) -> tuple[int, float]:
    """Up to `want` tokens of a rate limit; with none, the seconds until there is one. Less than none gives some back."""
    row = await tx.fetchrow(_TAKE_TOKENS, tenant_id, scope, float(rate.calls), float(rate.seconds), want)
    assert row is not None  # noqa: S101 - the function always answers
    return row["granted"], row["wait_s"]


async def hold_slots(tx: SystemTx, place: tuple[str, UUID], process: UUID, want: int, most: int) -> int:
    """How many calls a process may have in flight now under a limit of `most` over all processes."""
    return int(await tx.fetchval(_HOLD_SLOTS, *place, process, want, most))


async def begin(tx: Tx, place: tuple[str, str], request_hash: bytes, message_id: UUID, lock_s: float) -> bool:
    """Takes an idempotency key (tenant and key) for a request that runs; whether it was free."""
    return await tx.fetchval(_BEGIN, *place, request_hash, message_id, lock_s) is not None


async def find(tx: Tx, tenant_id: str, key: str) -> KeyUse | None:
    """What an idempotency key was used for."""
    row = await tx.fetchrow(_FIND, tenant_id, key)
    return None if row is None else _use(row)


async def find_many(tx: SystemTx, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], KeyUse]:
    """What idempotency keys (tenant and key) were used for; those that are free are missing."""
    rows = await tx.fetch(_FIND_MANY, [place[0] for place in places], [place[1] for place in places])
    return {(row["tenant_id"], row["key"]): _use(row) for row in rows}


async def take_over(tx: Tx, tenant_id: str, key: str, lock_s: float) -> bool:
    """Whether this caller goes on with a request whose process died."""
    return await tx.execute(_TAKE_OVER, tenant_id, key, lock_s) > 0


async def finish(tx: Tx, place: tuple[str, str], message_id: UUID, answer: Any) -> None:
    """Keeps the answer that repeated requests get."""
    await tx.execute(_FINISH, *place, message_id, answer)


async def forget(tx: Tx, place: tuple[str, str], message_id: UUID) -> None:
    """Frees a key whose request came to nothing."""
    await tx.execute(_FORGET, *place, message_id)


async def prune_keys(tx: SystemTx) -> Sequence[Any] | int:
    """Deletes keys that expired, 5,000 at most; how many."""
    return await tx.execute(_PRUNE_KEYS)


def _use(row: Row) -> KeyUse:
    return KeyUse(row["request_hash"], row["message_id"], row["answer"], row["running"], row["expired"])
