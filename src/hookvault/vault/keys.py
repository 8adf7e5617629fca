"""Master keys, their public fingerprints, and the wrapping of tenants' data keys under them.

Nothing is wrapped under ENCRYPTION_KEY itself: the wrapping key, the key of backups' seals and the fingerprint
are derived from it by HKDF (RFC 5869), each under its own label, so that none tells anything of the others or
of version 0 ciphertexts.
"""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hookvault.errors import CipherError, WrongKeyError
from hookvault.vault.cipher import (
    KEY_BYTES,
    exact_key,
    length_prefixed,
    open_bytes,
    parse,
    read_key,
    seal_bytes,
)
from hookvault.vault.secret import Secret

FINGERPRINT_INFO = b"hookvault/kcv/v1"
WRAPPING_INFO = b"hookvault/kek/v1"
MANIFEST_INFO = b"hookvault/manifest/v1"
DATA_KEY_LABEL = b"hookvault/data-key/v1"


def new_data_key() -> bytes:
    """32 random bytes for a tenant's fields."""
    return os.urandom(KEY_BYTES)


def fingerprint(key: bytes) -> str:
    """A master key's public name, `mk_` and 16 hex digits: it tells keys apart and nothing about them.

    Raises:
        CipherError: the key has not 32 bytes (`invalid_key`).
    """
    return "mk_" + _derived(exact_key(key), FINGERPRINT_INFO, length=8).hex()


class MasterKey:
    """One ENCRYPTION_KEY, shown only as its fingerprint.

    Args:
        hex: 64 hexadecimal characters.

    Attributes:
        fingerprint: See `fingerprint`.
        raw_hex: The key itself in lower case, for version 0 ciphertexts.

    Raises:
        CipherError: it is not 64 hexadecimal characters (`invalid_key`).
    """

    __slots__ = ("_manifest", "_wrapping", "fingerprint", "raw_hex")

    def __init__(self, hex: str | Secret) -> None:  # noqa: A002 - says the form that is wanted
        text = hex.open() if isinstance(hex, Secret) else hex
        if not isinstance(text, str):
            raise CipherError("a master key is given as 64 hexadecimal characters", code="invalid_key")
        key = read_key(text)
        self.fingerprint = fingerprint(key)
        self.raw_hex = Secret(text.lower())
        self._wrapping = AESGCM(_derived(key, WRAPPING_INFO, length=KEY_BYTES))
        self._manifest = _derived(key, MANIFEST_INFO, length=KEY_BYTES)

    def __repr__(self) -> str:
        return f"MasterKey({self.fingerprint})"

    def manifest_key(self) -> bytes:
        """32 bytes that authenticate backups (HMAC) and do nothing else."""
        return self._manifest

    def wrap(self, data_key: bytes, *, tenant_id: str, version: int) -> str:
        """The data key in the form `{IV}:{AuthTag}:{Encrypted}`, bound to its tenant and version.

        Raises:
            CipherError: the data key has not 32 bytes (`invalid_key`).
        """
        return seal_bytes(self._wrapping, exact_key(data_key), _place(tenant_id, version))

    def unwrap(self, wrapped: str, *, tenant_id: str, version: int) -> bytes:
        """The data key, 32 bytes.

        Raises:
            CipherError: it is not a wrapped key (`malformed_ciphertext`).
            WrongKeyError: it was wrapped under another master key, or for another tenant or version, or was
                altered.
        """
        encrypted = parse(wrapped)[2]
        if len(encrypted) != KEY_BYTES:
            raise CipherError(
                f"version {version} of the data key of tenant {tenant_id!r} has {len(encrypted)} bytes, "
                f"not {KEY_BYTES}",
                code="malformed_ciphertext",
            )
        try:
            return open_bytes(self._wrapping, wrapped, _place(tenant_id, version))
        except CipherError:
            raise WrongKeyError(
                f"version {version} of the data key of tenant {tenant_id!r} does not open under master key "
                f"{self.fingerprint}: it was wrapped under another ENCRYPTION_KEY, moved here "
                "from another tenant or version, or altered"
            ) from None


class KeyRing:
    """The master keys that this process holds; the one needed is found by fingerprint, not by its name.

    Args:
        current: ENCRYPTION_KEY.
        next: ENCRYPTION_KEY_NEXT, while keys are rotated.
        previous: ENCRYPTION_KEY_PREVIOUS, until it is retired.
    """

    __slots__ = ("_held", "current", "next", "previous")

    def __init__(
        self,
        current: MasterKey,
        *,
        next: MasterKey | None = None,  # noqa: A002 - the setting's own word
        previous: MasterKey | None = None,
    ) -> None:
        self.current = current
        self.next = next
        self.previous = previous
        named = {"ENCRYPTION_KEY": current, "ENCRYPTION_KEY_NEXT": next, "ENCRYPTION_KEY_PREVIOUS": previous}
        self._held = {name: key for name, key in named.items() if key is not None}

    def __repr__(self) -> str:
        return f"KeyRing({self._names()})"

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of all keys held, each once: current, next, previous."""
        return tuple(dict.fromkeys(key.fingerprint for key in self._held.values()))

    def by_fingerprint(self, fp: str) -> MasterKey:
        """The key with this fingerprint.

        Raises:
            WrongKeyError: it isn't held; the message and the members `needed` and `held` name the
                fingerprints.
        """
        for key in self._held.values():
            if key.fingerprint == fp:
                return key
        raise WrongKeyError(
            f"master key {fp} is needed, and this process holds {self._names()}: set the ENCRYPTION_KEY "
            f"whose fingerprint is {fp}, or give it as ENCRYPTION_KEY_PREVIOUS",
            needed=fp,
            held=list(self.fingerprints),
        )

    def _names(self) -> str:
        return ", ".join(f"{key.fingerprint} ({name})" for name, key in self._held.items())


def _derived(key: bytes, info: bytes, *, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(key)


def _place(tenant_id: str, version: int) -> bytes:
    return length_prefixed(DATA_KEY_LABEL, tenant_id.encode(), str(int(version)).encode())
