"""Connections that are kept for the next call to the same origin. Belongs to one event loop."""

import asyncio

from hookvault.outbound.wire import Connection

IDLE_S = 4.0  # below the 5 s after which Node closes, so that we rarely send into a closing connection
MAX_AGE_S = 60.0  # so that a changed DNS record and a new load balancer are noticed
MAX_IDLE = 2048  # over all origins
_SWEEP_S = 1.0


class Pool:
    """Idle connections by origin, the latest used first, and the list of all that are open.

    Args:
        per_origin: How many idle connections are kept for one origin at most.
    """

    def __init__(self, per_origin: int) -> None:
        self._per_origin = per_origin
        self._idle: dict[str, list[Connection]] = {}
        self._count = 0
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None
        self.closed = False

    @property
    def open_count(self) -> int:
        """How many connections are open, idle or serving."""
        return len(self._open)

    @property
    def idle_count(self) -> int:
        """How many connections are waiting for a call."""
        return self._count

    def take(self, origin: str) -> Connection | None:
        """A connection to `origin` that is still good as far as one can know, or None."""
        kept = self._idle.get(origin)
        if not kept:
            return None
        while kept:
            connection = kept.pop()
            self._count -= 1
            if not connection.closed and connection.loop.time() - connection.idle_since <= IDLE_S:
                return connection
            connection.abort()
        return None

    def add(self, connection: Connection) -> None:
        """Count a new connection among the open ones."""
        self._open.add(connection)

    def idle(self, connection: Connection) -> None:
        """Keep a connection whose response has ended; one too many or too old is closed."""
        now = connection.loop.time()
        kept = self._idle.get(connection.origin)
        if kept is None:
            kept = self._idle[connection.origin] = []
        full = len(kept) >= self._per_origin or self._count >= MAX_IDLE
        if full or self.closed or now - connection.born > MAX_AGE_S:
            connection.abort()
            return
        connection.idle_since = now
        kept.append(connection)
        self._count += 1
        if self._timer is None:
            self._timer = connection.loop.call_later(_SWEEP_S, self._sweep)

    def gone(self, connection: Connection) -> None:
        """Forget a connection that was lost."""
        self._open.discard(connection)
        kept = self._idle.get(connection.origin)
        if kept and connection in kept:
            kept.remove(connection)
            self._count -= 1
        if self._empty is not None and not self._open and not self._empty.done():
            self._empty.set_result(None)

    async def close(self) -> None:
        """Close every connection, also those that serve a call, and wait until they are closed."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open:
            self._empty = asyncio.get_running_loop().create_future()
            for connection in tuple(self._open):
                connection.shut()
            await asyncio.wait((self._empty,), timeout=1.0)
        self._idle.clear()
        self._count = 0

    def _sweep(self) -> None:
        """Close what was idle for too long. One timer for all: one for each would cost on every call."""
        loop = asyncio.get_running_loop()
        earliest = loop.time() - IDLE_S
        for origin, kept in tuple(self._idle.items()):
            stale = [connection for connection in kept if connection.idle_since < earliest]
            if stale:
                kept[:] = [connection for connection in kept if connection.idle_since >= earliest]
                self._count -= len(stale)
            for connection in stale:
                connection.abort()
            if not kept:
                del self._idle[origin]
        self._timer = loop.call_later(_SWEEP_S, self._sweep) if self._idle else None
