"""Stacked bars over time, such as the calls of each hour by result."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from hookvault.admin.charts.frame import HEIGHT, figure
from hookvault.admin.charts.scale import short, ticks
from hookvault.admin.charts.series import Series, Timeline

MOST_RECTANGLES = 168  # points, a week of hours; more are drawn as outlines, in a tenth of the bytes
_LEAST = 1.5  # px: one failure among thousands must be seen
_FINE = 4  # units of an outline for each px
_GAP = 1.0  # px between the parts of a bar


def stacked(timeline: Timeline, *, height: int = HEIGHT) -> Markup:
    """A figure of bars, the series one upon the other; hover and arrow keys read it out (charts.js)."""
    levels = bar_levels(timeline)
    return figure(timeline, levels, draw_bars(timeline, levels, height), stacked=True, height=height)


def bar_levels(timeline: Timeline) -> list[float]:
    """The ticks for the highest bar."""
    return ticks(max(_totals(timeline.series), default=0), timeline.unit)


def draw_bars(timeline: Timeline, levels: Sequence[float], height: int) -> str:
    """The bars alone, as SVG that is as wide as what it stands in."""
    tops = _tops(timeline.series, levels[-1], height)
    draw = _rectangles if len(timeline.times) <= MOST_RECTANGLES else _outlines
    return draw(timeline.series, tops, height)


def _totals(series: Sequence[Series]) -> list[float]:
    return [sum(value or 0 for value in point) for point in zip(*(s.values for s in series), strict=True)]


def _tops(series: Sequence[Series], most: float, height: int) -> list[list[float]]:
    """For each point how high, in px, each series reaches upon those below; the same as below where it has nothing."""
    points = []
    for point in zip(*(s.values for s in series), strict=True):
        reached, tops = 0.0, []
        for value in point:
            reached += max(value / most * height, _LEAST) if value else 0.0
            tops.append(reached)
        # The least heights together may reach beyond the plot by a pixel or two.
        shrink = min(1.0, height / reached) if reached else 1.0
        points.append([top * shrink for top in tops])
    return points


def _rectangles(series: Sequence[Series], tops: Sequence[Sequence[float]], height: int) -> str:
    slot = 100 / len(tops) if tops else 100.0
    # A lone bar as wide as the plot would look like a background.
    width = min(slot * (0.78 if len(tops) <= 100 else 0.88), 12.0)
    groups = []
    for level, one in enumerate(series):
        drawn = []
        for index, point in enumerate(tops):
            below = point[level - 1] if level else 0.0
            if (tall := point[level] - below) <= 0:
                continue
            gap = _GAP if below and tall > _GAP + _LEAST else 0.0
            x = (index + 0.5) * slot - width / 2
            y = short(height - point[level])
            drawn.append(f'<rect x="{short(x)}%" y="{y}" width="{short(width)}%" height="{short(tall - gap)}"/>')
        groups.append(f'<g class="c-{one.kind}">{"".join(drawn)}</g>')
    return f'<g class="chart-bars">{"".join(groups)}</g>'


def _outlines(series: Sequence[Series], tops: Sequence[Sequence[float]], height: int) -> str:
    """Each series as the outline of all up to it; the lower ones are painted upon the higher."""
    paths = []
    tall = height * _FINE
    for level in reversed(range(len(series))):
        reached = [tall - round(point[level] * _FINE) for point in tops]
        steps = "".join([f"V{y}h{len(list(same))}" for y, same in groupby(reached)])
        paths.append(f'<path class="c-{series[level].kind}" d="M0 {tall}{steps}V{tall}z"/>')
    box = f'viewBox="0 0 {len(tops)} {tall}" preserveAspectRatio="none"'
    return f'<svg class="chart-bars" width="100%" height="{height}" {box}>{"".join(paths)}</svg>'
