"""`hookvault analytics show` and `rebuild`: what rollups tell, and making them anew."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from hookvault.analytics.figures import ErrorGroup
from hookvault.analytics.model import Figures, Summary
from hookvault.cli.output import note, progress, show_list, wire
from hookvault.cli.session import finish, opened
from hookvault.clock import iso, now

_DAY = "%Y-%m-%d"
_ERRORS = {
    "failed_calls": "Failed calls",
    "text": "Why",
    "error_code": "Code",
    "last_at": "Last",
}
_LONG_AGO = datetime(2000, 1, 1)  # noqa: DTZ001 - as the option's value, which is UTC

Tenant = Annotated[str | None, typer.Option(metavar="ID", help="Only this tenant's calls; else everybody's.")]
Day = Annotated[datetime, typer.Option(formats=[_DAY], help="The first day (UTC).")]
DayAfter = Annotated[
    datetime | None, typer.Option(formats=[_DAY], help="The day after the last (UTC); by default all.")
]


def show(
    *,
    tenant: Tenant = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days back.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Show how many calls there were, how long they took, and why they failed."""
    summary, errors = finish(_show(tenant, days))
    if as_json:
        found = {**wire(summary), "errors": [wire(error) for error in errors]}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{iso(summary.start)} to {iso(summary.end)}, {tenant or 'all tenants'}")
    typer.echo(f"  {_told(summary.figures)}")
    typer.echo(f"  before that: {_told(summary.previous)}")
    if errors:
        show_list(errors, _ERRORS, as_json=False)


def rebuild(*, start: Day = _LONG_AGO, end: DayAfter = None) -> None:
    """Make the rollups anew from the recorded calls, while the service runs. May be stopped and run again at any time."""
    built = finish(_rebuild(start.replace(tzinfo=UTC), now() if end is None else end.replace(tzinfo=UTC)))
    note(f"{built} rollups were built. What lies further back than the recorded calls was left as it was.")


async def _show(tenant: str | None, days: int) -> tuple[Summary, list[ErrorGroup]]:
    async with opened() as services:
        start = now() - timedelta(days=days)
        summary = await services.figures.summarize(tenant, start)
        return summary, list(await services.figures.list_errors(tenant, start))


async def _rebuild(start: datetime, end: datetime) -> int:
    async with opened() as services:
        with progress("Building") as moved:
            return await services.roller.rebuild(start, end, moved)


def _told(figures: Figures) -> str:
    if figures.success_rate is None or figures.p50 is None or figures.p95 is None:
        return "no calls"
    return (
        f"{figures.total_calls:,} calls, {figures.failed_calls:,} failed ({1 - figures.success_rate:.1%}), "
        f"p50 {figures.p50:,.0f} ms, p95 {figures.p95:,.0f} ms"
    )
