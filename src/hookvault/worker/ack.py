"""Commits how deliveries went: the call's record, its counters, the job, the story and the ledger, in one transaction."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from hookvault.db.pool import Database, SystemTx
from hookvault.db.writer import Writer
from hookvault.deliveries import store as deliveries
from hookvault.deliveries.model import Kept
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.log import get_logger
from hookvault.queue import store as queue
from hookvault.queue.ending import store as finish
from hookvault.queue.model import Ack, Lane
from hookvault.webhooks import store as webhooks
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.record import Registrar, as_text
from hookvault.webhooks.tap import Tap

_PUT_OFF_S = 1.0
_log = get_logger()


class Outcome(NamedTuple):
    """What became of a claimed job. `call` is None where it was not called; `lane` is its ordering key's.

    `kept` replaces the payload of one that is delivered, where the webhook's policy keeps less of it.
    """

    call: CallRecord | None
    ack: Ack
    lane: Lane | None
    webhook_id: UUID
    broken: bool = False
    gone: bool = False
    kept: Kept | None = None


class Acks(Writer[Outcome]):
    """The one writer of outcomes in a process. It waits for a database that is away as long as it takes.

    Args:
        database: Where.
        committed: Told of every batch that is committed.
    """

    def __init__(self, database: Database, committed: Callable[[Sequence[Outcome]], None]) -> None:
        super().__init__("acknowledging", batch=500, patient=True)
        self._database = database
        self._registrar = Registrar(database)
        self._committed = committed
        self._ledger_id = new_id()
        self._put_off = 0
        self.tap = Tap()

    @property
    def waiting(self) -> int:
        """Outcomes that wait for their commit."""
        return len(self._queue) + self._put_off

    async def _write(self, batch: Sequence[Outcome]) -> None:
        calls = [outcome.call for outcome in batch if outcome.call is not None]
        await self._registrar.write(calls, lambda late: self._commit_once(batch, late=late))

    async def _commit_once(self, batch: Sequence[Outcome], *, late: bool) -> None:
        try:
            await self._commit_as_one(batch, late=late)
        except finish.UntoldError as error:
            # Undone, and done anew; but a story that somebody removed must not hold up the others for ever.
            _log.error("stories_untold", missing=error.missing, deliveries=[str(outcome.ack.id) for outcome in batch])
            await self._commit_as_one(batch, late=late, strict=False)

    async def _commit_as_one(self, batch: Sequence[Outcome], *, late: bool, strict: bool = True) -> None:
        async with self._database.system() as tx:
            await self._write_in(tx, batch, late=late, strict=strict)
            fault_point("ack.before_commit")
        fault_point("ack.after_commit")

    async def _write_in(self, tx: SystemTx, batch: Sequence[Outcome], *, late: bool, strict: bool) -> None:
        lanes = [outcome.lane for outcome in batch if outcome.lane is not None and outcome.ack.status != "pending"]
        if lanes:
            await queue.lock_lanes(tx, lanes)
        calls = [outcome.call for outcome in batch if outcome.call is not None]
        if calls:
            await webhooks.record(tx, calls, late=late)
            fault_point("ack.between_writes")
        await finish.ack(tx, [outcome.ack for outcome in batch], self._ledger_id, strict=strict)
        kept = [outcome.kept for outcome in batch if outcome.kept is not None]
        if kept:
            await deliveries.strip(tx, kept)
        if lanes:
            await queue.advance(tx, lanes)

    async def _was_written(self, batch: Sequence[Outcome]) -> bool:
        """By the first record: an ack written twice does nothing the second time, a record would stand in its own way."""
        call = next((outcome.call for outcome in batch if outcome.call is not None), None)
        if call is None:
            return False
        async with self._database.system_statement() as tx:
            return await webhooks.is_recorded(tx, call)

    async def _write_alone(self, item: Outcome, error: Exception) -> None:
        if item.call is None:
            raise error
        await self._write([item._replace(call=as_text(item.call))])

    def _parts(self, batch: Sequence[Outcome]) -> list[Sequence[Outcome]]:
        by_webhook: dict[UUID, list[Outcome]] = {}
        for outcome in batch:
            by_webhook.setdefault(outcome.webhook_id, []).append(outcome)
        return list(by_webhook.values())

    def _succeed(self, batch: Sequence[Outcome]) -> None:
        self._committed(batch)
        if (tell := self.tap.tell) is not None:
            tell([outcome.call for outcome in batch if outcome.call is not None])

    def _fail(self, batch: Sequence[Outcome], cause: Exception) -> None:  # noqa: ARG002 - logged by the base already
        """Tries again later: what was called stays called, and must not be forgotten."""
        self._put_off += len(batch)
        asyncio.get_running_loop().call_later(_PUT_OFF_S, self._again, batch)

    def _again(self, batch: Sequence[Outcome]) -> None:
        self._put_off -= len(batch)
        for outcome in batch:
            self.add(outcome)
