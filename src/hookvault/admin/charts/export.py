"""A chart as a file of its own: the same drawing with its colours, title, axes and legend inside."""

from collections.abc import Sequence

from hookvault.admin.charts.bars import bar_levels, draw_bars
from hookvault.admin.charts.frame import axis_width, grid, notice, text, times_axis, values_axis
from hookvault.admin.charts.lines import draw_lines, line_levels
from hookvault.admin.charts.scale import moment
from hookvault.admin.charts.series import Series, Timeline, zone_name

_WIDTH, _HEIGHT = 960, 420
_LEFT, _TOP, _PLOT = 32, 104, 260  # px
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
    ".chart-x .end{text-anchor:end}"
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


def _file(timeline: Timeline, levels: Sequence[float], drawn: str, *, summed: bool) -> str:
    left = _LEFT + axis_width(levels, timeline.unit)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img"><title>{text(timeline.title)}</title><desc>{text(timeline.told(summed=summed))}</desc>'
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>'
        f'<text class="title" x="{_LEFT}" y="42">{text(timeline.title)}</text>'
        f'<text class="sub" x="{_LEFT}" y="62">{text(_span(timeline))}</text>{_keys(timeline.series)}'
        f'<svg x="{_LEFT}" y="{_TOP}">{values_axis(levels, timeline.unit, _PLOT)}</svg>'
        f'<svg x="{left}" y="{_TOP}" width="{_WIDTH - _LEFT - left}" height="{_PLOT + 22}">'
        f"{grid(levels, _PLOT)}{drawn}{times_axis(timeline, _PLOT, width=2)}{notice(timeline, _PLOT)}</svg></svg>\n"
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
