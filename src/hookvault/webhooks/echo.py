"""Takes a webhook's own secrets out of what its receiver answers, should it echo them (pure)."""

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import msgspec

from hookvault.vault.secret import HIDDEN, Secret

_MASK = HIDDEN.encode()
_LEAST = 6  # characters; shorter texts turn up by chance


class Redactor:
    """Knows every usual form of some secrets. Shows none of them, like the boxes that they came in."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret]) -> None:
        forms = {form for secret in secrets for form in echo_forms(secret)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))  # a long form first, lest a part of it be masked alone

    def clean(self, data: bytes, *, truncated: bool = False) -> bytes:
        """The data with `***` in place of each secret, also of one that was cut off at the end of `truncated` data."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, _MASK)
        return self._without_beginning(data) if truncated else data

    def _without_beginning(self, data: bytes) -> bytes:
        """The data without the beginning of a secret at its very end."""
        for form in self._forms:
            for length in range(len(form) - 1, _LEAST - 1, -1):
                if data.endswith(form[:length]):
                    return data[:-length] + _MASK
        return data

    def __repr__(self) -> str:
        return HIDDEN


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
    }
    return tuple(forms)


def _in_base64(raw: bytes) -> Iterator[bytes]:
    """The bytes as they look inside longer base64, of both alphabets: three bytes are read at a time, so in three ways."""
    for before in range(3):
        for alphabet in (b"+/", b"-_"):
            encoded = base64.b64encode(bytes(before) + raw, alphabet)
            yield encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]  # whole characters of ours only
