"""Walking back through recorded calls, newest first, without ever reading all of them for the few that match."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from hookvault.analytics import store
from hookvault.analytics.filter import Position, cursor_of, position_of
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.db.pool import Tx
from hookvault.paging import Page

_FIRST = timedelta(hours=6)
_WIDEST = timedelta(days=36_600)
_GROWTH = 16.0
_AIM_S = 0.15
_BUDGET_S = 1.0
_NIL = UUID(int=0)  # before every call of its moment
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Calls found, and where to go on; None where there are no more."""

    calls: Sequence[WebhookCall]
    after: Position | None


async def list_page(
    tx: Tx, asked: CallFilter, which: CallFilter, *, limit: int, cursor: str | None, browsed: float | None = None
) -> Page[WebhookCall]:
    """A page of the calls of `which`, its range complete; the cursor belongs to what was asked.

    Args:
        tx: Its plans are settled for the rest of it.
        asked: The question as it came.
        which: The same with both ends of its range.
        limit: At most so many.
        cursor: Where to go on.
        browsed: For a list to look at: no slice is begun after so many seconds, and no payloads are read.

    Raises:
        InvalidError: code `invalid_cursor`.
    """
    position = position_of(asked, cursor)
    if browsed is None:
        found = await walk(tx, which, position, limit)
    else:
        found = await walk(tx, which, position, limit, budget_s=browsed, bare=True)
    return Page(found.calls, cursor_of(asked, found.after))


async def walk(
    tx: Tx, which: CallFilter, after: Position | None, limit: int, *, budget_s: float = _BUDGET_S, bare: bool = False
) -> Stretch:
    """Up to `limit` calls of a filter, newest first, from a position on.

    A range is searched in slices, backwards: few calls may match among very many, and then a single statement would read
    all of them. A slice is as wide as its predecessor's time allows. What the budget does not suffice for is left for the
    next page, so a page may be short, or empty, and still not be the last.

    Args:
        tx: Its plans are settled for the rest of it.
        which: With both ends of its range.
        after: The last call seen, or where a short page ended; None to begin.
        limit: At most so many.
        budget_s: No slice is begun after so many seconds.
        bare: Without what was sent and answered.
    """
    aim_s = min(_AIM_S, budget_s / 2)
    await store.settle_plans(tx)
    which = await _narrowed(tx, which)
    assert which.start is not None  # noqa: S101 - the caller's promise
    assert which.end is not None  # noqa: S101 - the same
    end = which.end if after is None else min(which.end - _TICK, after[0]) + _TICK
    began, width = time.monotonic(), _FIRST
    calls: list[WebhookCall] = []
    while end > which.start:
        start = which.start if end - which.start <= width else end - width
        tried = time.monotonic()
        part = replace(which, start=start, end=end)
        calls += await store.list_calls(tx, part, after, limit + 1 - len(calls), bare=bare)
        if len(calls) > limit:
            last = calls[limit - 1]
            return Stretch(calls[:limit], (last.timestamp, last.id))
        end = start
        if end > which.start and time.monotonic() - began >= budget_s:
            return Stretch(calls, (end, _NIL))
        growth = aim_s / max(time.monotonic() - tried, 0.001)
        width = min(max(width * min(max(growth, 0.25), _GROWTH), timedelta(minutes=1)), _WIDEST)
    return Stretch(calls, None)


class Reader:
    """All calls of a filter, in portions, each read in a transaction of its own: whoever reads may take its time."""

    def __init__(self, begin: Callable[[], AbstractAsyncContextManager[Tx]], which: CallFilter) -> None:
        self._begin = begin
        self._after: Position | None = None
        self.which = which
        self.ended = False

    async def read(self, limit: int) -> Sequence[WebhookCall]:
        """The next calls, at most `limit`. There may be none although more follow; `ended` tells."""
        async with self._begin() as tx:
            found = await walk(tx, self.which, self._after, limit)
        self._after = found.after
        self.ended = found.after is None
        return found.calls


async def _narrowed(tx: Tx, which: CallFilter) -> CallFilter:
    """A filter for one call or delivery, narrowed to its tenant and to when its calls can have been made."""
    if which.call_id is None:
        return which
    assert which.start is not None  # noqa: S101 - the caller's promise
    assert which.end is not None  # noqa: S101 - the same
    found = await store.find_span(tx, which.call_id, which.tenant_id)
    if found is None:
        return replace(which, end=which.start)
    tenant_id, first, last = found
    return replace(which, tenant_id=tenant_id, start=max(which.start, first), end=min(which.end, last))
