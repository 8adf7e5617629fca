"""The rows of the table of webhooks: which are shown, in what order, and with which figures (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit
from uuid import UUID

from hookvault.admin.charts.spark import spark_bars
from hookvault.analytics.figures import WebhookHealth
from hookvault.analytics.health import DEGRADED_BELOW, ENOUGH_CALLS, FAILING_BELOW, SLOW_MS, SLOWER_THAN_USUAL
from hookvault.webhooks.model import Webhook

STATUSES = ("all", "failing", "degraded", "healthy", "idle", "disabled")
PAGE = 100  # rows shown before one asks for more
_HOURS = 24
_SORTS = ("name", "status", "total", "success", "p95", "last")
_BY_TEXT = ("name", "last")  # what the rows know without their figures
_PARAMETERS = ("q", "status", "sort")

# What a health means, in the words of who asks where the line is.
THRESHOLDS = {
    "failing": f"Failing: less than {FAILING_BELOW:.0%} of its calls succeed, or its circuit is open.",
    "degraded": f"Degraded: less than {DEGRADED_BELOW:.0%} succeed, or the p95 is {SLOW_MS / 1000:.0f} s or more and "
    f"over {SLOWER_THAN_USUAL:.0f} times the usual one.",
    "healthy": f"Healthy: {DEGRADED_BELOW:.0%} or more succeed, as fast as usual.",
    "idle": "Idle: nothing was called in 24 hours.",
    "disabled": "Disabled: it is switched off, or its tenant is suspended.",
}
JUDGED = f"Judged by the last hour where that has {ENOUGH_CALLS} calls or more, else by the last 24 hours."


@dataclass(frozen=True, slots=True)
class Filter:
    """Which webhooks, in what order. `sort` is one of the columns, with `-` before it the other way round."""

    q: str = ""
    status: str = "all"
    sort: str = "name"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filter":
        """As the parameters of an address say; what is not known is as if it were not there."""
        status, sort = query.get("status", ""), query.get("sort", "")
        return cls(
            query.get("q", "").strip()[:200],
            status if status in STATUSES else "all",
            sort if sort.removeprefix("-") in _SORTS else "name",
        )

    @property
    def needs_figures(self) -> bool:
        """Whether which rows there are, or their order, can't be told without figures."""
        return self.status != "all" or self.sort.removeprefix("-") not in _BY_TEXT

    def query(self, **changes: str) -> str:
        """The parameters as they stand in an address, those left out that say nothing."""
        new = replace(self, **changes)
        named = {name: getattr(new, name) for name in _PARAMETERS}
        kept = {name: text for name, text in named.items() if text != getattr(_NOTHING, name)}
        return f"?{urlencode(kept)}" if kept else ""

    def sorted_by(self, column: str) -> str:
        """The sort that a click on a column's head leads to."""
        return f"-{column}" if self.sort == column else column


_NOTHING = Filter()


def asked_of(url: str) -> Mapping[str, str]:
    """The parameters of the filter in a whole address, such as the one that a browser shows."""
    return {name: value for name, value in parse_qsl(split(url).query) if name in _PARAMETERS}


def split(url: str) -> SplitResult:
    """The parts of an address; of one that is none, all empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


@dataclass(frozen=True, slots=True)
class Row:
    """A webhook in the table. Without `standing` its figures are still to come."""

    webhook: Webhook
    standing: WebhookHealth | None = None
    hours: Sequence[tuple[int, int]] | None = None

    @property
    def id(self) -> str:
        """Its id as text, for addresses and elements."""
        return str(self.webhook.id)

    @property
    def path(self) -> str:
        """Its address without the host."""
        return urlsplit(self.webhook.webhook_url).path or "/"

    @property
    def spark(self) -> Any:
        """The bars of its last 24 hours."""
        pairs = self.hours or [(0, 0)] * _HOURS
        return spark_bars([ok for ok, _ in pairs], [failed for _, failed in pairs], label="Calls, 24 h")

    @property
    def status(self) -> str:
        """Its health in a word; empty where that is not known yet."""
        return self.standing.health.status if self.standing else ""


def make_rows(
    webhooks: Sequence[Webhook],
    health: Sequence[WebhookHealth] | None = None,
    hours: Mapping[UUID, Sequence[tuple[int, int]]] | None = None,
) -> list[Row]:
    """Webhooks with their figures, where these are known."""
    known = {each.webhook_id: each for each in health or ()}
    return [Row(webhook, known.get(webhook.id), (hours or {}).get(webhook.id)) for webhook in webhooks]


def choose(rows: Sequence[Row], which: Filter) -> list[Row]:
    """The rows that a filter asks for, in its order."""
    wanted = which.q.casefold()
    found = [
        row
        for row in rows
        if (wanted in row.webhook.workflow_name.casefold() or wanted in row.path.casefold())
        and which.status in ("all", row.status)
    ]
    column, backwards = which.sort.removeprefix("-"), which.sort.startswith("-")
    known = [row for row in found if _key(row, column) is not None]
    known.sort(key=lambda row: row.webhook.workflow_name.casefold())
    known.sort(key=lambda row: _key(row, column), reverse=backwards)
    # What has no figure stands at the end, whichever way the others go.
    rest = sorted((row for row in found if _key(row, column) is None), key=lambda row: row.webhook.workflow_name)
    return known + rest


def count(rows: Sequence[Row], q: str = "") -> Mapping[str, int | None]:
    """How many webhooks there are of each status; None where that is not known yet."""
    searched = choose(rows, Filter(q))
    if any(row.standing is None for row in searched):
        return {status: len(searched) if status == "all" else None for status in STATUSES}
    return {status: sum(status in ("all", row.status) for row in searched) for status in STATUSES}


def cut(rows: Sequence[Row], after: str) -> tuple[Sequence[Row], str]:
    """A page of rows that follow a webhook, and after which the next page begins; empty where this is the last."""
    first = next((place + 1 for place, row in enumerate(rows) if row.id == after), 0)
    page = rows[first : first + PAGE]
    return page, page[-1].id if first + PAGE < len(rows) else ""


def _key(row: Row, column: str) -> Any:
    figures = row.standing.lately if row.standing else None
    match column:
        case "name":
            return row.webhook.workflow_name.casefold()
        case "status":
            return STATUSES.index(row.status) if row.status else None
        case "last":  # the latest first
            last = row.webhook.last_called_at
            return -last.timestamp() if last else None
        case "total":  # the most first
            return -figures.total_calls if figures else None
        case "success":  # the worst first
            return figures.success_rate if figures else None
        case _:  # the slowest first
            return -figures.p95 if figures and figures.p95 is not None else None
