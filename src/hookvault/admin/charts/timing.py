"""What the time of a call went into."""

import math

from markupsafe import Markup

from hookvault.admin.charts.frame import made, text
from hookvault.admin.charts.scale import duration, short
from hookvault.analytics.model import Timing

_LEAST = 0.4  # percent: a step of a millisecond is seen beside seconds
_HEIGHT = 12
_STEPS = {
    "resolve": "DNS",
    "connect": "Connect",
    "tls": "TLS",
    "wait": "Waiting",
    "download": "Download",
}


def phased(timing: Timing) -> Markup:
    """A bar cut into the phases of a call, each as long as it took, and their names and times below.

    Those of None are not known, or there was no need for them: they are left out, as are those of no time.
    """
    times = {step: getattr(timing, f"{step}_ms") for step in _STEPS}
    known = {step: ms for step, ms in times.items() if ms is not None and math.isfinite(ms) and ms > 0}
    whole = sum(known.values())
    shares = [max(ms / whole * 100, _LEAST) for ms in known.values()]
    fit = 100 / sum(shares, start=1e-9)
    at, parts, items = 0.0, [], []
    for (step, ms), share in zip(known.items(), shares, strict=True):
        width = share * fit
        shape = f'x="{short(at)}%" width="{short(width)}%" height="{_HEIGHT}"'
        parts.append(f'<rect class="t-{step}" {shape}/>')
        items.append(f'<li><i class="chart-key t-{step}"></i>{_STEPS[step]} {duration(ms)}</li>')
        at += width
    if timing.connect_ms is None and timing.wait_ms is not None:
        items.append('<li class="muted">on a connection that was kept</li>')
    said = ", ".join(f"{_STEPS[step]} {duration(ms)}" for step, ms in known.items()) or "no time"
    return made(
        f'<figure class="timing"><svg class="timing-bar" width="100%" height="{_HEIGHT}" role="img" '
        f'aria-label="{text(f"Timing: {said}.")}">{"".join(parts)}</svg>'
        f'<figcaption><ul class="chart-legend">{"".join(items)}</ul></figcaption></figure>'
    )
