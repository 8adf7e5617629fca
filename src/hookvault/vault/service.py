"""Seals and opens tenants' secrets with their data keys. Nothing else unwraps a data key."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hookvault.db.pool import Database, SystemTx, Tx
from hookvault.errors import CipherError, VaultError, WrongKeyError
from hookvault.log import register_secret
from hookvault.vault import store
from hookvault.vault.cipher import FieldCipher, place_data, tenant_data
from hookvault.vault.keys import KeyRing, MasterKey, new_data_key
from hookvault.vault.registry import LOST, PLATFORM, Place
from hookvault.vault.secret import Secret

_CACHED_KEYS = 10_000
_REWRAPPED_AT_ONCE = 2000


class TenantCipher:
    """One version of a tenant's data key, ready for use. `version` goes into the row's key_version.

    What it seals or opens is masked in every log line from then on.
    """

    __slots__ = ("_bound", "_cipher", "tenant_id", "version")

    def __init__(self, tenant_id: str, version: int, cipher: FieldCipher) -> None:
        self.tenant_id = tenant_id
        self.version = version
        self._cipher = cipher
        self._bound = tenant_data(tenant_id, version)

    def seal(self, place: Place, secret: Secret) -> str:
        """The stored form `{IV}:{AuthTag}:{Encrypted}` of a secret in its place."""
        register_secret(secret.open())
        return self._cipher.seal(secret.open(), place_data(place.table, place.row_id, place.field) + self._bound)

    def open(self, place: Place, ciphertext: str) -> Secret:
        """The secret stored in a place.

        Raises:
            CipherError: it was moved, altered, or sealed under another key.
        """
        secret = self._cipher.open(ciphertext, place_data(place.table, place.row_id, place.field) + self._bound)
        register_secret(secret.open())
        return secret

    def take_over(self, place: Place, ciphertext: str | None, former: "TenantCipher | None") -> str | None:
        """A ciphertext of a former version sealed with this one; LOST when it does not open any more. None stays None."""
        if ciphertext is None or former is None or ciphertext == LOST:
            return None if ciphertext is None else LOST
        try:
            return self.seal(place, former.open(place, ciphertext))
        except CipherError:
            return LOST


@dataclass(frozen=True, slots=True)
class KeyFault:
    """Why a secret does not open here: `key_missing` (with the master key needed), `key_destroyed`, or what else a scan found."""

    reason: str
    key_needed: str | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """Which of a tenant's secrets in one table don't open, known without opening any."""

    by_version: Mapping[int, KeyFault]
    by_field: Mapping[tuple[str, str], tuple[str, str | None]]

    def of(self, row_id: str, key_version: int, field: str, sealed: str | None) -> KeyFault | None:
        """What is wrong with a secret; None for one that opens, as far as is known, and where there is none."""
        if sealed is None:
            return None
        if sealed == LOST:
            return KeyFault("key_lost")
        found = self.by_field.get((row_id, field))
        return self.by_version.get(key_version) or (KeyFault(*found) if found else None)


NO_FAULTS = Faults({}, {})


class Vault:
    """The key ring, and the data keys that it unwrapped (a bounded cache)."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database = database
        self._ring = ring
        # By the wrapped key itself: the same tenant id and version may come back with another key, after a deletion.
        self._ciphers: OrderedDict[tuple[str, int, str], TenantCipher] = OrderedDict()

    @property
    def ring(self) -> KeyRing:
        """The master keys that this process holds."""
        return self._ring

    async def check_key(self) -> None:
        """Compares the key with the database's; on a new database it becomes the database's.

        Raises:
            WrongKeyError: the database was sealed under a key that this process does not hold; names both fingerprints.
        """
        async with self._database.system() as tx:
            if await store.active_fingerprint(tx) is None:
                await store.claim_fingerprint(tx, self._ring.current.fingerprint)
            needed = await store.active_fingerprint(tx)
        if needed is None or needed not in self._ring.fingerprints:
            held = ", ".join(self._ring.fingerprints)
            raise WrongKeyError(
                f"Wrong ENCRYPTION_KEY: this database's secrets were sealed under key {needed}, and the key given is {held}. "
                "Nothing was changed. Start with the key that belongs to this database; its backup or the other servers have it."
            )

    async def add_key(self, tx: SystemTx, tenant_id: str) -> None:
        """Makes a new tenant's data key, in the transaction that makes the tenant."""
        await store.lock_wrapping(tx)
        await store.claim_fingerprint(tx, self._ring.current.fingerprint)  # nothing, unless the database was emptied
        master = self._ring.by_fingerprint(await store.active_fingerprint(tx) or self._ring.current.fingerprint)
        version = await store.last_version(tx, tenant_id) + 1
        wrapped = master.wrap(new_data_key(), tenant_id=tenant_id, version=version)
        await store.insert_key(tx, tenant_id, store.WrappedKey(version, wrapped, master.fingerprint))

    async def of_platform(self, tx: SystemTx) -> TenantCipher:
        """The cipher for secrets that are no tenant's, as `active`; its data key is made when it is first needed."""
        if await store.find_active_key(tx, PLATFORM) is None:
            await store.lock_keys(tx, PLATFORM)  # of two who need it first, one makes it
            if await store.find_active_key(tx, PLATFORM) is None:
                await self.add_key(tx, PLATFORM)
        return await self.active(tx, PLATFORM)

    async def delete_keys(self, tx: SystemTx, tenant_id: str) -> None:
        """Deletes a tenant's data keys with the tenant; what they sealed never opens again from this database."""
        await store.delete_keys(tx, tenant_id)
        self.forget(tenant_id)

    async def active(self, tx: Tx, tenant_id: str) -> TenantCipher:
        """The cipher that new secrets of a tenant are sealed with, in this transaction: until it ends the key is not destroyed.

        Raises:
            CipherError: the tenant has no data key (it was deleted or shredded).
            WrongKeyError: the key that wraps it is not in this process's ring.
        """
        await store.lock_sealing(tx, tenant_id)
        return self._unwrapped(tenant_id, await store.find_active_key(tx, tenant_id))

    async def at(self, tx: Tx, tenant_id: str, version: int) -> TenantCipher:
        """The cipher of the version that a row names. Raises as `active` does."""
        return self._unwrapped(tenant_id, await store.find_key(tx, tenant_id, version))

    async def many_at(
        self, tx: SystemTx, wanted: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], TenantCipher | VaultError]:
        """The ciphers of many tenants and versions, in one query; an error stands where there is none."""
        keys = await store.find_keys(tx, wanted)
        found: dict[tuple[str, int], TenantCipher | VaultError] = {}
        for place in wanted:
            try:
                found[place] = self._unwrapped(place[0], keys.get(place))
            except VaultError as error:
                found[place] = error
        return found

    async def faults(self, tx: Tx, tenant_id: str, table: str, versions: Iterable[int]) -> Faults:
        """Which of a tenant's secrets of a table, sealed with these versions, don't open here. Opens none, unwraps none."""
        wanted = sorted(set(versions))
        states = await store.key_states(tx, tenant_id, wanted)
        found: dict[int, KeyFault] = {}
        for version in wanted:
            state, fingerprint = states.get(version, ("", ""))
            if state in ("", "destroyed"):
                found[version] = KeyFault("key_destroyed" if state else "key_lost")
            elif fingerprint not in self._ring.fingerprints:
                found[version] = KeyFault("key_missing", fingerprint)
        return Faults(found, await store.list_row_faults(tx, tenant_id, table))

    async def forget_faults(self, tx: Tx, tenant_id: str, table: str, row_id: str) -> None:
        """Forgets what a scan found of a row that is saved anew."""
        await store.forget_row_faults(tx, tenant_id, table, row_id)

    async def former(self, tx: Tx, tenant_id: str, version: int) -> TenantCipher | None:
        """The cipher of an older version, to seal what it opens anew; None when that key is gone for good.

        Raises:
            WrongKeyError: the master key that wraps it is not held here; with it the secrets would still open.
        """
        try:
            return await self.at(tx, tenant_id, version)
        except CipherError:
            return None

    async def rewrap(self, tx: SystemTx, master: MasterKey) -> int:
        """Wraps every data key under another master key, which `tx` makes the active one; how many.

        Raises:
            WrongKeyError: a data key is wrapped under a master key that this process does not hold.
        """
        after, done = ("", 0), 0
        while keys := await store.list_to_rewrap(tx, master.fingerprint, after, _REWRAPPED_AT_ONCE):
            rewrapped = []
            for tenant_id, key in keys:
                old = self._ring.by_fingerprint(key.key_fingerprint)
                data_key = old.unwrap(key.wrapped, tenant_id=tenant_id, version=key.version)
                wrapped = master.wrap(data_key, tenant_id=tenant_id, version=key.version)
                rewrapped.append((tenant_id, key.version, wrapped))
            await store.store_rewrapped(tx, rewrapped, master.fingerprint)
            after, done = (keys[-1][0], keys[-1][1].version), done + len(keys)
        return done

    async def renew(self, tx: SystemTx, tenant_ids: Sequence[str]) -> None:
        """Gives tenants new data keys, with which everything is sealed from now on; the former ones still open."""
        await store.lock_wrapping(tx)
        master = self._ring.by_fingerprint(await store.active_fingerprint(tx) or self._ring.current.fingerprint)
        last = await store.last_versions(tx, tenant_ids)
        made = []
        for tenant_id in tenant_ids:
            version = last.get(tenant_id, 0) + 1
            wrapped = master.wrap(new_data_key(), tenant_id=tenant_id, version=version)
            made.append((tenant_id, version, wrapped))
        await store.supersede_keys(tx, made, master.fingerprint)

    async def destroy(self, tx: SystemTx, tenant_id: str, *, below: int) -> int:
        """Destroys a tenant's data keys of all versions below one: what they sealed never opens again; how many.

        Waits for transactions that may still be sealing with them.
        """
        await store.lock_keys(tx, tenant_id)
        destroyed = await store.destroy_keys(tx, tenant_id, below=below)
        self.forget(tenant_id)
        return destroyed

    def forget(self, tenant_id: str) -> None:
        """Drops a tenant's data keys from memory."""
        for known in [known for known in self._ciphers if known[0] == tenant_id]:
            del self._ciphers[known]

    def _unwrapped(self, tenant_id: str, key: store.WrappedKey | None) -> TenantCipher:
        if key is None:
            message = f"Tenant {tenant_id} has no data key of the version that its secrets need; enter them again."
            raise CipherError(message, code="key_lost")
        if not key.wrapped:
            message = f"The data key of these secrets of tenant {tenant_id} was destroyed; enter them again."
            raise CipherError(message, code="key_destroyed")
        place = (tenant_id, key.version, key.wrapped)
        cipher = self._ciphers.get(place)
        if cipher is None:
            master = self._ring.by_fingerprint(key.key_fingerprint)
            data_key = master.unwrap(key.wrapped, tenant_id=tenant_id, version=key.version)
            cipher = self._ciphers[place] = TenantCipher(tenant_id, key.version, FieldCipher(data_key))
            if len(self._ciphers) > _CACHED_KEYS:
                self._ciphers.popitem(last=False)
        return cipher
