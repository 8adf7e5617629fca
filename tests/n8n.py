"""A real HTTP receiver on loopback that answers like n8n, each path in its own way, and keeps what it saw."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

STARTED = b'{"message":"Workflow was started"}'
NOT_REGISTERED = (
    b'{"code":404,"message":"The requested webhook \\"POST x\\" is not registered.","hint":"The workflow must be active '
    b'for a production URL to run successfully."}'
)
STARTING = b"<!DOCTYPE html>\n<html><body><pre>Cannot POST /webhook/x</pre></body></html>"
REASONS = {200: "OK", 204: "No Content", 404: "Not Found", 500: "Internal Server Error"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers, after `delay` seconds and once `when` is set."""

    status: int = 200
    body: bytes = STARTED
    kind: str = "application/json"
    delay: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    when: asyncio.Event | None = None


Behaviour = Answer | Callable[[Seen], Answer]

KINDS: dict[str, Behaviour] = {
    "ok": Answer(),
    "empty": Answer(body=b""),
    "text": Answer(body="Grüße".encode(), kind="text/plain; charset=utf-8"),
    "html404": Answer(404, STARTING, "text/html"),
    "json404": Answer(404, NOT_REGISTERED),
    "error": Answer(500, b'{"message":"Error in workflow"}'),
    "slow": Answer(delay=30.0),
    "echo": lambda seen: Answer(body=json.dumps({"headers": seen.headers, "body": seen.body.decode()}).encode()),
}


class N8n:
    """Serves on a loopback port. `/webhook/<kind>/...` answers as KINDS says; `answers` overrides by path."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: dict[str, Behaviour] = {}
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._closing.set()
        for writer in self._writers:
            writer.transport.abort()
        async with asyncio.timeout(30):
            while self._serving:
                await asyncio.sleep(0.005)

    def url(self, path: str = "/webhook/ok") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    def counted(self) -> Counter[str]:
        """How many requests each path saw."""
        return Counter(seen.path for seen in self.seen)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._serving.add(asyncio.current_task())
        try:
            while True:
                seen = await _read(reader)
                self.seen.append(seen)
                answer = self._answer(seen)
                await self._hold(answer)
                writer.write(_written(answer))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            self._serving.discard(asyncio.current_task())
            writer.close()

    async def _hold(self, answer: Answer) -> None:
        if answer.delay:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), answer.delay)
        if answer.when is not None:
            await answer.when.wait()

    def _answer(self, seen: Seen) -> Answer:
        parts = seen.path.split("/")
        found = self.answers.get(seen.path) or KINDS.get(parts[2] if len(parts) > 2 else "", KINDS["ok"])
        return found if isinstance(found, Answer) else found(seen)


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(start.split(" ")[1], headers, body)


def _written(answer: Answer) -> bytes:
    fields = [("content-type", answer.kind), ("content-length", str(len(answer.body))), *answer.headers]
    lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}", *[f"{k}: {v}" for k, v in fields]]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
