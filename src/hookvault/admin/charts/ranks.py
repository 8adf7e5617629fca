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


def ranked(ranks: Sequence[Rank], *, unit: Unit = "count", empty: str = "Nothing in this period") -> Markup:
    """A list of labelled bars as long as their values, the first given at the top."""
    if not ranks:
        return made(f'<p class="ranks-empty">{text(empty)}</p>')
    values = [drawable(rank.value) for rank in ranks]
    most = max((value for value in values if value is not None), default=0)
    items = "".join(_item(rank, value, most, unit) for rank, value in zip(ranks, values, strict=True))
    return made(f'<ol class="ranks">{items}</ol>')


def _item(rank: Rank, value: float | None, most: float, unit: Unit) -> str:
    name = text(rank.label)
    shown = f'<a href="{text(rank.href)}">{name}</a>' if rank.href else name
    share = f'<span class="rank-share">{text(percent(rank.share))}</span>' if rank.share is not None else ""
    note = f'<span class="rank-note">{text(rank.note)}</span>' if rank.note else ""
    # What is there is seen, if only as a dot.
    wide = max(value / most * 100, 0.8) if value and most else 0.0
    bar = f'<rect class="c-{text(rank.kind)}" width="{short(wide)}%" height="6" rx="3"/>' if wide else ""
    return (
        f'<li><span class="rank-label" title="{name}">{shown}</span>'
        f'<span class="rank-value">{text(written(value, unit))}</span>{share}{note}'
        '<svg class="rank-bar" width="100%" height="6" aria-hidden="true">'
        f'<rect class="rank-track" width="100%" height="6" rx="3"/>{bar}</svg></li>'
    )
