"""A chart as a file of its own: the same drawing with its colours, title, axes and legend inside."""

from collections.abc import Sequence

from hookvault.admin.charts.bars import bar_levels, draw_bars
from hookvault.admin.charts.frame import axis_width, grid, notice, text, times_axis, values_axis
from hookvault.admin.charts.heat import HEIGHT as HEAT_HEIGHT
from hookvault.admin.charts.heat import Week, days_axis, draw_heat
from hookvault.admin.charts.lines import draw_lines, line_levels
from hookvault.admin.charts.ranks import Rank, Ranking, widths
from hookvault.admin.charts.scale import moment, percent, short, written
from hookvault.admin.charts.series import Series, Timeline, drawable, zone_name

_WIDTH, _LEFT, _RIGHT = 960, 32, 928  # px
_TOP, _PLOT, _FOOT = 116, 260, 56  # px
_MOST = 120  # characters that fit into a line; the title element has the whole
_DEPTHS = (0.24, 0.42, 0.6, 0.8, 1.0)  # how much of the colour, as charts.css mixes it
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
    ".chart-x .end,.end{text-anchor:end}.value{font-weight:600;fill:#1a1c2c}"
    ".track{fill:#eef0f4}.heat0 rect,rect.heat0{fill:#eef0f4;fill-opacity:1}.chart-heat rect{rx:3px}"
    + "".join(f".heat{depth}{{fill-opacity:{part}}}" for depth, part in enumerate(_DEPTHS, 1))
    + "".join(
        f".chart-bars .c-{kind},.key.c-{kind},.chart-heat.c-{kind},.bar.c-{kind}{{fill:{colour}}}"
        f".chart-lines .c-{kind}{{stroke:{colour}}}"
        for kind, colour in _COLOURS.items()
    )
)


def bars_file(timeline: Timeline, *, whose: str = "") -> str:
    """Stacked bars as an SVG file (image/svg+xml, UTF-8); `whose` calls they are, any text."""
    levels = bar_levels(timeline)
    return _timed(timeline, levels, draw_bars(timeline, levels, _PLOT), summed=True, whose=whose)


def lines_file(timeline: Timeline, *, band: bool = True, whose: str = "") -> str:
    """Lines as an SVG file (image/svg+xml, UTF-8); `whose` calls they are, any text."""
    levels = line_levels(timeline)
    return _timed(timeline, levels, draw_lines(timeline, levels, _PLOT, band=band), summed=False, whose=whose)


def week_file(week: Week, *, span: str, whose: str = "") -> str:
    """A week's map of heat as an SVG file.

    Args:
        week: What is shown.
        span: Of which time, in words.
        whose: Whose calls; any text.
    """
    box = f'x="{_LEFT + 38}" y="{_TOP}" width="{_RIGHT - _LEFT - 38}" height="{HEAT_HEIGHT + 22}"'
    inner = (
        f'{_depths(week)}<svg class="chart-y" x="{_LEFT}" y="{_TOP}">{days_axis()}</svg>'
        f'<svg class="chart-heat c-{text(week.kind)}" {box}>{draw_heat(week)}</svg>'
    )
    return _file(week.title, week.told(), (whose, span), inner, _TOP + HEAT_HEIGHT + _FOOT)


def ranks_file(ranking: Ranking, *, span: str, whose: str = "") -> str:
    """Bars in order as an SVG file.

    Args:
        ranking: What is shown.
        span: Of which time, in words.
        whose: Whose calls; any text.
    """
    y, rows = _TOP - 16, [f'<text class="end" x="{_RIGHT}" y="88">{text(ranking.name)}</text>' if ranking.ranks else ""]
    for rank, wide in zip(ranking.ranks, widths(ranking), strict=True):
        rows.append(_row(rank, ranking, wide, y))
        y += 58 if rank.note else 42
    if not ranking.ranks:
        rows.append(f'<text x="{_LEFT}" y="{y + 12}">{text(ranking.empty)}</text>')
        y += 42
    said = [f"{rank.label}: {_value(rank, ranking)}" for rank in ranking.ranks]
    told = ". ".join([f"{ranking.title}. {ranking.name} by {ranking.of.lower()}", *(said or [ranking.empty])]) + "."
    return _file(ranking.title, told, (whose, span), "".join(rows), y + 16)


def _row(rank: Rank, ranking: Ranking, wide: float, y: int) -> str:
    full = _RIGHT - _LEFT
    box = f'x="{_LEFT}" y="{y + 20}" height="6" rx="3"'
    bar = f'<rect class="bar c-{text(rank.kind)}" {box} width="{short(wide / 100 * full)}"/>' if wide else ""
    note = f'<text x="{_LEFT}" y="{y + 42}">{text(_cut(rank.note))}</text>' if rank.note else ""
    return (
        f'<text class="name" x="{_LEFT}" y="{y + 12}">{text(_cut(rank.label))}</text>'
        f'<text class="value end" x="{_RIGHT}" y="{y + 12}">{text(_value(rank, ranking))}</text>'
        f'<rect class="track" {box} width="{full}"/>{bar}{note}'
    )


def _value(rank: Rank, ranking: Ranking) -> str:
    share = f" ({percent(rank.share)})" if rank.share is not None else ""
    return f"{written(drawable(rank.value), ranking.unit)}{share}"


def _depths(week: Week) -> str:
    """What the depths of the colour mean."""
    most = max(week.values)
    shown = range(len(_DEPTHS) + 1) if most else range(1)
    cells = "".join(
        f'<rect class="heat{depth}" x="{_LEFT + 38 + depth * 16}" y="82" width="13" height="13"/>' for depth in shown
    )
    said = f"{week.name}: none to {written(most, week.unit)} in an hour" if most else f"{week.name}: none"
    at = _LEFT + 38 + len(shown) * 16 + 6
    return (
        f'<g class="chart-heat c-{text(week.kind)}">{cells}</g><text class="name" x="{at}" y="93">{text(said)}</text>'
    )


def _timed(timeline: Timeline, levels: Sequence[float], drawn: str, *, summed: bool, whose: str) -> str:
    left = _LEFT + axis_width(levels, timeline.unit)
    inner = (
        f'{_keys(timeline.series)}<svg x="{_LEFT}" y="{_TOP}">{values_axis(levels, timeline.unit, _PLOT)}</svg>'
        f'<svg x="{left}" y="{_TOP}" width="{_RIGHT - left}" height="{_PLOT + 22}">'
        f"{grid(levels, _PLOT)}{drawn}{times_axis(timeline, _PLOT, width=2)}{notice(timeline, _PLOT)}</svg>"
    )
    return _file(timeline.title, timeline.told(summed=summed), (whose, _span(timeline)), inner, _TOP + _PLOT + _FOOT)


def _file(title: str, told: str, sub: tuple[str, str], inner: str, height: int) -> str:
    whose, span = sub
    whole = f"{title}, {whose}" if whose else title
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'role="img"><title>{text(whole)}</title><desc>{text(told)}</desc>'
        f'<style>{_STYLE}</style><rect class="paper" width="100%" height="100%"/>'
        f'<text class="title" x="{_LEFT}" y="40">{text(title)}</text>'
        f'<text class="end" x="{_RIGHT}" y="40">{text(span)}</text>'
        f'<text x="{_LEFT}" y="61">{text(_cut(whose or "All tenants"))}</text>{inner}</svg>\n'
    )


def _cut(value: str) -> str:
    return value if len(value) <= _MOST else f"{value[: _MOST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _span(timeline: Timeline) -> str:
    if not timeline.times:
        return timeline.empty
    first, last = (moment(at, timeline.interval, timeline.zone) for at in (timeline.times[0], timeline.end))
    return f"{first} to {last} ({zone_name(timeline.zone)})"


def _keys(series: Sequence[Series]) -> str:
    at, keys = _LEFT, []
    for one in series:
        keys.append(f'<rect class="key c-{text(one.kind)}" x="{at}" y="82" width="10" height="10" rx="3"/>')
        keys.append(f'<text class="name" x="{at + 16}" y="91">{text(one.name)}</text>')
        at += 40 + round(len(one.name) * 7)
    return "".join(keys)
