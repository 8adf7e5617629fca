"""One reader of the live tail: what it asked for, and what waits until it takes it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail.model import LiveCall, matches

QUEUED = 500
_ALWAYS = datetime.min.replace(tzinfo=UTC)


class Taken(NamedTuple):
    """What a reader is shown next: how many calls it missed before them (`unsure`: or more), and the calls."""

    calls: Sequence[LiveCall] = ()
    missed: int = 0
    unsure: bool = False


class Reader:
    """A bounded queue: when it is full the oldest calls make room, and the reader is told how many.

    Args:
        which: What it asked for.
        since: The first moment that may be shown to it.
        opened: When it came; None for one that goes on where another stream broke off.
        person: Who reads, where that is somebody at a browser.

    `doubted` is set when it may have lost the right to read.
    """

    def __init__(
        self,
        which: CallFilter,
        since: datetime = _ALWAYS,
        opened: datetime | None = None,
        *,
        person: UUID | None = None,
    ) -> None:
        self.which = which
        self.person = person
        self.ended = False
        self.doubted = False
        self._since = since
        self._opened = opened
        self._all = which == CallFilter(tenant_id=which.tenant_id)
        self._backlog: list[LiveCall] = []
        self._queue: deque[LiveCall] = deque()
        self._seen: frozenset[UUID] = frozenset()
        self._missed = 0
        self._unsure = False
        self._wake = asyncio.Event()

    def takes(self, call: LiveCall) -> bool:
        """Whether a call is for this reader. One of another tenant never is."""
        tenant_id = self.which.tenant_id
        if (tenant_id is not None and call.tenant_id != tenant_id) or call.timestamp < self._since:
            return False
        return self._all or matches(self.which, call)

    def offer(self, call: LiveCall, *, late: bool = False) -> None:
        """Queues a call that is for this reader; a late one only if it ended since the reader came."""
        if not self.takes(call) or call.id in self._seen:
            return
        if late and self._opened is not None and call.ended < self._opened:
            return
        if len(self._queue) == QUEUED:
            self._queue.popleft()
            self._missed += 1
        self._queue.append(call)
        self._wake.set()

    def resume(self, calls: Sequence[LiveCall], *, unsure: bool = False) -> None:
        """Puts before all others what the reader missed while it was away; it is not offered again."""
        self._backlog = [call for call in calls if self.takes(call)]
        self._seen = frozenset(call.id for call in self._backlog)
        self._queue = deque(call for call in self._queue if call.id not in self._seen)
        self._unsure = self._unsure or unsure
        self._wake.set()

    def miss(self, count: int, *, unsure: bool = False) -> None:
        """Notes that calls could not be offered that may have been for it."""
        self._missed += count
        self._unsure = self._unsure or unsure
        self._wake.set()

    def doubt(self) -> None:
        """Has the edge ask again whether the reader may read."""
        self.doubted = True
        self._wake.set()

    def end(self) -> None:
        """Ends the stream, now."""
        self.ended = True
        self._wake.set()

    async def take(self, within_s: float) -> Taken:
        """All that waits; when nothing does, what comes first of the next call, a doubt, the end, and so many seconds."""
        if not self._wake.is_set():
            try:
                async with asyncio.timeout(within_s):
                    await self._wake.wait()
            except TimeoutError:
                return Taken()
        self._wake.clear()
        taken = Taken([*self._backlog, *self._queue], self._missed, self._unsure)
        self._backlog, self._missed, self._unsure = [], 0, False
        self._queue.clear()
        return taken
