"""Circuit breakers: a webhook whose receiver is in trouble is left alone, then probed, over all processes and restarts.

What counts are the recorded calls of the last minute, whoever made them. They are looked at after a call that broke, so a
healthy webhook costs nothing.
"""

import asyncio
from datetime import timedelta
from uuid import UUID

from hookvault.admission import store as admission
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError, UnavailableError
from hookvault.fault import fault_point
from hookvault.log import get_logger
from hookvault.webhooks import store
from hookvault.webhooks.outcome import WINDOW_S, trips

PROBE_AFTER_S = 30.0
_GATHER_S = 0.05  # broken calls come in swarms: they are looked at together
_REASON = "circuit_open"

_log = get_logger()


class Circuits:
    """Opens, probes and closes the circuits of webhooks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._suspects: set[tuple[str, UUID]] = set()
        self._task: asyncio.Task[None] | None = None

    def note(self, tenant_id: str, webhook_id: UUID) -> None:
        """Says that a recorded call of a webhook broke: its circuit is looked at in a moment."""
        self._suspects.add((tenant_id, webhook_id))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._judge(), name="circuits")

    async def enter(self, tenant_id: str, webhook_id: UUID) -> None:
        """Lets a call through an open circuit if it is time for a probe.

        Raises:
            UnavailableError: code `circuit_open`, with the seconds until the next probe.
        """
        if await self.take_probe(tenant_id, webhook_id):
            return
        async with self._database.tenant(tenant_id) as tx:
            wait = await admission.probe_in(tx, tenant_id, webhook_id)
        if wait is None:
            return  # it closed a moment ago
        message = "Most of the last calls of this webhook failed, so it is left alone for a while. Nothing was sent."
        error = UnavailableError(message, code=_REASON)
        error.retry_after_s = max(wait, 1.0)
        raise error

    async def take_probe(self, tenant_id: str, webhook_id: UUID) -> bool:
        """Whether the caller may make the one call that tries an open circuit."""
        async with self._database.tenant(tenant_id) as tx:
            taken = await admission.take_probe(tx, tenant_id, webhook_id, PROBE_AFTER_S)
        if taken:
            fault_point("probe.after_commit")
        return taken

    async def close(self, tenant_id: str, webhook_id: UUID) -> None:
        """Closes a circuit after a probe that did not break; what was held goes on."""
        fault_point("circuit.before_close")
        async with self._database.tenant(tenant_id) as tx:
            closed = await admission.release(tx, tenant_id, webhook_id, _REASON)
        if closed:
            _log.info("circuit_closed", tenant=tenant_id, webhook=str(webhook_id))

    async def settle(self) -> None:
        """Waits until all that was noted has been looked at."""
        while self._task is not None and not self._task.done():
            await asyncio.wait((self._task,))

    async def _judge(self) -> None:
        while self._suspects:
            await asyncio.sleep(_GATHER_S)
            suspects, self._suspects = self._suspects, set()
            for tenant_id, webhook_id in suspects:
                try:
                    await self._look_at(tenant_id, webhook_id)
                except HookvaultError as error:  # the next broken call is the next chance
                    _log.warning("circuit_unknown", webhook=str(webhook_id), error=error.message)
                except Exception:  # noqa: BLE001 - those behind it are looked at all the same; the log has it whole
                    _log.exception("circuit_unknown", webhook=str(webhook_id))

    async def _look_at(self, tenant_id: str, webhook_id: UUID) -> None:
        async with self._database.tenant(tenant_id) as tx:
            since = now() - timedelta(seconds=WINDOW_S)
            is_open, closed = await admission.read_circuit(tx, tenant_id, webhook_id)
            if is_open:
                return
            calls, broken = await store.count_broken(tx, webhook_id, max(since, closed or since))
            opened = trips(calls, broken) and await admission.hold(
                tx, tenant_id, webhook_id, _REASON, probe_s=PROBE_AFTER_S
            )
            if opened:
                fault_point("circuit.before_commit")
        if opened:
            _log.warning("circuit_opened", tenant=tenant_id, webhook=str(webhook_id), calls=calls, broken=broken)
