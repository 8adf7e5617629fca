"""Opens stored secrets many rows at a time, to seal them anew or only to prove that they open; tells which do not, and why."""

from collections.abc import Sequence
from typing import Any

from hookvault.custody.model import Fault, SealedRow
from hookvault.db.pool import SystemTx
from hookvault.errors import CipherError, HookvaultError, VaultError, WrongKeyError
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher, Vault

Ciphers = dict[tuple[str, int], TenantCipher | VaultError]


async def reseal(
    tx: SystemTx, vault: Vault, found: Sequence[tuple[SealedRow, int]]
) -> tuple[list[tuple[SealedRow, int, dict[str, Any]]], list[Fault]]:
    """Rows sealed with other versions of their tenants' data keys, to be stored; and the secrets that did not open.

    A row of which one secret does not open stays as it is: it names one data key for all of them.
    """
    wanted = {(row.tenant_id, row.key_version) for row, _ in found} | {(row.tenant_id, new) for row, new in found}
    ciphers = await vault.many_at(tx, sorted(wanted))
    changed, faults = [], []
    for row, version in found:
        opened, broken = open_row(row, ciphers)
        faults += broken
        new = ciphers[row.tenant_id, version]
        if broken or isinstance(new, VaultError):
            continue
        sealed = {name: new.seal(row.table.place(row.row_id, name), secret) for name, secret in opened.items()}
        changed.append((row, version, row.table.merged(row.columns, sealed)))
    return changed, faults


async def try_all(tx: SystemTx, vault: Vault, found: Sequence[SealedRow]) -> tuple[int, list[Fault]]:
    """How many secrets rows hold, and which of them do not open."""
    ciphers = await vault.many_at(tx, sorted({(row.tenant_id, row.key_version) for row in found}))
    count, faults = 0, []
    for row in found:
        opened, broken = open_row(row, ciphers)
        count += len(opened) + len(broken)
        faults += broken
    return count, faults


def open_row(row: SealedRow, ciphers: Ciphers) -> tuple[dict[str, Secret], list[Fault]]:
    """A row's secrets by field, and a fault for each that does not open."""
    sealed = row.table.sealed(row.columns)
    cipher = ciphers.get((row.tenant_id, row.key_version))
    opened: dict[str, Secret] = {}
    faults = []
    for name, text in sealed.items():
        try:
            if not isinstance(cipher, TenantCipher):
                raise cipher or CipherError("There is no data key of this version.", code="key_lost")
            opened[name] = cipher.open(row.table.place(row.row_id, name), text)
        except HookvaultError as error:
            faults.append(Fault(row.tenant_id, row.table.name, row.row_id, name, *_reason(error, cipher)))
    return opened, faults


def _reason(error: HookvaultError, cipher: TenantCipher | VaultError | None) -> tuple[str, str | None]:
    if isinstance(error, WrongKeyError):
        return "key_missing", error.members.get("needed")
    if not isinstance(cipher, TenantCipher):
        return ("key_destroyed" if error.code == "key_destroyed" else "key_lost"), None
    return ("malformed" if error.code == "malformed_ciphertext" else "does_not_open"), None
