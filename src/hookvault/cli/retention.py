"""`hookvault analytics prune` and `sizes`: what is kept of calls and deliveries."""

from dataclasses import dataclass
from typing import Annotated

import typer

from hookvault.analytics.retention.model import CALLS, Dropped, Pruned, Storage
from hookvault.cli.output import note, show_list, show_one
from hookvault.cli.session import finish, opened

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table of sizes."""

    what: str
    megabytes: str
    rows: int | None


def prune(
    *,
    days: Annotated[int | None, typer.Option(help="Days to keep; by default ANALYTICS_RETENTION_DAYS.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which days would go.")] = False,
) -> None:
    """Drop the days past retention now, and what tenants keep for a shorter time, as every hour does by itself."""
    if dry_run:
        for dropped in finish(_old(days)):
            note(_said(dropped, "would go"))
        return
    pruned = finish(_pruned(days))
    note(
        f"Dropped {pruned.calls} calls and {pruned.days} days of deliveries; deleted {pruned.tenant_calls} calls and "
        f"{pruned.tenant_deliveries} deliveries of tenants that keep less, and {pruned.figures} figures of deleted tenants."
    )


def sizes(*, as_json: AsJSON = False) -> None:
    """Show how much room everything takes, by kind and by day. Rows are estimates."""
    found = finish(_storage())
    if as_json:
        show_one(found, as_json=True)
        return
    lines = [Line(kind.kind, _megabytes(kind.bytes), kind.rows) for kind in found.kinds]
    lines.append(Line("all", _megabytes(found.database_bytes), None))
    for day in found.days:
        if day.calls.rows or day.deliveries.rows:
            both = day.calls.bytes + day.deliveries.bytes
            lines.append(Line(day.day.isoformat(), _megabytes(both), day.calls.rows + day.deliveries.rows))
    show_list(lines, {"what": "What", "megabytes": "MB", "rows": "Rows"}, as_json=False)


def _said(dropped: Dropped, what: str) -> str:
    kind = "calls" if dropped.parent == CALLS else "deliveries"
    return f"{dropped.day}: {dropped.rows} {kind} {what}"


def _tell(dropped: Dropped) -> None:
    note(_said(dropped, "dropped" if dropped.done else "NOT dropped: somebody reads the table; see the log"))


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f}"


async def _old(days: int | None) -> list[Dropped]:
    async with opened() as services:
        return await services.retention.list_old(services.settings.analytics_retention_days if days is None else days)


async def _pruned(days: int | None) -> Pruned:
    async with opened() as services:
        await services.roller.roll()  # what goes is rolled up before
        kept = services.settings.analytics_retention_days if days is None else days
        return await services.retention.prune(kept, told=_tell)


async def _storage() -> Storage:
    async with opened() as services:
        return await services.retention.storage()
