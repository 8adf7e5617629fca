"""How one version of an integration's secrets follows another: each step in the transaction of whoever takes it.

Whoever changes versions has the integration's row locked. A version that ends loses its secrets and keeps its hints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from hookvault.audit import store as audit
from hookvault.audit.model import Actor, Outcome
from hookvault.db.pool import TenantTx
from hookvault.ids import new_id
from hookvault.integrations import store
from hookvault.integrations.model import Kind, OpenState, StoredRow, StoredVersion
from hookvault.vault.mask import masked_hint


@dataclass(frozen=True, slots=True)
class Turn:
    """Who changes an integration's secrets, and when."""

    kind: Kind
    provider: str
    actor: Actor
    moment: datetime


async def begin(tx: TenantTx, turn: Turn, row: StoredRow) -> dict[OpenState, StoredVersion]:
    """The versions that are not ended, locked; the current one gets its number here if it has none yet."""
    versions = await store.find_versions(tx, turn.kind, lock=True)
    if "current" not in versions:
        versions["current"] = unnumbered(turn.kind, turn.provider, row, await store.last_number(tx, turn.kind) + 1)
        await store.insert_version(tx, versions["current"])
    return versions


def unnumbered(kind: Kind, provider: str, row: StoredRow, number: int) -> StoredVersion:
    """The version of secrets that were stored before any rotation began."""
    config = row.configs[kind]
    return StoredVersion(
        id=new_id(),
        kind=kind,
        provider=provider,
        number=number,
        state="current",
        secrets={},
        secret_hints=dict(config.hints),
        key_version=row.key_version,
        created_at=datetime.fromisoformat(config.updated_at),
        created_by=row.updated_by,
    )


async def add_current(tx: TenantTx, turn: Turn, row: StoredRow) -> StoredVersion:
    """Gives the secrets as they stand in the integration's row a version of their own; the one before has ended."""
    version = unnumbered(turn.kind, turn.provider, row, await store.last_number(tx, turn.kind) + 1)
    version.created_at, version.created_by, version.switched_at = turn.moment, turn.actor.label, turn.moment
    await store.insert_version(tx, version)
    return version


async def end(
    tx: TenantTx, turn: Turn, version: StoredVersion, state: Literal["revoked", "discarded"], *, reason: str
) -> None:
    """Ends a version: its secrets are gone from here, for whatever reason; the audit log has it."""
    await wipe(tx, turn, version, state)
    await note(tx, turn, f"credential.{state}", version, reason=reason)


async def wipe(tx: TenantTx, turn: Turn, version: StoredVersion, state: Literal["revoked", "discarded"]) -> None:
    """Ends a version without a word; what is recorded says more than that."""
    version.state, version.secrets, version.ended_at = state, {}, turn.moment
    await store.save_version(tx, version)


async def note(tx: TenantTx, turn: Turn, action: str, version: StoredVersion, **more: Any) -> None:
    """Records what became of a version: its number, and the names and hints of its secrets."""
    outcome: Outcome = "failed" if more.get("code", "ok") != "ok" else "success"
    fields = {name: masked_hint(hint.get("hint")) for name, hint in version.secret_hints.items()}
    detail: Mapping[str, Any] = {"version": version.number, "fields": fields, **more}
    await audit.record(tx, turn.actor, action, ("integration", turn.kind), detail=detail, outcome=outcome)


async def follow(tx: TenantTx, turn: Turn, row: StoredRow, *, replaced: bool, moved: bool) -> None:
    """Brings the versions in line with an integration that was changed directly. Does nothing where none was ever rotated.

    Args:
        tx: The transaction of the change.
        turn: Who changed it.
        row: The integrations as they are now.
        replaced: Whether a secret was replaced or cleared: then the current version ends at once, and a new one begins.
        moved: Whether the secrets go elsewhere now: then no other version may be used there.
    """
    versions = await store.find_versions(tx, turn.kind, lock=True)
    staged = versions.get("staged")
    if moved:
        if staged:
            await end(tx, turn, staged, "discarded", reason="destination_changed")
        if "previous" in versions:
            await end(tx, turn, versions["previous"], "revoked", reason="destination_changed")
    elif staged:
        await untest(tx, staged)
    if "current" in versions and (replaced or moved):
        await end(tx, turn, versions["current"], "revoked", reason="replaced")
        await add_current(tx, turn, row)


async def untest(tx: TenantTx, staged: StoredVersion) -> None:
    """Forgets a staged version's test: what it was tested together with is no longer so."""
    if staged.tested_at is not None:
        staged.tested_at = staged.test_code = None
        await store.save_version(tx, staged)
