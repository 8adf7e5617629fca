"""Names to addresses, without ever holding up the event loop.

The platform's own resolver is asked, since it knows the hosts file, containers' names and search domains. It
blocks and can't be interrupted, so each look-up has a thread of its own: a bounded number, and daemons, so
that one that hangs neither delays other names nor the end of the process.
"""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from hookvault.outbound.errors import NameResolutionError

TTL_S = 5.0  # shorter than any sensible DNS record's, long enough to spare a burst of calls
FAILED_TTL_S = 1.0
MAX_NAMES = 4096
MAX_THREADS = 64
MAX_WAITING = 1024

Lookup = Callable[[str], list[str]]


class _Answer(NamedTuple):
    """What a name gave: addresses, or why there are none; good until `expires` on the loop's clock."""

    addresses: tuple[str, ...]
    fault: str | None
    expires: float


def look_up(host: str) -> list[str]:
    """All IPv4 and IPv6 addresses of a name, as the platform's resolver gives them. Blocks.

    Raises:
        OSError: the name could not be resolved.
        UnicodeError: the name can't be asked for, such as one with a label of more than 63 characters.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Resolver:
    """Resolves names: one look-up at a time for each, remembered for a few seconds. Belongs to one loop.

    Args:
        lookup: Gives a name's addresses and may block; runs in a thread.
        threads: How many look-ups may run at once. Further names wait, within their callers' deadlines.
    """

    def __init__(self, lookup: Lookup = look_up, *, threads: int = MAX_THREADS) -> None:
        self._lookup = lookup
        self._free = threads
        self._waiting: deque[str] = deque()
        self._flights: dict[str, asyncio.Future[_Answer]] = {}
        self._answers: dict[str, _Answer] = {}

    async def resolve(self, host: str, port: int, *, timeout: float) -> list[str]:  # noqa: ASYNC109 - ends the wait, not the work
        """The addresses of `host`, in the resolver's order; `port` is named in messages only.

        Args:
            host: An ASCII name.
            port: The port that is to be called.
            timeout: Seconds to wait. The look-up itself goes on and serves later callers.

        Raises:
            NameResolutionError: no such name, the resolver failed, or it did not answer in time.
        """
        loop = asyncio.get_running_loop()
        answer = self._answers.get(host)
        if answer is None or answer.expires <= loop.time():
            flight = self._flights.get(host) or self._start(loop, host)
            # wait() leaves the look-up running when this caller is cancelled: others may be waiting for it.
            done, _ = await asyncio.wait((flight,), timeout=timeout)
            if not done:
                raise NameResolutionError(f"the name {host} could not be resolved within {timeout:.3g} s")
            answer = flight.result()
        if answer.fault is not None:
            raise NameResolutionError(f"can't reach {host}:{port}: {answer.fault}")
        return list(answer.addresses)

    def close(self) -> None:
        """Forget all answers and those who wait for a thread. Running look-ups end by themselves."""
        self._answers.clear()
        self._waiting.clear()
        for flight in self._flights.values():
            if not flight.done():
                flight.set_result(_Answer((), "the client was closed", 0.0))
        self._flights.clear()

    def _start(self, loop: asyncio.AbstractEventLoop, host: str) -> asyncio.Future[_Answer]:
        if len(self._waiting) >= MAX_WAITING:
            raise NameResolutionError(f"can't resolve {host} now: too many slow names are being resolved")
        flight = self._flights[host] = loop.create_future()
        if self._free:
            self._launch(loop, host)
        else:
            self._waiting.append(host)
        return flight

    def _launch(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        self._free -= 1
        threading.Thread(target=self._run, args=(loop, host), name=f"resolve {host}", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """The thread's work."""
        addresses: list[str] = []
        fault: str | None = None
        try:
            addresses = self._lookup(host)
            fault = None if addresses else f"{host} has no address"
        except OSError as error:
            fault = _explained(host, error)
        except Exception as error:  # noqa: BLE001 - whatever a resolver throws, its callers must get an answer
            fault = f"the name {host} could not be asked for ({type(error).__name__})"
        with contextlib.suppress(RuntimeError):  # the loop was closed while the resolver was thinking
            loop.call_soon_threadsafe(self._land, loop, host, tuple(addresses), fault)

    def _land(self, loop: asyncio.AbstractEventLoop, host: str, addresses: tuple[str, ...], fault: str | None) -> None:
        answer = _Answer(addresses, fault, loop.time() + (TTL_S if fault is None else FAILED_TTL_S))
        self._answers.pop(host, None)  # the newest last, so that the first is always the oldest
        if len(self._answers) >= MAX_NAMES:
            del self._answers[next(iter(self._answers))]
        self._answers[host] = answer
        flight = self._flights.pop(host, None)
        if flight is not None and not flight.done():
            flight.set_result(answer)
        self._free += 1
        if self._waiting:
            self._launch(loop, self._waiting.popleft())


def _explained(host: str, error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_NONAME or error.errno == getattr(socket, "EAI_NODATA", None):
            return f"there is no host named {host}; check its spelling and DNS record"
        if error.errno == socket.EAI_AGAIN:
            return f"the DNS server gave no answer for {host}; it may be down or slow"
    return f"resolving {host} failed: {error.strerror or type(error).__name__}"
