"""Events that anybody can cause as often as they like, counted: one a minute of each kind is written, with how many there were."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from hookvault.audit.model import ANONYMOUS, Actor, Outcome
from hookvault.errors import InvalidError
from hookvault.log import get_logger

EVERY_S = 60.0
KINDS = 100  # told apart at a time, of nobody known and of known actors each; what comes beyond them is counted as one
_WAITING = 1000  # not yet written, while the database does not take them; later ones are lost, and the log says so
_PREFIX = 64  # of an IPv6 address: one customer has all the addresses behind it

_log = get_logger()


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened: an event that is not written yet."""

    actor: Actor
    action: str
    target: tuple[str, str]
    tenant_id: str
    outcome: Outcome
    detail: Mapping[str, Any]

    @property
    def kind(self) -> tuple[object, ...]:
        """What makes two of them alike: who and from where, what, to what, and how it ended."""
        who = (self.actor.kind, self.actor.id, network(self.actor.ip))
        # Which tenant a known actor aimed at: a targeted attempt must not vanish among others. Nobody known can name any.
        aimed = None if self.actor.kind == ANONYMOUS.kind else self.detail.get("tenantId")
        return (*who, aimed, self.action, self.target, self.tenant_id, self.outcome, self.detail.get("code"))


@dataclass(slots=True)
class _Window:
    """A minute of happenings of one kind: the first was written as it began, `count` more are not yet."""

    last: Happening
    ends: float
    count: int = 0


class Tally:
    """Takes notes without asking the database; `save`, called again and again, writes them.

    Args:
        write: Writes an event in a transaction of its own, as `AuditService.record_apart`.
        clock: Tells seconds.
    """

    def __init__(self, write: Callable[..., Awaitable[None]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._record = write
        self._clock = clock
        self._windows: tuple[dict[tuple[object, ...], _Window], ...] = ({}, {})
        self._due: deque[tuple[Happening, int]] = deque()
        self._saving = asyncio.Lock()

    def note(self, what: Happening, *, first_too: bool = True) -> bool:
        """Takes note of something; of the first of its kind in a minute at once, of further ones at the minute's end.

        Args:
            what: What happened.
            first_too: Whether the first is written from here; else whoever asks writes it.

        Returns:
            Whether it was the first.
        """
        windows, moment = self._windows[what.actor.kind == ANONYMOUS.kind], self._clock()
        if what.kind not in windows and len(windows) >= KINDS:
            what = replace(what, actor=ANONYMOUS, target=("route", "further"), tenant_id="", detail={"code": "further"})
        window = windows.get(what.kind)
        if window is None:
            windows[what.kind] = _Window(what, moment + EVERY_S)
            if first_too:
                self._put(what, 1)
            return True
        window.last, window.count = what, window.count + 1
        return False

    async def save(self, *, all_of_it: bool = False) -> None:
        """Writes what is due, or, where a process ends, all. What can't be written is tried again the next time.

        Whoever else is saving is waited for: afterwards all that was due is written.
        """
        async with self._saving:
            await self._save(all_of_it=all_of_it)

    async def _save(self, *, all_of_it: bool) -> None:
        for windows in self._windows:
            for kind, window in list(windows.items()):
                if not all_of_it and window.ends > self._clock():
                    continue
                if window.count:
                    self._put(window.last, window.count)
                    window.count, window.ends = 0, self._clock() + EVERY_S
                else:
                    del windows[kind]
        while self._due:
            await self._write(*self._due[0])
            self._due.popleft()

    def _put(self, what: Happening, count: int) -> None:
        if len(self._due) < _WAITING:
            self._due.append((what, count))
        else:
            _log.warning("audit_not_written", action=what.action, outcome=what.outcome, count=count)

    async def _write(self, what: Happening, count: int) -> None:
        detail = {**what.detail, "count": count}
        try:
            await self._record(
                what.actor, what.action, what.target, tenant_id=what.tenant_id, outcome=what.outcome, detail=detail
            )
        except InvalidError as error:  # it can never be stored, and must not stand in the way of the others
            _log.warning("audit_not_written", action=what.action, outcome=what.outcome, code=error.code)


def network(ip: str | None) -> str | None:
    """The address that is counted: an IPv6 one by its first half."""
    try:
        parsed = ip_address(ip or "")
    except ValueError:
        return ip
    return str(ip_network(f"{ip}/{_PREFIX}", strict=False)) if isinstance(parsed, IPv6Address) else ip
