"""Keeps calls and deliveries for as long as is asked, and no longer.

Whole days are dropped, the oldest first and each in a transaction of its own. A drop needs the table for itself for a moment, and
whoever comes meanwhile waits behind it: so it waits half a second at most for those who read, lets everybody pass, and tries
again after a pause that grows. Tenants that keep less than the platform have their rows deleted in small batches.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from uuid import UUID

from hookvault.analytics.retention import store
from hookvault.analytics.retention.model import CALLS, DELIVERIES, Day, Dropped, Kind, Parent, Pruned, Size, Storage
from hookvault.analytics.retention.store import Place
from hookvault.analytics.rollups import store as rollups
from hookvault.db.pool import Database, Row
from hookvault.errors import InvalidError, LockedError
from hookvault.fault import fault_point
from hookvault.log import get_logger
from hookvault.queue import store as queue

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # between the tries to drop a day; then it waits for the next hour
BATCH = 5000
_BREATH_S = 0.05  # between two batches
_FIRST = Place(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
_FIGURES: tuple[store.Figures, ...] = ("webhook_call_rollups", "webhook_call_spans", "n8n_webhook_counters")
_CACHED_S = 60.0
_MOST_DAYS = 36_500
_NONE = Size(0, 0)

_log = get_logger()
Told = Callable[[Dropped], None]


class RetentionService:
    """What is dropped and when. Safe in many processes at once.

    Args:
        database: Where.
        days: The platform's retention, for `storage`.
        folder: Where an embedded database lies, to tell how much room its disk has.
        pauses: Seconds between the tries to drop a day.
    """

    def __init__(
        self, database: Database, *, days: int = 90, folder: Path | None = None, pauses: Sequence[float] = PAUSES_S
    ) -> None:
        self._database = database
        self._days = days
        self._folder = folder
        self._pauses = pauses
        self._storage: tuple[float, Storage] | None = None

    async def make_days(self, ahead: int = 7) -> None:
        """Makes the partitions for today and the days ahead."""
        today = datetime.now(UTC).date()
        async with self._database.system() as tx:
            await store.make_days(tx, [today + timedelta(days=n) for n in range(ahead + 1)])

    async def drop_calls(self, days_to_keep: int, *, told: Told | None = None) -> int:
        """Drops the days (UTC) of calls that ended more than `days_to_keep` days ago; the number of calls dropped.

        Where somebody reads the calls for longer than the tries take, the rest is left for the next time, and the log says who.

        Raises:
            InvalidError: fewer than 1 day.
        """
        return sum([dropped.rows async for dropped in self._drop(CALLS, _before(days_to_keep), told) if dropped.done])

    async def drop_deliveries(self, days_to_keep: int, *, told: Told | None = None) -> int:
        """As `drop_calls`, of deliveries, but no day of which one still waits; the number of days dropped."""
        before = await self._before_waiting(days_to_keep)
        return len([dropped async for dropped in self._drop(DELIVERIES, before, told) if dropped.done])

    async def list_old(self, days_to_keep: int) -> list[Dropped]:
        """The days that `drop_calls` and `drop_deliveries` would drop now, with estimated rows. Raises InvalidError."""
        before = {CALLS: _before(days_to_keep), DELIVERIES: await self._before_waiting(days_to_keep)}
        async with self._database.system_statement() as tx:
            days = await store.list_days(tx)
        return [Dropped(day["parent"], day["day"], day["rows"]) for day in days if day["day"] < before[day["parent"]]]

    async def is_rolled_up(self, days_to_keep: int) -> bool:
        """Whether the rollups of all that is past retention are built. Raises InvalidError for fewer than 1 day."""
        before = _midnight(_before(days_to_keep))
        async with self._database.system() as tx:
            built = await rollups.built_until(tx)
            return built is not None and built >= before and not await rollups.is_due(tx, before)

    async def prune_tenants(self, days_to_keep: int) -> Pruned:
        """Deletes the calls and ended deliveries of tenants that keep less than `days_to_keep` days, whole days (UTC) each."""
        async with self._database.system_statement() as tx:
            shorter = await store.list_shorter(tx, days_to_keep)
        totals: dict[Parent, int] = {CALLS: 0, DELIVERIES: 0}
        for tenant_id, days in shorter:
            for parent in totals:
                totals[parent] += await self._delete(parent, tenant_id, _midnight(_before(days)))
        pruned = Pruned(tenant_calls=totals[CALLS], tenant_deliveries=totals[DELIVERIES])
        if any(pruned):
            _log.info("old_rows_deleted", calls=pruned.tenant_calls, deliveries=pruned.tenant_deliveries)
        return pruned

    async def prune_gone(self, days_to_keep: int) -> int:
        """Deletes the figures (minutes, spans, counters) of deleted tenants from before the platform's retention; how many."""
        before, deleted = _midnight(_before(days_to_keep)), 0
        for table in _FIGURES:
            async with self._database.system_statement() as tx:
                gone = await store.list_gone(tx, table)
            for tenant_id in gone:
                more = True
                while more:
                    async with self._database.system() as system:
                        done = await store.delete_figures(system, table, tenant_id, before, BATCH)
                    deleted += done
                    more = done == BATCH
        return deleted

    async def prune(self, days_to_keep: int, *, told: Told | None = None) -> Pruned:
        """A whole round: old days, rows of tenants that keep less, figures of deleted tenants.

        Args:
            days_to_keep: The platform's retention.
            told: Told of every day as it is dropped.

        Raises:
            InvalidError: fewer than 1 day.
        """
        calls = await self.drop_calls(days_to_keep, told=told)
        days = await self.drop_deliveries(days_to_keep, told=told)
        rows = await self.prune_tenants(days_to_keep)
        return rows._replace(calls=calls, days=days, figures=await self.prune_gone(days_to_keep))

    async def storage(self, *, fresh: bool = False) -> Storage:
        """How much room everything takes, as of a minute ago at most."""
        if fresh or self._storage is None or self._storage[0] < time.monotonic() - _CACHED_S:
            self._storage = (time.monotonic(), await self._measured())
        return self._storage[1]

    async def _measured(self) -> Storage:
        async with self._database.system_statement() as tx:
            days = await store.list_days(tx)
            kinds = await store.list_kinds(tx)
            whole = await store.database_size(tx)
        found = [
            Kind(
                kind,
                *map(sum, zip(*[(day["bytes"], day["rows"]) for day in days if day["parent"] == parent], strict=True)),
            )
            for kind, parent in (("calls", CALLS), ("deliveries", DELIVERIES))
            if any(day["parent"] == parent for day in days)
        ]
        found += [Kind(row["kind"], row["bytes"], row["rows"]) for row in kinds]
        found.append(Kind("rest", max(0, whole - sum(kind.bytes for kind in found)), None))
        sizes: dict[date, dict[str, Size]] = {}
        for day in days:
            sizes.setdefault(day["day"], {})[day["parent"]] = Size(day["bytes"], day["rows"])
        by_day = [
            Day(day, kept.get(CALLS, _NONE), kept.get(DELIVERIES, _NONE))
            for day, kept in sorted(sizes.items(), reverse=True)
        ]
        oldest = by_day[-1].day if by_day else None
        return Storage(whole, self._disk_free(), self._days, oldest, found, by_day)

    def _disk_free(self) -> int | None:
        return None if self._folder is None or not self._folder.is_dir() else shutil.disk_usage(self._folder).free

    async def _before_waiting(self, days_to_keep: int) -> date:
        before = _before(days_to_keep)
        async with self._database.system_statement() as tx:
            oldest = await queue.oldest(tx)
        return before if oldest is None else min(before, oldest.astimezone(UTC).date())

    async def _drop(self, parent: Parent, before: date, told: Told | None) -> AsyncIterator[Dropped]:
        """The days as they are dropped, the oldest first; the last one says so where it could not be."""
        async with self._database.system_statement() as tx:
            days = await store.list_days(tx)
        for day in days:
            if day["parent"] != parent or day["day"] >= before:
                continue
            found = await self._drop_one(day)
            if found is None:
                continue
            if told is not None:
                told(found)
            yield found
            if not found.done:
                return

    async def _drop_one(self, day: Row) -> Dropped | None:
        """What became of a day; None where another process dropped it."""
        parent, rows = day["parent"], day["rows"]
        for pause in (*self._pauses, None):
            try:
                async with self._database.system_statement() as statement:
                    rows = await store.count_day(statement, day, (_midnight(day["day"]), _midnight(day["day"], 1)))
                async with self._database.system() as tx:
                    dropped = await store.drop_day(tx, parent, day["day"])
                    fault_point("retention.before_commit")
            except LockedError:
                if pause is not None:
                    await asyncio.sleep(pause)
                    continue
                await self._tell_who(parent, day["day"])
                return Dropped(parent, day["day"], rows, done=False)
            return Dropped(parent, day["day"], rows) if dropped else None
        raise AssertionError  # the last pause is None

    async def _tell_who(self, parent: Parent, day: date) -> None:
        async with self._database.system_statement() as tx:
            found = await store.list_in_the_way(tx, parent)
        who = [f"pid {row['pid']} ({row['application'] or 'unnamed'}) since {row['since']}" for row in found]
        _log.warning("day_not_dropped", table=parent, day=day.isoformat(), in_the_way="; ".join(who) or "gone by now")

    async def _delete(self, parent: Parent, tenant_id: str, before: datetime) -> int:
        deleted, after = 0, _FIRST
        while True:
            async with self._database.system() as tx:
                done, place = await store.delete_batch(tx, parent, tenant_id, (after, before), BATCH)
            deleted += done
            if place is None:
                return deleted
            after = place
            await asyncio.sleep(_BREATH_S)


def _before(days_to_keep: int) -> date:
    """The first day that is kept. Raises InvalidError for fewer days than 1, or more than a century."""
    if not 1 <= days_to_keep <= _MOST_DAYS:
        raise InvalidError(f"Calls are kept for 1 to {_MOST_DAYS:,} days.")
    return (datetime.now(UTC) - timedelta(days=days_to_keep)).date()


def _midnight(day: date, later: int = 0) -> datetime:
    return datetime.combine(day, clock_time(), UTC) + timedelta(days=later)
