"""The file of a backup: what is in it, byte by byte, and how it is written and read in little memory, whatever its size.

A first line `HOOKVAULT BACKUP 1`, then records. A record is one letter, the length of its content (4 bytes, big-endian), the
CRC-32 of the content, the CRC-32 of these 9 bytes, and the content:

    H  header, JSON                                      once, first
    T  a table's name and columns, JSON                  once per table,
    C  rows as PostgreSQL's COPY text, at most 1 MiB,    any number after a T
       compressed by zlib
    M  manifest, JSON: rows, bytes and SHA-256 of each table
    S  seal, JSON: SHA-256 of all bytes before this record, and an HMAC of it under a key derived from the master key

Nothing comes after the seal. The checksums find damage wherever it is; the seal finds what was edited.
"""

import hmac
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from hookvault.custody.file import Draft, opening
from hookvault.errors import InvalidError
from hookvault.vault.keys import KeyRing, MasterKey

FORMAT = 1
CHUNK_BYTES = 1 << 20
_MAGIC = b"HOOKVAULT BACKUP "
_LEAD = Struct(">cII")  # letter, length, checksum of the content
_CHECK = Struct(">I")
_MOST_BYTES = {b"H": 1 << 20, b"T": 1 << 16, b"C": 2 * CHUNK_BYTES, b"M": 1 << 22, b"S": 1 << 12}
_LEVEL = 3  # twice as fast as the usual 6, and a twentieth larger
T = TypeVar("T")


class BackupError(InvalidError):
    """A file that is no usable backup.

    Codes: `not_a_backup`, `backup_truncated`, `backup_damaged`, `backup_too_new`, `backup_forged`.
    """

    default_code = "backup_damaged"


class Header(msgspec.Struct, frozen=True, rename="camel"):
    """What a backup says of itself before its tables.

    Attributes:
        id: Of this backup.
        created_at: The moment of its snapshot, ISO 8601.
        app: The version of Hookvault that made it.
        revision: The schema's.
        rows: In all tables.
        days: For which there are partitions, `YYYYMMDD`.
        fingerprints: Master keys that its data keys are wrapped under, and how many each wraps.
        signed_by: The master key that its seal goes by.
    """

    id: str
    created_at: str
    app: str
    revision: str
    rows: int
    days: list[str]
    fingerprints: dict[str, int]
    signed_by: str

    @property
    def needed(self) -> list[str]:
        """Every master key without which this can't be restored."""
        return sorted({*self.fingerprints, self.signed_by})


class Table(msgspec.Struct, frozen=True):
    """A table's name and columns, in the order of its rows' values."""

    name: str
    columns: list[str]


class Entry(msgspec.Struct, frozen=True):
    """What the manifest says of one table: enough to know that all of it is there and unchanged."""

    name: str
    columns: list[str]
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The end of a backup's content.

    Attributes:
        tables: Every table, in order.
        tombstones: Of shredded tenants.
        chains: Chains of audit events.
        heads: One SHA-256 over the last event of each.
    """

    tables: list[Entry]
    tombstones: int
    chains: int
    heads: str

    @property
    def rows(self) -> int:
        """In all tables."""
        return sum(entry.rows for entry in self.tables)


class Seal(msgspec.Struct, frozen=True):
    """The digest of all before it, and who vouches for it."""

    sha256: str
    key: str
    hmac: str

    def is_of(self, key: MasterKey) -> bool:
        """Whether this key made it."""
        return hmac.compare_digest(_tag(key, self.sha256), self.hmac.encode("utf-8", "replace"))


class _Tally:
    """Rows, bytes and digest of a table while it passes."""

    def __init__(self, table: Table) -> None:
        self._table, self._digest, self.rows, self._bytes = table, sha256(), 0, 0

    def add(self, raw: bytes) -> None:
        self._digest.update(raw)
        self._bytes += len(raw)
        self.rows += raw.count(b"\n")  # COPY text writes a newline inside a value as \n

    def entry(self) -> Entry:
        return Entry(self._table.name, self._table.columns, self.rows, self._bytes, self._digest.hexdigest())


class Writer:
    """Writes a backup: `begin` and `add` for each table, then `seal`.

    Args:
        draft: The file, not yet under its name.
        header: Written at once.
    """

    def __init__(self, draft: Draft, header: Header) -> None:
        self._draft = draft
        self._digest = sha256()
        self._tallies: list[_Tally] = []
        self._waiting = bytearray()
        self._put(_MAGIC + b"%d\n" % FORMAT)
        self._record(b"H", msgspec.json.encode(header))

    def begin(self, table: Table) -> None:
        """Starts a table."""
        self._flush()
        self._record(b"T", msgspec.json.encode(table))
        self._tallies.append(_Tally(table))

    def add(self, rows: bytes) -> None:
        """Adds rows of the table that was begun, or a part of them."""
        self._waiting += rows
        while len(self._waiting) >= CHUNK_BYTES:
            self._chunk(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]

    def end(self) -> int:
        """Ends the table that was begun; the number of its rows."""
        self._flush()
        return self._tallies[-1].rows

    def seal(self, key: MasterKey, *, tombstones: int = 0, chains: int = 0, heads: str = "") -> Manifest:
        """Writes the manifest and the seal; nothing can be added any more."""
        self._flush()
        manifest = Manifest([tally.entry() for tally in self._tallies], tombstones, chains, heads)
        self._record(b"M", msgspec.json.encode(manifest))
        digest = self._digest.hexdigest()
        self._record(b"S", msgspec.json.encode(Seal(digest, key.fingerprint, _tag(key, digest).decode())))
        return manifest

    def _flush(self) -> None:
        if self._waiting:
            self._chunk(bytes(self._waiting))
            self._waiting.clear()

    def _chunk(self, raw: bytes) -> None:
        self._tallies[-1].add(raw)
        self._record(b"C", zlib.compress(raw, _LEVEL))

    def _record(self, letter: bytes, content: bytes) -> None:
        lead = _LEAD.pack(letter, len(content), zlib.crc32(content))
        self._put(lead + _CHECK.pack(zlib.crc32(lead)) + content)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._draft.write(data)


class Section:
    """One table on its way through the reader. Its chunks must be read before the next section."""

    def __init__(self, table: Table, chunks: Iterator[bytes]) -> None:
        self.name, self.columns, self.chunks = table.name, table.columns, chunks


class Reader:
    """Reads a backup from its beginning to its end, once, and checks all of it on the way.

    Everything raises BackupError. Only after `finish` is anything known to be whole.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = opening(path)
        self._digest = sha256()
        self._found: list[Entry] = []
        try:
            self._first_line()
            self.header = _decoded(self._expect(b"H"), Header)
            self._next = self._record()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def sections(self) -> Iterator[Section]:
        """The tables in their order."""
        while self._next[0] == b"T":
            table = _decoded(self._next[1], Table)
            tally = _Tally(table)
            self._next = self._record()
            chunks = self._chunks(tally)
            yield Section(table, chunks)
            for _ in chunks:  # what nobody wanted is checked all the same
                pass
            self._found.append(tally.entry())

    def finish(self) -> tuple[Manifest, Seal]:
        """The manifest and the seal, after all sections: both are compared with what was read."""
        letter, content = self._next
        if letter != b"M":
            raise _damaged(f"a record {letter!r} stands where the manifest should be")
        manifest = _decoded(content, Manifest)
        digest = self._digest.hexdigest()
        seal = _decoded(self._expect(b"S"), Seal)
        if self._file.read(1):
            raise _damaged("there is something after its end")
        for found, told in zip(self._found, manifest.tables, strict=False):
            if found != told:
                raise _damaged(f"table {told.name} is not what the manifest says")
        if len(self._found) != len(manifest.tables) or manifest.rows != self.header.rows or digest != seal.sha256:
            raise _damaged("its tables are not those of its manifest")
        if seal.key != self.header.signed_by:
            raise _damaged("header and seal name different keys")
        return manifest, seal

    def _chunks(self, tally: _Tally) -> Iterator[bytes]:
        while self._next[0] == b"C":
            raw = _inflated(self._next[1])
            tally.add(raw)
            self._next = self._record()
            yield raw

    def _first_line(self) -> None:
        start = self._file.read(len(_MAGIC))
        if start != _MAGIC:
            if start and _MAGIC.startswith(start):
                raise _truncated()
            raise BackupError("This file is not a Hookvault backup. Nothing was changed.", code="not_a_backup")
        number = self._file.read(2)
        self._digest.update(start + number)
        if number == b"%d\n" % FORMAT:
            return
        if len(number) < 2:
            raise _truncated()
        if number[:1].isdigit() and number > b"%d\n" % FORMAT:
            raise BackupError(
                "This backup was made by a newer Hookvault, in a format that this one does not read. Use that version. "
                "Nothing was changed.",
                code="backup_too_new",
            )
        raise _damaged("its first line is not that of a backup")

    def _expect(self, wanted: bytes) -> bytes:
        letter, content = self._record()
        if letter != wanted:
            raise _damaged(f"a record {letter!r} stands where {wanted!r} should be")
        return content

    def _record(self) -> tuple[bytes, bytes]:
        lead, check = self._exactly(_LEAD.size), self._exactly(_CHECK.size)
        if _CHECK.unpack(check)[0] != zlib.crc32(lead):
            raise _damaged(f"a checksum is wrong at byte {self._file.tell() - _LEAD.size - _CHECK.size}")
        letter, length, checksum = _LEAD.unpack(lead)
        if length > _MOST_BYTES.get(letter, 0):
            raise _damaged(f"it has a record {letter!r} of {length} bytes")
        content = self._exactly(length)
        if zlib.crc32(content) != checksum:
            raise _damaged(f"a checksum is wrong at byte {self._file.tell() - length}")
        if letter != b"S":
            self._digest.update(lead + check)
            self._digest.update(content)
        return letter, content

    def _exactly(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise _truncated()
        return data


def authentic(seal: Seal, ring: KeyRing) -> None:
    """Proves that whoever made the backup had the master key that its seal names.

    Raises:
        WrongKeyError: the ring does not hold that key.
        BackupError: code `backup_forged`.
    """
    if not seal.is_of(ring.by_fingerprint(seal.key)):
        raise BackupError(
            f"This backup was edited after it was made: its seal is not that of key {seal.key}. Nothing was changed.",
            code="backup_forged",
        )


def _tag(key: MasterKey, digest: str) -> bytes:
    return (
        hmac.new(key.manifest_key(), b"hookvault/backup/v1 " + digest.encode("utf-8", "replace"), sha256)
        .hexdigest()
        .encode()
    )


def _inflated(content: bytes) -> bytes:
    """The rows of a chunk; never more than a chunk holds, whatever it claims to unpack to."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(content, CHUNK_BYTES + 1)
    except zlib.error:
        raise _damaged("a piece of it does not unpack") from None
    if not raw or len(raw) > CHUNK_BYTES or not inflater.eof or inflater.unused_data:
        raise _damaged("a piece of it does not unpack to what it should be")
    return raw


def _decoded(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError:
        raise _damaged("a part that describes it can't be read") from None


def _truncated() -> BackupError:
    return BackupError(
        "This backup was cut off: its end is missing. Use another copy. Nothing was changed.", code="backup_truncated"
    )


def _damaged(what: str) -> BackupError:
    return BackupError(f"This backup is damaged: {what}. Use another copy. Nothing was changed.")
