"""The charts of pages: each with its table, and as a file of its own."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from markupsafe import Markup

from hookvault.admin.ask import part
from hookvault.admin.board.choice import Choice
from hookvault.admin.board.timeline import latencies, results
from hookvault.admin.charts.bars import stacked
from hookvault.admin.charts.export import bars_file, lines_file, ranks_file, week_file
from hookvault.admin.charts.heat import Week, heated
from hookvault.admin.charts.lines import lined
from hookvault.admin.charts.ranks import Rank, Ranking, ranked
from hookvault.admin.charts.scale import moment
from hookvault.admin.charts.series import Kind
from hookvault.admin.charts.table import ranks_table, timeline_table, week_table
from hookvault.admin.shown import milliseconds, plural
from hookvault.analytics.cause import CAUSES
from hookvault.analytics.figures import ErrorGroup, Point, Ranked
from hookvault.analytics.model import Figures
from hookvault.api.services import App

_RANKED = 5
_MOST_CODES = 8
_WEEK, _YEAR = timedelta(days=7), timedelta(days=365)
# What the receiver or the way to it did wrong; the others are answered by changing something here or there.
_BROKEN = frozenset({"timeout", "connection_failed", "receiver_failed", "workflow_failed", "dns_error", "tls_error"})


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as a page shows it, and what makes its file.

    Attributes:
        kind: As the address of its file names it.
        title: What is shown.
        drawn: The figure and its table.
        blank: Whether there is nothing but words to show; then there is no table, and no file is offered.
        query: The parameters of its file's address.
        write: Makes the file, given whose calls they are.
    """

    kind: str
    title: str
    drawn: Markup
    blank: bool
    query: str
    write: Callable[[str], str]

    @property
    def href(self) -> str:
        """Where its file is."""
        return f"/analytics/chart.svg{self.query}&kind={self.kind}"


async def list_points(app: App, choice: Choice) -> Sequence[Point]:
    """The points of the charts over time."""
    return await app.figures.list_series(
        choice.tenant_id,
        choice.interval,
        start=choice.start,
        end=choice.end,
        zone=choice.zone_name,
        webhook_id=choice.webhook_id,
        causes=choice.tells_timeouts,
    )


def chart_results(points: Sequence[Point], choice: Choice) -> Chart:
    """Calls by result, over time."""
    line = results(points, choice)
    drawn = stacked(line) + timeline_table(line, totals=True)
    return Chart("results", line.title, drawn, False, choice.pinned, lambda whose: bars_file(line, whose=whose))


def chart_latency(points: Sequence[Point], choice: Choice) -> Chart:
    """Response times, over time."""
    line = latencies(points, choice)
    drawn = lined(line) + timeline_table(line)
    return Chart("latency", line.title, drawn, False, choice.pinned, lambda whose: lines_file(line, whose=whose))


async def chart_heat(app: App, choice: Choice) -> Chart:
    """Failed calls by weekday and hour: of a week at least, of a year at most."""
    start = min(choice.end - _WEEK, choice.start) if choice.end - choice.start <= _YEAR else choice.end - _YEAR
    cells = await app.figures.map_heat(
        choice.tenant_id, start, choice.end, zone=choice.zone_name, webhook_id=choice.webhook_id
    )
    values = {(cell.weekday, cell.hour): float(cell.failed_calls) for cell in cells}
    week = Week(f"Failed calls by hour, {heat_span(choice)}", values, "Failed calls")
    span = f"{moment(start, 'hour', choice.zone)} to {moment(choice.end, 'hour', choice.zone)} ({choice.zone_name})"
    drawn = heated(week) + week_table(week)
    return Chart("heat", week.title, drawn, False, choice.pinned, lambda whose: week_file(week, span=span, whose=whose))


def heat_span(choice: Choice) -> str:
    """Which time the map of heat is of, in words."""
    length = choice.end - choice.start
    if length >= _WEEK:
        return "this period" if length <= _YEAR else "its last year"
    return "the 7 days until then" if choice.name == "custom" else "last 7 days"


async def list_groups(app: App, choice: Choice) -> Sequence[ErrorGroup]:
    """The failed calls by what was wrong."""
    return await app.figures.list_errors(choice.tenant_id, choice.start, choice.end, webhook_id=choice.webhook_id)


def chart_causes(groups: Sequence[ErrorGroup], choice: Choice) -> Chart:
    """Why calls failed, with the share of each cause."""
    counted: Counter[str] = Counter()
    for group in groups:
        counted[group.cause] += group.failed_calls
    within = {**choice.whose, **choice.when, "status": "failed"}
    ranks = [
        Rank(
            CAUSES[cause],
            calls,
            calls / counted.total(),
            "fail" if cause in _BROKEN else "warn",
            f"/calls?{urlencode({**within, 'cause': cause})}",
        )
        for cause, calls in counted.most_common()
    ]
    empty = "No call failed in this period."
    return _ranked("causes", Ranking("Failed calls by cause", ranks, "Cause", "Failed calls", empty=empty), choice)


def chart_codes(groups: Sequence[ErrorGroup], figures: Figures, choice: Choice) -> Chart:
    """How many calls were answered with which HTTP status."""
    codes: Counter[str] = Counter()
    for group in groups:
        codes[str(group.status_code) if group.status_code else "No answer"] += group.failed_calls
    ranks = [Rank("2xx", figures.successful_calls, figures.success_rate)] if figures.successful_calls else []
    for code, calls in codes.most_common(_MOST_CODES):
        kind: Kind = "warn" if code.startswith(("3", "4")) else "fail"
        ranks.append(Rank(code, calls, calls / figures.total_calls if figures.total_calls else None, kind))
    empty = "No calls in this period."
    return _ranked("codes", Ranking("Calls by status code", ranks, "Status code", "Calls", empty=empty), choice)


async def chart_slowest(app: App, choice: Choice) -> Chart:
    """The tenant's webhooks that take longest."""
    tenant = str(choice.tenant_id)
    found = await app.figures.rank_webhooks(tenant, "slowest", choice.start, choice.end, limit=_RANKED)
    ranks = [Rank(_label(each), each.figures.p95, None, "p95", _webhook(tenant, each), _usual(each)) for each in found]
    empty = "Nothing was called in this period."
    ranking = Ranking("Slowest webhooks", ranks, "Webhook", "p95", unit="ms", note="Usually", empty=empty)
    return _ranked("slowest", ranking, choice)


async def chart_failing(app: App, choice: Choice) -> Chart:
    """The tenant's webhooks that fail most."""
    tenant = str(choice.tenant_id)
    found = await app.figures.rank_webhooks(tenant, "failing", choice.start, choice.end, limit=_RANKED)
    empty, ranks = "No call failed in this period.", [_failing(tenant, each) for each in found]
    ranking = Ranking("Most failing webhooks", ranks, "Webhook", "Failed calls", note="Mostly", empty=empty)
    return _ranked("failing", ranking, choice)


async def _causes(app: App, choice: Choice) -> Chart:
    return chart_causes(await list_groups(app, choice), choice)


async def _codes(app: App, choice: Choice) -> Chart:
    summary = await app.figures.summarize(choice.tenant_id, choice.start, choice.end, webhook_id=choice.webhook_id)
    return chart_codes(await list_groups(app, choice), summary.figures, choice)


async def _results(app: App, choice: Choice) -> Chart:
    return chart_results(await list_points(app, choice), choice)


async def _latency(app: App, choice: Choice) -> Chart:
    return chart_latency(await list_points(app, choice), choice)


# By the kind that the address of a file names. Those of a tenant's webhooks need a tenant.
CHARTS: Mapping[str, Callable[[App, Choice], Awaitable[Chart]]] = {
    "results": _results,
    "latency": _latency,
    "heat": chart_heat,
    "causes": _causes,
    "codes": _codes,
    "slowest": chart_slowest,
    "failing": chart_failing,
}
OF_A_TENANT = frozenset({"slowest", "failing"})


def _ranked(kind: str, ranking: Ranking, choice: Choice) -> Chart:
    first, last = (moment(at, "hour", choice.zone) for at in (choice.start, choice.end))
    span = f"{first} to {last} ({choice.zone_name})"
    drawn, blank = ranked(ranking) + ranks_table(ranking), not ranking.ranks
    return Chart(
        kind, ranking.title, drawn, blank, choice.pinned, lambda whose: ranks_file(ranking, span=span, whose=whose)
    )


def _failing(tenant: str, each: Ranked) -> Rank:
    failed = each.figures.failed_calls
    note = CAUSES[each.cause] if each.cause else None
    return Rank(_label(each), failed, failed / each.figures.total_calls, "fail", _webhook(tenant, each), note)


def _usual(each: Ranked) -> str:
    return f"{plural(each.figures.total_calls, 'call')}, p50 {milliseconds(each.figures.p50)}"


def _label(each: Ranked) -> str:
    return f"{each.workflow_name} (deleted)" if each.deleted else each.workflow_name


def _webhook(tenant: str, each: Ranked) -> str | None:
    return None if each.deleted else f"/tenants/{part(tenant)}/webhooks/{each.webhook_id}"
