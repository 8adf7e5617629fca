"""jsonb to and from the wire without a detour: bytes are taken as JSON already, everything else is encoded."""

import json
from typing import Any

import msgspec

_VERSION = b"\x01"  # the one version of PostgreSQL's binary jsonb format
_MAX_DIGITS = 4000  # below CPython's limit for int(str)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def encode_jsonb(value: Any) -> bytes:
    """The binary form of a jsonb value. Bytes are JSON text as it is; any other value is encoded."""
    return _VERSION + (value if isinstance(value, bytes) else _encode(value))


def decode_jsonb(data: bytes) -> Any:
    """The Python value of a jsonb value; a number of more than 4,000 digits stays text."""
    return decode_json(bytes(data[1:]))


def decode_json(data: bytes) -> Any:
    """The Python value of JSON text, whatever PostgreSQL's numeric let through.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return json.loads(data, parse_int=_integer)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits
