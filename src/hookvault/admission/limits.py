"""Rate and concurrency limits, right over all processes: each leases tokens and slots from the database in small portions."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from hookvault.admission import store
from hookvault.admission.model import WHOLE_TENANT, Bound, RateLimit
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError, TooManyRequestsError

_PORTION_S = 0.1  # a lease of tokens lasts about so long, and a process that dies loses no more
_KEPT_S = 1.0  # what a process has not used by then goes back: put by, it would be a burst beyond the limit
_BUSY_S = 0.1  # how long a process that found all slots taken believes it

_Place = tuple[str, UUID]


@dataclass(slots=True)
class _Tokens:
    """What a process has in hand of a rate limit, and when there will be more."""

    rate: RateLimit
    left: int = 0
    again_at: float = 0.0
    kept_until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class _Slots:
    """How many calls a process may have in flight under a limit, and has."""

    most: int
    held: int = 0
    used: int = 0
    again_at: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Limits:
    """The limits as one process sees them. Costs nothing where there are none."""

    def __init__(self, database: Database, process: UUID) -> None:
        self._database = database
        self._process = process
        self._tokens: dict[_Place, _Tokens] = {}
        self._slots: dict[_Place, _Slots] = {}

    async def enter(self, bounds: Sequence[Bound]) -> None:
        """Lets one call in; `leave` ends it.

        Raises:
            TooManyRequestsError: `rate_limited` or `concurrency_limited`, with the seconds to wait; nothing is in then.
        """
        if await self.allow(bounds, 1):
            return
        wait = self.wait_s(bounds)
        busy = next((bound for bound in bounds if self._is_busy(bound)), None)
        if busy is not None:
            message = f"{_named(busy)} may have {busy.concurrency} calls in flight at once, and has. Try again later."
            raise TooManyRequestsError(message, retry_after_s=1.0, code="concurrency_limited")
        rate = next(
            (bound for bound in bounds if bound.rate is not None and not self._tokens[_place(bound)].left), bounds[0]
        )
        allowed = "" if rate.rate is None else f" of {rate.rate.calls} calls in {rate.rate.seconds:g} s"
        raise TooManyRequestsError(f"{_named(rate)} is over its rate limit{allowed}.", retry_after_s=max(wait, 0.001))

    async def allow(self, bounds: Sequence[Bound], want: int) -> int:
        """Lets up to `want` calls in, as far as every limit allows; how many. Each ends with `leave`."""
        granted = want
        taken: list[tuple[Callable[[Sequence[Bound], int], None], Bound, int]] = []
        try:
            for bound in bounds:
                if bound.concurrency is not None and granted:
                    granted = await self._take_slots(bound, granted)
                    taken.append((self._free, bound, granted))
            for bound in bounds:
                if bound.rate is not None and granted:
                    granted = await self._take_tokens(bound, granted)
                    taken.append((self._give_back, bound, granted))
        except BaseException:  # nobody gets in, so nothing may stay taken
            granted = 0
            raise
        finally:
            for give_back, bound, got in taken:
                give_back([bound], got - granted)
        return granted

    def leave(self, bounds: Sequence[Bound]) -> None:
        """Ends a call that was let in."""
        self._free(bounds, 1)

    async def refund(self, bounds: Sequence[Bound], calls: int) -> None:
        """Takes back calls that were let in and not made; their tokens are there for every process again."""
        self._give_back(bounds, calls)
        self._free(bounds, calls)
        for bound in bounds:
            if bound.rate is not None:
                tokens = self._tokens[_place(bound)]
                async with tokens.lock:
                    await self._return_tokens(_place(bound), tokens)

    def wait_s(self, bounds: Sequence[Bound]) -> float:
        """Seconds until it is worth asking again, as far as is known; 0 when it is now."""
        present = time.monotonic()
        found = [self._tokens[_place(bound)].again_at for bound in bounds if _place(bound) in self._tokens]
        found += [self._slots[_place(bound)].again_at for bound in bounds if _place(bound) in self._slots]
        return max([moment - present for moment in found] + [0.0])

    async def renew(self) -> None:
        """Keeps the slots that are used, and gives back the others, and tokens left over. Called every few seconds."""
        for place, tokens in list(self._tokens.items()):
            if tokens.left and time.monotonic() > tokens.kept_until:
                async with tokens.lock:
                    await self._return_tokens(place, tokens)
        for place, slots in list(self._slots.items()):
            async with slots.lock:
                if self._slots.get(place) is not slots:
                    continue
                if not slots.held and not slots.used:
                    del self._slots[place]
                    continue
                async with self._database.system_statement() as tx:
                    slots.held = await store.hold_slots(tx, place, self._process, slots.used, slots.most)

    async def _take_tokens(self, bound: Bound, want: int) -> int:
        rate = bound.rate
        assert rate is not None  # noqa: S101 - asked for bounds with a rate only
        tokens = self._tokens.setdefault(_place(bound), _Tokens(rate))
        async with tokens.lock:
            if tokens.rate != rate:  # an admin changed it; what is in hand was granted under the old one
                tokens.rate, tokens.left, tokens.again_at = rate, 0, 0.0
            if tokens.left and time.monotonic() > tokens.kept_until:
                await self._return_tokens(_place(bound), tokens)
            if tokens.left < want and time.monotonic() >= tokens.again_at:
                portion = math.ceil(rate.calls / rate.seconds * _PORTION_S)
                wanted = min(max(want, portion) - tokens.left, max(rate.calls, 1))
                async with self._database.system_statement() as tx:
                    granted, wait = await store.take_tokens(tx, bound.tenant_id, bound.scope, rate, wanted)
                tokens.left += granted
                tokens.kept_until = time.monotonic() + _KEPT_S
                if not granted:
                    tokens.again_at = time.monotonic() + wait
        taken = min(want, tokens.left)
        tokens.left -= taken
        return taken

    async def _return_tokens(self, place: _Place, tokens: _Tokens) -> None:
        """Gives back to the database what is in hand. Should it be away they are lost, and the bucket fills by itself."""
        left, tokens.left = tokens.left, 0
        if left:
            with suppress(HookvaultError):
                async with self._database.system_statement() as tx:
                    await store.take_tokens(tx, *place, tokens.rate, -left)

    async def _take_slots(self, bound: Bound, want: int) -> int:
        most = bound.concurrency or 1
        while True:
            slots = self._slots.setdefault(_place(bound), _Slots(most))
            async with slots.lock:
                if self._slots.get(_place(bound)) is not slots:
                    continue  # `renew` dropped it while this waited; nobody would count what is taken from it
                changed, slots.most = slots.most != most, most
                short = slots.held - slots.used < want and time.monotonic() >= slots.again_at
                if changed or short:
                    async with self._database.system_statement() as tx:
                        asked = min(slots.used + want, most)
                        slots.held = await store.hold_slots(tx, _place(bound), self._process, asked, most)
                    if slots.held - slots.used < 1:
                        slots.again_at = time.monotonic() + _BUSY_S
                taken = max(0, min(want, slots.held - slots.used))
                slots.used += taken
                return taken

    def _free(self, bounds: Sequence[Bound], calls: int) -> None:
        for bound in bounds:
            slots = self._slots.get(_place(bound)) if bound.concurrency is not None else None
            if slots is not None:
                slots.used = max(0, slots.used - calls)

    def _give_back(self, bounds: Sequence[Bound], calls: int) -> None:
        for bound in bounds:
            tokens = self._tokens.get(_place(bound)) if bound.rate is not None else None
            if tokens is not None:
                tokens.left += calls

    def _is_busy(self, bound: Bound) -> bool:
        slots = self._slots.get(_place(bound)) if bound.concurrency is not None else None
        return slots is not None and slots.held - slots.used < 1


def _place(bound: Bound) -> _Place:
    return bound.tenant_id, bound.scope


def _named(bound: Bound) -> str:
    return f"The tenant {bound.tenant_id}" if bound.scope == WHOLE_TENANT else "The webhook"
