"""Passwords: which are taken, and hashing them beside the event loop, a few at a time."""

import asyncio
import base64
import os
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hookvault.accounts.refused import REFUSED
from hookvault.errors import InvalidError, UnavailableError
from hookvault.vault.secret import Secret

SHORTEST, LONGEST = 12, 1000
_AT_ONCE = 2  # each takes 64 MiB and a good part of a second of a processor
_WAITING = 40
_LEAST_DIFFERENT = 5  # characters


class Passwords:
    """Hashes passwords by argon2id (RFC 9106) and compares them, two at a time in one process.

    Args:
        hasher: With its parameters; the library's own, RFC 9106's for little memory, when absent.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._nobodys = _hash_of_nothing(self._hasher)

    async def hash(self, password: Secret) -> str:
        """The text to store. Raises UnavailableError, code `busy`, when too many wait already."""
        hashed = await self._aside(lambda: self._hasher.hash(_bytes(password)))
        return str(hashed)

    async def matches(self, password: Secret, stored: str | None) -> bool:
        """Whether a password is the one that was stored; where nothing was, it takes the same time to say no.

        Raises:
            UnavailableError: code `busy`, when too many wait already.
        """
        return bool(await self._aside(lambda: self._is(password, stored or self._nobodys)))

    def is_old(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than those of now."""
        return self._hasher.check_needs_rehash(stored)

    def _is(self, password: Secret, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _aside(self, work: object) -> object:
        if self._waiting >= _WAITING:
            raise UnavailableError("Too many are signing in at this moment. Try again in a few seconds.", code="busy")
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work)  # type: ignore[arg-type]
        finally:
            self._waiting -= 1


def check_password(password: Secret, *, email: str, field: str = "password") -> None:
    """Refuses a new password that is too short, too long, or one of the first that anybody would try.

    Raises:
        InvalidError: code `weak_password`; says why, and never quotes it.
    """
    text = unicodedata.normalize("NFKC", password.open())
    plain = text.casefold().strip()
    local = email.casefold().partition("@")[0]
    why = None
    if len(text) < SHORTEST or len(text) > LONGEST:
        why = f"must have {SHORTEST} to {LONGEST} characters"
    elif len(set(plain)) < _LEAST_DIFFERENT:
        why = f"must have {_LEAST_DIFFERENT} different characters or more"
    elif plain in (email.casefold(), local) or _is_made_of(plain, (email.casefold(), local, "hookvault")):
        why = "must not be made of the e-mail address or the name of this service"
    elif plain in REFUSED:
        why = "is one of the first that anybody would try"
    if why:
        errors = [{"field": field, "message": why}]
        raise InvalidError(f"The password {why}. Choose another.", code="weak_password", errors=errors)


def _is_made_of(text: str, words: tuple[str, ...]) -> bool:
    """Whether hardly anything but these words, digits and signs is in it."""
    for word in words:
        if len(word) > 3:
            text = text.replace(word, "")
    return len([character for character in text if character.isalpha()]) < 4 and len(text) < 9


def _bytes(password: Secret) -> bytes:
    # Two keyboards may write one letter as one character or as two.
    return unicodedata.normalize("NFKC", password.open()[: 4 * LONGEST]).encode("utf-8", "surrogatepass")


def _hash_of_nothing(hasher: PasswordHasher) -> str:
    """A hash with the same parameters that no password has, and that costs as much to compare with."""
    salt, made = (
        base64.b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${made}"
