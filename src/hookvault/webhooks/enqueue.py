"""Accepts deliveries by natural group commit. Whoever asked is answered after the commit."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from hookvault.admission import store as admission
from hookvault.admission.idempotency import check_same, in_progress
from hookvault.admission.model import KeyUse
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.db.writer import Writer
from hookvault.deliveries import store
from hookvault.deliveries.model import NewDelivery, event
from hookvault.errors import HookvaultError, InvalidError, UnavailableError
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.webhooks.store import make_day


class Accepted(NamedTuple):
    """What a request to deliver came to: its delivery, or the one that an earlier request with its key made."""

    delivery_id: UUID
    deduplicated: bool = False


_Waiting = tuple[NewDelivery, "asyncio.Future[Accepted]"]


class Enqueuer(Writer[_Waiting]):
    """The one writer of new deliveries in a process."""

    def __init__(self, database: Database) -> None:
        super().__init__("enqueueing", batch=500)
        self._database = database
        self._ledger_id = new_id()
        self._written: set[UUID] = set()
        self._refused: dict[UUID, Accepted | HookvaultError] = {}

    def put(self, delivery: NewDelivery) -> "asyncio.Future[Accepted]":
        """Queues a delivery; the future ends when it is committed.

        The future raises ConflictError, code `idempotency_conflict`, or UnavailableError, code `enqueue_unavailable`.
        """
        future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        if self.closed:
            self._fail([(delivery, future)], RuntimeError("closed"))
        else:
            self.add((delivery, future))
        return future

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        first, repeats = _without_repeats([delivery for delivery, _ in batch if delivery.id not in self._written])
        if first:
            fault_point("enqueue.before_commit")
            accepted = await self._accept(first)
            fault_point("enqueue.after_commit")
            self._written |= accepted
            repeats += [delivery for delivery in first if delivery.id not in accepted]
        if repeats:
            await self._find_first(repeats)

    async def _accept(self, deliveries: Sequence[NewDelivery]) -> set[UUID]:
        try:
            async with self._database.system_statement() as tx:
                return await store.accept(tx, deliveries, self._ledger_id)
        except asyncpg.CheckViolationError:  # no partition for the day, see `record.write_calls`
            async with self._database.system() as tx:
                for moment in {delivery.accepted_at.date(): delivery.accepted_at for delivery in deliveries}.values():
                    await make_day(tx, moment)
            async with self._database.system_statement() as tx:
                return await store.accept(tx, deliveries, self._ledger_id)

    async def _find_first(self, repeats: Sequence[NewDelivery]) -> None:
        """Finds the deliveries that keys in use belong to, and notes there that they were asked for again."""
        async with self._database.system() as tx:
            uses = await admission.find_many(tx, sorted({_place(delivery) for delivery in repeats}))
            for delivery in repeats:
                self._refused[delivery.id] = _first_of(delivery, uses.get(_place(delivery)))
            found = [(item.tenant_id, self._refused[item.id]) for item in repeats]
            again = {(tenant_id, first.delivery_id) for tenant_id, first in found if isinstance(first, Accepted)}
            if again:
                await store.append(tx, list(again), event("deduplicated", now()))

    async def _was_written(self, batch: Sequence[_Waiting]) -> bool:
        async with self._database.system_statement() as tx:
            self._written |= await store.list_existing(tx, [delivery for delivery, _ in batch])
        return all(delivery.id in self._written for delivery, _ in batch)

    def _succeed(self, batch: Sequence[_Waiting]) -> None:
        for delivery, future in batch:
            self._written.discard(delivery.id)
            found = self._refused.pop(delivery.id, None) or Accepted(delivery.id)
            if future.done():
                continue
            if isinstance(found, HookvaultError):
                future.set_exception(found)
            else:
                future.set_result(found)

    def _fail(self, batch: Sequence[_Waiting], cause: Exception) -> None:
        for delivery, future in batch:
            self._written.discard(delivery.id)
            self._refused.pop(delivery.id, None)
            if not future.done():
                future.set_exception(_unaccepted(cause))


def _unaccepted(cause: Exception) -> HookvaultError:
    """What whoever asked is told: of a value that can't be stored, it is their fault; of all else, ours."""
    if isinstance(cause, InvalidError):
        return cause
    message = "The delivery could not be committed and was not accepted. Send it again, with an Idempotency-Key."
    error = UnavailableError(message, code="enqueue_unavailable")
    error.__cause__ = cause
    return error


def _first_of(delivery: NewDelivery, use: KeyUse | None) -> Accepted | HookvaultError:
    try:
        if use is None:  # it expired, or its request came to nothing, in this very moment
            raise in_progress()
        check_same(use, delivery.request_hash or b"")
    except HookvaultError as error:
        return error
    return Accepted(use.message_id, deduplicated=True)


def _place(delivery: NewDelivery) -> tuple[str, str]:
    return delivery.tenant_id, delivery.idempotency_key or ""


def _without_repeats(deliveries: Sequence[NewDelivery]) -> tuple[list[NewDelivery], list[NewDelivery]]:
    """Deliveries with no idempotency key twice, and those that repeat one."""
    seen: set[tuple[str, str]] = set()
    first, repeats = [], []
    for delivery in deliveries:
        if delivery.idempotency_key is not None and _place(delivery) in seen:
            repeats.append(delivery)
        else:
            seen.add(_place(delivery))
            first.append(delivery)
    return first, repeats
