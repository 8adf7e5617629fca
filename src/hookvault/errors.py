"""Every error that Hookvault raises on purpose. Edges translate them once: the API into problem+json, the CLI into one line.

    HookvaultError                 500  our own fault, never meant to be seen
    ├── InvalidError               422  the input is not acceptable; says which part and why
    │   └── MalformedError         400  the input can't even be read (not JSON, not UTF-8)
    ├── TooLargeError              413  longer or deeper than allowed
    ├── UnauthorizedError          401  no valid key
    ├── ForbiddenError             403  a valid key that may not do this
    ├── NotFoundError              404  no such thing, or not in this tenant
    ├── ConflictError              409  the thing exists, or its state forbids this
    ├── PreconditionError          412  If-Match names another version
    ├── TooManyRequestsError       429  over a rate or concurrency limit; says when to try again
    ├── UnavailableError           503  try again later; nothing was changed
    │   └── LockedError                 a row is locked by another session
    ├── VaultError                 409  a stored secret could not be sealed or opened, and must be entered again
    │   ├── CipherError                 not a ciphertext, or not under this key
    │   └── WrongKeyError               the database needs another ENCRYPTION_KEY
    └── SetupError                  -   the service can't start: settings, database, binaries

A message says what is wrong, where, and what to do. It never holds a secret: no error takes a value that came in
a secret's place.
"""

from typing import Any, ClassVar


class HookvaultError(Exception):
    """Base of all errors below.

    Args:
        message: One sentence for a person: what is wrong and what to do.
        code: Stable machine-readable code; the class's own when absent.
        members: Further members of the problem document (RFC 9457 section 3.2), such as `callId`.

    `retry_after_s` is when it is worth trying again, where that is known (RFC 9110 section 10.2.3).
    """

    default_code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retry_after_s: float | None = None

    def __init__(self, message: str, *, code: str | None = None, **members: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.members = members


class InvalidError(HookvaultError):
    """The input was understood and is not acceptable. `errors` may list `{"field", "message"}`."""

    default_code = "invalid_input"
    status = 422


class MalformedError(InvalidError):
    """The input could not be read at all."""

    default_code = "malformed_body"
    status = 400


class TooLargeError(HookvaultError):
    """The input is longer or more deeply nested than allowed."""

    default_code = "payload_too_large"
    status = 413


class UnauthorizedError(HookvaultError):
    """No key, or not a valid one."""

    default_code = "unauthorized"
    status = 401


class ForbiddenError(HookvaultError):
    """The key is valid and may not do this."""

    default_code = "forbidden"
    status = 403


class NotFoundError(HookvaultError):
    """No such thing, or not in this tenant; the two are not told apart."""

    default_code = "not_found"
    status = 404


class ConflictError(HookvaultError):
    """The thing exists already, or its present state forbids this."""

    default_code = "conflict"
    status = 409


class PreconditionError(HookvaultError):
    """If-Match names a version that is no longer the present one (RFC 9110 section 13.1.1)."""

    default_code = "version_mismatch"
    status = 412


class TooManyRequestsError(HookvaultError):
    """More calls than a limit allows, per time or at once."""

    default_code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after_s: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class UnavailableError(HookvaultError):
    """Something that this needs is not reachable now."""

    default_code = "unavailable"
    status = 503
    retry_after_s = 1.0


class LockedError(UnavailableError):
    """Another session of the database holds a lock for longer than we wait."""

    default_code = "database_locked"


class VaultError(HookvaultError):
    """A secret could not be sealed or opened."""

    default_code = "vault_error"
    status = 409


class CipherError(VaultError):
    """The text is not a ciphertext of ours, or was not made under this key and for this place."""

    default_code = "cipher_error"


class WrongKeyError(VaultError):
    """The database's secrets were sealed under another ENCRYPTION_KEY."""

    default_code = "wrong_key"


class SetupError(HookvaultError):
    """The service can't start as it is set up; the message says how to mend it."""

    default_code = "setup_error"
