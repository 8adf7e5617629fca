"""The tables behind charts, for those who read rather than see them."""

from collections.abc import Sequence

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.heat import Week
from hookvault.admin.charts.ranks import Ranking
from hookvault.admin.charts.scale import DAYS, moment, written
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


def week_table(week: Week) -> Markup:
    """A week's map of heat as a table that opens: hours down, weekdays across."""
    said = [written(value, week.unit) for value in week.values]
    return tabled(week.title, ["Hour", *DAYS], [[f"{hour:02}:00", *said[hour::24]] for hour in range(24)])


def ranks_table(ranking: Ranking) -> Markup:
    """Bars in order as a table that opens; nothing where there are none."""
    if not ranking.ranks:
        return made("")
    shared, noted = (any(getattr(rank, name) is not None for rank in ranking.ranks) for name in ("share", "note"))
    rows = []
    for rank in ranking.ranks:
        share = [written(rank.share, "percent")] if shared else []
        rows.append([rank.label, written(rank.value, ranking.unit), *share, *([rank.note or ""] if noted else [])])
    heads = [ranking.of, ranking.name, *(["Share"] if shared else []), *([ranking.note] if noted else [])]
    return tabled(ranking.title, heads, rows)


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
