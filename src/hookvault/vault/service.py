"""Seals and opens tenants' secrets with their data keys. Nothing else unwraps a data key."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from hookvault.db.pool import Database, SystemTx, Tx
from hookvault.errors import CipherError, VaultError, WrongKeyError
from hookvault.vault import store
from hookvault.vault.cipher import FieldCipher, associated_data
from hookvault.vault.keys import KeyRing, new_data_key
from hookvault.vault.registry import Place
from hookvault.vault.secret import Secret

_CACHED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class TenantCipher:
    """One version of a tenant's data key, ready for use. `version` goes into the row's key_version."""

    tenant_id: str
    version: int
    cipher: FieldCipher

    def seal(self, place: Place, secret: Secret) -> str:
        """The stored form `{IV}:{AuthTag}:{Encrypted}` of a secret in its place."""
        return self.cipher.seal(secret.open(), self._aad(place))

    def open(self, place: Place, ciphertext: str) -> Secret:
        """The secret stored in a place.

        Raises:
            CipherError: it was moved, altered, or sealed under another key.
        """
        return self.cipher.open(ciphertext, self._aad(place))

    def _aad(self, place: Place) -> bytes:
        return associated_data(
            table=place.table,
            row_id=place.row_id,
            field=place.field,
            tenant_id=self.tenant_id,
            key_version=self.version,
        )


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """What `keys status` shows of one master key; `held` is whether this process has it."""

    fingerprint: str
    state: str
    data_keys: int
    held: bool


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

    async def delete_keys(self, tx: SystemTx, tenant_id: str) -> None:
        """Deletes a tenant's data keys with the tenant; what they sealed never opens again from this database."""
        await store.delete_keys(tx, tenant_id)
        for known in [known for known in self._ciphers if known[0] == tenant_id]:
            del self._ciphers[known]

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

    async def status(self) -> list[KeyStatus]:
        """Every master key known, with its uses."""
        async with self._database.system() as tx:
            history, uses = await store.list_master_keys(tx), await store.count_data_keys(tx)
        held = self._ring.fingerprints
        return [
            KeyStatus(key.fingerprint, key.state, uses.get(key.fingerprint, 0), key.fingerprint in held)
            for key in history
        ]

    def _unwrapped(self, tenant_id: str, key: store.WrappedKey | None) -> TenantCipher:
        if key is None:
            raise CipherError(
                f"Tenant {tenant_id} has no data key of the version that its secrets need; they can't be opened."
            )
        place = (tenant_id, key.version, key.wrapped)
        cipher = self._ciphers.get(place)
        if cipher is None:
            master = self._ring.by_fingerprint(key.key_fingerprint)
            data_key = master.unwrap(key.wrapped, tenant_id=tenant_id, version=key.version)
            cipher = self._ciphers[place] = TenantCipher(tenant_id, key.version, FieldCipher(data_key))
            if len(self._ciphers) > _CACHED_KEYS:
                self._ciphers.popitem(last=False)
        return cipher
