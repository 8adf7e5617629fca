"""What all charts have around them: the figure with its data, the axes, the grid, the legend."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from hookvault.admin.charts.scale import Unit, labels, marked, short
from hookvault.admin.charts.series import Series, Timeline

HEIGHT = 200
_DIGIT = 6.7  # px that a character of an axis takes, at most
# What XML can't hold, escaped or not: an exported file with it would not open.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def made(markup: str) -> Markup:
    """Markup that this package put together of its own constants, of numbers, and of what `text` gave."""
    return Markup(markup)  # noqa: S704


def text(value: object) -> str:
    """Any text, safe in an element and in a quoted attribute."""
    return str(escape(_UNFIT.sub("\ufffd", str(value))))


def attribute(data: Mapping[str, Any]) -> str:
    """Data as JSON for an attribute in single quotes, which leaves JSON's own quotes as they are."""
    plain = _UNFIT.sub("\ufffd", json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    return plain.replace("&", "&amp;").replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;")


def figure(timeline: Timeline, levels: Sequence[float], drawn: str, *, stacked: bool, height: int = HEIGHT) -> Markup:
    """A chart over time, whole: legend, axes, what is drawn, and the data for the read-out."""
    data = f" data-chart='{attribute(timeline.data(stacked=stacked))}'" if timeline.times else ""
    focus = ' tabindex="0"' if timeline.times else ""
    return made(
        f'<figure class="chart"{data}>{legend(timeline.series)}<div class="chart-body">'
        f"{values_axis(levels, timeline.unit, height)}"
        f'<div class="chart-plot"{focus} role="img" aria-label="{text(timeline.told(summed=stacked))}">'
        f'<svg class="chart-svg" width="100%" height="{height}" aria-hidden="true">'
        f"{grid(levels, height)}{drawn}{times_axis(timeline, height)}{notice(timeline, height)}"
        "</svg></div></div></figure>"
    )


def legend(series: Sequence[Series]) -> str:
    """The names of the series with their colours."""
    items = "".join(f'<li><i class="chart-key c-{text(s.kind)}"></i>{text(s.name)}</li>' for s in series)
    return f'<figcaption><ul class="chart-legend">{items}</ul></figcaption>' if items else ""


def axis_width(levels: Sequence[float], unit: Unit) -> int:
    """How wide the axis of values is, in px."""
    return round(max(len(marked(level, unit)) for level in levels) * _DIGIT) + 10


def values_axis(levels: Sequence[float], unit: Unit, height: int) -> str:
    """The labels of the grid's lines, as an SVG of its own on the left."""
    width = axis_width(levels, unit)
    said = "".join(
        f'<text x="{width - 10}" y="{short(height - level / levels[-1] * height + 4)}">{text(marked(level, unit))}</text>'
        for level in levels
    )
    return f'<svg class="chart-y" width="{width}" height="{height}" aria-hidden="true">{said}</svg>'


def grid(levels: Sequence[float], height: int) -> str:
    """A line for each tick; the lowest is the base."""
    lines = [
        f'<line x1="0" x2="100%" y1="{short(y)}" y2="{short(y)}"/>'
        for y in (round(height - level / levels[-1] * height) + 0.5 for level in levels)
    ]
    return f'<g class="chart-grid">{"".join(lines)}</g>'


def times_axis(timeline: Timeline, height: int, *, width: int | None = None) -> str:
    """The labels of time: a choice for each width, of which charts.css shows the one that fits; or one choice alone."""
    count = len(timeline.times)
    said = []
    for index, label, widths in labels(timeline.times, timeline.interval, timeline.zone):
        if width is not None and width not in widths:
            continue
        at = (index + 0.5) / count * 100
        names = " ".join([*(f"x{fitting}" for fitting in widths), *(["end"] if at > 97.5 else [])])
        said.append(f'<text class="{names}" x="{short(at)}%" y="{height + 17}">{text(label)}</text>')
    return f'<g class="chart-x">{"".join(said)}</g>'


def notice(timeline: Timeline, height: int) -> str:
    """Says that there is nothing, where a bare grid would look like a fault."""
    if not timeline.blank:
        return ""
    return f'<text class="chart-empty" x="50%" y="{height // 2 + 4}">{text(timeline.empty)}</text>'
