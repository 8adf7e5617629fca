"""Proves that a backup is whole and can be opened, without a database."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookvault.custody.archive import BackupError, Header, Manifest, Reader, Section, authentic
from hookvault.custody.rows import read_rows
from hookvault.db.codec import decode_json
from hookvault.db.migrate import knows
from hookvault.errors import VaultError, WrongKeyError
from hookvault.vault.cipher import FieldCipher
from hookvault.vault.keys import KeyRing
from hookvault.vault.registry import REGISTRY, SealedTable
from hookvault.vault.service import TenantCipher

DATA_KEYS = "data_keys"
_DESTROYED = "destroyed"
_HARMFUL = re.compile(r"[^0-9A-Za-z.+-]")
Row = dict[str, str | None]
Progress = Callable[[int, int], None]  # rows done, and of how many


def quiet(_done: int, _total: int) -> None:
    """Shows nobody how far it is."""


@dataclass(slots=True)
class Secrets:
    """The secrets of a backup, and how many of them open.

    Attributes:
        total: All.
        opened: Those that opened.
        locked: Those that need a master key that is not held.
        shredded: Those whose data key was destroyed on purpose, for ever.
        broken: Those that don't open though the master key is held; they didn't where the backup was made.
    """

    total: int = 0
    opened: int = 0
    locked: int = 0
    shredded: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a whole backup holds.

    Attributes:
        header: As the file begins.
        manifest: As it ends.
        digest: SHA-256 of all of it before its seal: the same file again gives the same.
        authentic: Whether the seal is that of a master key held here; None when that key is not held.
        held: The master keys held here.
        secrets: Which of its secrets open here.
    """

    header: Header
    manifest: Manifest
    digest: str
    authentic: bool | None
    held: tuple[str, ...]
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def missing(self) -> list[str]:
        """The master keys that it needs and that are not held here."""
        return [key for key in self.header.needed if key not in self.held]


def verify(path: Path, ring: KeyRing | None, progress: Progress = quiet) -> Report:
    """Reads a backup from beginning to end, checks every byte of it, and opens every secret that the ring can open.

    Args:
        path: The file.
        ring: The master keys held; None for none, then nothing is opened and the seal is not checked.
        progress: Told how far it is.

    Raises:
        BackupError: it is not whole, not a backup, edited, or too new.
        NotFoundError, SetupError: the file can't be read.
    """
    with Reader(path) as reader:
        refuse_newer(reader.header)
        inspection, done = _Inspection(ring), 0
        for section in reader.sections():
            for raw in _sound(inspection.of(section)):
                done += raw
                progress(done, reader.header.rows)
        manifest, seal = reader.finish()
    known = ring is not None and seal.key in ring.fingerprints
    if ring is not None and known:
        authentic(seal, ring)
    held = () if ring is None else ring.fingerprints
    return Report(reader.header, manifest, seal.sha256, known or None, held, inspection.secrets)


def _sound(pieces: Iterable[int]) -> Iterator[int]:
    """What an inspection tells, and an error for a backup whose rows are none of ours, without anything of them."""
    try:
        yield from pieces
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        pass  # raised below: the error would carry what it stumbled over
    else:
        return
    raise BackupError(
        "This backup is damaged: a row is not what its table holds. Use another copy. Nothing was changed."
    )


def require_keys(report: Report) -> None:
    """Refuses a backup that does not open wholly with the master keys held.

    Raises:
        WrongKeyError: naming the fingerprints needed and held.
    """
    if report.missing:
        needed, held = ", ".join(report.header.needed), ", ".join(report.held) or "none"
        raise WrongKeyError(
            f"This backup needs the master keys {needed}; held are {held}. Give the missing one as ENCRYPTION_KEY or "
            "ENCRYPTION_KEY_PREVIOUS. Nothing was changed.",
            needed=report.header.needed,
            held=list(report.held),
        )


def refuse_newer(header: Header) -> None:
    """Refuses the backup of a schema that this version does not know.

    Raises:
        BackupError: code `backup_too_new`.
    """
    if not knows(header.revision):
        raise BackupError(
            f"This backup was made by Hookvault {_plain(header.app)}, whose schema ({_plain(header.revision)}) this version "
            "does not know. "
            "Use that version. Nothing was changed.",
            code="backup_too_new",
        )


def _plain(text: str) -> str:
    """What a file says of itself before anybody vouches for it: short, and of harmless characters."""
    return _HARMFUL.sub("?", text)[:40]


class _Inspection:
    """Opens what passes by: first data keys, then the secrets sealed under them, of which it keeps the number only."""

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring
        self._sealed = {table.name: table for table in REGISTRY}
        self._keys: dict[tuple[str, int], bytes | str] = {}  # the key, or why there is none: a field of Secrets
        self.secrets = Secrets()

    def of(self, section: Section) -> Any:
        """Looks at a table; the number of rows of each of its pieces."""
        if section.name != DATA_KEYS and section.name not in self._sealed:
            return (raw.count(b"\n") for raw in section.chunks)
        look = self._key if section.name == DATA_KEYS else self._row_of(self._sealed[section.name])
        return (look(row) for row in read_rows(section.chunks, section.columns))

    def _key(self, row: Row) -> int:
        tenant_id, version = str(row["tenant_id"]), int(str(row["version"]))
        self._keys[tenant_id, version] = self._unwrapped(row, tenant_id, version)
        return 1

    def _unwrapped(self, row: Row, tenant_id: str, version: int) -> bytes | str:
        if row["state"] == _DESTROYED:
            return "shredded"
        if self._ring is None or row["key_fingerprint"] not in self._ring.fingerprints:
            return "locked"
        try:
            master = self._ring.by_fingerprint(str(row["key_fingerprint"]))
            return master.unwrap(str(row["wrapped"]), tenant_id=tenant_id, version=version)
        except VaultError:
            return "broken"

    def _row_of(self, table: SealedTable) -> Callable[[Row], int]:
        objects = {column.name for column in table.columns if column.secret is not None}

        def look(row: Row) -> int:
            values: Mapping[str, Any] = {
                column.name: _value(row.get(column.name), as_object=column.name in objects) for column in table.columns
            }
            for name, text in table.sealed(values).items():
                self.secrets.total += 1
                verdict = self._opened(table, row, name, text)
                setattr(self.secrets, verdict, getattr(self.secrets, verdict) + 1)
            return 1

        return look

    def _opened(self, table: SealedTable, row: Row, name: str, text: str) -> str:
        tenant_id, version = str(row["tenant_id"]), int(str(row["key_version"]))
        key = self._keys.get((tenant_id, version), "broken")
        if isinstance(key, str):
            return key
        try:
            cipher = TenantCipher(tenant_id, version, FieldCipher(key))
            cipher.open(table.place(str(row[table.row_id]), name), text)
        except VaultError:
            return "broken"
        return "opened"


def _value(text: str | None, *, as_object: bool) -> Any:
    return decode_json(text.encode()) if as_object and text is not None else text
