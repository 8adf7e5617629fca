"""AES-256-GCM (NIST SP 800-38D) in the stored form `{IV}:{AuthTag}:{Encrypted}`, all lower-case hex.

`encrypt` and `decrypt` are "version 0": the master key itself and no associated data, which is byte for byte
what Node's `crypto` makes and reads. What the service stores goes through `FieldCipher` instead, with a
tenant's data key and the place the value belongs to as associated data.
"""

import os
import re
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hookvault.errors import CipherError, InvalidError, SetupError
from hookvault.vault.secret import Secret

KEY_VARIABLE = "ENCRYPTION_KEY"
KEY_BYTES = 32
IV_BYTES = 12
TAG_BYTES = 16
FIELD_LABEL = b"hookvault/field/v1"
_length = struct.Struct(">I").pack

# Node takes tags of 4 bytes and skips what isn't hex, bytes.fromhex skips white space: so the text is matched
# first. The last part is a plain run of digits, its evenness checked apart, which is linear where a repeated
# group is not.
_STORED = re.compile(r"([0-9a-f]{24}|[0-9a-f]{32}):([0-9a-f]{32}):([0-9a-f]*)\Z")
_STORED_ANY_CASE = re.compile(_STORED.pattern, re.IGNORECASE | re.ASCII)
_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
_KEY_ADVICE = "make one with: hookvault keys generate"


def encrypt(text: str, key: str | bytes | None = None) -> str:
    """The text as version 0 ciphertext, under a fresh random 12-byte IV.

    Args:
        text: What to encrypt; may be empty.
        key: 64 hex characters or 32 bytes; None takes ENCRYPTION_KEY from the environment. One key may
            encrypt 2**32 times (SP 800-38D section 8.3).

    Raises:
        InvalidError: the text is not valid Unicode, such as a lone surrogate.
        SetupError: ENCRYPTION_KEY is unset or malformed.
        CipherError: the given key is malformed (`invalid_key`).
    """
    return seal_bytes(AESGCM(read_key(key)), _utf8(text), None)


def decrypt(text: str, key: str | bytes | None = None) -> str:
    """The plaintext of a version 0 ciphertext, made here or by Node's `crypto`.

    Raises:
        CipherError: `malformed_ciphertext` if it hasn't the stored form, `cipher_error` if it doesn't open
            under this key or isn't text, `invalid_key` for a malformed key. The message holds neither
            ciphertext nor key.
        SetupError: ENCRYPTION_KEY is needed and unset or malformed.
    """
    return _text(open_bytes(AESGCM(read_key(key)), text, None))


def parse(text: str, *, allow_upper: bool = False) -> tuple[bytes, bytes, bytes]:
    """The IV (12 or 16 bytes), tag (16 bytes) and encrypted bytes of a stored ciphertext.

    Args:
        text: `{IV}:{AuthTag}:{Encrypted}`, nothing before, between or after.
        allow_upper: Take upper-case hex too, which only an import should.

    Raises:
        CipherError: `malformed_ciphertext`.
    """
    if not allow_upper and isinstance(text, str) and (quick := _parsed(text)) is not None:
        return quick
    pattern = _STORED_ANY_CASE if allow_upper else _STORED
    found = pattern.match(text) if isinstance(text, str) else None
    if found is None or len(found[3]) % 2:
        raise CipherError(
            "this is not a ciphertext of the form {IV}:{AuthTag}:{Encrypted} in lower-case hex "
            "with an IV of 12 or 16 bytes and a tag of 16; it was cut, altered or never encrypted",
            code="malformed_ciphertext",
        )
    return bytes.fromhex(found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3])


def _parsed(text: str) -> tuple[bytes, bytes, bytes] | None:
    """What we seal ourselves, in a quarter of the time; None for all else, such as an IV of 16 bytes or what is malformed."""
    if text[24:25] != ":" or text[57:58] != ":":
        return None
    digits = text[:24] + text[25:57] + text[58:]
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    if raw.hex() != digits:  # upper case, or white space that fromhex takes
        return None
    return raw[:IV_BYTES], raw[IV_BYTES : IV_BYTES + TAG_BYTES], raw[IV_BYTES + TAG_BYTES :]


def is_ciphertext(text: str) -> bool:
    """Whether a text has the stored form, exactly and in lower case; it says nothing of who made it."""
    found = _STORED.match(text) if isinstance(text, str) else None
    return found is not None and len(found[3]) % 2 == 0


def read_key(key: str | bytes | None) -> bytes:
    """The 32 bytes of a key given as 64 hex characters, as bytes, or not at all: then ENCRYPTION_KEY.

    Raises:
        SetupError: ENCRYPTION_KEY is unset or malformed; the message says how to make one.
        CipherError: the given key is malformed (`invalid_key`); the message never has the key.
    """
    if key is None:
        return _key_of_environment()
    if isinstance(key, bytes):
        return exact_key(key)
    if not isinstance(key, str) or not _KEY.match(key):
        raise CipherError(f"a key is exactly 64 hexadecimal characters; {_KEY_ADVICE}", code="invalid_key")
    return bytes.fromhex(key)


def exact_key(key: bytes) -> bytes:
    """The key itself, if it is 32 bytes; unlike `read_key` it never falls back to the environment.

    Raises:
        CipherError: it isn't (`invalid_key`).
    """
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise CipherError(f"a key is exactly {KEY_BYTES} bytes", code="invalid_key")
    return key


def _key_of_environment() -> bytes:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise SetupError(f"{KEY_VARIABLE}: not set, and no key was given; {_KEY_ADVICE}")
    if not _KEY.match(key):
        raise SetupError(f"{KEY_VARIABLE}: must be exactly 64 hexadecimal characters; {_KEY_ADVICE}")
    return bytes.fromhex(key)


def place_data(table: str, row_id: str, field: str) -> bytes:
    """The place a value belongs to, as bytes that no other place has; followed by `tenant_data` it is the associated data.

    Each part is preceded by its length, since plain joining would make `ab|c` and `a|bc` the same. `row_id`
    must be written alike at sealing and opening, for a UUID its lower-case `str()`.

    Raises:
        InvalidError: a part is not valid Unicode.
    """
    return length_prefixed(FIELD_LABEL, _utf8(table), _utf8(row_id), _utf8(field))


def tenant_data(tenant_id: str, key_version: int) -> bytes:
    """The end of the associated data, the same for all that one version of a tenant's key seals."""
    return length_prefixed(_utf8(tenant_id), _utf8(str(int(key_version))))


def length_prefixed(*parts: bytes) -> bytes:
    """The parts, each after its length as 4 bytes big-endian, so that no two lists of parts give the same."""
    return b"".join([_length(len(part)) + part for part in parts])


def seal_bytes(aead: AESGCM, plaintext: bytes, aad: bytes | None) -> str:
    """The plaintext in the stored form, under a fresh random IV: a repeated one would give the key away."""
    iv = os.urandom(IV_BYTES)
    sealed = aead.encrypt(iv, plaintext, aad)
    return f"{iv.hex()}:{sealed[-TAG_BYTES:].hex()}:{sealed[:-TAG_BYTES].hex()}"


def open_bytes(aead: AESGCM, text: str, aad: bytes | None) -> bytes:
    """The plaintext of a text in the stored form.

    Raises:
        CipherError: `malformed_ciphertext`, or `cipher_error` when key, associated data or any bit of it
            differs.
    """
    iv, tag, encrypted = parse(text)
    try:
        return aead.decrypt(iv, encrypted + tag, aad)
    except InvalidTag:
        raise CipherError(
            "the ciphertext does not open: it was made under another key, belongs to another place, or was altered"
        ) from None


class FieldCipher:
    """Seals and opens one tenant's fields under one data key.

    Args:
        key: The data key, 32 bytes.

    Raises:
        CipherError: the key has another length (`invalid_key`).
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(exact_key(key))

    def seal(self, plaintext: str, aad: bytes) -> str:
        """The plaintext in the stored form, bound to `aad` (see `place_data`).

        Raises:
            InvalidError: the plaintext is not valid Unicode.
            CipherError: `aad` is empty, so that the value would fit everywhere.
        """
        return seal_bytes(self._aead, _utf8(plaintext), _bound(aad))

    def open(self, ciphertext: str, aad: bytes) -> Secret:
        """The plaintext, boxed.

        Raises:
            CipherError: `malformed_ciphertext`, or `cipher_error` when it is not this key's or not this
                place's.
        """
        return Secret(_text(open_bytes(self._aead, ciphertext, _bound(aad))))


def _bound(aad: bytes) -> bytes:
    if not aad:
        raise CipherError("a stored field is always bound to its place; the associated data is empty")
    return aad


def _utf8(text: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidError(f"only text can be encrypted, not {type(text).__name__}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass  # raised below, out of the handler: this error carries the whole text and would stay as context
    raise InvalidError("the text is not valid Unicode (it has a lone surrogate) and can't be encrypted")


def _text(plaintext: bytes) -> str:
    try:
        return plaintext.decode()
    except UnicodeDecodeError:
        pass  # as above: the error would carry the plaintext
    raise CipherError("the ciphertext opens, but what it holds is not UTF-8 text")
