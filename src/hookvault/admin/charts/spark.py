"""Small charts in table rows and tiles, drawn in few bytes and little time: a page has dozens."""

from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import number, runs, short, smooth, straight
from hookvault.admin.charts.series import Kind, drawable

_HEIGHT = 22
_PITCH, _BAR = 4, 3
_AREA_WIDTH, _AREA_HEIGHT = 200, 28
_CURVED = 24  # points; of more, each is so near to the next that a curve only costs bytes


def spark_bars(successful: Sequence[float], failed: Sequence[float], *, label: str = "Calls") -> Markup:
    """Bars of successes with failures upon them, and a tick where there was nothing; 4 px for each point.

    Args:
        successful: Counts, oldest first.
        failed: Counts of the same points.
        label: What is counted and when, such as `Calls, 24 h`; numbers are added to it.
    """
    pairs = list(zip(successful, failed, strict=True))
    most = max((ok + bad for ok, bad in pairs), default=0)
    scale = _HEIGHT / most if most > 0 else 0.0
    none, good, wrong = [], [], []
    for (ok, bad), foot in zip(pairs, _feet(len(pairs)), strict=True):
        if ok + bad <= 0:
            none.append(f"{foot}v-1")
            continue
        # Whole px are crisp. A part that is there is seen, if only as 2 px.
        blue = max(int(ok * scale + 0.5), 2) if ok else 0
        red = max(int(bad * scale + 0.5), 2) if bad else 0
        if blue + red > _HEIGHT:
            blue, red = (_HEIGHT - red, red) if red < blue else (blue, _HEIGHT - blue)
        if ok:
            good.append(f"{foot}v-{blue}")
        if bad:
            wrong.append(f"{foot}m0-{blue}v-{red}" if blue else f"{foot}v-{red}")
    parts = (("none", none), ("ok", good), ("fail", wrong))
    drawn = "".join(f'<path class="c-{kind}" d="{"".join(d)}"/>' for kind, d in parts if d)
    said = text(f"{label}: {number(sum(successful))} succeeded, {number(sum(failed))} failed")
    width = max(len(successful) * _PITCH - _PITCH + _BAR, 1)
    box = f'width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}"'
    return made(f'<svg class="spark" {box} role="img" aria-label="{said}">{drawn}</svg>')


@lru_cache(maxsize=8)
def _feet(count: int) -> tuple[str, ...]:
    """Where the bars stand."""
    return tuple(f"M{short(index * _PITCH + _BAR / 2)} {_HEIGHT}" for index in range(count))


def spark_area(values: Sequence[float | None], kind: Kind = "ok", *, label: str, floor: float | None = 0) -> Markup:
    """A small line with its area, as wide as the tile it stands in; gaps where values are None.

    Args:
        values: Oldest first.
        kind: Its colour.
        label: What it shows, in words; the tile's number beside it says how much.
        floor: The value at the bottom; None for the lowest of the values, where changes are small (a success rate).
    """
    known = [drawable(value) for value in values]
    present = [value for value in known if value is not None]
    low = floor if floor is not None else min(present, default=0)
    span = max(present, default=0) - low
    usable = _AREA_HEIGHT - 4  # px, so that the line's stroke stays inside
    step = _AREA_WIDTH / max(len(known) - 1, 1)
    points = [
        None if v is None else (i * step, _AREA_HEIGHT - 2 - (usable * max(v - low, 0) / span if span > 0 else 0))
        for i, v in enumerate(known)
    ]
    drawn = ""
    for run in runs(points):
        line = smooth(run) if len(run) <= _CURVED else straight(run)
        base = f"L{short(run[-1][0])} {_AREA_HEIGHT}L{short(run[0][0])} {_AREA_HEIGHT}z"
        drawn += f'<path class="spark-fill" d="{line}{base}"/><path class="spark-line" d="{line}"/>'
    box = f'width="100%" height="{_AREA_HEIGHT}" viewBox="0 0 {_AREA_WIDTH} {_AREA_HEIGHT}" preserveAspectRatio="none"'
    return made(f'<svg class="spark-area c-{text(kind)}" {box} role="img" aria-label="{text(label)}">{drawn}</svg>')
