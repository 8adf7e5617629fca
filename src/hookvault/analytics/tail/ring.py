"""The last calls that a process showed, in the order in which it did (pure)."""

from collections import deque
from itertools import islice
from uuid import UUID

from hookvault.analytics.tail.model import LiveCall


class Ring:
    """Keeps so many calls, and of ten times as many that they were shown. Positions count up and are never used again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._calls: deque[LiveCall] = deque(maxlen=size)
        self._ids: deque[UUID] = deque()
        self._positions: dict[UUID, int] = {}
        self._next = 0

    def __contains__(self, call_id: UUID) -> bool:
        return call_id in self._positions

    def add(self, call: LiveCall) -> None:
        """Adds a call that was not shown yet."""
        self._calls.append(call)
        self._ids.append(call.id)
        self._positions[call.id] = self._next
        self._next += 1
        if len(self._ids) > 10 * self._size:
            del self._positions[self._ids.popleft()]

    def after(self, call_id: UUID) -> list[LiveCall] | None:
        """What followed a call; None when that is not known, or no longer all here."""
        position = self._positions.get(call_id)
        first = self._next - len(self._calls)
        if position is None or position + 1 < first:
            return None
        return list(islice(self._calls, position + 1 - first, None))

    def clear(self) -> None:
        """Forgets all."""
        self._calls.clear()
        self._ids.clear()
        self._positions.clear()
