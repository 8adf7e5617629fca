"""Answers a question from whichever rollups hold it, exactly equal to the calls themselves at every moment."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hookvault.analytics.rollups import histogram, store
from hookvault.analytics.rollups.model import Failure, Over, Scope, Tally, Want
from hookvault.analytics.rollups.plan import HOUR, WIDEST, Plan, day_of, make_plan, whole_minutes
from hookvault.db.pool import Row, Tx

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

Answer = Mapping[Any, Tally]  # by the scope's key, a webhook's or a tenant's id; None where there is one answer only


async def read(tx: Tx, scope: Scope, bounds: Sequence[datetime], want: Want) -> Sequence[Answer]:
    """Counts the calls of ranges that lie end to end.

    Args:
        tx: A transaction that sees one moment of the database (`tenant_snapshot`, `system_snapshot`).
        scope: Whose calls.
        bounds: Where the ranges begin, in order, and where the last one ends; whole milliseconds.
        want: What is needed besides counters.

    Returns:
        For each range its answers; one without calls has none.
    """
    await store.plan_for_reading(tx)
    built, due = await store.find_progress(tx, scope, bounds[0] - timedelta(days=1), bounds[-1])
    moments = [_to_ms(bound) for bound in bounds]
    stale = [(span, _to_ms(start)) for span, start in due]
    borrows = want.histogram and not want.errors
    plan = make_plan(moments, -1 if built is None else _to_ms(built), stale, borrows=borrows)
    reading = _Reading(tx, scope, bounds, want)
    await reading.read_spans(plan)
    await reading.read_borrowed(plan)
    await reading.read_rest(plan)
    return reading.answers


class _Reading:
    """One question under way."""

    def __init__(self, tx: Tx, scope: Scope, bounds: Sequence[datetime], want: Want) -> None:
        self._tx = tx
        self._scope = scope
        self._bounds = bounds
        self._want = want
        self.answers: list[defaultdict[Any, Tally]] = [defaultdict(Tally) for _ in bounds[1:]]

    async def read_spans(self, plan: Plan) -> None:
        ranges = [(span, _to_time(first), _to_time(last)) for span, first, last in plan.spans]
        if not ranges:
            return
        if self._scope.over is Over.WEBHOOKS or not (self._want.histogram or self._want.errors):
            await self._read_sums(ranges)
            return
        rows = await store.list_spans(
            self._tx, self._scope, ranges, histogram=self._want.histogram, errors=self._want.errors
        )
        for row in rows:
            tally = self.answers[bisect_right(self._bounds, row["start"]) - 1][row["key"]]
            tally.count(store.counters(row))
            if self._want.histogram:
                histogram.add(tally.histogram, row["buckets"], row["bucket_calls"])
            if self._want.errors:
                _add_errors(tally, row)

    async def read_borrowed(self, plan: Plan) -> None:
        """Most of a day, as the day without its other hours, which are fewer."""
        ranges = []
        for first, last in plan.borrowed:
            day, end = day_of(first)
            pieces = ((WIDEST, day, end), (HOUR, day, first), (HOUR, last, end))
            ranges += [(span, _to_time(begin), _to_time(stop)) for span, begin, stop in pieces if begin < stop]
        if not ranges:
            return
        days: dict[int, defaultdict[Any, tuple[Tally, Tally]]] = {
            day_of(first)[0]: defaultdict(lambda: (Tally(), Tally())) for first, _ in plan.borrowed
        }
        for row in await store.list_spans(self._tx, self._scope, ranges, histogram=True):
            whole, others = days[day_of(_to_ms(row["start"]))[0]][row["key"]]
            tally = whole if row["span"] == WIDEST else others
            tally.count(store.counters(row))
            histogram.add(tally.histogram, row["buckets"], row["bucket_calls"])
        hours = [ours for ours in plan.borrowed if not self._lend(ours, days[day_of(ours[0])[0]])]
        if hours:
            await self._read_counters([(HOUR, _to_time(first), _to_time(last)) for first, last in hours])

    def _lend(self, ours: tuple[int, int], day: Mapping[Any, tuple[Tally, Tally]]) -> bool:
        """Counts what remains of a day; False where its counters are still to be counted by hours.

        They are where the day's longest time may be one of the other hours'.
        """
        answer = self.answers[bisect_right(self._bounds, _to_time(ours[0])) - 1]
        is_known = all(whole.time_max > others.time_max for whole, others in day.values())
        for key, (whole, others) in day.items():
            whole.subtract(others)
            answer[key].add(whole if is_known else Tally(histogram=whole.histogram))
        return is_known

    async def _read_sums(self, ranges: Sequence[tuple[int, datetime, datetime]]) -> None:
        """Where the rollups are many they are added up by the database, which does not hold up this process's calls."""
        await self._read_counters(ranges)
        if self._want.histogram:
            for row in await store.list_span_histograms(self._tx, self._scope, ranges, self._bounds):
                tally = self.answers[row["point"]][row["key"]]
                histogram.add(tally.histogram, row["buckets"], row["bucket_calls"])
        if self._want.errors:
            for row in await store.list_spans(self._tx, self._scope, ranges, errors=True):
                _add_errors(self.answers[bisect_right(self._bounds, row["start"]) - 1][row["key"]], row)

    async def _read_counters(self, ranges: Sequence[tuple[int, datetime, datetime]]) -> None:
        for row in await store.list_span_counters(self._tx, self._scope, ranges, self._bounds):
            self.answers[row["point"]][row["key"]].count(store.counters(row))

    async def read_rest(self, plan: Plan) -> None:
        whole = [whole_minutes(first, last) for first, last in plan.rest]
        minutes = [(_to_time(first), _to_time(last)) for first, last in whole if first < last]
        if minutes:
            for row in await store.list_minutes(self._tx, self._scope, minutes, self._bounds):
                self.answers[row["point"]][row["key"]].count(store.counters(row))
        stretches = [
            store.Stretch(*(_to_time(moment) for moment in (first, last, *inner)))
            for (first, last), inner in zip(plan.rest, whole, strict=True)
            if self._want.histogram or (first, last) != inner
        ]
        await self._read_calls(stretches)
        if self._want.errors:
            await self._read_failed([(_to_time(first), _to_time(last)) for first, last in plan.rest])

    async def _read_calls(self, stretches: Sequence[store.Stretch]) -> None:
        """The calls for their buckets, and those outside whole minutes for everything."""
        rows = await store.list_calls(self._tx, self._scope, stretches, self._bounds, histogram=self._want.histogram)
        for row in rows:
            tally = self.answers[row["point"]][row["key"]]
            tally.count(store.counters(row))
            if self._want.histogram:
                histogram.add(tally.histogram, [row["bucket"]], [row["calls"]])

    async def _read_failed(self, ranges: Sequence[tuple[datetime, datetime]]) -> None:
        for row in await store.list_failed(self._tx, self._scope, ranges, self._bounds):
            failure = Failure(row["cause"], row["error_code"], row["status_code"])
            self.answers[row["point"]][row["key"]].fail(failure, row["calls"], row["last_at"])


def _add_errors(tally: Tally, row: Row) -> None:
    columns = ("error_causes", "error_codes", "error_statuses", "error_calls", "error_last_at")
    for cause, code, status, calls, last_at in zip(*(row[name] for name in columns), strict=True):
        tally.fail(Failure(cause, code, status), calls, last_at)


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS


def _to_time(moment: int) -> datetime:
    return _EPOCH + moment * _MS
