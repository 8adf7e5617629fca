"""CSV (RFC 4180), which no spreadsheet takes for formulas (pure)."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from hookvault.analytics.export.row import COLUMNS, Kind, compact, plain
from hookvault.analytics.model import WebhookCall

# What makes a spreadsheet run a cell, by OWASP's list: full-width forms too, which some take for the plain ones.
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class CSVWriter:
    """Writes calls as a table with a header line. Null is an empty cell."""

    def __init__(self) -> None:
        self.weight = 0

    def head(self) -> bytes:
        """The names of the columns."""
        return _lines([[column.name for column in COLUMNS]])

    def rows(self, calls: Sequence[WebhookCall]) -> bytes:
        """A row a call; a text may hold line breaks, and so a row."""
        table = []
        for call in calls:
            fields = plain(call)
            table.append([_cell(fields[column.name], column.kind) for column in COLUMNS])
        data = _lines(table)
        self.weight = len(data)
        return data

    def tail(self) -> bytes:
        """Nothing."""
        return b""


def guarded(text: str) -> str:
    """A text that a spreadsheet would run gets an apostrophe before it; any other stays as it is."""
    return "'" + text if text.startswith(_RISKY) else text


def _cell(value: Any, kind: Kind) -> str:
    if value is None:
        return ""
    if kind == "json":  # begins with a bracket, quote, digit or letter, or is a negative number
        return compact(value)
    if kind == "truth":
        return "true" if value else "false"
    return guarded(value) if kind == "text" else str(value)


def _lines(table: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(table)
    return out.getvalue().encode()
