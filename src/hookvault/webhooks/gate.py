"""How many calls are in flight: a bound for the process, and a share of it that one tenant can't exceed.

Who has to wait is let in by turns, tenant by tenant, so a tenant with slow receivers fills its own share and no other's. Where
places are scarce, calls that take longer than a second are parked: they go on without a place, several times as many as there are.
So tenants whose receivers hang do not stop the others.
"""

import asyncio
import time
from collections import OrderedDict, deque

from hookvault.errors import UnavailableError

_QUICK_S = 1.0
_PARKED = 4  # times as many calls may be parked as there are places
_SWEEP_S = 0.25


class Gate:
    """Counts calls in flight in this process."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._share = max(1, limit // 2)
        self._total = 0
        self._inside: dict[str, int] = {}
        self._began: dict[str, deque[float]] = {}  # of those with a place, the oldest first
        self._parked = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def in_flight(self) -> int:
        """Calls in flight now."""
        return self._total

    async def enter(self, tenant_id: str, timeout_s: float) -> None:
        """Lets a call in, at once or when its turn comes.

        Raises:
            UnavailableError: code `overloaded`, when its turn did not come in time; nothing was called.
        """
        if self._has_room(tenant_id) and tenant_id not in self._waiting:
            self._admit(tenant_id)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(tenant_id, deque()).append(future)
        if self._sweeper is None:
            self._sweep()
        timer = loop.call_later(timeout_s, _give_up, future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.leave(tenant_id)  # let in and cancelled at the same moment
            raise
        finally:
            timer.cancel()

    def leave(self, tenant_id: str) -> None:
        """Ends a call that `enter` let in. Which of a tenant's it was is not asked: a young one, as long as there is any."""
        self._total -= 1
        left = self._inside[tenant_id] - 1
        if left:
            self._inside[tenant_id] = left
        else:
            del self._inside[tenant_id]
        began = self._began.get(tenant_id)
        if began:
            began.pop()
            if not began:
                del self._began[tenant_id]
        else:
            self._parked -= 1
        self._let_in()

    def _has_room(self, tenant_id: str) -> bool:
        return self._total - self._parked < self._limit and self._inside.get(tenant_id, 0) < self._most()

    def _most(self) -> int:
        """How many calls one tenant may have: half of the places, and the fewer, the more are parked."""
        return max(1, int(self._share * (1 - self._parked / (self._limit * _PARKED))))

    def _admit(self, tenant_id: str) -> None:
        self._total += 1
        self._inside[tenant_id] = self._inside.get(tenant_id, 0) + 1
        self._began.setdefault(tenant_id, deque()).append(time.monotonic())

    def _sweep(self) -> None:
        """Parks the calls that take long, for as long as anybody waits."""
        self._sweeper = None
        since = time.monotonic() - _QUICK_S
        for tenant_id in [tenant_id for tenant_id, began in self._began.items() if began[0] <= since]:
            began = self._began[tenant_id]
            while began and began[0] <= since and self._parked < self._limit * _PARKED:
                began.popleft()
                self._parked += 1
            if not began:
                del self._began[tenant_id]
        self._let_in()
        if self._waiting:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _let_in(self) -> None:
        for tenant_id in list(self._waiting):
            if self._total - self._parked >= self._limit:
                return
            queue = self._waiting[tenant_id]
            while queue and queue[0].done():
                queue.popleft()  # gave up or was cancelled
            if queue and self._has_room(tenant_id):
                self._admit(tenant_id)
                queue.popleft().set_result(None)
                self._waiting.move_to_end(tenant_id)
            if not queue:
                del self._waiting[tenant_id]


def _give_up(future: "asyncio.Future[None]") -> None:
    if not future.done():
        message = "Too many calls are in flight for this tenant or server; this one was not made. Try again later."
        future.set_exception(UnavailableError(message, code="overloaded"))
