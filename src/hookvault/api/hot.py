"""The hot routes, calling and delivering: plain ASGI and msgspec, in front of the same application and its checks."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import msgspec

from hookvault.api.access import ASGIScope, authenticate, authorize, header
from hookvault.api.body import Receive, check_json, read_body
from hookvault.api.problem import Headers, problem
from hookvault.api.services import App
from hookvault.api.trail import note_denied
from hookvault.errors import ForbiddenError, HookvaultError, InvalidError, MalformedError, UnauthorizedError
from hookvault.ids import is_name
from hookvault.log import get_logger
from hookvault.webhooks.model import CallRequest

ROUTE = re.compile(r"/api/tenants/([^/]+)/webhooks/([^/]+)/(call|deliveries)")
JSON: Headers = [(b"content-type", b"application/json")]
REPLAYED: Headers = [*JSON, (b"idempotent-replayed", b"true")]
_WRAPPING = 65_536  # bytes that a body may have beside its payload
_log = get_logger()

T = TypeVar("T")
Answer = tuple[int, bytes, Headers]
Perform = Callable[[App, tuple[str, str], bytes, str | None], Awaitable[Answer]]


class Sent(Protocol):
    """What both kinds of body have."""

    payload: msgspec.Raw
    triggered_by: str | None
    metadata: dict[str, Any] | None
    timeout_ms: int | None
    max_retries: int | None


async def answer_hot(app: App, scope: ASGIScope, receive: Receive, named: tuple[str, str], perform: Perform) -> Answer:
    """Answers one request: status, body and headers. Never raises for bad input, a failing receiver or a lost database.

    Args:
        app: The services.
        scope: The request's.
        receive: The request's body.
        named: The tenant and the workflow that the path names.
        perform: Calls or delivers: is given the services, the names, the body and the idempotency key.
    """
    principal = None
    try:
        principal = await authenticate(scope, app.api_keys)
        authorize(principal, scope["path"], "call")
        if not (is_name(named[0]) and is_name(named[1])):
            raise InvalidError("The path names no tenant and workflow as they may be called.")
        body = await read_body(scope, receive, app.settings.webhook_max_payload_bytes + _WRAPPING)
        check_json(scope, body)
        key = header(scope, b"idempotency-key")
        return await perform(app, named, body, None if key is None else key.decode("latin-1"))
    except HookvaultError as error:
        if isinstance(error, UnauthorizedError | ForbiddenError):
            note_denied(app, scope, error, principal)
        if error.status >= 500 and error.code != "circuit_open":  # which is told once, when it opens
            _log.error("call_failed", code=error.code, path=scope["path"], message=error.message)
        return problem(error)


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """The body's fields. Raises InvalidError or MalformedError; msgspec names types and paths, and never quotes a value."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise InvalidError(f"The body is not acceptable: {str(error)[:200]}.") from None
    except msgspec.DecodeError:
        raise MalformedError("The body is not JSON.") from None


def request_of(parsed: Sent, key: str | None, **more: Any) -> CallRequest:
    """What is to be sent. Raises InvalidError for a `triggeredBy` or `metadata` out of bounds."""
    by = parsed.triggered_by
    if by is not None and (len(by) > 200 or not by.isprintable()):
        raise InvalidError("triggeredBy must have 200 printable characters or fewer.")
    if parsed.metadata is not None and len(msgspec.json.encode(parsed.metadata)) > 16_384:
        raise InvalidError("metadata must have 16,384 bytes of JSON or fewer.")
    return CallRequest(bytes(parsed.payload), by, parsed.metadata, parsed.timeout_ms, parsed.max_retries, key, **more)
