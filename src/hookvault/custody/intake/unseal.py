"""Opens the former system's ciphertexts, strictly: what is not whole, or not under the key given, has a reason (pure)."""

import re
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hookvault.errors import CipherError
from hookvault.vault.cipher import open_bytes, parse, read_key
from hookvault.vault.mask import looks_masked
from hookvault.vault.secret import Secret

Reason = Literal["malformed", "truncated_tag", "wrong_key", "not_text", "encrypted_twice", "mask"]

REASONS: dict[str, str] = {
    "malformed": "is a ciphertext that was cut or altered: it has not the form {IV}:{AuthTag}:{Encrypted}",
    "truncated_tag": "has an authentication tag of less than 16 bytes, which proves too little",
    "wrong_key": "does not open under the key given: it was made under another one, or altered",
    "not_text": "opens, but holds no UTF-8 text",
    "encrypted_twice": "opens, and holds another ciphertext",
    "mask": "holds a mask instead of a secret",
}

_HEX = "[0-9a-f]"
_STARTS = rf"(?<!{_HEX}){_HEX}{{16,}}:{_HEX}{{8,}}:"  # as a ciphertext does, wherever it stands in the text
_CUT = rf"\A{_HEX}{{24}}(?:{_HEX}{{8}})?:{_HEX}*(?::|\Z)"  # an IV and what is left of the tag
_RESEMBLES = re.compile(f"{_STARTS}|{_CUT}", re.IGNORECASE | re.ASCII)
_SHORT_TAG = re.compile(rf"(?:{_HEX}{{24}}|{_HEX}{{32}}):(?:{_HEX}{{2}}){{4,15}}:({_HEX}*)\Z", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Opened:
    """A field's value, or why there is none. `plain` is whether it stood in the clear."""

    secret: Secret | None = None
    reason: Reason | None = None
    plain: bool = False


class Opener:
    """Opens fields under one key; counts those that opened.

    Args:
        key: 64 hexadecimal characters.

    Raises:
        CipherError: it is not (`invalid_key`).
    """

    __slots__ = ("_aead", "opened")

    def __init__(self, key: Secret) -> None:
        self._aead = AESGCM(read_key(key.open()))
        self.opened = 0

    def open(self, text: str | None, *, nested: bool = False) -> Opened:
        """What a field holds. Null and empty texts, also encrypted ones, are nothing at all.

        A text that resembles no ciphertext is taken as it is: such a system stored some values in the clear.

        Args:
            text: As it is stored.
            nested: Whether what opens may hold ciphertexts itself, as a whole configuration does.
        """
        if text is None or not text.strip():
            return Opened()
        if not resembles_ciphertext(text):
            return Opened(reason="mask") if looks_masked(text) else Opened(Secret(text), plain=True)
        found = self._decrypted(text)
        if found.secret is not None:
            self.opened += 1
        return found if nested else _judged(found)

    def _decrypted(self, text: str) -> Opened:
        try:
            parse(text, allow_upper=True)
        except CipherError:
            short = _SHORT_TAG.match(text)
            return Opened(reason="truncated_tag" if short and len(short[1]) % 2 == 0 else "malformed")
        try:
            return Opened(Secret(open_bytes(self._aead, text.lower(), None).decode()))
        except CipherError:
            return Opened(reason="wrong_key")
        except UnicodeDecodeError:
            return Opened(reason="not_text")


def resembles_ciphertext(text: str) -> bool:
    """Whether a text is, contains, or is the remains of a ciphertext; such a one is never taken for a secret itself."""
    return _RESEMBLES.search("".join(text.split())) is not None


def _judged(found: Opened) -> Opened:
    """What was opened, unless it is nothing that can be kept."""
    if found.secret is None:
        return found
    text = found.secret.open()
    if not text.strip():
        return Opened()
    if resembles_ciphertext(text):
        return Opened(reason="encrypted_twice")
    return Opened(reason="mask") if looks_masked(text) else found
