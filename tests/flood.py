"""Clients that go on delivering, whatever is killed: one whose request got no answer sends it again under the same key."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import httpx

from fleet import Fleet

_NUMBERS = itertools.count(1)


class Flood:
    """So many clients at once. Every delivery that one of them asked for is accepted once, or it asks on.

    Args:
        fleet: Whom they ask: any member that `servers` names at that moment.
        servers: The URLs of the members that serve.
        paths: Where deliveries are posted, each as likely as the others.
        clients: How many.
        pause_s: What each waits between two.
        padding: Characters by which each payload is longer.
        may: Asked before each: whether to ask for one more.
        options: Further fields of each delivery.
    """

    def __init__(
        self,
        fleet: Fleet,
        servers: Callable[[], Sequence[str]],
        paths: Sequence[str],
        *,
        clients: int = 8,
        pause_s: float = 0.0,
        padding: int = 0,
        may: Callable[[], Awaitable[bool]] | None = None,
        seed: int = 1,
        **options: Any,
    ) -> None:
        self._fleet = fleet
        self._servers = servers
        self._paths = paths
        self._clients = clients
        self._pause_s = pause_s
        self._may = may
        self._more = {"padding": "x" * padding} if padding else {}
        self._random = random.Random(seed)
        self._options = options
        self._stopping = False
        self.ids: dict[str, str] = {}  # by idempotency key
        self.repeats = 0

    async def __aenter__(self) -> Self:
        self._client = self._fleet.client(timeout=10)
        self._tasks = [asyncio.create_task(self._go_on()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Asks for nothing more; what was asked for is accepted before this ends."""
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._client.aclose()

    async def _go_on(self) -> None:
        while not self._stopping:
            if self._may is not None and not await self._may():
                await asyncio.sleep(0.2)
                continue
            number = next(_NUMBERS)
            await self._insist(self._random.choice(self._paths), f"k{number}", {"n": number, **self._more})
            await asyncio.sleep(self._pause_s)

    async def _insist(self, path: str, key: str, payload: Any) -> None:
        while True:
            identifier = await self._asked(path, key, payload)
            if identifier is not None:
                self.ids[key] = identifier
                return
            self.repeats += 1
            await asyncio.sleep(0.1)

    async def _asked(self, path: str, key: str, payload: Any) -> str | None:
        servers = self._servers()
        if not servers:
            return None
        body = {"payload": payload, **self._options}
        try:
            url = self._random.choice(servers) + path
            answer = await self._client.post(url, json=body, headers={"idempotency-key": key})
        except httpx.TransportError:
            return None
        assert answer.status_code in (202, 503), answer.text
        return answer.json()["deliveryId"] if answer.status_code == 202 else None
