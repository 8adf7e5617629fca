"""An export as a stream of bytes, whatever its format: bounded in memory, and no connection held meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Literal, Protocol

from hookvault.analytics.export.lines import LineWriter
from hookvault.analytics.export.parquet import ParquetWriter
from hookvault.analytics.export.table import CSVWriter
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.analytics.walk import Reader

Format = Literal["csv", "ndjson", "parquet"]

FORMATS: Mapping[Format, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
_AIM = 4 * 1024 * 1024  # bytes of rows at a time
_FIRST = 50
_MOST = 1000


class Writer(Protocol):
    """Writes calls as bytes of a file. `weight` is how many bytes the last calls came to, compressed or not."""

    weight: int

    def head(self) -> bytes:
        """What the file begins with."""

    def rows(self, calls: Sequence[WebhookCall]) -> bytes:
        """What calls become; empty where they are kept for later."""

    def tail(self) -> bytes:
        """What the file ends with, and what was kept."""


_WRITERS: Mapping[Format, Callable[[], Writer]] = {"csv": CSVWriter, "ndjson": LineWriter, "parquet": ParquetWriter}


def writer_of(form: Format) -> Writer:
    """A writer of a format. Raises InvalidError, code `parquet_unavailable`, where pyarrow is missing."""
    return _WRITERS[form]()


async def export(
    reader: Reader, writer: Writer, moved: Callable[[int], None] = lambda _calls: None
) -> AsyncIterator[bytes]:
    """The bytes of the whole file. Whoever does not get to its end has no file.

    Args:
        reader: The calls.
        writer: Their format.
        moved: Is told how many calls were written, again and again.
    """
    written, limit = 0, _FIRST
    yield writer.head()
    while not reader.ended:
        calls = await reader.read(limit)
        written += len(calls)
        if calls:
            data = await asyncio.to_thread(writer.rows, calls)
            limit = min(max(1, _AIM * len(calls) // max(writer.weight, 1)), limit * 2, _MOST)
            if data:
                yield data
        moved(written)
    yield await asyncio.to_thread(writer.tail)


def file_name(which: CallFilter, form: Format) -> str:
    """A name for the file: whose calls, and of which days (UTC), the last one included."""
    assert which.start is not None  # noqa: S101 - a reader's range is complete
    assert which.end is not None  # noqa: S101 - the same
    last = which.end - timedelta(microseconds=1)
    whose = f"-{which.tenant_id}" if which.tenant_id else ""
    return f"calls{whose}-{which.start:%Y%m%d}-{last:%Y%m%d}.{form}"
