"""From which rollups a question is answered: whole days where it can, then hours, five minutes, minutes, calls (pure).

All moments here are milliseconds of the Unix epoch, in UTC, and all ranges exclude their end.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

MINUTE = 60_000
SPANS = (1440, 60, 5)  # in minutes, widest first
WIDEST = SPANS[0]
FINEST = SPANS[-1]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the figures of a range stand.

    Attributes:
        spans: Ranges whose rollups of a span are read, as (span in minutes, first, last).
        rest: Ranges whose minutes are read, and whose calls where that is too coarse or too little, as (first, last).
    """

    spans: Sequence[tuple[int, int, int]]
    rest: Sequence[tuple[int, int]]


def make_plan(bounds: Sequence[int], built_until: int, due: Iterable[tuple[int, int]]) -> Plan:
    """The plan for ranges that lie end to end.

    Args:
        bounds: Where they begin, in order, and where the last one ends. No rollup that is read reaches over one of them.
        built_until: Before it rollups may be read.
        due: Rollups that may not be, as (span, start); nor those of wider spans that they lie in.
    """
    stale = _stale(due)
    planned = _Draft(built_until, stale)
    for first, last in pairwise(bounds):
        planned.cover(first, last, SPANS)
    return planned.plan()


def whole_minutes(first: int, last: int) -> tuple[int, int]:
    """The whole minutes within a range; an empty one, at its end, where there is none."""
    inner = (_up(first, 1), _down(last, 1))
    return inner if inner[0] < inner[1] else (last, last)


@dataclass(slots=True)
class _Draft:
    built_until: int
    stale: dict[int, list[int]]
    by_span: dict[int, list[list[int]]] = field(default_factory=lambda: {span: [] for span in SPANS})
    leftover: list[list[int]] = field(default_factory=list)

    def cover(self, first: int, last: int, spans: Sequence[int]) -> None:
        """Covers a range by the widest span that fits, and what is left at its edges by finer ones."""
        if first >= last:
            return
        if not spans:
            _append(self.leftover, first, last, joins=first % MINUTE == 0)
            return
        span, finer = spans[0], spans[1:]
        begin, end = _up(first, span), _down(min(last, self.built_until), span)
        if begin >= end:
            self.cover(first, last, finer)
            return
        self.cover(first, begin, finer)
        for start in self._stale_within(span, begin, end):
            self._take(span, begin, start)
            begin = start + span * MINUTE
            self.cover(start, begin, finer)
        self._take(span, begin, end)
        self.cover(end, last, finer)

    def plan(self) -> Plan:
        spans = [(span, first, last) for span, ranges in self.by_span.items() for first, last in ranges]
        return Plan(spans, [(first, last) for first, last in self.leftover])

    def _take(self, span: int, first: int, last: int) -> None:
        if first < last:
            _append(self.by_span[span], first, last, joins=True)

    def _stale_within(self, span: int, first: int, last: int) -> Sequence[int]:
        stale = self.stale[span]
        return stale[bisect_left(stale, first) : bisect_left(stale, last)]


def _stale(due: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """By span, the starts of rollups that may not be read."""
    stale: dict[int, set[int]] = {span: set() for span in SPANS}
    for due_span, start in due:
        for span in SPANS:
            if due_span <= span:
                stale[span].add(_down(start, span))
    return {span: sorted(starts) for span, starts in stale.items()}


def _append(ranges: list[list[int]], first: int, last: int, *, joins: bool) -> None:
    if joins and ranges and ranges[-1][1] == first:
        ranges[-1][1] = last
    else:
        ranges.append([first, last])


def _down(moment: int, minutes: int) -> int:
    return moment // (minutes * MINUTE) * (minutes * MINUTE)


def _up(moment: int, minutes: int) -> int:
    return -(-moment // (minutes * MINUTE)) * (minutes * MINUTE)
