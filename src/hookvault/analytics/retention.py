"""The loop that makes coming days' partitions and drops the days past retention."""

import asyncio
from contextlib import suppress

from hookvault.analytics.service import AnalyticsService
from hookvault.errors import HookvaultError
from hookvault.log import get_logger

_EVERY_S = 3600.0

_log = get_logger()


class Retention:
    """Runs once at the start and then every hour; safe in many processes at once."""

    def __init__(self, analytics: AnalyticsService, days_to_keep: int) -> None:
        self._analytics = analytics
        self._days_to_keep = days_to_keep
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the loop."""
        self._task = asyncio.create_task(self._run(), name="retention")

    async def close(self) -> None:
        """Stops the loop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._analytics.make_days()
                dropped = await self._analytics.delete_old_webhook_analytics(self._days_to_keep)
                if dropped:
                    _log.info("old_calls_dropped", calls=dropped)
            except HookvaultError as error:
                _log.warning("retention_failed", error=error.message)
            await asyncio.sleep(_EVERY_S)
