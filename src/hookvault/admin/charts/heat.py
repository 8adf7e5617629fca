"""A week as a map of heat: weekdays down, hours across, the more the deeper."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from hookvault.admin.charts.frame import attribute, made, text
from hookvault.admin.charts.scale import DAYS, Unit, short, written
from hookvault.admin.charts.series import Kind, drawable

_ROW, _CELL = 25, 22  # px
_GAP = 0.5  # percent of the width between two cells
_DEPTHS = 5
HEIGHT = 7 * _ROW


@dataclass(frozen=True, slots=True)
class Week:
    """Values of the hours of a week.

    Attributes:
        title: What is shown, such as `Failures by hour, last 7 days`.
        cells: By weekday (1 is Monday) and hour (0 to 23); what is absent is 0.
        name: What a value is, such as `Failed`.
        kind: The colour of the deepest cells.
        unit: What the values are.
    """

    title: str
    cells: Mapping[tuple[int, int], float]
    name: str
    kind: Kind = "fail"
    unit: Unit = "count"

    @property
    def values(self) -> list[float]:
        """Hour after hour from Monday on."""
        return [drawable(self.cells.get((day, hour))) or 0 for day in range(1, 8) for hour in range(24)]

    def told(self) -> str:
        """The map in words: the total, where most is, and how many hours have none."""
        values = self.values
        most = max(values)
        if not most:
            return f"{self.title}. {self.name}: none in any hour of the week."
        day, hour = divmod(values.index(most), 24)
        total = f"{written(sum(values), self.unit)} in total, " if self.unit == "count" else ""
        peak = f"most on {DAYS[day]} at {hour:02}:00 ({written(most, self.unit)})"
        return f"{self.title}. {self.name}: {total}{peak}, none in {values.count(0)} of 168 hours."


def heated(week: Week) -> Markup:
    """A figure of 7 x 24 cells; hover and arrow keys read it out (charts.js)."""
    shown = {"n": week.name, "c": week.kind, "v": week.values}
    data = {"rows": DAYS, "columns": 24, "unit": week.unit, "series": [shown]}
    return made(
        f'<figure class="chart" data-chart=\'{attribute(data)}\'><div class="chart-body">'
        f'<svg class="chart-y" width="38" height="{HEIGHT}" aria-hidden="true">{days_axis()}</svg>'
        f'<div class="chart-plot" tabindex="0" role="img" aria-label="{text(week.told())}">'
        f'<svg class="chart-svg chart-heat c-{text(week.kind)}" width="100%" height="{HEIGHT}" aria-hidden="true">'
        f"{draw_heat(week)}</svg></div></div></figure>"
    )


def days_axis() -> str:
    """The names of the rows."""
    return "".join(f'<text x="30" y="{row * _ROW + 15}">{day}</text>' for row, day in enumerate(DAYS))


def draw_heat(week: Week) -> str:
    """The cells and the hours below them, as SVG that is as wide as what it stands in."""
    return f"{_drawn(week.values)}{_hours()}"


def _drawn(values: list[float]) -> str:
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


def _hours() -> str:
    """Every third hour; every sixth where there is little room."""
    said = []
    for hour in range(0, 24, 3):
        widths = "x1 x2" if hour % 6 else "x0 x1 x2"
        said.append(f'<text class="{widths}" x="{short((hour + 0.5) * 100 / 24)}%" y="{HEIGHT + 14}">{hour:02}</text>')
    return f'<g class="chart-x">{"".join(said)}</g>'
