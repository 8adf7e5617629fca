"""Moves secrets between an integration's row and its versions; each is sealed anew, for it opens in its own place only."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from hookvault.clock import iso
from hookvault.db.pool import TenantTx
from hookvault.ids import new_id
from hookvault.integrations import store
from hookvault.integrations.layout import boxed, place_of, refuse_lost, version_place
from hookvault.integrations.model import StoredRow, StoredVersion
from hookvault.integrations.succession import Turn, end
from hookvault.vault.mask import hint_of
from hookvault.vault.registry import LOST
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher, Vault


async def opened_secrets(tx: TenantTx, vault: Vault, version: StoredVersion) -> dict[str, Secret]:
    """The secrets of a staged or previous version, boxed.

    Raises:
        InvalidError: code `secrets_required`, where the key of one is gone for good.
        CipherError: one does not open.
    """
    refuse_lost([name for name, text in version.secrets.items() if text == LOST])
    cipher = await vault.at(tx, tx.tenant_id, version.key_version)
    return {name: cipher.open(version_place(version.id, name), text) for name, text in version.secrets.items()}


def new_staged(turn: Turn, cipher: TenantCipher, number: int, new: Mapping[str, str]) -> StoredVersion:
    """A version of new secrets, sealed in a place of its own."""
    identifier: UUID = new_id()
    return StoredVersion(
        id=identifier,
        kind=turn.kind,
        provider=turn.provider,
        number=number,
        state="staged",
        secrets={name: cipher.seal(version_place(identifier, name), Secret(value)) for name, value in new.items()},
        secret_hints={name: {"hint": hint_of(value), "updatedAt": iso(turn.moment)} for name, value in new.items()},
        key_version=cipher.version,
        created_at=turn.moment,
        created_by=turn.actor.label,
    )


async def retire(
    tx: TenantTx, turn: Turn, using: tuple[StoredRow, TenantCipher], current: StoredVersion, grace_s: int
) -> None:
    """Makes the current version the previous one, sealed in a place of its own; without a grace it ends."""
    row, cipher = using
    if not grace_s:
        await end(tx, turn, current, "revoked", reason="replaced")
        return
    opened = boxed(cipher, turn.kind, row.configs[turn.kind].values)
    current.secrets = {
        name: cipher.seal(version_place(current.id, name), value)
        for name, value in opened.items()
        if isinstance(value, Secret)
    }
    current.secret_hints, current.key_version = dict(row.configs[turn.kind].hints), cipher.version
    current.state, current.grace_until = "previous", turn.moment + timedelta(seconds=grace_s)
    await store.save_version(tx, current)


async def enact(tx: TenantTx, turn: Turn, using: tuple[StoredRow, TenantCipher], opened: Mapping[str, Secret]) -> None:
    """Puts secrets into the integration, sealed in their own places there: what every use takes from now on."""
    row, cipher = using
    config = row.configs[turn.kind]
    for name, value in opened.items():
        config.values[name] = cipher.seal(place_of(tx.tenant_id, turn.kind, name), value)
        config.hints[name] = {"hint": hint_of(value.open()), "updatedAt": iso(turn.moment)}
    config.version += 1
    config.updated_at = iso(turn.moment)
    row.updated_at, row.updated_by = turn.moment, turn.actor.label
    await store.save(tx, row)


async def become_current(tx: TenantTx, turn: Turn, row: StoredRow, staged: StoredVersion) -> None:
    """Makes a staged version the current one, once its secrets stand in the integration's row: there alone from now on."""
    staged.state, staged.secrets, staged.switched_at = "current", {}, turn.moment
    staged.secret_hints, staged.key_version = dict(row.configs[turn.kind].hints), row.key_version
    await store.save_version(tx, staged)
