"""The calls that a process has under way, and those of them that wait without a place (see `share`)."""

import time
from dataclasses import dataclass
from uuid import UUID

from hookvault.worker.share import QUICK_S, Shares


@dataclass(slots=True, eq=False)
class Call:
    """A call under way."""

    webhook_id: UUID
    began: float
    parked: bool = False


class Calls:
    """The calls under way, in the order of their beginning."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._under_way: dict[int, Call] = {}

    def begin(self, webhook_id: UUID) -> Call:
        """Notes that a call begins."""
        call = Call(webhook_id, time.monotonic())
        self._under_way[id(call)] = call
        return call

    def end(self, call: Call) -> None:
        """Notes that a call has ended."""
        del self._under_way[id(call)]

    def park(self) -> None:
        """Lets calls that take long wait on without a place."""
        since = time.monotonic() - QUICK_S
        for call in self._under_way.values():
            if call.began > since:
                return
            if not call.parked:
                call.parked = self._shares.park(call.webhook_id)
