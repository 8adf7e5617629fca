"""The file of a backup: whatever was cut off, flipped or edited is found, and said in one line with a stable code."""

import os
import random
import zlib
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookvault.custody.archive import (
    _CHECK,
    _LEAD,
    CHUNK_BYTES,
    BackupError,
    Header,
    Reader,
    Seal,
    Table,
    Writer,
    authentic,
)
from hookvault.custody.file import Draft
from hookvault.custody.rows import read_rows
from hookvault.custody.verify import verify
from hookvault.errors import NotFoundError, SetupError, WrongKeyError
from hookvault.vault.keys import KeyRing, MasterKey

KEY, OTHER = MasterKey("8f2a4b6c0d1e3f5a" * 4), MasterKey("13579bdf02468ace" * 4)
RING = KeyRing(KEY)
BROKEN = {"backup_truncated", "backup_damaged", "not_a_backup", "backup_too_new"}
WRAPPED = KEY.wrap(bytes(32), tenant_id="acme", version=1)
KEY_COLUMNS = ("tenant_id", "version", "wrapped", "key_fingerprint", "state")
TABLES = {
    ("tenants", ("id", "name")): b"acme\tAcme\\tLtd\nbeta\t\\N\n",
    ("data_keys", KEY_COLUMNS): f"acme\t1\t{WRAPPED}\t{KEY.fingerprint}\tactive\n".encode(),
    ("nothing", ("id",)): b"",
    ("calls", ("id", "text")): b"".join(
        b"%d\t%s\n" % (n, random.Random(n).randbytes(9).hex().encode()) for n in range(900)
    ),
}


def header(**changes):
    values = {
        "id": "0198",
        "created_at": "2026-11-26T00:00:00.000Z",
        "app": "0.1.0",
        "revision": "0003",
        "rows": sum(rows.count(b"\n") for rows in TABLES.values()),
        "days": ["20261126"],
        "fingerprints": {KEY.fingerprint: 1},
        "signed_by": KEY.fingerprint,
    }
    return Header(**{**values, **changes})


def write(path, tables=TABLES, key=KEY, **changes):
    with Draft(path) as draft:
        writer = Writer(draft, header(**changes))
        for (name, columns), rows in tables.items():
            writer.begin(Table(name, list(columns)))
            for at in range(0, len(rows), 1000):
                writer.add(rows[at : at + 1000])
            assert writer.end() == rows.count(b"\n")
        writer.seal(key)
        draft.publish()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole") / "backup")


def records(data):
    """The file's records: letter, start, end."""
    at = data.index(b"\n") + 1
    found = []
    while at < len(data):
        letter, length, _ = _LEAD.unpack_from(data, at)
        end = at + _LEAD.size + _CHECK.size + length
        found.append((letter, at, end))
        at = end
    return found


def record(letter, content):
    lead = _LEAD.pack(letter, len(content), zlib.crc32(content))
    return lead + _CHECK.pack(zlib.crc32(lead)) + content


def refused(path, data, ring=RING):
    path.write_bytes(data)
    with pytest.raises(BackupError) as caught:
        verify(path, ring)
    assert "\n" not in caught.value.message
    return caught.value.code


def test_it_is_read_as_it_was_written(whole):
    with Reader(whole) as reader:
        assert reader.header == header()
        found = {(section.name, tuple(section.columns)): b"".join(section.chunks) for section in reader.sections()}
        manifest, seal = reader.finish()
    assert found == TABLES
    assert manifest.rows == header().rows
    assert seal.is_of(KEY)
    assert not seal.is_of(OTHER)
    assert verify(whole, RING).authentic is True


def test_the_records_are_those_of_the_description(whole):
    data = whole.read_bytes()
    assert data.startswith(b"HOOKVAULT BACKUP 1\n")
    assert b"".join(letter for letter, _, _ in records(data)) == b"HTCTCTTCMS"


@pytest.mark.slow
def test_cut_off_anywhere_it_is_no_backup(whole, tmp_path):
    data = whole.read_bytes()
    ends = {end for _, _, end in records(data)} | {start for _, start, _ in records(data)}
    places = ends | set(range(60)) | set(range(len(data) - 60, len(data)))
    places |= {random.Random(n).randrange(len(data)) for n in range(150)}
    for length in sorted(places - {len(data)}):
        code = refused(tmp_path / "cut", data[:length])
        assert code == ("backup_truncated" if length else "not_a_backup"), length


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_is_found(whole, tmp_path, data):
    content = bytearray(whole.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    for ring in (RING, None):
        assert refused(tmp_path / "flipped", content, ring) in BROKEN


def test_whatever_stands_after_its_end_is_found(whole, tmp_path):
    for more in (b"\n", b"\0", whole.read_bytes(), record(b"C", zlib.compress(b"1\n"))):
        assert refused(tmp_path / "longer", whole.read_bytes() + more) == "backup_damaged"


def test_records_left_out_doubled_or_exchanged_are_found(whole, tmp_path):
    data = whole.read_bytes()
    first, parts = data[: data.index(b"\n") + 1], [data[start:end] for _, start, end in records(data)]
    for place in range(len(parts)):
        without = parts[:place] + parts[place + 1 :]
        doubled = parts[: place + 1] + parts[place:]
        for changed in (without, doubled):
            assert refused(tmp_path / "mixed", first + b"".join(changed)) in BROKEN, place
    for place in range(len(parts) - 1):
        swapped = [*parts[:place], parts[place + 1], parts[place], *parts[place + 2 :]]
        assert refused(tmp_path / "mixed", first + b"".join(swapped)) in BROKEN, place


def edited(whole, letter, change, *, reseal=None):
    """A backup with one record changed, all checksums right, and the digest too; sealed anew only with a key."""
    data = whole.read_bytes()
    out, done = data[: data.index(b"\n") + 1], False
    for kind, start, end in records(data):
        content = data[start + _LEAD.size + _CHECK.size : end]
        if kind == letter and not done:
            content, done = change(content), True
        if kind == b"S":
            seal = msgspec.json.decode(content, type=Seal)
            digest = sha256(out).hexdigest()
            content = msgspec.json.encode(msgspec.structs.replace(seal, sha256=digest))
        out += record(kind, content)
    return out


def test_an_edited_backup_with_all_checksums_right_is_forged(whole, tmp_path):
    def later(content):
        changed = msgspec.json.decode(content, type=Header)
        return msgspec.json.encode(msgspec.structs.replace(changed, created_at="2030-01-01T00:00:00.000Z"))

    data = edited(whole, b"H", later)
    assert refused(tmp_path / "edited", data) == "backup_forged"
    report = verify(tmp_path / "edited", KeyRing(OTHER))  # without the key that can't be seen, and is not claimed
    assert report.authentic is None
    assert report.missing == [KEY.fingerprint]


def test_an_edited_manifest_or_row_is_found_without_the_key(whole, tmp_path):
    for letter, change in (
        (b"M", lambda content: content.replace(b'"rows":2,', b'"rows":3,', 1)),
        (b"M", lambda content: content.replace(b'"name":"calls"', b'"name":"callz"')),
        (b"M", lambda content: content.replace(b'"sha256":"', b'"sha256":"0')),
        (b"C", lambda content: zlib.compress(zlib.decompress(content).replace(b"acme", b"evil"))),
        (b"T", lambda content: content.replace(b"tenants", b"renants")),
        (b"H", lambda content: content.replace(b'"rows":', b'"rows":1')),
        (b"H", lambda content: content.replace(KEY.fingerprint.encode(), OTHER.fingerprint.encode())),
        (b"H", lambda _content: b"{}"),
        (b"M", lambda _content: b"[1, 2"),
        (b"H", lambda _content: b"\xff"),
    ):
        data = edited(whole, letter, change)
        assert data != whole.read_bytes()
        assert refused(tmp_path / "edited", data, None) == "backup_damaged"


def test_a_seal_of_another_key_is_not_ours(whole, tmp_path):
    write(tmp_path / "other", key=OTHER, signed_by=OTHER.fingerprint)
    with Reader(tmp_path / "other") as reader:
        for _ in reader.sections():
            pass
        seal = reader.finish()[1]
    with pytest.raises(WrongKeyError):
        authentic(seal, RING)
    pretended = msgspec.structs.replace(seal, key=KEY.fingerprint)
    with pytest.raises(BackupError) as caught:
        authentic(pretended, RING)
    assert caught.value.code == "backup_forged"
    for tag in ("", "é", "0" * 64):
        assert not msgspec.structs.replace(seal, hmac=tag).is_of(OTHER)


@pytest.mark.slow
def test_a_piece_never_unpacks_to_more_than_it_may(whole, tmp_path):
    for bomb in (bytes(CHUNK_BYTES + 1), bytes(200 * CHUNK_BYTES), b""):
        data = edited(whole, b"C", lambda _content, bomb=bomb: zlib.compress(bomb))
        assert refused(tmp_path / "bomb", data) == "backup_damaged"


def test_a_record_is_not_read_before_its_length_is_believed(whole, tmp_path):
    lead = _LEAD.pack(b"H", 0xFFFFFFFF, 0)
    data = b"HOOKVAULT BACKUP 1\n" + lead + _CHECK.pack(zlib.crc32(lead)) + b"{"
    assert refused(tmp_path / "long", data) == "backup_damaged"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_a_backup"),
        (b"PGDMP\x01\x0e\x00", "not_a_backup"),
        (b"hookvault backup 1\n", "not_a_backup"),
        (b"HOOKVAULT", "backup_truncated"),
        (b"HOOKVAULT BACKUP 1\n", "backup_truncated"),
        (b"HOOKVAULT BACKUP 2\n", "backup_too_new"),
        (b"HOOKVAULT BACKUP 12\n", "backup_too_new"),
        (b"HOOKVAULT BACKUP 0\n", "backup_damaged"),
        (b"HOOKVAULT BACKUP x\n", "backup_damaged"),
    ],
)
def test_what_the_first_line_says(tmp_path, data, code):
    assert refused(tmp_path / "file", data) == code


def test_the_schema_of_a_newer_version_is_refused_by_its_name(tmp_path):
    write(tmp_path / "newer", revision="9999", app="7.0.0")
    with pytest.raises(BackupError) as caught:
        verify(tmp_path / "newer", RING)
    assert caught.value.code == "backup_too_new"
    assert "Hookvault 7.0.0" in caught.value.message


def test_large_tables_pass_in_small_pieces(tmp_path):
    rows = random.Random(1).randbytes(3 * CHUNK_BYTES // 2).hex().encode() + b"\n"
    path = write(tmp_path / "large", {("calls", ("text",)): rows}, rows=1)
    with Reader(path) as reader:
        (sizes,) = [[len(chunk) for chunk in section.chunks] for section in reader.sections()]
        assert reader.finish()[0].tables[0].sha256 == sha256(rows).hexdigest()
    assert sizes == [CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, 1]


def test_a_file_that_is_not_there_or_no_file(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        verify(tmp_path / "nothing", RING)
    assert caught.value.code == "file_not_found"
    with pytest.raises(SetupError) as unusable:
        verify(tmp_path, RING)
    assert unusable.value.code == "file_unusable"


def test_a_draft_that_is_given_up_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), Draft(tmp_path / "backup") as draft:
        draft.write(b"half")
        assert [path.name for path in tmp_path.iterdir()] == ["backup.part"]
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_of_two_drafts_of_one_name_the_first_to_end_has_it(tmp_path):
    with Draft(tmp_path / "backup") as draft:
        draft.write(b"mine")
        Path(tmp_path / "backup").write_bytes(b"theirs")
        with pytest.raises(Exception, match="exists already"):
            draft.publish()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]


@pytest.mark.parametrize("rows", [b"a\tb\nc", b"a\n", b"a\tb\tc\n", b"\xff\tb\n"])
def test_rows_that_are_none(rows):
    with pytest.raises(BackupError):
        list(read_rows([rows], ["one", "two"]))


def test_a_row_without_end_is_given_up_before_it_fills_the_memory():
    pieces = iter([b"A" * (1 << 20)] * 1000)
    with pytest.raises(BackupError, match="has no end"):
        list(read_rows(pieces, ["one"]))
    assert len(list(pieces)) > 980  # it read no further


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (KEY_COLUMNS, f"acme\tx\t{WRAPPED}\t{KEY.fingerprint}\tactive\n"),
        (("tenant", *KEY_COLUMNS[1:]), f"acme\t1\t{WRAPPED}\t{KEY.fingerprint}\tactive\n"),
    ],
)
def test_rows_that_no_table_of_ours_holds_are_one_clear_line(tmp_path, columns, row):
    path = write(tmp_path / "forged", {("data_keys", columns): row.encode()}, rows=1)
    assert refused(path, path.read_bytes()) == "backup_damaged"


@pytest.mark.parametrize("config", ["{", '["a"]', "[" * 100_000])
def test_json_that_is_no_configuration_is_one_clear_line(tmp_path, config):
    columns = ("tenant_id", "key_version", "n8n_api_key", "whatsapp_config", "sms_config")
    row = f"acme\t1\t\\N\t{config}\t\\N\n"
    path = write(tmp_path / "forged", {("tenant_integrations", columns): row.encode()}, rows=1)
    assert refused(path, path.read_bytes()) == "backup_damaged"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SetupError, match="not a regular file"):
        verify(tmp_path / "pipe", RING)


def test_what_a_file_says_of_itself_is_shown_harmlessly(tmp_path):
    path = write(tmp_path / "backup", revision="9999\nerror: all is fine", app="\x1b[31mEVIL")
    with pytest.raises(BackupError) as caught:
        verify(path, RING)
    assert caught.value.code == "backup_too_new"
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
