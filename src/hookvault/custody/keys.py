"""The master keys: which there are, making another one the active, retiring one; and destroying a tenant's data keys."""

from datetime import timedelta

from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import iso, now
from hookvault.custody import store
from hookvault.custody.model import Holder, KeysStatus, MasterKeyStatus, Rotation
from hookvault.custody.presence import list_behind
from hookvault.custody.rekey import progress_of
from hookvault.custody.sealed import store as rows
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import ConflictError, NotFoundError
from hookvault.fault import fault_point
from hookvault.tenants import store as tenants
from hookvault.vault import store as keys
from hookvault.vault.keys import MasterKey
from hookvault.vault.service import Vault

_NO_NEXT = (
    "ENCRYPTION_KEY_NEXT is not set. Make a key with `hookvault keys generate`, give it to every process, then rotate."
)


class KeyService:
    """The questions and commands on master keys.

    Args:
        database: Where.
        vault: Holds the master keys of this process.
        days: How long backups are kept, in days: a key that opens a younger one is still needed.
    """

    def __init__(self, database: Database, vault: Vault, *, days: int) -> None:
        self._database = database
        self._vault = vault
        self._days = days

    async def status(self) -> KeysStatus:
        """Every master key known with its uses, the living processes, the last rekeying and the last scan."""
        held = self._vault.ring.fingerprints
        async with self._database.system() as tx:
            history, uses = await keys.list_master_keys(tx), await keys.count_data_keys(tx)
            known = tuple(
                MasterKeyStatus(
                    **{name: getattr(key, name) for name in key.__slots__},
                    data_keys=uses.get(key.fingerprint, 0),
                    held=key.fingerprint in held,
                )
                for key in history
            )
            living = tuple(await store.list_living(tx))
            return KeysStatus(known, living, await progress_of(tx), await store.last_scan(tx))

    async def rotate(self, *, actor: Actor = IN_PROCESS) -> Rotation:
        """Makes ENCRYPTION_KEY_NEXT the active master key: every data key is wrapped anew, in one transaction.

        Calls go on meanwhile. The key before stays held as long as processes are given it, and opens old backups. Done twice
        it changes nothing.

        Raises:
            ConflictError: `no_next_key`, `key_retired`, or `key_not_everywhere`, naming the living processes that do not hold
                the next key.
            WrongKeyError: a data key is wrapped under a master key that is not held here.
        """
        async with self._database.system() as tx:
            await keys.lock_master(tx)
            before = await keys.active_fingerprint(tx) or self._vault.ring.current.fingerprint
            target = self._target(before)
            if target.fingerprint == before:
                return Rotation(before, before, 0)
            await _refuse_retired(tx, target)
            _refuse_behind(target.fingerprint, await list_behind(tx, target.fingerprint))
            rewrapped = await self._vault.rewrap(tx, target)
            fault_point("rotate.between_writes")
            await keys.activate_master(tx, target.fingerprint)
            detail = {"previous": before, "active": target.fingerprint, "dataKeys": rewrapped}
            await audit.record(tx, actor, "key.rotated", ("key", target.fingerprint), detail=detail)
            fault_point("rotate.before_commit")
        fault_point("rotate.after_commit")
        return Rotation(before, target.fingerprint, rewrapped)

    async def retire(self, fingerprint: str, *, reason: str | None = None, actor: Actor = IN_PROCESS) -> None:
        """Notes that a previous master key is of no use any more. Its fingerprint is kept for ever. Idempotent.

        Args:
            fingerprint: Of the key, `mk_...`.
            reason: Why it goes although something still needs it; stands in the audit log.
            actor: Who does it.

        Raises:
            NotFoundError: code `key_not_found`.
            ConflictError: `key_active`, or `key_needed` with what needs it, unless a reason is given.
        """
        async with self._database.system() as tx:
            await keys.lock_master(tx)
            known = {key.fingerprint: key for key in await keys.list_master_keys(tx)}
            if fingerprint not in known:
                raise NotFoundError(f"This database has never known a master key {fingerprint}.", code="key_not_found")
            if known[fingerprint].state == "retired":
                return
            if known[fingerprint].state == "active":
                message = f"{fingerprint} is the active master key. Rotate to another one first."
                raise ConflictError(message, code="key_active")
            needs = await self._needs(tx, fingerprint)
            if needs and not reason:
                message = f"{fingerprint} is still needed: {'; '.join(needs)}. Give a reason to retire it all the same."
                raise ConflictError(message, code="key_needed", needs=needs)
            await keys.retire_master(tx, fingerprint, actor.label, reason)
            detail = {"reason": reason, "needs": needs}
            await audit.record(tx, actor, "key.retired", ("key", fingerprint), detail=detail)

    async def shred(self, tenant_id: str, *, actor: Actor = IN_PROCESS) -> int:
        """Destroys a tenant's data keys: what they sealed never opens again, from here or from a backup restored here.

        The tenant stays, and new secrets can be given at once, under a new data key. A tombstone tells restores.

        Returns:
            How many data keys were destroyed.

        Raises:
            NotFoundError: code `tenant_not_found`.
        """
        async with self._database.system() as tx:
            await tenants.get(tx, tenant_id)
            await self._vault.renew(tx, [tenant_id])
            active = await keys.last_version(tx, tenant_id)
            destroyed = await self._vault.destroy(tx, tenant_id, below=active)
            fault_point("shred.between_writes")
            await rows.drop_hints(tx, tenant_id)
            await store.note_shredded(tx, tenant_id, actor.label)
            detail = {"dataKeys": destroyed}
            await audit.record(tx, actor, "tenant.shredded", ("tenant", tenant_id), tenant_id=tenant_id, detail=detail)
            await store.announce(tx, tenant_id)
        fault_point("shred.after_commit")
        return destroyed

    def _target(self, active: str) -> MasterKey:
        """The key to rotate to: the next one, or where the names were swapped already, the active one itself."""
        ring = self._vault.ring
        if ring.next is not None:
            return ring.next
        if ring.current.fingerprint == active and ring.previous is not None:
            return ring.current  # the operator moved the key on already: there is nothing left to do
        raise ConflictError(_NO_NEXT, code="no_next_key")

    async def _needs(self, tx: SystemTx, fingerprint: str) -> list[str]:
        found = []
        if count := (await keys.count_data_keys(tx)).get(fingerprint, 0):
            found.append(f"{count} data keys are wrapped under it")
        active = await keys.active_fingerprint(tx) or ""
        found += [f"{_named(holder)} holds no other" for holder in await list_behind(tx, active)]
        since = now() - timedelta(days=self._days)
        for name, made_at in await store.list_backups_that_need(tx, fingerprint, since):
            found.append(f"the backup {name} of {iso(made_at)} opens with it")
        return found


async def _refuse_retired(tx: SystemTx, target: MasterKey) -> None:
    states = {key.fingerprint: key.state for key in await keys.list_master_keys(tx)}
    if states.get(target.fingerprint) == "retired":
        message = f"The master key {target.fingerprint} was retired; it can't come back. Generate another one."
        raise ConflictError(message, code="key_retired")


def _refuse_behind(fingerprint: str, behind: list[Holder]) -> None:
    if behind:
        named = ", ".join(map(_named, behind))
        raise ConflictError(
            f"These processes live and do not hold {fingerprint}: {named}. Restart them with it as ENCRYPTION_KEY_NEXT, then "
            "rotate again. Nothing was changed.",
            code="key_not_everywhere",
            processes=[str(holder.process) for holder in behind],
        )


def _named(holder: Holder) -> str:
    return f"{holder.kind} on {holder.host} since {iso(holder.started_at)}"
