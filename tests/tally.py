"""A receiver in a thread of its own that keeps every request it saw: whatever is killed, it goes on counting."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import uvloop

_LENGTH = b"content-length: "
_ID = b"webhook-id: "
_AUTHORIZATION = b"authorization: "


class Hit(NamedTuple):
    """A request as it arrived. `at` is of time.monotonic()."""

    at: float
    id: str
    path: str
    body: bytes
    authorization: str = ""

    @property
    def payload(self) -> Any:
        return json.loads(self.body)


class Reply(NamedTuple):
    """What is answered, after `delay` seconds; `close`: the connection is closed instead."""

    status: int = 200
    delay: float = 0.0
    close: bool = False
    body: bytes = b'{"message":"Workflow was started"}'


Answer = Reply | Callable[[Hit], Reply]


class Tally:
    """Serves on a loopback port. `answers` says what a path answers; others answer 200 at once.

    A function in `answers` runs in the receiver's thread.
    """

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.answers: dict[str, Answer] = {}
        self.open: Counter[str] = Counter()
        self.most_open: Counter[str] = Counter()
        self.port = 0
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tally", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Hit]:
        """What a path saw, in the order of arrival."""
        return [hit for hit in list(self.hits) if hit.path == path]

    def counted(self) -> Counter[str]:
        """How often each webhook-id was seen."""
        return Counter(hit.id for hit in list(self.hits))

    def answer(self, hit: Hit) -> Reply:
        found = self.answers.get(hit.path, Reply())
        return found if isinstance(found, Reply) else found(hit)

    def _serve(self) -> None:
        self._loop = uvloop.new_event_loop()
        listening = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=2048)
        self.port = self._loop.run_until_complete(listening).sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()


class _Connection(asyncio.Protocol):
    """One connection, whose requests come one after the other."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._received = b""
        self._under_way: str | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        whole = end + 4 + int(_field(head, _LENGTH) or 0)
        if len(self._received) < whole:
            return
        body, self._received = self._received[end + 4 : whole], self._received[whole:]
        path = head.split(b" ", 2)[1].decode()
        authorization = _field(head, _AUTHORIZATION).decode()
        self._answer(Hit(time.monotonic(), _field(head, _ID).decode(), path, body, authorization))

    def _answer(self, hit: Hit) -> None:
        tally, self._under_way = self._tally, hit.path
        tally.hits.append(hit)
        tally.open[hit.path] += 1
        tally.most_open[hit.path] = max(tally.most_open[hit.path], tally.open[hit.path])
        reply = tally.answer(hit)
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        self._ended()
        if self._transport.is_closing():
            return
        if reply.close:
            self._transport.abort()
            return
        head = f"HTTP/1.1 {reply.status} Said\r\ncontent-type: application/json\r\ncontent-length: {len(reply.body)}\r\n\r\n"
        self._transport.write(head.encode() + reply.body)

    def _ended(self) -> None:
        if self._under_way is not None:
            self._tally.open[self._under_way] -= 1
            self._under_way = None


def _field(head: bytes, name: bytes) -> bytes:
    at = head.lower().find(b"\r\n" + name)
    return b"" if at < 0 else head[at + 2 + len(name) :].split(b"\r\n", 1)[0]
