"""The tables behind charts, for those who read rather than see them."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import DAYS, Unit, moment, written
from hookvault.admin.charts.series import Timeline, zone_name

MOST_ROWS = 400  # of 2,000 points nobody reads more; exports carry all


def timeline_table(timeline: Timeline, *, totals: bool = False) -> Markup:
    """The points of a chart over time as a table that opens, the oldest first.

    Args:
        timeline: What the chart shows.
        totals: Whether a last column adds the series up.
    """
    columns = [series.values for series in timeline.series]
    heads = [f"Time ({zone_name(timeline.zone)})", *(s.name for s in timeline.series), *(["Total"] if totals else [])]
    rows = []
    for at, *values in zip(timeline.times, *columns, strict=True):
        cells = [*values, sum(value or 0 for value in values)] if totals else values
        said = [written(value, timeline.unit) for value in cells]
        rows.append([moment(at, timeline.interval, timeline.zone), *said])
    return tabled(timeline.title, heads, rows)


def week_table(cells: Mapping[tuple[int, int], float], *, title: str, unit: Unit = "count") -> Markup:
    """A week's map of heat as a table that opens: hours down, weekdays across."""
    rows = [[f"{hour:02}:00", *(written(cells.get((day, hour), 0), unit) for day in range(1, 8))] for hour in range(24)]
    return tabled(title, ["Hour", *DAYS], rows)


def tabled(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Any table under `View as table`; the first cell of each row is its head. Long ones end after 400 rows and say so."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{text(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows[:MOST_ROWS]
    )
    left = f"<p>{len(rows) - MOST_ROWS:,} more rows are not shown.</p>" if len(rows) > MOST_ROWS else ""
    return made(
        '<details class="chart-table"><summary>View as table</summary><div class="chart-scroll" tabindex="0" '
        f'role="group" aria-label="{text(title)}">'
        f"<table><caption>{text(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"</div>{left}</details>"
    )
