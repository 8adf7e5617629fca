"""Request bodies: read within bounds, and refused with a reason before anything parses them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hookvault.api.access import header
from hookvault.errors import HookvaultError, InvalidError, MalformedError, TooLargeError
from hookvault.webhooks.payload import check_depth, storable

LIMIT = 1_048_576

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class UnsupportedMediaTypeError(HookvaultError):
    """A body of another kind than JSON."""

    default_code = "unsupported_media_type"
    status = 415


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete; there is nobody to answer."""


async def read_body(scope: Mapping[str, Any], receive: Receive, limit: int = LIMIT) -> bytes:
    """The whole body.

    Raises:
        TooLargeError: code `payload_too_large`, as soon as it is longer than `limit` bytes.
        ClientGoneError: the client went away.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def check_json(scope: Mapping[str, Any], body: bytes) -> None:
    """Refuses a body that is not UTF-8 JSON of a sane depth.

    Raises:
        UnsupportedMediaTypeError: a Content-Type other than JSON.
        MalformedError: code `malformed_body`, not UTF-8.
        TooLargeError: code `too_deep`.
    """
    kind = (header(scope, b"content-type") or b"application/json").split(b";")[0].strip().lower()
    if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise UnsupportedMediaTypeError("The body must be JSON, with Content-Type: application/json.")
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError(f"The body is not UTF-8: the byte at position {error.start} is wrong.") from None
    check_depth(body)


def check_strict(body: bytes) -> None:
    """Refuses what two readers of JSON could understand differently: a name twice in one object, NaN, UTF-16, a BOM.

    Raises:
        MalformedError: code `malformed_body`.
    """
    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant)
    except ValueError:
        raise MalformedError("The body is not JSON (RFC 8259).") from None


def check_storable(body: bytes) -> None:
    """Refuses text that the database can't hold, where it would be stored as it is.

    Raises:
        InvalidError: code `invalid_characters`.
    """
    if storable(body)[1]:
        raise InvalidError("The body holds a NUL character or half of a surrogate pair.", code="invalid_characters")


def _once_each(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        shown = twice[:64].encode("utf-8", "replace").decode()
        raise MalformedError(f"The body names {shown!r} twice in one object; which one counts can't be known.")


def _no_constant(_name: str) -> None:
    raise ValueError


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The body has more than {limit} bytes.")
