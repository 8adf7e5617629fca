"""The dashboards' charts as files: each tells by itself what it shows, of when, and of whose calls."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from hookvault.admin.board import dashboard
from hookvault.admin.board.choice import Choice
from hookvault.admin.board.timeline import latencies, results
from hookvault.admin.charts.export import bars_file, heat_file, lines_file, ranks_file
from hookvault.admin.charts.scale import moment
from hookvault.admin.charts.series import Timeline
from hookvault.admin.webhooks.figures import rank_codes
from hookvault.api.services import App
from hookvault.errors import InvalidError


async def draw_file(app: App, choice: Choice, kind: str) -> str:
    """A chart of a dashboard as an SVG file.

    Args:
        app: The services.
        choice: Whose calls, of when.
        kind: One of `DRAWN`.

    Raises:
        InvalidError: there is no such chart, or it is one of a tenant's and no tenant is named.
        NotFoundError: code `tenant_not_found`.
    """
    if kind not in DRAWN:
        raise InvalidError(f"The kind of a chart is one of {', '.join(DRAWN)}.")
    if kind in _OF_A_TENANT and choice.tenant_id is None:
        raise InvalidError("This chart is one of a tenant's webhooks. Name the tenant.")
    return await DRAWN[kind](app, choice)


async def _results(app: App, choice: Choice) -> str:
    return bars_file(_named(results(await dashboard.list_points(app, choice), choice), choice))


async def _latency(app: App, choice: Choice) -> str:
    return lines_file(_named(latencies(await dashboard.list_points(app, choice), choice), choice))


async def _heat(app: App, choice: Choice) -> str:
    values, span = await dashboard.map_failures(app, choice)
    below = f"{span[0].upper()}{span[1:]} ({choice.zone_name})"
    return heat_file(values, title=_title("Failed calls by hour", choice), name="Failed calls", below=below)


async def _causes(app: App, choice: Choice) -> str:
    ranks = await dashboard.rank_causes(app, choice)
    title = _title("Failed calls by cause", choice)
    return ranks_file(ranks, title=title, below=_when(choice), empty=dashboard.NO_FAILURE)


async def _codes(app: App, choice: Choice) -> str:
    asked = (choice.tenant_id, choice.start, choice.end)
    groups = await app.figures.list_errors(*asked, webhook_id=choice.webhook_id)
    summary = await app.figures.summarize(*asked, webhook_id=choice.webhook_id)
    ranks, title = rank_codes(groups, summary.figures), _title("Calls by HTTP status", choice)
    return ranks_file(ranks, title=title, below=_when(choice), empty=dashboard.NO_CALL)


async def _slowest(app: App, choice: Choice) -> str:
    ranks, title = await dashboard.rank_slowest(app, choice), _title("Slowest webhooks, p95", choice)
    return ranks_file(ranks, title=title, below=_when(choice), unit="ms", empty=dashboard.NO_CALL)


async def _failing(app: App, choice: Choice) -> str:
    ranks, title = await dashboard.rank_failing(app, choice), _title("Most failing webhooks", choice)
    return ranks_file(ranks, title=title, below=_when(choice), empty=dashboard.NO_FAILURE)


DRAWN: Mapping[str, Callable[[App, Choice], Awaitable[str]]] = {
    "results": _results,
    "latency": _latency,
    "heat": _heat,
    "causes": _causes,
    "codes": _codes,
    "slowest": _slowest,
    "failing": _failing,
}
_OF_A_TENANT = frozenset({"slowest", "failing"})


def _named(timeline: Timeline, choice: Choice) -> Timeline:
    return replace(timeline, title=_title(timeline.title, choice))


def _title(title: str, choice: Choice) -> str:
    return title if choice.tenant_id is None else f"{title}, {choice.tenant_id}"


def _when(choice: Choice) -> str:
    first, last = (moment(at, choice.interval, choice.zone) for at in (choice.start, choice.end))
    return f"{first} to {last} ({choice.zone_name})"
