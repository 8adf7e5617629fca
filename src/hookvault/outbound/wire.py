"""HTTP/1.1 (RFC 9112) on one connection: a request out, a response in, and whether it may serve again.

This is the hot path. One request is one write and one future; nothing here makes tasks. llhttp parses, and
refuses what can be read in two ways: two Content-Lengths, or one beside Transfer-Encoding.
"""

import asyncio
import re
from collections.abc import Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import httptools

from hookvault.outbound.errors import (
    CallTimeoutError,
    ConnectionClosedError,
    InvalidHeaderError,
    OutboundError,
    ResponseInvalidError,
)
from hookvault.outbound.guard import Target
from hookvault.outbound.timing import NONE, Phases, answered

MAX_HEAD = 65536  # bytes of status line and header fields; also of trailers and chunk extensions without a body
MAX_INTERIM = 16  # 1xx responses before the real one
_CHUNK_OVERHEAD = 8  # bytes of framing for each byte of body that are nothing unusual

_START = b"HTTP/1."
_PRINTABLE = bytes(range(0x20, 0x7F))
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
# The client's own: where a message goes, where it ends, what may come back. A caller can't have them differ.
_OWN = frozenset(
    {"host", "content-length", "transfer-encoding", "te", "trailer", "connection", "keep-alive", "upgrade"}
    | {"accept-encoding", "expect", "proxy-connection"}
)
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_METHODS = _BODILESS | {"POST", "PUT", "PATCH"}
_MAX_NAMES = 2048
_sendable: set[str] = set()  # header names found good; a handful in practice, bounded all the same
_lowered: dict[bytes, str] = {}  # header names as received, in lower case


class Reply(NamedTuple):
    """A response. A tuple, since a frozen dataclass takes four times as long to make.

    Attributes:
        status: The final status code; 1xx are skipped.
        headers: Names in lower case, values decoded as Latin-1, in the order received, without trailers.
        body: As received, never decompressed, cut at the client's limit.
        truncated: Whether the body was cut.
        elapsed_ms: Milliseconds from the call's start to the response's last byte, connecting included.
        reused: Whether a kept connection served it.
        address: The IP address that answered.
        phases: What the time went into before the response's first byte.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool
    elapsed_ms: float
    reused: bool
    address: str
    phases: Phases


def encode_request(method: str, target: Target, body: bytes, headers: Sequence[tuple[str, str]]) -> bytes:
    """A whole request message: our own Host, Accept-Encoding and Content-Length, then `headers` and the body.

    Raises:
        InvalidHeaderError: a method, name or value that would break the message, or a name that isn't the
            caller's to set. The message never holds the value.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    fields = text.encode("latin-1", "replace")
    # One look at all of it settles nearly every call: nothing outside printable ASCII but our own line ends.
    if not text.isascii() or fields.translate(None, _PRINTABLE) != b"\r\n" * len(headers):
        _check_values(headers)
    for name, _ in headers:
        if name not in _sendable:
            _check_name(name)
    if method not in _METHODS:
        raise InvalidHeaderError("the request's method is not one of " + ", ".join(sorted(_METHODS)))
    length = f"Content-Length: {len(body)}\r\n" if body or method not in _BODILESS else ""
    start = f"{method} {target.path} HTTP/1.1\r\nHost: {target.host_header}\r\nAccept-Encoding: identity\r\n"
    return b"".join((start.encode("ascii"), length.encode("ascii"), fields, b"\r\n", body))


def _check_values(headers: Sequence[tuple[str, str]]) -> None:
    for name, value in headers:
        if not _VALUE.match(value):
            raise InvalidHeaderError(
                f"the value of header {name!r} holds a line break, a control character or one outside Latin-1"
            )


def _check_name(name: str) -> None:
    if not _TOKEN.match(name):
        raise InvalidHeaderError(f"{name!r} is not a header name")
    if name.lower() in _OWN:
        raise InvalidHeaderError(f"the header {name!r} is set by the client itself and can't be given")
    if len(_sendable) >= _MAX_NAMES:
        _sendable.clear()
    _sendable.add(name)


def _lower(name: bytes) -> str:
    text = name.decode("latin-1").lower()
    if len(_lowered) < _MAX_NAMES and len(name) <= 64:
        _lowered[name] = text
    return text


class Owner(Protocol):
    """Who keeps connections; told of each one's turns."""

    def idle(self, connection: "Connection") -> None:
        """A response ended and the connection can serve another request."""

    def gone(self, connection: "Connection") -> None:
        """The connection is lost."""


class Connection(asyncio.Protocol):
    """One connection to one checked address, for one request at a time.

    Attributes:
        loop: The event loop it belongs to.
        origin: The target's origin, by which it is kept.
        address: The IP address that was dialled.
        closed: Whether it can't serve any more.
        dialled: How long its making took.
        uses: How many requests it was given.
        heard: Whether any byte of the present response came.
        born: When it was made, on the loop's clock.
        idle_since: When it was last kept.
    """

    __slots__ = (
        "_began", "_body", "_deadline", "_done", "_extra", "_fault", "_fires", "_future", "_head", "_headers",
        "_heard_at", "_in_body", "_interim", "_keep", "_limit", "_owner", "_parser", "_peer", "_received", "_size", "_status",
        "_timeout_s", "_timer", "_transport", "_truncated", "address", "born", "closed", "dialled", "heard",
        "idle_since", "loop", "origin", "uses",
    )  # fmt: skip

    def __init__(self, owner: Owner, target: Target, address: str, limit: int) -> None:
        self.loop = asyncio.get_running_loop()
        self._owner = owner
        self._limit = limit
        self._peer = f"{target.host}:{target.port}"
        self._parser: Any = httptools.HttpResponseParser(self)
        self._future: asyncio.Future[Reply] | None = None
        self._transport: Any = None
        self.origin = target.origin
        self.address = address
        self.born = self.idle_since = self.loop.time()
        self.closed = self.heard = False
        self.uses = 0
        self._timer: asyncio.TimerHandle | None = None
        self._fires = self._deadline = self._timeout_s = self._began = self._heard_at = 0.0
        self._reset()

    def _reset(self) -> None:
        """Be ready for a response, and let go of the last one."""
        self.dialled = NONE  # the next one has no part in it
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._fault: str | None = None
        self._done = self._in_body = self._keep = self._truncated = False
        self._received = self._extra = self._size = self._status = self._interim = 0

    def start(self, request: bytes, began: float, *, head: bool = False) -> asyncio.Future[Reply]:
        """Send one request; the future gives its reply.

        Args:
            request: The whole message.
            began: When the call began, on `time.perf_counter`.
            head: Whether the method is HEAD, whose response has no body whatever its fields say.
        """
        self.heard = False
        self.uses += 1
        self._began = began
        self._head = head
        self._future = future = self.loop.create_future()
        if self.closed:  # the peer ended it between the handshake and now; nothing was sent
            self._fail(ConnectionClosedError(f"{self._peer} closed the connection before it was used"))
        else:
            self._transport.write(request)
        return future

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def shut(self) -> None:
        """Close because the client is being closed, which a call under way is told."""
        self._fail(ConnectionClosedError(f"{self._peer}: the client was closed during the call", sent=True))

    def drop(self, future: asyncio.Future[Reply]) -> None:
        """Close if `future` is still being served; its caller went away."""
        if self._future is future:
            self._future = None
            self.abort()

    def set_deadline(self, deadline: float, timeout_s: float) -> None:
        """Give the coming request until `deadline` on the loop's clock; `timeout_s` is for the message.

        A timer costs more than parsing a response, so it is left running from one request to the next: when it
        fires early it is set again, and only a deadline that is nearer than it needs another.
        """
        self._deadline = deadline
        self._timeout_s = timeout_s
        if self._timer is None or self._fires > deadline:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires = self._deadline
        self._timer = self.loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._future is None:
            return
        if self.loop.time() < self._deadline - 0.001:  # clocks of loops tick in milliseconds
            self._set_timer()
            return
        doing = "the response was not complete" if self.heard else "no response came"
        self._fail(CallTimeoutError(f"{self._peer}: {doing} within {self._timeout_s:.3g} s", sent=True))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of a response, or bytes that nobody asked for."""
        if self._future is None:
            self.abort()  # a later request could take them for its response
            return
        if not self.heard:
            self.heard = True
            self._heard_at = perf_counter()
            if not (data.startswith(_START) or _START.startswith(data)):
                self._invalid("it doesn't begin with an HTTP/1 status line")
                return
        self._received += len(data)
        size = self._size
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            if not self._done:
                self._fault = self._fault or str(error)
        if self._fault is not None:
            self._invalid(self._fault)
        elif self._done:
            self._finish()
        else:
            self._check_size(len(data) - (self._size - size))

    def eof_received(self) -> None:
        """The peer sends no more: the end of a body that has no other end, else an early one."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if exc is None:
            self._end()
        if self._future is not None:
            cause = "reset" if isinstance(exc, ConnectionResetError) else "closed"
            when = "before its response was complete" if self.heard else "without a response"
            self._fail(ConnectionClosedError(f"{self._peer} {cause} the connection {when}", sent=True))
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._parser = None  # it refers back to us, and the last body would stay until the garbage is collected
        self._owner.gone(self)

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """A response begins; a second one in the same read was not asked for."""
        if self._done:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which is left out."""
        if not self._in_body:
            self._headers.append((_lowered.get(name) or _lower(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The end of a header section."""
        if self._done:
            return
        status = self._status = self._parser.get_status_code()
        if status < 200:
            self._skip(status)
            return
        self._in_body = True
        if self._received > MAX_HEAD and sum(len(n) + len(v) + 4 for n, v in self._headers) > MAX_HEAD:
            self._fault = f"its header section is longer than {MAX_HEAD} bytes"
        if self._head:
            self._done = True
        elif not self._parser.should_keep_alive() and self._coding() not in ("", "chunked"):
            self._fault = "its Transfer-Encoding is not chunked"

    def on_body(self, data: bytes) -> None:
        """A piece of the body; only up to the limit."""
        if self._done:
            return
        room = self._limit - self._size
        if len(data) <= room:
            self._body.append(data)
            self._size += len(data)
            return
        self._body.append(data[:room])
        self._size = self._limit
        self._truncated = self._done = True

    def on_message_complete(self) -> None:
        """A response ended; interim ones don't count."""
        if self._in_body and not self._done:
            self._done = True
            self._keep = self._parser.should_keep_alive()

    # The steps between.

    def _skip(self, status: int) -> None:
        self._interim += 1
        self._headers = []
        if status == 101:
            self._fault = "it switches to another protocol, which was not asked for"
        elif status < 100 or self._interim > MAX_INTERIM:
            self._fault = f"it has more than {MAX_INTERIM} interim responses, or one below 100"

    def _coding(self) -> str:
        return ",".join(value.strip().lower() for name, value in self._headers if name == "transfer-encoding")

    def _check_size(self, overhead: int) -> None:
        """Limit what costs memory or time without being body: header fields, trailers, chunk extensions.

        Args:
            overhead: Bytes of a read that were no body. An honest chunk of one byte comes with five of them.
        """
        if not self._in_body:
            if self._received > MAX_HEAD:
                self._invalid(f"its header section is longer than {MAX_HEAD} bytes")
        else:
            self._extra += overhead
            if self._extra > MAX_HEAD + _CHUNK_OVERHEAD * self._size:
                self._invalid(f"it has more than {MAX_HEAD} bytes of trailers or chunk extensions")

    def _end(self) -> None:
        self.closed = True
        if self._future is not None and self._in_body:
            names = {name for name, _ in self._headers}
            if not names & {"content-length", "transfer-encoding"}:
                self._finish()

    def _finish(self) -> None:
        """Hand out the reply; first keep or close the connection, so that the next caller finds it."""
        future, self._future = self._future, None
        reply = Reply(
            self._status,
            tuple(self._headers),
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self._truncated,
            (perf_counter() - self._began) * 1000,
            self.uses > 1,
            self.address,
            answered(self.dialled, self._heard_at - self._began),
        )
        keep = self._keep
        self._reset()
        # A request that is still being written when its answer comes would run into the next one.
        if keep and not self.closed and not self._transport.get_write_buffer_size():
            self._owner.idle(self)
        else:
            self.abort()
        if future is not None and not future.done():
            future.set_result(reply)

    def _invalid(self, why: str) -> None:
        self._fail(ResponseInvalidError(f"{self._peer} sent no usable HTTP response: {why}", sent=True))

    def _fail(self, error: OutboundError) -> None:
        future, self._future = self._future, None
        self.abort()
        if future is not None and not future.done():
            error.phases = answered(self.dialled, (self._heard_at if self.heard else perf_counter()) - self._began)
            future.set_exception(error)
