"""Random tokens for cookies and links: shown once, kept as a hash."""

import hashlib
import hmac
import secrets

from hookvault.vault.secret import Secret

_LABEL = b"hookvault/accounts/v1"


def new_token() -> Secret:
    """256 random bits, as 43 characters for a URL."""
    return Secret(secrets.token_urlsafe(32))


def token_hash(token: Secret | str) -> bytes:
    """What is stored of a token. There is nothing to guess in 256 bits, so a plain SHA-256 is enough."""
    text = token.open() if isinstance(token, Secret) else token
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Signer:
    """Keyed hashes under SESSION_SECRET, each for one purpose only.

    Args:
        secret: Any text that nobody else knows.
    """

    def __init__(self, secret: Secret) -> None:
        self._key = hmac.digest(secret.open().encode(), _LABEL, "sha256")

    def digest(self, purpose: str, *parts: str) -> bytes:
        """32 bytes that say whether two lists of texts are the same, and to nobody else what they are."""
        whole = "".join(f"{len(part)}:{part}" for part in (purpose, *parts))
        return hmac.digest(self._key, whole.encode("utf-8", "surrogatepass"), "sha256")
