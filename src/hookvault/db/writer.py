"""Natural group commit: one writer takes all that queued while its last commit ran.

The disk's flush and the locks on hot rows are paid once a batch. It is no slower for an item that comes alone.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

import asyncpg

from hookvault.errors import InvalidError, LockedError, UnavailableError
from hookvault.log import get_logger

T = TypeVar("T")

PATIENCE_S = 5.0  # how long callers wait for a database that went away, before they are told so
_PAUSE_S = 0.25
_log = get_logger()


class Writer(ABC, Generic[T]):
    """The base of a process's writers. A subclass says how a batch is written, and what is told to whom afterwards.

    Args:
        name: Of its task, and in the log.
        batch: The most items of one transaction.
        patient: Whether a batch waits for a database that went away for as long as it takes, not PATIENCE_S.
    """

    def __init__(self, name: str, *, batch: int = 1000, patient: bool = False) -> None:
        self._name = name
        self._batch = batch
        self._patient = patient
        self._queue: deque[T] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """Items that wait for their commit."""
        return len(self._queue)

    @property
    def closed(self) -> bool:
        """Whether it will write nothing more."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Starts the writer."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Writes what is queued, then stops."""
        if self._task is not None:
            self._closing = True
            self._wake.set()
            await self._task

    def add(self, item: T) -> None:
        """Queues an item. Whoever built the services for one call need not have started anything."""
        if self._task is None:
            self.start()
        self._queue.append(item)
        self._wake.set()

    @abstractmethod
    async def _write(self, batch: Sequence[T]) -> None:
        """Writes a batch in one transaction."""

    async def _was_written(self, batch: Sequence[T]) -> bool:  # noqa: ARG002 - for subclasses
        """Whether a batch was committed although its answer was lost with the connection."""
        return False

    async def _write_alone(self, item: T, error: Exception) -> None:  # noqa: ARG002 - for subclasses
        """The last try for an item that the database refused. Raises when there is none."""
        raise error

    def _parts(self, batch: Sequence[T]) -> list[Sequence[T]]:
        """A batch in parts that wait for different locks."""
        return [batch]

    @abstractmethod
    def _succeed(self, batch: Sequence[T]) -> None:
        """Tells whoever waits that their items are committed."""

    @abstractmethod
    def _fail(self, batch: Sequence[T], cause: Exception) -> None:
        """Tells whoever waits that their items are not."""

    async def _run(self) -> None:
        while self._queue or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch))]
                try:
                    await self._commit(batch)
                except Exception as error:  # noqa: BLE001 - a worker never dies; the batch's callers are told
                    _log.error(f"{self._name}_failed", error=str(error) or type(error).__name__, items=len(batch))
                    self._fail(batch, error)

    async def _commit(self, batch: Sequence[T]) -> None:
        """Commits a batch; one that the database refuses is halved until the bad item stands alone and fails alone."""
        try:
            await self._insist(batch)
        except LockedError as error:
            parts = self._parts(batch)
            if len(parts) == 1:
                _log.error(f"{self._name}_failed", error=error.message, items=len(batch))
                self._fail(batch, error)
                return
            for part in parts:
                await self._commit(part)
            return
        except (InvalidError, asyncpg.PostgresError) as error:
            await self._divide(batch, error)
            return
        self._succeed(batch)

    async def _divide(self, batch: Sequence[T], error: Exception) -> None:
        if len(batch) == 1:
            await self._write_alone(batch[0], error)
            self._succeed(batch)
            return
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            try:
                await self._commit(half)
            except (InvalidError, asyncpg.PostgresError) as fault:
                self._fail(half, fault)

    async def _insist(self, batch: Sequence[T]) -> None:
        """Writes a batch, waiting out a restart of the database."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        tried = False
        while True:
            try:
                if tried and await self._was_written(batch):
                    return  # the connection was lost after the commit, before its answer
                tried = True
                await self._write(batch)
            except LockedError:
                raise
            except (UnavailableError, asyncpg.DeadlockDetectedError):
                if not self._patient and loop.time() > deadline:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return
