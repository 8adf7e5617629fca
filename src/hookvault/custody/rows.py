"""Reads rows in the text form of PostgreSQL's COPY, without a PostgreSQL."""

import re
from collections.abc import Iterable, Iterator, Sequence

from hookvault.custody.archive import BackupError

_NULL = b"\\N"
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_LONGEST = 8 << 20  # bytes of a row that holds secrets; ours are a hundredth of that
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def read_rows(chunks: Iterable[bytes], columns: Sequence[str]) -> Iterator[dict[str, str | None]]:
    """The rows, as texts by column; None is NULL. A row may begin in one chunk and end in a later one.

    Raises:
        BackupError: a row has not as many values as there are columns, is not UTF-8, or has no end.
    """
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *lines, last = chunk.split(b"\n")
        for line in lines:
            yield _row(b"".join([*parts, line]), columns)
            parts, size = [], 0
        parts.append(last)
        size += len(last)
        if size > _LONGEST:
            break
    if size:
        raise BackupError("This backup is damaged: a row has no end. Use another copy. Nothing was changed.")


def _row(line: bytes, columns: Sequence[str]) -> dict[str, str | None]:
    try:
        return dict(zip(columns, map(_value, line.split(b"\t")), strict=True))
    except ValueError:
        pass  # raised below: the error would carry the row along
    raise BackupError(
        "This backup is damaged: a row is not what its columns say. Use another copy. Nothing was changed."
    )


def _value(raw: bytes) -> str | None:
    return None if raw == _NULL else _ESCAPE.sub(_unescaped, raw).decode()


def _unescaped(found: re.Match[bytes]) -> bytes:
    return _LETTERS.get(found[1], found[1])
