"""JSON text on its way through: checked, kept byte for byte for the wire, and made storable for the record (pure)."""

import json
import re

import msgspec

from hookvault.errors import InvalidError, TooLargeError

MAX_DEPTH = 64
REPLACEMENT = "\ufffd"
# A string that never ends is taken whole: tried again from each of its quotes, a hostile body would cost hours.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(rb"[\[{]|[\]}]")
_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(_PAIR + rb"|\\u[0-9a-fA-F]{4}|\\.", re.DOTALL)
_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")


def check_depth(data: bytes, *, limit: int = MAX_DEPTH) -> None:
    """Refuses JSON text nested deeper than `limit`, without recursion.

    Raises:
        TooLargeError: code `too_deep`.
    """
    if data.count(b"[") + data.count(b"{") <= limit:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            raise TooLargeError(f"The JSON is nested more than {limit} levels deep.", code="too_deep")


def count_members(data: bytes) -> int:
    """How many members the objects of JSON text have together, those of the same name counted each."""
    return _STRINGS.sub(b"", data).count(b":")


def storable(data: bytes) -> tuple[bytes, bool]:
    """JSON text that jsonb can hold, and whether it was altered: NUL and lone surrogates become U+FFFD."""
    if b"\\u" not in data or _UNSTORABLE.search(data) is None:
        return data, False
    altered = _ESCAPE.sub(_replaced, data)
    return altered, altered != data


def response_json(body: bytes, *, truncated: bool) -> tuple[bytes | None, bool]:
    """A response's body as JSON text for the record and the caller, and whether it was altered.

    JSON stays as it is; anything else, or what was cut at the limit, becomes a JSON string; nothing becomes None.
    """
    if not body:
        return None, False
    if not truncated:
        clean, altered = storable(body)  # first, since half of a surrogate pair is no JSON to the decoder
        if _is_json(clean):
            return clean, altered
    text = body.decode("utf-8", "replace")
    stored = text.replace("\x00", REPLACEMENT)
    return msgspec.json.encode(stored), truncated or stored.encode() != body


def encode_payload(payload: object) -> bytes:
    """The JSON text of a Python value, as it is sent.

    Raises:
        InvalidError: the value is not JSON (a set, NaN, a non-string key, a lone surrogate).
    """
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidError("The payload can't be written as JSON.", code="invalid_payload") from None


def _replaced(match: re.Match[bytes]) -> bytes:
    escape = match.group()
    return b"\\ufffd" if len(escape) == 6 and _UNSTORABLE.match(escape) else escape


def _is_json(body: bytes) -> bool:
    try:
        check_depth(body)
        msgspec.json.decode(body)
    except (msgspec.DecodeError, TooLargeError, UnicodeDecodeError):
        return False
    return True
