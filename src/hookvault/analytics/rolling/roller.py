"""Keeps the rollups up to the present: closes five minutes after five minutes, and builds what is due.

Every step is committed whole and can be done again, so it may be killed anywhere. How it is right, at every moment and with
calls that are recorded late: ADR 11.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hookvault.analytics.rolling import store
from hookvault.analytics.rollups.plan import FINEST, SPANS, WIDEST
from hookvault.analytics.rollups.store import plan_for_reading
from hookvault.db.pool import Database
from hookvault.errors import InvalidError
from hookvault.fault import fault_point
from hookvault.log import get_logger

GRACE = timedelta(minutes=2)  # most calls end and are recorded so soon after they began
_DAY = timedelta(days=1)
_POLL_S = 0.05
_PATIENCE_S = 120.0
_QUICK_S, _SLOW_S = 0.3, 2.0
_BATCH = 32
_MOST = 512
_ORDER = [(span, platform) for platform in (False, True) for span in reversed(SPANS)]
_log = get_logger()

Progress = Callable[[int, int], None]


class Roller:
    """Builds rollups. Safe in many processes at once: one of them builds, the others find that it does."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch = dict.fromkeys(_ORDER, _BATCH)

    async def state(self) -> store.Rolling:
        """How far it is: some eight minutes behind the present at most, while all is well."""
        async with self._database.system_statement() as tx:
            return await store.find_state(tx)

    async def roll(self) -> None:
        """Closes what is over and builds what is due; a while at most."""
        await self.advance()
        await self.build(for_s=30.0)

    async def advance(self, grace: timedelta = GRACE) -> None:
        """Closes the time until `grace` ago, and has everything in it built from now on."""
        async with self._database.system() as tx:
            closed, built = await store.progress(tx)
            target = _floor(await store.present(tx) - grace, FINEST)
        if built is not None and built >= target:
            return
        if closed is None or closed < target:
            async with self._database.system_statement() as tx:
                await store.close(tx, target)
            fault_point("rollups.closed")
        if not await self._drained():
            return
        while await self._note(target):
            fault_point("rollups.noted")

    async def build(self, *, for_s: float | None = None, told: Callable[[int], None] | None = None) -> int:
        """Builds what is due until nothing is, or time is over; how many rollups of spans.

        Args:
            for_s: Seconds after which nothing more is begun.
            told: Told after each step how many were built.
        """
        ends = None if for_s is None else time.monotonic() + for_s
        done = 0
        while True:
            before = done
            for span, platform in _ORDER:
                while ends is None or time.monotonic() < ends:
                    built = await self._build_some(span, platform=platform)
                    if built == 0:
                        break
                    done += built
                    if told is not None:
                        told(built)
            if done == before or (ends is not None and time.monotonic() >= ends):
                return done

    async def rebuild(self, first: datetime, last: datetime, told: Progress) -> int:
        """Makes the rollups of a time anew from the calls, beside everything else that goes on; how many at least.

        Minutes are corrected where they hold fewer calls than there are. Calls that retention dropped keep counting.

        Args:
            first: From when on.
            last: Until when, exclusive.
            told: Told how many rollups are built, of how many.

        Raises:
            InvalidError: code `invalid_range`.
        """
        if first >= last:
            raise InvalidError("The range must start before it ends.", code="invalid_range")
        await self.advance()
        await self._note_anew(_floor(first.astimezone(UTC), WIDEST), last.astimezone(UTC))
        async with self._database.system_statement() as tx:
            to_do = await store.count_due(tx)
        done = 0

        def count(built: int) -> None:
            nonlocal done
            done += built
            told(done, max(to_do, done))

        told(0, to_do)
        while True:  # another process may be building: then this one watches
            await self.build(told=count)
            async with self._database.system_statement() as tx:
                left = await store.count_due(tx)
            if left == 0:
                return max(done, to_do)
            told(max(done, to_do - left), max(to_do, done))
            await asyncio.sleep(0.2)

    async def _note_anew(self, first: datetime, last: datetime) -> None:
        async with self._database.system() as tx:
            _, built = await store.progress(tx)
            starts = [await store.first_minute(tx), await store.first_call(tx)]
        known = [start for start in starts if start is not None]
        if built is None or not known:
            return
        first, last = max(first, _floor(min(known), WIDEST)), min(last, built)
        while first < last:
            end = min(first + _DAY, last)
            await self._repaired(first, end)
            async with self._database.system() as tx:
                await plan_for_reading(tx)
                await store.note_touched(tx, FINEST, first, end)
            first = end

    async def _repaired(self, first: datetime, last: datetime) -> None:
        """Until a look finds nothing to correct: a call may be recorded between the counting and the correction."""
        while True:
            async with self._database.system() as tx:
                await plan_for_reading(tx)
                if not await store.repair_minutes(tx, first, last):
                    return

    async def _drained(self) -> bool:
        """Waits for whoever may have begun to record before the time was closed; whether all ended."""
        async with self._database.system_statement() as tx:
            waited_for = await store.list_writers(tx)
        ends = time.monotonic() + _PATIENCE_S
        while waited_for:
            if time.monotonic() > ends:
                who = "; ".join(sorted(waited_for.values())[:5])
                _log.warning("rollups_wait", reason="transactions have been open for minutes", in_the_way=who)
                return False
            await asyncio.sleep(_POLL_S)
            async with self._database.system_statement() as tx:
                still = await store.list_writers(tx)
            waited_for = {known: who for known, who in waited_for.items() if known in still}
        return True

    async def _note(self, target: datetime) -> bool:
        """Notes as due what was called in the next day at most; whether there is more to note."""
        async with self._database.system() as tx:
            await plan_for_reading(tx)
            _, built = await store.progress(tx, lock=True)
            begun = built or await store.first_minute(tx)
            first = target if begun is None else min(_floor(begun, FINEST), target)
            last = min(target, _floor(first + _DAY, WIDEST))
            for span in SPANS:
                if _floor(first, span) < _floor(last, span):
                    await store.note_touched(tx, span, _floor(first, span), _floor(last, span))
            await store.set_built(tx, last)
        return last < target

    async def _build_some(self, span: int, *, platform: bool) -> int:
        """Builds a batch of one kind; how many there were. A batch that took long, or too long, makes the next one smaller."""
        began = time.monotonic()
        try:
            return await self._build_batch(span, platform=platform)
        finally:
            took = time.monotonic() - began
            key = (span, platform)
            if took < _QUICK_S:
                self._batch[key] = min(_MOST, self._batch[key] * 2)
            elif took > _SLOW_S:
                self._batch[key] = max(1, self._batch[key] // 4)

    async def _build_batch(self, span: int, *, platform: bool) -> int:
        """Builds a batch in one transaction."""
        async with self._database.system() as tx:
            if not await store.be_the_only_one(tx):
                return 0
            await plan_for_reading(tx)
            due = await store.list_due(tx, span, platform=platform, limit=self._batch[span, platform])
            if not due:
                return 0
            _, built = await store.progress(tx)
            if platform:
                await store.build_platform(tx, span, due)
            else:
                await store.build(tx, span, due, finer=_beside(span, 1))
            fault_point("rollups.built")
            wider = None if platform else _beside(span, -1)
            await store.finish(tx, span, due, wider=wider, built=built or datetime.min.replace(tzinfo=UTC))
        return len(due)


def _beside(span: int, step: int) -> int | None:
    """The next finer (1) or wider (-1) span; None where there is none."""
    at = SPANS.index(span) + step
    return SPANS[at] if 0 <= at < len(SPANS) else None


def _floor(moment: datetime, minutes: int) -> datetime:
    seconds = minutes * 60
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)
