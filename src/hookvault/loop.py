"""Work that a process does again and again in the background."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from hookvault.errors import HookvaultError
from hookvault.log import get_logger

_log = get_logger()


class Loop:
    """Does one thing at the start and then at an interval, until it is closed. What fails is logged and tried again."""

    def __init__(self, name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._every_s = every_s
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the loop."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Stops the loop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except HookvaultError as error:
                _log.warning("loop_failed", loop=self._name, code=error.code, error=error.message)
            except Exception:  # noqa: BLE001 - a loop never dies; the log has it whole
                _log.exception("loop_failed", loop=self._name)
            await asyncio.sleep(self._every_s)
