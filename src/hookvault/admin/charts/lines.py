"""Lines over time, such as the percentiles of response times, with a band between the first two."""

from collections.abc import Sequence

from markupsafe import Markup

from hookvault.admin.charts.frame import HEIGHT, figure
from hookvault.admin.charts.scale import Point, runs, smooth, straight, ticks
from hookvault.admin.charts.series import Series, Timeline

MOST_CURVES = 400  # points; more are joined by straight lines, in a quarter of the bytes
_SLOT = 20  # units of the drawing for each point; those of many points are 2
_FINE = 4  # units for each px of height


def lined(timeline: Timeline, *, band: bool = True, height: int = HEIGHT) -> Markup:
    """A figure of lines, with gaps where values are None; hover and arrow keys read it out (charts.js).

    Args:
        timeline: Its series, the lowest first: p50, p95, p99.
        band: Whether the area between the first two is tinted.
        height: Of the plot, in px.
    """
    levels = line_levels(timeline)
    drawn = draw_lines(timeline, levels, height, band=band)
    return figure(timeline, levels, drawn, stacked=False, height=height)


def line_levels(timeline: Timeline) -> list[float]:
    """The ticks for the highest value."""
    known = [value for series in timeline.series for value in series.values if value is not None]
    return ticks(max(known, default=0), timeline.unit)


def draw_lines(timeline: Timeline, levels: Sequence[float], height: int, *, band: bool = True) -> str:
    """The lines alone, as SVG that is as wide as what it stands in."""
    count, tall = len(timeline.times), height * _FINE
    many = count > MOST_CURVES
    slot = 2 if many else _SLOT
    placed = [_placed(series, levels[-1], slot, tall) for series in timeline.series]
    drawn = [_band(placed[0], placed[1])] if band and len(placed) > 1 else []
    # The first line is the one that counts: it lies on top.
    for series, points in reversed(list(zip(timeline.series, placed, strict=True))):
        stretches = runs(points)
        path = "".join(_path(run, count) for run in stretches if len(run) > 1)
        # A point between two gaps would be a speck as a line.
        dots = "".join(_path(run, count) for run in stretches if len(run) == 1)
        drawn.append(f'<path class="c-{series.kind}" d="{path}"/>' if path else "")
        drawn.append(f'<path class="c-{series.kind} dot" d="{dots}"/>' if dots else "")
    box = f'viewBox="0 0 {max(count, 1) * slot} {tall}" preserveAspectRatio="none"'
    return (
        f'<svg class="chart-lines{" many" if many else ""}" width="100%" height="{height}" {box}>{"".join(drawn)}</svg>'
    )


def _placed(series: Series, most: float, slot: int, tall: int) -> list[Point | None]:
    return [
        None if value is None else ((index + 0.5) * slot, tall - value / most * tall)
        for index, value in enumerate(series.values)
    ]


def _path(run: Sequence[Point], count: int) -> str:
    return smooth(run) if count <= MOST_CURVES else straight(run)


def _band(lower: Sequence[Point | None], upper: Sequence[Point | None]) -> str:
    """The area between two lines, wherever both are known."""
    both = [(low, high) if low and high else None for low, high in zip(lower, upper, strict=True)]
    path = ""
    for run in _pairs(both):
        back = _path([high for _, high in run][::-1], len(lower))
        path += _path([low for low, _ in run], len(lower)) + "L" + back.removeprefix("M") + "z" if len(run) > 1 else ""
    return f'<path class="chart-band" d="{path}"/>' if path else ""


def _pairs(both: Sequence[tuple[Point, Point] | None]) -> list[list[tuple[Point, Point]]]:
    found: list[list[tuple[Point, Point]]] = [[]]
    for pair in both:
        if pair:
            found[-1].append(pair)
        elif found[-1]:
            found.append([])
    return found
