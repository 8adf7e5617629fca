"""Takes a webhook's own secrets out of what its receiver answers, should it echo them (pure).

A secret in a usual form is masked in place. One that shows only after escapes are undone, twice at most (JSON in JSON,
HTML, percent signs), hides the whole answer. What a receiver transforms on purpose, such as by reversing it, can't be known.
"""

import base64
import html
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote_to_bytes

import msgspec

from hookvault.vault.secret import HIDDEN, Secret

_MASK = HIDDEN.encode()
_LEAST = 6  # characters; shorter texts turn up by chance
_WITHHELD = b'"*** the answer held a secret of this webhook in an escaped form and is not kept ***"'
_UNICODE = re.compile(rb"\\+u([0-9a-fA-F]{4})")
_ESCAPED = re.compile(rb"\\+([^u])")


class Redactor:
    """Knows every usual form of some secrets. Shows none of them, like the boxes that they came in."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms = {form for secret in secrets for form in echo_forms(secret)}
        self._forms = tuple(
            sorted(forms, key=len, reverse=True)
        )  # a long form first, lest a part of it be masked alone

    def clean(self, data: bytes, *, truncated: bool = False) -> bytes:
        """The data with `***` in place of each secret, also of one that was cut off at the end of `truncated` data."""
        short_enough = bisect_left(self._forms, -len(data), key=_negative_length)
        if any(map(data.__contains__, self._forms[short_enough:])):  # nearly never, and then the order counts
            for form in self._forms:
                data = data.replace(form, _MASK)
        if (b"\\" in data or b"%" in data or b"&" in data) and self._shows_unescaped(data):
            return _WITHHELD
        return self._without_beginning(data) if truncated else data

    def _shows_unescaped(self, data: bytes) -> bool:
        for _ in range(2):
            before, data = data, _unescaped(data)
            if any(form in data for form in self._forms):
                return True
            if data == before:
                return False
        return False

    def _without_beginning(self, data: bytes) -> bytes:
        """The data without the beginning of a secret at its very end."""
        for form in self._forms:
            for length in range(len(form) - 1, _LEAST - 1, -1):
                if data.endswith(form[:length]):
                    return data[:-length] + _MASK
        return data

    def __repr__(self) -> str:
        return HIDDEN


def _negative_length(form: bytes) -> int:
    return -len(form)


def echo_forms(secret: Secret) -> tuple[bytes, ...]:
    """A secret as a receiver may echo it: raw, base64, URL- and JSON-escaped. Empty for one too short to tell apart."""
    text = secret.open()
    if len(text) < _LEAST:
        return ()
    raw = text.encode()
    escaped = msgspec.json.encode(text)[1:-1]
    forms = {
        raw,
        quote(text, safe="").encode(),
        quote(text).encode(),
        quote_plus(text).encode(),
        escaped,
        escaped.replace(b"/", b"\\/"),
        *_in_base64(raw),
        raw.hex().encode(),
        raw.hex().upper().encode(),
    }
    return tuple(forms)


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """The bytes as they look inside longer base64, of both alphabets: three bytes are read at a time, so in three ways."""
    for before in range(3):
        for alphabet in (b"+/", b"-_"):
            encoded = base64.b64encode(bytes(before) + raw, alphabet)
            yield encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]  # whole characters of ours only


def _unescaped(data: bytes) -> bytes:
    """The data with one layer of JSON, HTML and percent escapes undone, as far as there are any."""
    if b"\\" in data:
        data = _ESCAPED.sub(rb"\1", _UNICODE.sub(_character, data))
    if b"&" in data:
        data = html.unescape(data.decode("latin-1")).encode("latin-1", "replace")
    return unquote_to_bytes(data) if b"%" in data else data


def _character(match: re.Match[bytes]) -> bytes:
    return chr(int(match[1], 16)).encode("utf-8", "replace")
