"""Idempotency keys: the same key and request give the first answer, however often it is asked."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hookvault.admission import store
from hookvault.admission.model import KeyUse
from hookvault.db.pool import Database
from hookvault.errors import ConflictError, InvalidError

_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that this caller carries out. `taken_over` when the process that began it died over it."""

    message_id: UUID
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered before."""

    message_id: UUID
    answer: Any


class IdempotencyKeys:
    """The keys of requests that are answered at once: one of them runs, the others wait for its answer or are refused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, place: tuple[str, str], request_hash: bytes, message_id: UUID, lock_s: float
    ) -> Begun | Answered:
        """Takes a key (tenant and key) for a request, or finds what became of it.

        Args:
            place: The tenant and the key.
            request_hash: Of the request; see `hash_request`.
            message_id: The id that the request will go by.
            lock_s: After which whoever holds the key is taken for dead.

        Raises:
            ConflictError: `idempotency_conflict` for another request, `idempotency_in_progress` while it runs.
        """
        async with self._database.tenant(place[0]) as tx:
            if await store.begin(tx, place, request_hash, message_id, lock_s):
                return Begun(message_id)
            use = await store.find(tx, *place)
            if use is None:  # it expired, or its request came to nothing, between the two statements
                raise in_progress()
            check_same(use, request_hash)
            if use.answer is not None:
                return Answered(use.message_id, use.answer)
            if use.running or not await store.take_over(tx, *place, lock_s):
                raise in_progress()
            return Begun(use.message_id, taken_over=True)

    async def find(self, place: tuple[str, str], request_hash: bytes) -> Answered | None:
        """What a request with this key (tenant and key) was answered; None when there is no answer.

        Raises:
            ConflictError: `idempotency_conflict`.
        """
        async with self._database.tenant(place[0]) as tx:
            use = await store.find(tx, *place)
        if use is None or use.expired:
            return None
        check_same(use, request_hash)
        return Answered(use.message_id, use.answer)

    async def finish(self, place: tuple[str, str], message_id: UUID, answer: Any) -> None:
        """Keeps a request's answer for 24 hours."""
        async with self._database.tenant(place[0]) as tx:
            await store.finish(tx, place, message_id, answer)

    async def forget(self, place: tuple[str, str], message_id: UUID) -> None:
        """Frees the key of a request that came to nothing, so that it can be tried again."""
        async with self._database.tenant(place[0]) as tx:
            await store.forget(tx, place, message_id)


def check_key(key: str) -> None:
    """Refuses what can't be an idempotency key. Raises InvalidError, code `invalid_idempotency_key`."""
    if not _KEY.match(key):
        message = "Idempotency-Key must have 1 to 255 printable ASCII characters without spaces."
        raise InvalidError(message, code="invalid_idempotency_key")


def check_same(use: KeyUse, request_hash: bytes) -> None:
    """Refuses a key that was used for another request. Raises ConflictError, code `idempotency_conflict`."""
    if use.request_hash != request_hash:
        message = "This Idempotency-Key was used for another request within 24 hours. Use a new key for a new request."
        raise ConflictError(message, code="idempotency_conflict")


def hash_request(parts: Sequence[bytes | str | float | None]) -> bytes:
    """SHA-256 over what makes two requests the same, each part with its length, so that none runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def in_progress() -> ConflictError:
    """The error for a key whose request still runs."""
    error = ConflictError(
        "A request with this Idempotency-Key is still running. Ask again for its answer in a moment.",
        code="idempotency_in_progress",
    )
    error.retry_after_s = 1.0
    return error
