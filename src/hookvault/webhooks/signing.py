"""Standard Webhooks signatures, version v1 (symmetric): https://www.standardwebhooks.com (pure)."""

import base64
import binascii
import hmac
import secrets

from hookvault.vault.secret import HIDDEN, Secret

PREFIX = "whsec_"
_KEY_BYTES = 32


def new_signing_secret() -> Secret:
    """A fresh secret: `whsec_` and 32 random bytes in base64."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode())


def signing_key(secret: Secret) -> bytes:
    """The key bytes of a signing secret.

    Raises:
        ValueError: not `whsec_` and base64.
    """
    text = secret.open()
    if not text.startswith(PREFIX):
        raise ValueError("A signing secret begins with whsec_.")
    try:
        return base64.b64decode(text[len(PREFIX) :], validate=True)
    except binascii.Error:
        raise ValueError("A signing secret is whsec_ and base64.") from None


class Signer:
    """Signs with one secret, decoded once. Shows nothing of it."""

    __slots__ = ("_key",)

    def __init__(self, secret: Secret) -> None:
        self._key = signing_key(secret)

    def sign(self, message_id: str, timestamp: int | str, body: bytes) -> str:
        """As the function `sign`, with this secret."""
        return sign(self._key, message_id, timestamp, body)

    def __repr__(self) -> str:
        return HIDDEN


def sign(key: bytes, message_id: str, timestamp: int | str, body: bytes) -> str:
    """The value of `webhook-signature` for one message: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`.

    Args:
        key: The key bytes of the signing secret.
        message_id: The value of `webhook-id`.
        timestamp: Unix seconds, the value of `webhook-timestamp`.
        body: The exact bytes sent.
    """
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(signed).decode()
