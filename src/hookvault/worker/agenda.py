"""Which webhooks a process looks at next (pure): those that it was told of, and now and then all of them.

A worker is told of a webhook when something is accepted for it, made ready or released. It stays on the agenda until nothing is
ready for it any more. Whatever was not told is found by a scan of all webhooks that have ready jobs; where those are so many, held
ones among them, that the scan takes time, it is made less often. So ten thousand dead webhooks don't delay the others.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from uuid import UUID

_EVERY_S = 1.0
_MOST_SHARE = 20  # scans take no more than a twentieth of the time
_START = UUID(int=0)  # before every webhook


class Agenda:
    """The webhooks to look at, in turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[UUID, None] = {}
        self._rest: dict[UUID, None] = {}
        self._scanning = True
        self._scan_at = 0.0
        self._took = 0.0
        self.cursor = _START

    def __len__(self) -> int:
        return len(self._next) + len(self._rest)

    def add(self, webhook_ids: Iterable[UUID]) -> None:
        """Puts webhooks on the agenda, to be looked at."""
        for webhook_id in webhook_ids:
            self._rest.pop(webhook_id, None)
            self._next[webhook_id] = None

    def put_back(self, webhook_ids: Iterable[UUID]) -> None:
        """Keeps webhooks that were looked at and may have more to do than could be done."""
        self._rest.update(dict.fromkeys(webhook_id for webhook_id in webhook_ids if webhook_id not in self._next))

    def stir(self) -> None:
        """Says that what could not be done before may be now: all are looked at again."""
        self._next.update(self._rest)
        self._rest.clear()

    def rescan(self) -> None:
        """Has all webhooks scanned at once."""
        self._scanning, self.cursor, self._took = True, _START, 0.0

    def turn(self, most: int) -> list[UUID]:
        """Takes the next webhooks off the agenda; none when all were looked at. Whoever has more to do is put back."""
        chosen = list(itertools.islice(self._next, most))
        for webhook_id in chosen:
            del self._next[webhook_id]
        return chosen

    def is_scan_due(self) -> bool:
        """Whether it is time for the next page of a scan."""
        if not self._scanning and self._clock() >= self._scan_at:
            self.rescan()
        return self._scanning

    def scanned(self, last: UUID | None, took_s: float) -> None:
        """Notes a page: the last webhook on it, or None when the scan is at its end; and how long it took."""
        self._took += took_s
        if last is not None:
            self.cursor = last
            return
        self._scanning, self.cursor = False, _START
        self._scan_at = self._clock() + max(_EVERY_S, self._took * _MOST_SHARE)
