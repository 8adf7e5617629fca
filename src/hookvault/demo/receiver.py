"""A loopback HTTP server that answers as n8n does, each workflow in its own way."""

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from hookvault.demo.answer import Answer, answer, wrong_method

HOST = "127.0.0.1"
_LONGEST_S = 600.0
_CLOSING_S = 5.0
_MOST = 16_777_216  # bytes of a body; n8n answers more with a problem, never with 413
_HEAD = 65_536
_PRODUCTION, _TEST, _API = "/webhook/", "/webhook-test/", "/api/v1/workflows"

Judge = Callable[[str, bytes], tuple[Answer, float]]


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: bytes
    too_large: bool = False


class Receiver:
    """Serves from `start` to `close`.

    Args:
        judge: Given what follows `/webhook/` and the body, says the answer and the seconds before it.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self._hurry = asyncio.Event()
        self._random = random.Random()  # noqa: S311 - jitter of a pretended delay
        self.port: int | None = None

    async def start(self, port: int) -> int:
        """Listens on a port of loopback, 0 being any free one; the port. Idempotent. Raises OSError: it is taken."""
        if self.port is None:
            self._hurry.clear()
            self._server = await asyncio.start_server(self._serve, HOST, port, limit=_HEAD, backlog=256)
            self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    def hurry(self) -> None:
        """Answers at once what would take its time: whoever is being stopped shall not wait."""
        self._hurry.set()

    async def close(self) -> None:
        """Stops; connections end."""
        if self._server is None:
            return
        self.hurry()
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()  # whoever reads finds the end, whoever waits was woken
        serving = [task for task in self._serving if task is not None]
        if serving:
            await asyncio.wait(serving, timeout=_CLOSING_S)
        self._server, self.port = None, None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._writers.add(writer)
        self._serving.add(task)
        try:
            while await self._answered(await _read(reader), writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the caller went away, or speaks no HTTP
        finally:
            self._writers.discard(writer)
            self._serving.discard(task)
            writer.close()

    async def _answered(self, request: _Request, writer: asyncio.StreamWriter) -> bool:
        """Answers a request; whether the connection goes on."""
        found, pause = self._answer(request)
        if found.status == 0:
            return False
        await self._hold(_LONGEST_S if found.never else pause + found.slow_s * self._random.uniform(0.7, 1.6))
        writer.write(_written(found))
        await writer.drain()
        return not request.too_large

    def _answer(self, request: _Request) -> tuple[Answer, float]:
        path = request.path.partition("?")[0]
        if path == _API and request.method == "GET":  # what a configured n8n API key is tested with
            return Answer(200, b'{"data":[],"nextCursor":null}'), 0.02
        if path.startswith(_TEST):
            return answer("test_url", path.removeprefix(_TEST)), 0.0
        if not path.startswith(_PRODUCTION):
            return Answer(404, f"<pre>Cannot {request.method} {path}</pre>".encode(), "text/html; charset=utf-8"), 0.0
        refusal = _refused(request)
        return self._judge(path.removeprefix(_PRODUCTION), request.body) if refusal is None else (refusal, 0.0)

    async def _hold(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)


async def _read(reader: asyncio.StreamReader) -> _Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = start.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    if not 0 <= length <= _MOST:
        return _Request(method, path, b"", too_large=True)
    return _Request(method, path, await reader.readexactly(length))


def _refused(request: _Request) -> Answer | None:
    """What n8n answers before any workflow is looked at; None where one is."""
    if request.method != "POST":
        return wrong_method(request.method)
    if request.too_large:
        return answer("problem", request.path)
    return None if _is_json(request.body) else answer("unparsable", request.path)


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


def _written(found: Answer) -> bytes:
    fields = [("content-length", str(len(found.body))), *found.headers]
    if found.content_type is not None:
        fields.insert(0, ("content-type", found.content_type))
    lines = [
        f"HTTP/1.1 {found.status} {HTTPStatus(found.status).phrase}",
        *[f"{name}: {text}" for name, text in fields],
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + found.body
