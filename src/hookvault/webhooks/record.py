"""Records calls by natural group commit. A caller is answered after the commit of its row."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import overload
from uuid import UUID

import asyncpg
import msgspec

from hookvault.db.pool import Database
from hookvault.db.writer import Writer
from hookvault.errors import UnavailableError
from hookvault.fault import fault_point
from hookvault.webhooks import store
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.payload import REPLACEMENT
from hookvault.webhooks.tap import Tap

_TEXT_KEPT = 65536
_TRIES = 3
_LATE_S = 30.0
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no text in PostgreSQL can hold

_Waiting = tuple[CallRecord, "asyncio.Future[None]"]


class Recorder(Writer[_Waiting]):
    """The one writer of recorded calls in a process."""

    def __init__(self, database: Database) -> None:
        super().__init__("recording")
        self._database = database
        self._registrar = Registrar(database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.totals = {"success": 0, "failed": 0}
        self.tap = Tap()

    def put(self, call: CallRecord) -> "asyncio.Future[None]":
        """Queues a call; the future ends when its row is committed.

        The future raises UnavailableError, code `recording_unavailable`, when the database stays away.
        """
        loop = self._loop
        if loop is None:  # kept, since asking for the running loop costs a system call in Python 3.11
            loop = self._loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self.closed:  # nobody would ever answer
            self._fail([(call, future)], RuntimeError("the recorder is closed"))
        else:
            self.add((call, future))
        return future

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        fault_point("record.before_commit")
        await write_calls(self._database, [call for call, _ in batch], registrar=self._registrar)
        fault_point("record.after_commit")

    async def _was_written(self, batch: Sequence[_Waiting]) -> bool:
        async with self._database.system_statement() as tx:
            return await store.is_recorded(tx, batch[0][0])

    async def _write_alone(self, item: _Waiting, error: Exception) -> None:  # noqa: ARG002 - whatever it was, text can be stored
        await write_calls(self._database, [as_text(item[0])])

    def _parts(self, batch: Sequence[_Waiting]) -> list[Sequence[_Waiting]]:
        """Each webhook's calls by themselves: a lock that somebody holds on one's counters is no other's trouble."""
        by_webhook: dict[tuple[str, UUID], list[_Waiting]] = {}
        for waiting in batch:
            by_webhook.setdefault((waiting[0].tenant_id, waiting[0].webhook_id), []).append(waiting)
        return list(by_webhook.values())

    def _succeed(self, batch: Sequence[_Waiting]) -> None:
        for call, future in batch:
            self.totals["success" if call.success else "failed"] += 1
            if not future.done():
                future.set_result(None)
        if (tell := self.tap.tell) is not None:
            tell([call for call, _ in batch])

    def _fail(self, batch: Sequence[_Waiting], cause: Exception) -> None:
        for call, future in batch:
            if not future.done():
                error = UnavailableError(
                    "The call was made, but its record could not be committed.",
                    code="recording_unavailable",
                    callId=str(call.retry_of or call.id),
                )
                error.__cause__ = cause
                future.set_exception(error)


class Registrar:
    """Has recorded calls written where they belong: makes days that are missing, and has calls that are late noted.

    Both are rare, so a batch is tried without, and again when the database refuses it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._late_until = 0.0

    async def write(self, calls: Sequence[CallRecord], commit: Callable[[bool], Awaitable[None]]) -> None:
        """Commits calls.

        Args:
            calls: All that are committed.
            commit: Does it, in a transaction; told whether they are late, see `store.record`.
        """
        for _ in range(_TRIES):
            try:
                await commit(time.monotonic() < self._late_until)
            except asyncpg.CheckViolationError:
                # No partition for one of the days: they are made ahead, but a clock may be off or a loop may have slept.
                await make_days(self._database, calls)
            except asyncpg.RaiseError:
                self._late_until = time.monotonic() + _LATE_S  # one late call is seldom alone, as where a clock is slow
            else:
                return
        await commit(True)


async def write_calls(
    database: Database,
    calls: Sequence[CallRecord],
    *,
    counted_already: bool = False,
    registrar: Registrar | None = None,
) -> None:
    """Commits calls, whose days need not exist and which may be late."""

    async def commit(late: bool) -> None:  # noqa: FBT001 - the signature of a commit
        place = database.system() if late else database.system_statement()
        async with place as tx:
            await store.record(tx, calls, counted_already=counted_already, late=late)

    await (registrar or Registrar(database)).write(calls, commit)


async def make_days(database: Database, calls: Sequence[CallRecord]) -> None:
    """Makes the partitions of the days that calls belong to."""
    async with database.system() as tx:
        for moment in {call.timestamp.date(): call.timestamp for call in calls}.values():
            await store.make_day(tx, moment)


def as_text(call: CallRecord) -> CallRecord:
    """The call as it can always be stored: its JSON as JSON strings (for a number of a million digits, say), clean text."""

    def text(data: bytes | None) -> bytes | None:
        if data is None:
            return None
        return msgspec.json.encode(_clean(data[:_TEXT_KEPT].decode("utf-8", "replace")))

    return call._replace(
        request_payload=text(call.request_payload),
        response_body=text(call.response_body),
        metadata=text(call.metadata),
        error_message=_clean(call.error_message),
        triggered_by=_clean(call.triggered_by),
        altered=True,
    )


@overload
def _clean(text: str) -> str: ...
@overload
def _clean(text: None) -> None: ...
def _clean(text: str | None) -> str | None:
    return None if text is None else _UNSTORABLE.sub(REPLACEMENT, text)
