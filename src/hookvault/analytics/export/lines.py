"""NDJSON: the API's objects, one a line (pure)."""

from collections.abc import Sequence

from hookvault.analytics.export.row import compact, plain
from hookvault.analytics.model import WebhookCall


class LineWriter:
    """Writes calls as lines of JSON."""

    def __init__(self) -> None:
        self.weight = 0

    def head(self) -> bytes:
        """Nothing: every line stands for itself."""
        return b""

    def rows(self, calls: Sequence[WebhookCall]) -> bytes:
        """A line a call."""
        data = "".join(compact(plain(call)) + "\n" for call in calls).encode()
        self.weight = len(data)
        return data

    def tail(self) -> bytes:
        """Nothing."""
        return b""
