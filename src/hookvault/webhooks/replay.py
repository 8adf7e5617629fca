"""Makes deliveries again: one at once, or many in the background, at a rate, with a count beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import iso, now
from hookvault.db.pool import Database
from hookvault.deliveries import store
from hookvault.deliveries.model import ENDED, DeliveryFilter, Replay
from hookvault.errors import ConflictError, InvalidError, NotFoundError
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.log import get_logger
from hookvault.paging import Page
from hookvault.tenants import store as tenants
from hookvault.tenants.history import require_history
from hookvault.webhooks import store as webhooks
from hookvault.webhooks.delivery import bounded, check_filter, not_ended, payload_expunged

DEFAULT_RATE = 50.0
MAX_RATE = 10_000.0
_BATCH = 500
_log = get_logger()


class Preview(NamedTuple):
    """What a replay would do: how many deliveries it would make again, and in how long."""

    deliveries: int
    seconds: float


class ReplayService:
    """The commands that make deliveries again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ledger_id = new_id()

    async def replay(self, tenant_id: str, delivery_id: UUID, *, actor: Actor = IN_PROCESS) -> UUID:
        """Makes one delivery again, to the webhook as it is now; the new delivery's id.

        Raises:
            NotFoundError: `delivery_not_found`, or `webhook_not_found` when its webhook was deleted.
            ConflictError: `delivery_not_ended`, or `payload_expunged` when its payload is not kept any more.
        """
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            found = await store.find(tx, delivery_id)
            if found is None or found[0].accepted_at < since:
                raise NotFoundError(f"This tenant has no delivery {delivery_id}.", code="delivery_not_found")
            delivery, _ = found
            if delivery.status not in ENDED:
                raise not_ended(delivery)
            if delivery.expunged_at is not None:
                raise payload_expunged(delivery_id)
            await webhooks.get(tx, delivery.webhook_id)
        made = new_id()
        async with self._database.system() as system:
            place = (delivery.id, delivery.accepted_at)
            if not await store.replay(system, tenant_id, [(place, made)], self._ledger_id):
                raise payload_expunged(delivery_id)  # in this very moment
            target, detail = ("delivery", str(delivery_id)), {"deliveryId": str(made)}
            await audit.record(system, actor, "delivery.replayed", target, tenant_id=tenant_id, detail=detail)
            fault_point("replay_one.before_commit")
        fault_point("replay_one.after_commit")
        return made

    async def preview(self, tenant_id: str, which: DeliveryFilter, rate: float = DEFAULT_RATE) -> Preview:
        """How many deliveries a replay would make again. Raises as `start`, but not `nothing_to_replay`."""
        which = _checked(which, rate)
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            found = await store.count(tx, tenant_id, bounded(which, await require_history(tx)))
        return Preview(found, found / rate)

    async def start(
        self, tenant_id: str, which: DeliveryFilter, *, rate: float = DEFAULT_RATE, actor: Actor = IN_PROCESS
    ) -> Replay:
        """Begins to make deliveries again that have ended by now, oldest first; workers go on with it.

        Args:
            tenant_id: Whose.
            which: Which; without a status the failed and the expired ones.
            rate: New deliveries a second, over all workers.
            actor: Who does it, for the audit log.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: `invalid_range`, a bad rate or status, or `nothing_to_replay` when the filter matches nothing.
        """
        which = _checked(which, rate)
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            which = bounded(which, await require_history(tx))
            total = await store.count(tx, tenant_id, which)
            if not total:
                message = "No delivery that has ended matches this filter; nothing was replayed."
                raise InvalidError(message, code="nothing_to_replay")
            replay = await store.start_replay(tx, new_id(), _stored(which), rate=rate, total=total, author=actor.label)
            detail = {"filter": _stored(which), "count": total}
            await audit.record(tx, actor, "replay.started", ("replay", str(replay.id)), detail=detail)
        return replay

    async def get(self, tenant_id: str, replay_id: UUID) -> Replay:
        """One replay and how far it came. Raises NotFoundError, code `replay_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            found = await store.find_replay(tx, replay_id)
        if found is None:
            raise NotFoundError(f"This tenant has no replay {replay_id}.", code="replay_not_found")
        return found

    async def list_page(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Replay]:
        """A page of a tenant's replays, newest first. Raises InvalidError, code `invalid_cursor`."""
        async with self._database.tenant(tenant_id) as tx:
            await require_history(tx)
            return await store.list_replays(tx, limit=limit, cursor=cursor)

    async def cancel(self, tenant_id: str, replay_id: UUID, *, actor: Actor = IN_PROCESS) -> Replay:
        """Stops a replay; what it made stays. Raises NotFoundError, or ConflictError `replay_ended`."""
        async with self._database.tenant(tenant_id) as tx:
            stopped = await store.cancel_replay(tx, replay_id)
            if stopped:
                await audit.record(tx, actor, "replay.cancelled", ("replay", str(replay_id)))
        found = await self.get(tenant_id, replay_id)
        if not stopped:
            raise ConflictError(f"The replay is {found.status}; there is nothing to stop.", code="replay_ended")
        return found

    async def advance(self) -> int:
        """Goes on with every running replay as far as its rate allows; how many deliveries were made. For workers.

        A batch and the note of how far it came are one transaction: killed at any point, a replay goes on from there and
        makes no delivery twice.
        """
        made, seen = 0, list[str]()
        while True:
            async with self._database.system() as tx:
                row = await store.next_replay(tx, seen)
                if row is None:
                    return made
                place = f"{row['tenant_id']}{row['id']}"
                try:
                    which = _filter(row["filter"])
                except (KeyError, TypeError, ValueError):  # written by another version; the others go on
                    _log.error("replay_unreadable", tenant=row["tenant_id"], replay=str(row["id"]))
                    seen.append(place)
                    continue
                most = int(row["rate"] * max(row["since_s"], 0.0))
                if most <= _BATCH:
                    seen.append(place)
                if most < 1:
                    continue
                made += await self._advance_one(tx, row, which, min(most, _BATCH))
                fault_point("replay.before_commit")
            fault_point("replay.after_commit")

    async def _advance_one(self, tx: Any, row: Any, which: DeliveryFilter, most: int) -> int:
        old = await store.list_from(tx, row["tenant_id"], which, (row["after_at"], row["after_id"]), most)
        if old:
            await store.replay(tx, row["tenant_id"], [(pair, new_id()) for pair in old], self._ledger_id)
        place = (old[-1][1], old[-1][0]) if old else (row["after_at"], row["after_id"])
        await store.advance_replay(tx, (row["tenant_id"], row["id"]), len(old), place, last=len(old) < most)
        return len(old)


def _checked(which: DeliveryFilter, rate: float) -> DeliveryFilter:
    """The filter of a replay: of what has ended by now, the failed and expired ones unless it says otherwise."""
    check_filter(which)
    if not 0.1 <= rate <= MAX_RATE:
        raise InvalidError(f"ratePerSecond must be from 0.1 to {MAX_RATE:.0f}.")
    if set(which.status) - set(ENDED):
        raise InvalidError(f"Only deliveries that have ended can be made again: {', '.join(ENDED)}.")
    return replace(which, status=which.status or ("failed", "expired"), ended_by=now())


def _stored(which: DeliveryFilter) -> dict[str, Any]:
    """A filter as a replay's row keeps it."""
    fields = asdict(which)
    for name in ("start", "end", "ended_by"):
        fields[name] = None if fields[name] is None else _text(fields[name])
    fields["webhook_id"] = None if which.webhook_id is None else str(which.webhook_id)
    return fields


def _filter(stored: Mapping[str, Any]) -> DeliveryFilter:
    def moment(name: str) -> datetime | None:
        return None if stored[name] is None else datetime.fromisoformat(stored[name])

    status: Sequence[Any] = stored["status"]
    webhook_id = None if stored["webhook_id"] is None else UUID(stored["webhook_id"])
    return DeliveryFilter(
        tuple(status), webhook_id, stored["error_code"], moment("start"), moment("end"), moment("ended_by")
    )


def _text(moment: datetime) -> str:
    return iso(moment) if moment.year > 1 else moment.isoformat()
