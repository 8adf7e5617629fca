"""Where a call's time goes: its phases, and the stopwatch of a connection that is being made."""

from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

RESOLVED, CONNECTED, SECURED = 1, 2, 3  # what a dial reaches, in this order


class Phases(NamedTuple):
    """Milliseconds of each phase of a call; None for one that it did not need, or did not come to.

    Where a call ended without a reply, the last phase lasted until then. What a reply took beyond these is its download.

    Attributes:
        resolve_ms: From the name to its addresses.
        connect_ms: The TCP handshake; of several addresses, until the first one answered.
        tls_ms: The TLS handshake.
        wait_ms: From then until the response's first byte: the request on its way, and the receiver at work.
    """

    resolve_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    wait_ms: float | None = None


NONE = Phases()


def answered(dialled: Phases, seconds: float) -> Phases:
    """The phases of a call whose answer began, or which was given up, so many seconds after it began.

    Args:
        dialled: What went into making its connection; nothing for one that was kept.
        seconds: Together with the dial.
    """
    if dialled is NONE:
        return Phases(None, None, None, seconds * 1000)
    made = sum(took for took in dialled if took is not None)
    return dialled._replace(wait_ms=max(0.0, seconds * 1000 - made))


class Stopwatch:
    """Times a dial, from now.

    Args:
        named: Whether the host is a name, no address.
        secure: Whether there is a TLS handshake.
    """

    __slots__ = ("_marks", "_most", "_named")

    def __init__(self, *, named: bool, secure: bool) -> None:
        self._named = named
        self._marks = [perf_counter()]
        self._most = SECURED if secure else CONNECTED

    def reach(self, step: int) -> None:
        """Notes that a step was reached; of several addresses tried at once, the first that comes so far counts."""
        if len(self._marks) == step:
            self._marks.append(perf_counter())

    def phases(self, *, failed: bool = False) -> Phases:
        """How long each took; where it failed, the last one until now."""
        marks = [*self._marks, perf_counter()] if failed else self._marks
        resolve, *rest = [(end - begin) * 1000 for begin, end in pairwise(marks[: self._most + 1])]
        return Phases(resolve if self._named else None, *rest)
