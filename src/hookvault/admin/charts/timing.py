"""Where the time of a call went, and when its attempts were made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import duration, short
from hookvault.admin.charts.series import Kind

Step = Literal["dns", "connect", "tls", "wait", "download"]

_NAMES: dict[Step, str] = {
    "dns": "DNS",
    "connect": "Connect",
    "tls": "TLS",
    "wait": "Waiting",
    "download": "Download",
}
_LEAST = 0.4  # percent: a step of a millisecond is seen beside seconds
_HEIGHT = 12


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt on the line of time.

    Attributes:
        name: Such as `Attempt 2`; any text.
        start: When it began.
        ms: How long it took.
        kind: The colour of its result.
        note: What came of it, such as `500 Workflow error`; any text.
    """

    name: str
    start: datetime
    ms: float
    kind: Kind = "ok"
    note: str = ""


def phased(steps: Sequence[tuple[Step, float | None]]) -> Markup:
    """A bar cut into the steps of a call, each as long as it took, and their names and times below.

    Args:
        steps: In order, in ms; those of None are not known and left out, as are those of no time.
    """
    known = [(step, ms) for step, ms in steps if ms is not None and math.isfinite(ms) and ms > 0]
    if not known:
        return made('<p class="timing-empty">Not timed</p>')
    shares = [max(ms / sum(ms for _, ms in known) * 100, _LEAST) for _, ms in known]
    fit = 100 / sum(shares)
    at, parts, items = 0.0, [], []
    for (step, ms), share in zip(known, shares, strict=True):
        width = share * fit
        shape = f'x="{short(at)}%" width="{short(width)}%" height="{_HEIGHT}"'
        parts.append(f'<rect class="t-{text(step)}" {shape}/>')
        items.append(f'<li><i class="chart-key t-{text(step)}"></i>{_NAMES[step]} {duration(ms)}</li>')
        at += width
    said = ", ".join(f"{_NAMES[step]} {duration(ms)}" for step, ms in known)
    return made(
        f'<figure class="timing"><svg class="timing-bar" width="100%" height="{_HEIGHT}" role="img" '
        f'aria-label="{text(f"Timing: {said}.")}">{"".join(parts)}</svg>'
        f'<figcaption><ul class="chart-legend">{"".join(items)}</ul></figcaption></figure>'
    )


def tried(attempts: Sequence[Attempt]) -> Markup:
    """Attempts along time: a line each, from the start of the first to the end of the last."""
    if not attempts:
        return made('<p class="timing-empty">Not tried yet</p>')
    first = min(attempt.start for attempt in attempts)
    begun = [(attempt.start - first).total_seconds() * 1000 for attempt in attempts]
    lasted = [attempt.ms if math.isfinite(attempt.ms) and attempt.ms > 0 else 0.0 for attempt in attempts]
    whole = max(start + ms for start, ms in zip(begun, lasted, strict=True)) or 1.0
    rows = [_row(a, start / whole, ms / whole, start) for a, start, ms in zip(attempts, begun, lasted, strict=True)]
    return made(f'<ol class="tries">{"".join(rows)}</ol>')


def _row(attempt: Attempt, start: float, share: float, after: float) -> str:
    # A line with round ends is a dot where it has no length: 2 % at each side keep it inside.
    x1, x2 = 2 + start * 96, 2 + (start + share) * 96
    when = f"+{duration(after)} \u00b7 " if after else ""
    note = f'<span class="try-note">{text(attempt.note)}</span>' if attempt.note else ""
    return (
        f'<li><span class="try-name">{text(attempt.name)}</span>{note}'
        f'<span class="try-time">{when}{duration(max(attempt.ms, 0))}</span>'
        f'<svg class="try-bar" width="100%" height="10" aria-hidden="true">'
        f'<line class="try-track" x1="2%" x2="98%" y1="5" y2="5"/>'
        f'<line class="c-{text(attempt.kind)}" x1="{short(x1)}%" x2="{short(x2 + 0.01)}%" y1="5" y2="5"/></svg></li>'
    )
