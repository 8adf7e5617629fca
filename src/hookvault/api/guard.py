"""The outermost layer: finds who asks, bounds and checks the body, hands on, and answers every error as a problem."""

import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hookvault.api.access import Asking, client_ip, header, request_id
from hookvault.api.body import ClientGoneError, check_json, check_storable, check_strict, read_body
from hookvault.api.call import perform_call
from hookvault.api.deliver import perform_delivery
from hookvault.api.entry import CHANGING, identify, permit
from hookvault.api.hot import ROUTE, Perform, answer_hot
from hookvault.api.problem import Headers, plain_problem, problem
from hookvault.api.services import App
from hookvault.api.trail import note_denied, record_failed
from hookvault.errors import ForbiddenError, HookvaultError, UnauthorizedError
from hookvault.log import get_logger

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/api/docs", "/api/docs.css", "/api/openapi.json"})
_LINKED = re.compile(r"/(invitations|password-resets)/[^/]+")  # what follows lets somebody in
_SAFE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]

_HOT: dict[str, Perform] = {"call": perform_call, "deliveries": perform_delivery}
_log = get_logger()


class Guard:
    """ASGI application in front of the routes. The hot routes are answered here, all others by `inner`."""

    def __init__(self, app: App, inner: ASGIApp) -> None:
        self._app = app
        self._inner = inner

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        reply = _Reply(send)
        try:
            if scope["method"] == "POST" and (route := ROUTE.fullmatch(scope["path"])):
                named, perform = (route[1], route[2]), _HOT[route[3]]
                await reply.send_whole(*await answer_hot(self._app, scope, receive, named, perform))
            else:
                await self._manage(scope, receive, reply)
        except HookvaultError as error:
            if error.status >= 500:
                _log.error("request_failed", code=error.code, path=shown_path(scope["path"]), message=error.message)
            await reply.send_whole(*problem(error))
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - the last resort: answered, logged whole, never hidden
            reply.request_id = reply.request_id or request_id(scope).encode()
            identifier = reply.request_id.decode()
            _log.exception(
                "internal_error", path=shown_path(scope["path"]), error=type(error).__name__, request_id=identifier
            )
            message = "Something went wrong on our side; the log tells more under the request's id."
            await reply.send_whole(*plain_problem(500, "internal_error", message))

    async def _manage(self, scope: MutableMapping[str, Any], receive: Receive, reply: "_Reply") -> None:
        began = time.monotonic()
        path, method = scope["path"], scope["method"]
        identifier = request_id(scope)
        reply.request_id = identifier.encode()
        if path not in _OPEN:
            scope["hookvault.asking"] = await self._asking(scope, identifier)
            if method in CHANGING:
                receive = await self._checked(scope, receive)
        await self._inner(scope, receive, reply)
        elapsed_ms = round((time.monotonic() - began) * 1000, 1)
        _log.info(
            "request", method=method, path=shown_path(path), status=reply.status, ms=elapsed_ms, request_id=identifier
        )

    async def _asking(self, scope: MutableMapping[str, Any], identifier: str) -> Asking:
        """Who asks, if they may. A refusal is noted for the audit log."""
        principal = None
        try:
            principal = await identify(self._app, scope)
            permit(self._app, scope, principal)
        except (UnauthorizedError, ForbiddenError) as error:
            note_denied(self._app, scope, error, principal)
            raise
        return Asking(principal, client_ip(scope, self._app.settings.trusted_proxies), identifier)

    async def _checked(self, scope: MutableMapping[str, Any], receive: Receive) -> Receive:
        """A receive that replays the body once it was read and found fit. A change with a body that is not has failed."""
        try:
            return await _checked(scope, receive)
        except HookvaultError as error:
            await record_failed(self._app, scope, error.status, error.code)
            raise


class _Reply:
    """Sends a response with the headers that every response has, and knows whether one was begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.request_id = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._own_headers()]}
        await self._send(message)

    async def send_whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Sends a whole response, unless one was begun already."""
        if self.status:
            return
        self.status = status
        length = (b"content-length", b"%d" % len(body))
        whole = [*headers, length, *self._own_headers()]
        await self._send({"type": "http.response.start", "status": status, "headers": whole})
        await self._send({"type": "http.response.body", "body": body})

    def _own_headers(self) -> Headers:
        return [*_SAFE, (b"x-request-id", self.request_id)] if self.request_id else _SAFE


def shown_path(path: str) -> str:
    """A path as the log has it: a terminal must not act on what a caller wrote, and nobody must go on with a link."""
    if not path.startswith("/api/platform/"):
        path = _LINKED.sub(r"/\1/{token}", path)
    return path if path.isprintable() else ascii(path)


async def _checked(scope: MutableMapping[str, Any], receive: Receive) -> Receive:
    """A receive that replays the body once it was read and found fit."""
    body = await read_body(scope, receive)
    if body:
        check_json(scope, body)
        if header(scope, b"content-type") is None:
            scope["headers"] = [*scope["headers"], (b"content-type", b"application/json")]
        check_strict(body)
        check_storable(body)
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
