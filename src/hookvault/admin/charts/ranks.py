"""Horizontal bars in order, such as errors by cause or the slowest webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import Unit, percent, short, written
from hookvault.admin.charts.series import Kind, drawable


@dataclass(frozen=True, slots=True)
class Rank:
    """One bar.

    Attributes:
        label: What it is; any text.
        value: How much; None is shown as a dash without a bar.
        share: Its part of the whole from 0 to 1, written after the value; None where that means nothing.
        kind: Its colour.
        href: Where its label leads, a path of our own; None for plain text.
        note: A second, quieter line; any text.
    """

    label: str
    value: float | None
    share: float | None = None
    kind: Kind = "ok"
    href: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Bars, the first at the top, and what they are.

    Attributes:
        title: What is shown, such as `Failed calls by cause`.
        ranks: In order.
        of: What the labels are, such as `Cause`; the head of their column in the table.
        name: What the values are, such as `Failed calls`.
        unit: What they are counted in.
        note: What the quieter lines are; the head of their column.
        empty: What stands where there are none.
    """

    title: str
    ranks: Sequence[Rank]
    of: str
    name: str
    unit: Unit = "count"
    note: str = "Note"
    empty: str = "Nothing in this period"


def ranked(ranking: Ranking) -> Markup:
    """A list of labelled bars as long as their values."""
    if not ranking.ranks:
        return made(f'<p class="ranks-empty">{text(ranking.empty)}</p>')
    items = "".join(_item(rank, wide, ranking.unit) for rank, wide in zip(ranking.ranks, widths(ranking), strict=True))
    return made(f'<ol class="ranks">{items}</ol>')


def widths(ranking: Ranking) -> list[float]:
    """How long each bar is, in percent of the longest."""
    values = [drawable(rank.value) or 0 for rank in ranking.ranks]
    most = max(values, default=0)
    # What is there is seen, if only as a dot.
    return [max(value / most * 100, 0.8) if value else 0.0 for value in values]


def _item(rank: Rank, wide: float, unit: Unit) -> str:
    name = text(rank.label)
    shown = f'<a href="{text(rank.href)}">{name}</a>' if rank.href else name
    share = f'<span class="rank-share">{text(percent(rank.share))}</span>' if rank.share is not None else ""
    note = f'<span class="rank-note">{text(rank.note)}</span>' if rank.note else ""
    bar = f'<rect class="c-{text(rank.kind)}" width="{short(wide)}%" height="6" rx="3"/>' if wide else ""
    return (
        f'<li><span class="rank-label" title="{name}">{shown}</span>'
        f'<span class="rank-value">{text(written(drawable(rank.value), unit))}</span>{share}{note}'
        '<svg class="rank-bar" width="100%" height="6" aria-hidden="true">'
        f'<rect class="rank-track" width="100%" height="6" rx="3"/>{bar}</svg></li>'
    )
