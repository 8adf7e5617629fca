"""Parquet, by pyarrow where that is installed, row group by row group."""

import io
from collections.abc import Sequence
from typing import Any

from hookvault.analytics.export.row import COLUMNS, Column, Kind, compact, value_of
from hookvault.analytics.model import WebhookCall
from hookvault.errors import InvalidError

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    pa = None

_GROUP_ROWS = 10_000
_GROUP_BYTES = 8 * 1024 * 1024
_OVERHEAD = 200  # bytes of a row without its JSON, about


class ParquetWriter:
    """Writes calls as row groups of some thousands; JSON stays text, times are UTC in ms.

    Raises:
        InvalidError: code `parquet_unavailable`, when pyarrow is not installed.
    """

    def __init__(self) -> None:
        if pa is None:
            raise InvalidError(
                "Parquet needs pyarrow, which is not installed here: pip install 'hookvault[parquet]'. "
                "CSV and NDJSON need nothing.",
                code="parquet_unavailable",
            )
        self.weight = 0
        self._kept: dict[str, list[Any]] = {column.name: [] for column in COLUMNS}
        self._kept_rows = self._kept_bytes = 0
        self._sink = _Sink()
        self._schema = pa.schema([(column.name, _type(column.kind)) for column in COLUMNS])
        self._file = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")

    def head(self) -> bytes:
        """The magic number."""
        return self._sink.taken()

    def rows(self, calls: Sequence[WebhookCall]) -> bytes:
        """A row group, once enough calls are there for one."""
        self.weight = 0
        for call in calls:
            self.weight += _OVERHEAD
            for column in COLUMNS:
                value = _value(call, column)
                self._kept[column.name].append(value)
                if column.kind == "json" and value is not None:
                    self.weight += len(value)
        self._kept_rows += len(calls)
        self._kept_bytes += self.weight
        if self._kept_rows >= _GROUP_ROWS or self._kept_bytes >= _GROUP_BYTES:
            self._write_group()
        return self._sink.taken()

    def tail(self) -> bytes:
        """The last row group and the footer, without which no reader takes the file."""
        if self._kept_rows:
            self._write_group()
        self._file.close()
        return self._sink.taken()

    def _write_group(self) -> None:
        self._file.write_table(pa.table(self._kept, schema=self._schema))
        self._kept = {column.name: [] for column in COLUMNS}
        self._kept_rows = self._kept_bytes = 0


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _type(kind: Kind) -> Any:
    kinds = {"number": pa.int32(), "truth": pa.bool_(), "time": pa.timestamp("ms", tz="UTC")}
    return kinds.get(kind, pa.string())


def _value(call: WebhookCall, column: Column) -> Any:
    value = value_of(call, column)
    if value is None:
        return None
    if column.kind == "json":
        return compact(value)
    return str(value) if column.kind == "id" else value
