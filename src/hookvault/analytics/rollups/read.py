"""Answers a question from whichever rollups hold it, exactly equal to the calls themselves at every moment."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hookvault.analytics.rollups import histogram, store
from hookvault.analytics.rollups.model import Failure, Scope, Tally, Want
from hookvault.analytics.rollups.plan import Plan, make_plan, whole_minutes
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
    built = await store.built_until(tx)
    due = await store.list_due(tx, scope, bounds[0] - timedelta(days=1), bounds[-1])
    moments = [_to_ms(bound) for bound in bounds]
    plan = make_plan(moments, -1 if built is None else _to_ms(built), [(span, _to_ms(start)) for span, start in due])
    reading = _Reading(tx, scope, bounds, want)
    await reading.read_spans(plan)
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

    async def read_rest(self, plan: Plan) -> None:
        whole = [whole_minutes(first, last) for first, last in plan.rest]
        minutes = [(_to_time(first), _to_time(last)) for first, last in whole if first < last]
        if minutes:
            for row in await store.list_minutes(self._tx, self._scope, minutes, self._bounds):
                self.answers[row["point"]][row["key"]].count(store.counters(row))
        for (first, last), inner in zip(plan.rest, whole, strict=True):
            stretch = store.Stretch(*(_to_time(moment) for moment in (first, last, *inner)))
            if self._want.histogram or (first, last) != inner:
                await self._read_calls(stretch)
            if self._want.errors:
                await self._read_failed(stretch)

    async def _read_calls(self, stretch: store.Stretch) -> None:
        """The calls for their buckets, and those outside whole minutes for everything."""
        rows = await store.list_calls(self._tx, self._scope, stretch, self._bounds, histogram=self._want.histogram)
        for row in rows:
            tally = self.answers[row["point"]][row["key"]]
            tally.count(store.counters(row))
            if self._want.histogram:
                histogram.add(tally.histogram, [row["bucket"]], [row["calls"]])

    async def _read_failed(self, stretch: store.Stretch) -> None:
        rows = await store.list_failed(self._tx, self._scope, stretch.first, stretch.last, self._bounds)
        for row in rows:
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
