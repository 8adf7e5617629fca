"""A reader of Server-Sent Events over a real socket, that keeps what came and when."""

import asyncio
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx

from canary import CANARY

_SEARCHED = 20_000  # characters: a secret that is shown is shown by an early event too


@dataclass(frozen=True)
class Event:
    name: str
    id: str | None
    data: Any
    at: float


class Stream:
    """An open stream. `paused` stops reading, so that the sender's buffers fill."""

    def __init__(self, url: str, key: str, *, last: str | None = None, **params: object) -> None:
        headers = {"authorization": f"Bearer {key}"} | ({"last-event-id": last} if last else {})
        small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # so that it soon matters when nothing is read
        transport = httpx.AsyncHTTPTransport(socket_options=[small])
        self._client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(10, read=60), transport=transport)
        self._request = self._client.build_request("GET", url, params=params)
        self.url = url
        self.events: list[Event] = []
        self.comments = 0
        self.text = ""
        self.ended: float | None = None
        self.paused = asyncio.Event()
        self.paused.set()

    async def __aenter__(self) -> Self:
        self.response = await self._client.send(self._request, stream=True)
        if self.response.status_code != 200:
            await self.response.aread()
            CANARY.see(self.url, self.response.text)
        self._task = asyncio.create_task(self._read())
        if self.response.status_code == 200:
            await until(lambda: self.text)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self.response.aclose()
        await self._client.aclose()
        CANARY.see(self.url, self.text[:_SEARCHED])

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.name == "call"]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events if event.name == "call"]

    @property
    def missed(self) -> list[int | None]:
        return [event.data["count"] for event in self.events if event.name == "missed"]

    async def has(self, count: int, within: float = 20.0) -> list[dict[str, Any]]:
        """The calls once there are so many."""
        await until(lambda: len(self.calls) >= count, within, lambda: f"{len(self.calls)} calls, not {count}")
        return self.calls

    async def end(self, within: float = 20.0) -> None:
        await until(lambda: self.ended, within, "the end of the stream")

    async def _read(self) -> None:
        rest = ""
        try:
            async for part in self.response.aiter_text():
                await self.paused.wait()
                self.text += part
                *blocks, rest = (rest + part).split("\n\n")
                for block in blocks:
                    self._take(block)
        except httpx.HTTPError:
            pass
        self.ended = time.monotonic()

    def _take(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        if "" in fields or block.startswith(":"):
            self.comments += 1
        elif "data" in fields:
            self.events.append(Event(fields["event"], fields.get("id"), json.loads(fields["data"]), time.monotonic()))


async def until(condition: Any, within: float = 20.0, what: object = "what was waited for") -> None:
    """Waits until a function's value is true."""
    ends = time.monotonic() + within
    while not condition():
        assert time.monotonic() < ends, f"not within {within} s: {what() if callable(what) else what}"
        await asyncio.sleep(0.01)
