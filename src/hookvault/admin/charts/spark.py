"""Small charts in table rows and tiles, drawn in few bytes and little time: a page has dozens."""

from collections.abc import Sequence

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import number, runs, short, smooth
from hookvault.admin.charts.series import Kind, Series

_HEIGHT = 22
_PITCH, _BAR = 4, 3
_AREA_WIDTH, _AREA_HEIGHT = 200, 28


def spark_bars(successful: Sequence[float], failed: Sequence[float], *, label: str = "Calls") -> Markup:
    """Bars of successes with failures upon them, and a tick where there was nothing; 4 px for each point.

    Args:
        successful: Counts, oldest first.
        failed: Counts of the same points.
        label: What is counted and when, such as `Calls, 24 h`; numbers are added to it.
    """
    most = max((ok + bad for ok, bad in zip(successful, failed, strict=True)), default=0)
    scale = _HEIGHT / most if most > 0 else 0.0
    parts: dict[str, list[str]] = {"none": [], "ok": [], "fail": []}
    for index, (ok, bad) in enumerate(zip(successful, failed, strict=True)):
        x = index * _PITCH + _BAR / 2
        if ok + bad <= 0:
            parts["none"].append(f"M{x} {_HEIGHT}v-1")
            continue
        # A part that is there is seen: 2 px at least.
        red = max(bad * scale, 2.0) if bad else 0.0
        top = _HEIGHT - max((ok + bad) * scale, red + (2.0 if ok else 0.0), 2.0)
        split = max(top, 0.0) + red
        if ok:
            parts["ok"].append(f"M{x} {_HEIGHT}V{split + (0.5 if red else 0):.3g}")
        if bad:
            parts["fail"].append(f"M{x} {split:.3g}V{max(top, 0.0):.3g}")
    drawn = "".join(f'<path class="c-{kind}" d="{"".join(d)}"/>' for kind, d in parts.items() if d)
    said = text(f"{label}: {number(sum(successful))} succeeded, {number(sum(failed))} failed")
    width = max(len(successful) * _PITCH - _PITCH + _BAR, 1)
    box = f'width="{width}" height="{_HEIGHT}" viewBox="0 0 {width} {_HEIGHT}"'
    return made(f'<svg class="spark" {box} role="img" aria-label="{said}">{drawn}</svg>')


def spark_area(values: Sequence[float | None], kind: Kind = "ok", *, label: str, floor: float | None = 0) -> Markup:
    """A small line with its area, as wide as the tile it stands in; gaps where values are None.

    Args:
        values: Oldest first.
        kind: Its colour.
        label: What it shows, in words; the tile's number beside it says how much.
        floor: The value at the bottom; None for the lowest of the values, where changes are small (a success rate).
    """
    known = Series("", kind, values).known()
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
        line = smooth(run)
        base = f"L{short(run[-1][0])} {_AREA_HEIGHT}L{short(run[0][0])} {_AREA_HEIGHT}z"
        drawn += f'<path class="spark-fill" d="{line}{base}"/><path class="spark-line" d="{line}"/>'
    box = f'width="100%" height="{_AREA_HEIGHT}" viewBox="0 0 {_AREA_WIDTH} {_AREA_HEIGHT}" preserveAspectRatio="none"'
    return made(f'<svg class="spark-area c-{text(kind)}" {box} role="img" aria-label="{text(label)}">{drawn}</svg>')
