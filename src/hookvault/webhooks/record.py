"""Records calls by natural group commit: one writer takes all that queued while its last commit ran.

A caller is answered after the commit of its row. The hot counter's row lock and the disk's flush are paid once a batch, so
this is many times faster than a transaction a call, and no slower for a call that comes alone.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from typing import overload
from uuid import UUID

import asyncpg
import msgspec

from hookvault.db.pool import Database
from hookvault.errors import InvalidError, LockedError, UnavailableError
from hookvault.log import get_logger
from hookvault.webhooks import store
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.payload import REPLACEMENT

_BATCH = 1000
_PATIENCE_S = 5.0  # how long callers wait for a database that went away, before they are told so
_PAUSE_S = 0.25
_TEXT_KEPT = 65536
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what no text in PostgreSQL can hold

_log = get_logger()
_Waiting = tuple[CallRecord, "asyncio.Future[None]"]


class Recorder:
    """The one writer of recorded calls in a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.totals = {"success": 0, "failed": 0}

    @property
    def waiting(self) -> int:
        """Calls that wait for their commit."""
        return len(self._queue)

    def start(self) -> None:
        """Starts the writer."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    async def close(self) -> None:
        """Records what is queued, then stops the writer."""
        if self._task is not None:
            self._closing = True
            self._wake.set()
            await self._task

    def put(self, call: CallRecord) -> "asyncio.Future[None]":
        """Queues a call; the future ends when its row is committed.

        The future raises UnavailableError, code `recording_unavailable`, when the database stays away.
        """
        loop = self._loop
        if loop is None:  # kept, since asking for the running loop costs a system call in Python 3.11
            loop = self._loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self._task is None:
            self.start()  # whoever built the services for one call need not know of this
        if self._task is not None and self._task.done():  # closed: nobody would ever answer
            _fail([(call, future)], RuntimeError("the recorder is closed"))
            return future
        self._queue.append((call, future))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while self._queue or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]
                try:
                    await self._commit(batch)
                except Exception as error:  # noqa: BLE001 - a worker never dies; the batch's callers are told
                    _log.error("recording_failed", error=str(error) or type(error).__name__, calls=len(batch))
                    _fail(batch, error)

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Commits a batch; one that the database refuses is halved until the bad row stands alone and fails alone."""
        calls = [call for call, _ in batch]
        try:
            await self._insist(calls)
        except LockedError as error:
            await self._commit_unlocked(batch, error)
            return
        except (InvalidError, asyncpg.PostgresError):
            if len(batch) == 1:
                await self._insist([_as_text(calls[0])])
                self._succeed(batch)
                return
            middle = len(batch) // 2
            for half in (batch[:middle], batch[middle:]):
                try:
                    await self._commit(half)
                except (InvalidError, asyncpg.PostgresError) as error:
                    _fail(half, error)
            return
        self._succeed(batch)

    async def _commit_unlocked(self, batch: Sequence[_Waiting], cause: LockedError) -> None:
        """Commits each webhook's calls by themselves: a lock that somebody holds on one's counters is no other's trouble."""
        by_webhook: dict[tuple[str, UUID], list[_Waiting]] = {}
        for waiting in batch:
            by_webhook.setdefault((waiting[0].tenant_id, waiting[0].webhook_id), []).append(waiting)
        if len(by_webhook) == 1:
            _log.error("recording_failed", error=cause.message, calls=len(batch), webhook=str(batch[0][0].webhook_id))
            _fail(batch, cause)
            return
        for group in by_webhook.values():
            await self._commit(group)

    async def _insist(self, calls: Sequence[CallRecord]) -> None:
        """Commits calls, waiting out a restart of the database for a few seconds."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        tried = False
        while True:
            try:
                if tried and await self._was_committed(calls[0]):
                    return  # the connection was lost after the commit, before its answer
                tried = True
                await self._write(calls)
            except LockedError:
                raise
            except (UnavailableError, asyncpg.DeadlockDetectedError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def _write(self, calls: Sequence[CallRecord]) -> None:
        try:
            async with self._database.system_statement() as tx:
                await store.record(tx, calls)
        except asyncpg.CheckViolationError:
            # No partition for one of the days: they are made ahead, but a clock may be off or a loop may have slept.
            async with self._database.system() as tx:
                for moment in {call.timestamp.date(): call.timestamp for call in calls}.values():
                    await store.make_day(tx, moment)
            async with self._database.system_statement() as tx:
                await store.record(tx, calls)

    def _succeed(self, batch: Sequence[_Waiting]) -> None:
        for call, future in batch:
            self.totals["success" if call.success else "failed"] += 1
            if not future.done():
                future.set_result(None)

    async def _was_committed(self, call: CallRecord) -> bool:
        async with self._database.system_statement() as tx:
            return await store.is_recorded(tx, call)


def _fail(batch: Sequence[_Waiting], cause: Exception) -> None:
    for call, future in batch:
        if not future.done():
            error = UnavailableError(
                "The call was made, but its record could not be committed.",
                code="recording_unavailable",
                callId=str(call.retry_of or call.id),
            )
            error.__cause__ = cause
            future.set_exception(error)


def _as_text(call: CallRecord) -> CallRecord:
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
