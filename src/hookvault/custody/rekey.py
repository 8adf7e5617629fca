"""Rekeying, as after a leak: new data keys, everything sealed anew while the service runs, then the old keys destroyed.

Nothing notes how far it came: each row's key_version says it. So it can be killed anywhere, and whoever is next goes on.
"""

import time
from typing import Any, Literal

from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.custody import store
from hookvault.custody.model import Rekeying, Tally
from hookvault.custody.sealed import store as rows
from hookvault.custody.unseal import reseal
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.fault import fault_point
from hookvault.ids import new_id
from hookvault.log import get_logger
from hookvault.tenants import store as tenants
from hookvault.vault import store as keys
from hookvault.vault.registry import REGISTRY
from hookvault.vault.service import Vault

_ROWS = 250
_TENANTS = 200
_DESTROYED = 20  # tenants at once: nobody seals anything of theirs meanwhile
_LAST_READERS_S = 10.0  # whoever read a row before it was sealed anew has found its key by then
_log = get_logger()

Step = Literal["idle", "busy", "worked", "waiting", "finished"]


class RekeyService:
    """Starts rekeyings, goes on with them, and tells how far they came."""

    def __init__(self, database: Database, vault: Vault, *, last_readers_s: float = _LAST_READERS_S) -> None:
        self._database = database
        self._vault = vault
        self._last_readers_s = last_readers_s
        self._cursor: tuple[int, rows.Cursor] = (0, rows.START)
        self._pass = Tally()
        self._checked, self._left = "", False
        self._job: Any = None

    async def start(self, tenant_id: str | None = None, *, actor: Actor = IN_PROCESS) -> Rekeying:
        """Begins to rekey one tenant, or all; workers go on with it, or whoever calls `step`.

        Raises:
            NotFoundError: code `tenant_not_found`.
            ConflictError: code `rekey_running`, while another one runs.
        """
        async with self._database.system() as tx:
            if tenant_id is not None:
                await tenants.get(tx, tenant_id)
            scope = tenant_id or rows.ALL
            identifier = new_id()
            if not await store.start_job(tx, identifier, scope, await rows.count_rows(tx, scope), actor.label):
                message = "A rekeying runs already. See it with `hookvault keys status`; it can be cancelled."
                raise ConflictError(message, code="rekey_running")
            target = ("tenant", tenant_id) if tenant_id else ("key", "all")
            await audit.record(tx, actor, "rekey.started", target, tenant_id=scope)
            found = await progress_of(tx)
        assert found is not None  # noqa: S101 - stored in this transaction
        return found

    async def progress(self) -> Rekeying | None:
        """The rekeying that runs, or else the last one; None when there never was one."""
        async with self._database.system() as tx:
            return await progress_of(tx)

    async def cancel(self, *, actor: Actor = IN_PROCESS) -> None:
        """Stops the rekeying that runs: what is sealed anew stays so, and the old keys stay.

        Raises:
            NotFoundError: code `no_rekey`, when none runs.
        """
        async with self._database.system() as tx:
            job = await store.running_job(tx)
            if job is None or not await store.end_job(tx, job["id"], "cancelled", 0):
                raise NotFoundError("No rekeying runs.", code="no_rekey")
            await audit.record(tx, actor, "rekey.cancelled", ("rekey", str(job["id"])), tenant_id=job["tenant_id"])

    async def work(self, seconds: float) -> None:
        """Goes on for so long at most, with pauses, so that calls have most of the processor. For workers."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and await self.step() == "worked":
            pass

    async def step(self) -> Step:
        """Goes on by one batch, in one transaction.

        Returns:
            `idle` when there is nothing to do, `busy` when another process is at it, `waiting` when only the end of the last
            readers is waited for, `finished` with the last batch, else `worked`.
        """
        async with self._database.system() as tx:
            job = await store.running_job(tx)
            if job is None:
                return "idle"
            if not await store.run_alone(tx, "rekey"):
                return "busy"
            if self._job != job["id"]:
                self._job = job["id"]
                self._begin_pass()
            step = await self._advance(tx, job)
            fault_point("rekey.before_commit")
        fault_point("rekey.after_commit")
        return step

    async def _advance(self, tx: SystemTx, job: Any) -> Step:
        renewed = await store.list_to_renew(tx, job["started_at"], job["tenant_id"], _TENANTS)
        if renewed:
            await self._vault.renew(tx, renewed)
            return "worked"
        number, after = self._cursor
        if number < len(REGISTRY):
            await self._seal_page(tx, job, number, after)
            return "worked"
        if self._pass.rows or self._pass.missed:  # what writers did meanwhile is looked at again
            self._begin_pass()
            return "worked"
        return await self._finish(tx, job)

    def _begin_pass(self) -> None:
        self._cursor, self._pass = (0, rows.START), Tally()
        self._checked, self._left = "", False

    async def _seal_page(self, tx: SystemTx, job: Any, number: int, after: rows.Cursor) -> None:
        table = REGISTRY[number]
        found = await rows.stale_page(tx, table, after, _ROWS, job["tenant_id"])
        changed, faults = await reseal(tx, self._vault, found)
        swapped = await rows.swap(tx, table, changed) if changed else 0
        self._pass.rows += swapped
        self._pass.missed += len(changed) - swapped
        self._pass.faults += faults
        last = (found[-1][0].tenant_id, found[-1][0].row_id) if len(found) == _ROWS else None
        self._cursor = (number + 1, rows.START) if last is None else (number, last)

    async def _finish(self, tx: SystemTx, job: Any) -> Step:
        """Destroys the old keys that nothing needs any more, a few at a time; then the rekeying is done."""
        faults = self._pass.faults
        kept = {fault.tenant_id for fault in faults}
        ready = await store.list_superseded(tx, self._last_readers_s, self._checked, job["tenant_id"], _DESTROYED)
        for tenant_id, active in ready:
            done = await self._destroyed(tx, tenant_id, active)
            self._left = self._left or not (done or tenant_id in kept)
            self._checked = tenant_id
        if ready:
            return "worked"
        if self._left or await self._still_young(tx, job, kept):
            self._begin_pass()
            return "waiting"
        await store.note_faults(tx, faults, job["started_at"])
        broken = [fault for fault in faults if fault.reason != "key_destroyed"]  # what was shredded is as it should be
        unreadable = len({(fault.tenant_id, fault.table_name, fault.row_id) for fault in broken})
        await store.end_job(tx, job["id"], "finished", unreadable)
        return "finished"

    async def _destroyed(self, tx: SystemTx, tenant_id: str, active: int) -> bool:
        """Destroys a tenant's old keys, unless somebody seals with them just now or a row needs them; whether it did."""
        if not await keys.try_lock_keys(tx, tenant_id) or await rows.is_used(tx, tenant_id, below=active):
            return False
        await self._vault.destroy(tx, tenant_id, below=active)
        return True

    async def _still_young(self, tx: SystemTx, job: Any, kept: set[str]) -> bool:
        young = await store.list_superseded(tx, -60.0, "", job["tenant_id"], len(kept) + 1)
        return any(tenant_id not in kept for tenant_id, _ in young)


async def progress_of(tx: SystemTx) -> Rekeying | None:
    """The rekeying that runs, or else the last one, and how far it came."""
    job = await store.last_job(tx)
    if job is None:
        return None
    done = job["total"]
    if job["state"] != "finished":
        done -= await rows.count_stale(tx, job["tenant_id"])
        if await store.count_to_renew(tx, job["started_at"], job["tenant_id"]):
            done = 0
    fields = {**dict(job), "tenant_id": job["tenant_id"] or None, "done": max(0, done)}
    return Rekeying(**fields)
