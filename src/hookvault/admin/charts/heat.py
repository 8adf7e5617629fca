"""A week as a map of heat: weekdays down, hours across, the more the deeper."""

import math
from collections.abc import Mapping

from markupsafe import Markup

from hookvault.admin.charts.frame import attribute, made, text
from hookvault.admin.charts.scale import DAYS, Unit, short, written
from hookvault.admin.charts.series import Kind, drawable

_ROW, _CELL = 25, 22  # px
_GAP = 0.5  # percent of the width between two cells
_DEPTHS = 5
HEAT_HEIGHT = 7 * _ROW


def heated(
    cells: Mapping[tuple[int, int], float], *, title: str, name: str, kind: Kind = "fail", unit: Unit = "count"
) -> Markup:
    """A figure of 7 x 24 cells; hover and arrow keys read it out (charts.js).

    Args:
        cells: Values by weekday (1 is Monday) and hour (0 to 23); what is absent is 0.
        title: What is shown, such as `Failures by hour, last 7 days`.
        name: What a value is, such as `Failed`.
        kind: The colour of the deepest cells.
        unit: What the values are.
    """
    values = fit(cells)
    data = {"rows": DAYS, "columns": 24, "unit": unit, "series": [{"n": name, "c": kind, "v": values}]}
    return made(
        f'<figure class="chart" data-chart=\'{attribute(data)}\'><div class="chart-body">'
        f'<svg class="chart-y" width="38" height="{HEAT_HEIGHT}" aria-hidden="true">{draw_days()}</svg>'
        f'<div class="chart-plot" tabindex="0" role="img" aria-label="{text(tell_heat(values, title, name, unit))}">'
        f'<svg class="chart-svg chart-heat c-{text(kind)}" width="100%" height="{HEAT_HEIGHT}" aria-hidden="true">'
        f"{draw_heat(values)}{draw_hours()}</svg></div></div></figure>"
    )


def fit(cells: Mapping[tuple[int, int], float]) -> list[float]:
    """The 168 values hour by hour, Monday first."""
    return [drawable(cells.get((day, hour))) or 0 for day in range(1, 8) for hour in range(24)]


def draw_days() -> str:
    """The names of the days, one under the other."""
    return "".join(f'<text x="30" y="{row * _ROW + 15}">{day}</text>' for row, day in enumerate(DAYS))


def draw_heat(values: list[float]) -> str:
    """The cells, the greater the deeper; across they are percent of the drawing's width."""
    most = max(values)
    groups: dict[int, list[str]] = {}
    for index, value in enumerate(values):
        row, column = divmod(index, 24)
        x, width = column * 100 / 24 + _GAP / 2, 100 / 24 - _GAP
        cell = f'<rect x="{short(x)}%" y="{row * _ROW}" width="{short(width)}%" height="{_CELL}"/>'
        # Any failure at all is told from none.
        depth = math.ceil(value / most * _DEPTHS) if value else 0
        groups.setdefault(depth, []).append(cell)
    return "".join(f'<g class="heat{depth}">{"".join(groups[depth])}</g>' for depth in sorted(groups))


def draw_hours() -> str:
    """Every third hour; every sixth where there is little room."""
    said = []
    for hour in range(0, 24, 3):
        widths = "x1 x2" if hour % 6 else "x0 x1 x2"
        said.append(
            f'<text class="{widths}" x="{short((hour + 0.5) * 100 / 24)}%" y="{HEAT_HEIGHT + 14}">{hour:02}</text>'
        )
    return f'<g class="chart-x">{"".join(said)}</g>'


def tell_heat(values: list[float], title: str, name: str, unit: Unit) -> str:
    """The map in words: how much, when most, and how often none."""
    most = max(values)
    if not most:
        return f"{title}. {name}: none in any hour of the week."
    day, hour = divmod(values.index(most), 24)
    total = f"{written(sum(values), unit)} in total, " if unit == "count" else ""
    peak = f"most on {DAYS[day]} at {hour:02}:00 ({written(most, unit)})"
    return f"{title}. {name}: {total}{peak}, none in {values.count(0)} of 168 hours."
