"""Every change that a page asks for goes through the API's own route, in this process, with the visitor's own cookie.

So there is one place that says who may do what, one that checks what is submitted, and one that writes it down.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from hookvault.api.guard import ASGIApp, Message
from hookvault.errors import HookvaultError

_HANDED_ON = frozenset(
    {b"cookie", b"origin", b"sec-fetch-site", b"user-agent", b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered.

    Attributes:
        status: The HTTP status.
        data: The body: the thing asked for, or a problem document (RFC 9457).
        cookies: Set-Cookie headers, to be passed on to the browser.
        etag: The version of what was answered.
    """

    status: int
    data: Any
    cookies: Sequence[str] = field(default=())
    etag: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 400

    @property
    def code(self) -> str:
        """The problem's stable code; empty where it was done."""
        return "" if self.ok else str(self.data.get("code", ""))

    @property
    def message(self) -> str:
        """What is wrong, for a person; empty where it was done."""
        return "" if self.ok else str(self.data.get("detail", HTTPStatus(self.status).phrase))

    @property
    def errors(self) -> Mapping[str, str]:
        """What is wrong with which field."""
        found = () if self.ok else self.data.get("errors") or ()
        return {item["field"]: item["message"] for item in found}

    def require(self) -> "Answer":
        """Itself where it was done.

        Raises:
            HookvaultError: as the API answered, to be shown as a page.
        """
        if self.ok:
            return self
        error = HookvaultError(self.message, code=self.code)
        error.status = self.status  # type: ignore[misc] # this one's own
        raise error


async def ask(
    request: Request,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Answer:
    """Asks the API in the name of whoever asks us.

    Args:
        request: The visitor's.
        method: GET, POST, PUT, PATCH, DELETE.
        path: The API's, each part of it quoted already (see `part`).
        body: JSON; none where it is None.
        query: Of the path; None values are left out.
        version: What the change was made for; anything else is then refused (412).
    """
    api: ASGIApp = request.app.state.api
    sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    asked = urlencode({name: value for name, value in (query or {}).items() if value is not None})
    scope = _scope(request, method, path, asked)
    if body is not None:
        scope["headers"] += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(sent))]
    if version is not None:
        scope["headers"].append((b"if-match", b'"%d"' % version))
    heard = _Heard(sent)
    await api(scope, heard.receive, heard.send)
    return heard.answer()


def part(text: object) -> str:
    """A text as one part of a path."""
    return quote(str(text), safe="")


class _Heard:
    """The other end of the API: hands it the body and keeps what it says."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._chunks: list[bytes] = []

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            self._chunks.append(message.get("body", b""))

    def answer(self) -> Answer:
        text = b"".join(self._chunks)
        named = dict(self._headers)
        data = json.loads(text) if text and "json" in named.get("content-type", "") else {}
        cookies = [value for name, value in self._headers if name == "set-cookie"]
        return Answer(self._status, data, cookies, named.get("etag"))


def _scope(request: Request, method: str, path: str, query: str) -> dict[str, Any]:
    kept = [(name, value) for name, value in request.scope["headers"] if name in _HANDED_ON]
    copied = {name: request.scope.get(name) for name in ("client", "server", "scheme", "http_version", "asgi")}
    return {
        **copied,
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [*kept, (b"x-request-id", request.scope["hookvault.request_id"].encode())],
    }
