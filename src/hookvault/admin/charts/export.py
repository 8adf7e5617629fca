"""A chart as a file of its own: the same drawing with its colours, title, axes and legend inside."""

from collections.abc import Mapping, Sequence

from hookvault.admin.charts.bars import bar_levels, draw_bars
from hookvault.admin.charts.frame import axis_width, grid, notice, text, times_axis, values_axis
from hookvault.admin.charts.heat import HEAT_HEIGHT, draw_days, draw_heat, draw_hours, fit, tell_heat
from hookvault.admin.charts.lines import draw_lines, line_levels
from hookvault.admin.charts.ranks import Rank
from hookvault.admin.charts.scale import Unit, moment, percent, short, written
from hookvault.admin.charts.series import Series, Timeline, drawable, zone_name

_WIDTH, _HEIGHT = 960, 420
_LEFT, _TOP, _PLOT = 32, 104, 260  # px
_HEAD, _RANK = 88, 48  # px: where what has no legend begins, and a bar with its label
# Colours are written out: what opens such files often knows no CSS variables.
_COLOURS = {
    "ok": "#5b5fe0",
    "warn": "#e8930c",
    "fail": "#dc3550",
    "p50": "#5b5fe0",
    "p95": "#e8930c",
    "p99": "#dc3550",
    "muted": "#8b8fa3",
}
_STYLE = (
    "svg{font-family:Inter,system-ui,sans-serif;overflow:visible}"
    "text{font-size:12px;fill:#5d6178}.title{font-size:18px;font-weight:600}.title,.name{fill:#1a1c2c}.paper{fill:#fff}"
    ".chart-lines path{fill:none;stroke-width:2;stroke-linecap:round;stroke-linejoin:round;vector-effect:non-scaling-stroke}"
    ".chart-lines .chart-band{fill:#5b5fe0;fill-opacity:.1;stroke:none}.chart-lines .c-p99{stroke-dasharray:4 3}"
    ".chart-lines .dot{stroke-width:5;stroke-dasharray:none}.chart-lines.many path{stroke-width:1;stroke-dasharray:none}"
    ".chart-grid line{stroke:#e6e8ee}.chart-y text{text-anchor:end}.chart-x text,.chart-empty{text-anchor:middle}"
    ".chart-x .end,.days text,.value{text-anchor:end}.note{fill:#5d6178}.track{fill:#f0f1f5}.chart-heat rect{rx:3px;fill:#dc3550}"
    ".heat0 rect{fill:#eceef3}"
    + "".join(f".heat{depth} rect{{fill-opacity:{depth / 5}}}" for depth in range(1, 6))
    + "".join(
        f".chart-bars .c-{kind},.key.c-{kind}{{fill:{colour}}}.chart-lines .c-{kind}{{stroke:{colour}}}"
        for kind, colour in _COLOURS.items()
    )
)


def bars_file(timeline: Timeline) -> str:
    """Stacked bars as an SVG file (image/svg+xml, UTF-8)."""
    levels = bar_levels(timeline)
    return _file(timeline, levels, draw_bars(timeline, levels, _PLOT), summed=True)


def lines_file(timeline: Timeline, *, band: bool = True) -> str:
    """Lines as an SVG file (image/svg+xml, UTF-8)."""
    levels = line_levels(timeline)
    return _file(timeline, levels, draw_lines(timeline, levels, _PLOT, band=band), summed=False)


def heat_file(cells: Mapping[tuple[int, int], float], *, title: str, name: str, below: str) -> str:
    """A week as a map of heat, as an SVG file (image/svg+xml, UTF-8).

    Args:
        cells: As of `heated`.
        title: What is shown.
        name: What a value is.
        below: Of when, and by whose clocks.
    """
    values = fit(cells)
    plot = (
        f'<svg class="days" x="{_LEFT}" y="{_HEAD}">{draw_days()}</svg>'
        f'<svg class="chart-heat" x="{_LEFT + 38}" y="{_HEAD}" width="{_WIDTH - 2 * _LEFT - 38}" height="{HEAT_HEIGHT + 22}">'
        f"{draw_heat(values)}{draw_hours()}</svg>"
    )
    return _sheet(title, below, tell_heat(values, title, name, "count"), plot, _HEAD + HEAT_HEIGHT + 46)


def ranks_file(ranks: Sequence[Rank], *, title: str, below: str, unit: Unit = "count", empty: str) -> str:
    """Bars in order as an SVG file (image/svg+xml, UTF-8).

    Args:
        ranks: As of `ranked`.
        title: What is shown.
        below: Of when, and by whose clocks.
        unit: What the values are.
        empty: What is said where there is none.
    """
    if not ranks:
        plot = f'<text class="name" x="{_LEFT}" y="{_HEAD + 24}">{text(empty)}</text>'
        return _sheet(title, below, empty, plot, _HEAD + 60)
    most = max((rank.value for rank in ranks if rank.value is not None), default=0)
    plot = "".join(_bar(rank, _HEAD + index * _RANK, most, unit) for index, rank in enumerate(ranks))
    told = "; ".join(f"{rank.label}: {written(rank.value, unit)}" for rank in ranks)
    return _sheet(title, below, f"{title}. {told}.", plot, _HEAD + len(ranks) * _RANK + 24)


def _bar(rank: Rank, top: int, most: float, unit: Unit) -> str:
    whole, value = _WIDTH - 2 * _LEFT, drawable(rank.value)
    width = max(value / most * whole, 6) if value and most else 0
    share = f" ({percent(rank.share)})" if rank.share is not None else ""
    note = f'<tspan class="note" dx="10">{text(rank.note)}</tspan>' if rank.note else ""
    place = f'x="{_LEFT}" y="{top + 24}" height="8" rx="4"'
    bar = f'<rect class="key c-{text(rank.kind)}" {place} width="{short(width)}"/>' if width else ""
    return (
        f'<text class="name" x="{_LEFT}" y="{top + 16}">{text(rank.label)}{note}</text>'
        f'<text class="name value" x="{_WIDTH - _LEFT}" y="{top + 16}">{text(written(value, unit) + share)}</text>'
        f'<rect class="track" {place} width="{whole}"/>{bar}'
    )


def _file(timeline: Timeline, levels: Sequence[float], drawn: str, *, summed: bool) -> str:
    left = _LEFT + axis_width(levels, timeline.unit)
    plot = (
        f"{_keys(timeline.series)}"
        f'<svg x="{_LEFT}" y="{_TOP}">{values_axis(levels, timeline.unit, _PLOT)}</svg>'
        f'<svg x="{left}" y="{_TOP}" width="{_WIDTH - _LEFT - left}" height="{_PLOT + 22}">'
        f"{grid(levels, _PLOT)}{drawn}{times_axis(timeline, _PLOT, width=2)}{notice(timeline, _PLOT)}</svg>"
    )
    return _sheet(timeline.title, _span(timeline), timeline.told(summed=summed), plot, _HEIGHT)


def _sheet(title: str, below: str, told: str, plot: str, height: int) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'role="img"><title>{text(title)}</title><desc>{text(told)}</desc>'
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>'
        f'<text class="title" x="{_LEFT}" y="42">{text(title)}</text>'
        f'<text class="sub" x="{_LEFT}" y="62">{text(below)}</text>{plot}</svg>\n'
    )


def _span(timeline: Timeline) -> str:
    if not timeline.times:
        return timeline.empty
    first, last = (moment(at, timeline.interval, timeline.zone) for at in (timeline.times[0], timeline.end))
    return f"{first} to {last} ({zone_name(timeline.zone)})"


def _keys(series: Sequence[Series]) -> str:
    at, keys = _LEFT, []
    for one in series:
        keys.append(f'<rect class="key c-{text(one.kind)}" x="{at}" y="76" width="10" height="10" rx="3"/>')
        keys.append(f'<text class="name" x="{at + 16}" y="85">{text(one.name)}</text>')
        at += 40 + round(len(one.name) * 7)
    return "".join(keys)
