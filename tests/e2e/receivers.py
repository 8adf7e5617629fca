"""Real HTTP receivers on loopback that answer, misanswer, drip, hang and hang up."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived. `connection` counts from 1, `number` counts the requests on it from 1."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    number: int

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


Answer = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def says(*chunks: bytes, close: bool = False, gap: float = 0.0) -> Answer:
    """An answer of these pieces, with `gap` seconds after each."""

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(gap)
        if close:
            writer.close()

    return answer


class Receiver:
    """Serves `answer` on a loopback port and keeps what it saw."""

    def __init__(self, answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._host = host
        self._tls = tls
        self._writers: list[asyncio.StreamWriter] = []
        self.seen: list[Seen] = []
        self.connections = 0
        self.ended = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, ssl=self._tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def url(self, path: str = "/webhook/orders", *, host: str | None = None) -> str:
        name = host or (f"[{self._host}]" if ":" in self._host else self._host)
        return f"{'https' if self._tls else 'http'}://{name}:{self.port}{path}"

    async def until_ended(self, count: int) -> None:
        """Wait until `count` connections were closed by the other side."""
        async with asyncio.timeout(30):
            while self.ended < count:
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, number = self.connections, 0
        self._writers.append(writer)
        try:
            while True:
                number += 1
                seen = await _read(reader, connection, number)
                self.seen.append(seen)
                await self._answer(seen, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.ended += 1
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, connection: int, number: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = start.split(" ")
    headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    return Seen(method, path, headers, await reader.readexactly(length), connection, number)
