"""Draws docs/deliveries.svg from the figures that `run.py --json FILE` wrote: python bench/chart.py FILE docs/deliveries.svg

Three panels: deliveries over the bare transport, where a delivery's CPU time goes, and a steady tenant beside dead neighbours.
Colours follow the reader's light or dark scheme.
"""

import json
import statistics
import sys
from html import escape
from pathlib import Path

import tables

WIDTH, LABELS, PAD = 840, 290, 20
BAR, GAP = 22, 12
STYLE = """
svg { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #ffffff;
    --a: #2f6feb; --b: #1a7f5a; --c: #b35900; --d: #8250df; --bad: #c2255c; font: 13px system-ui, sans-serif }
@media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --a: #58a6ff; --b: #3fb68b; --c: #e3954a;
        --d: #b392f0; --bad: #f778a4 } }
text { fill: var(--ink) } .soft { fill: var(--soft); font-size: 12px } .title { font-weight: 600; font-size: 15px }
.page { fill: var(--page) } .line { stroke: var(--line) } .aim { stroke: var(--bad); stroke-dasharray: 4 3 }
.a { fill: var(--a) } .b { fill: var(--b) } .c { fill: var(--c) } .d { fill: var(--d) }
"""


class Drawing:
    """SVG elements from top to bottom."""

    def __init__(self):
        self.y = PAD
        self.parts = []

    def text(self, x, y, text, kind=""):
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(text)}</text>')

    def title(self, text, note):
        self.text(PAD, self.y + 14, text, "title")
        self.text(PAD, self.y + 32, note, "soft")
        self.y += 46

    def bar(self, label, pieces, scale, told):
        """A bar of (value, colour) pieces."""
        self.text(PAD, self.y + 16, label)
        x = LABELS
        for value, colour in pieces:
            self.parts.append(
                f'<rect x="{x:.1f}" y="{self.y}" width="{max(value * scale, 1):.1f}" height="{BAR}" rx="2" class="{colour}"/>'
            )
            x += value * scale
        self.text(x + 8, self.y + 16, told)
        self.y += BAR + GAP

    def mark(self, value, scale, top, told):
        """A line that says where a target is."""
        x = LABELS + value * scale
        self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{self.y - 4}" class="aim"/>')
        self.text(x + 5, self.y + 10, told, "soft")
        self.y += 26

    def legend(self, entries):
        x = LABELS
        for name, colour in entries:
            self.parts.append(f'<rect x="{x}" y="{self.y}" width="12" height="12" rx="2" class="{colour}"/>')
            self.text(x + 17, self.y + 11, name, "soft")
            x += 34 + 7 * len(name)
        self.y += 34

    def svg(self, title):
        height = self.y + PAD
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
            f"<title>{escape(title)}</title><style>{STYLE}</style>"
            f'<rect width="{WIDTH}" height="{height}" class="page"/>{"".join(self.parts)}</svg>\n'
        )


def rates(drawing, results):
    """Deliveries per second over the bare transport's requests."""
    base = tables.median(results["transport"], "rate")
    scale = (WIDTH - LABELS - 130) / base
    drawing.title("Deliveries per second, one worker process", "1 KB payload, an instant receiver on the same machine")
    top = drawing.y
    drawing.bar("the bare transport: POST, nothing kept", [(base, "d")], scale, f"{base:,.0f}")
    for kind, name in (("waiting", "durable, all enqueued before"), ("mixed", "durable, enqueued meanwhile")):
        rate = tables.median(results[kind], "rate")
        drawing.bar(name, [(rate, "a")], scale, f"{rate:,.0f} = {rate / base:.2f} of it")
    target = tables.DELIVERY_RATIO[0]
    drawing.mark(base * target, scale, top, f"target {target:.2f}")


def costs(drawing, results):
    """Where a delivery's CPU time goes."""
    names = (("worker", "a"), ("postgres", "b"), ("receiver", "c"), ("filler", "d"))
    found = {kind: _parts(results[kind], names) for kind in ("waiting", "mixed")}
    target = tables.DELIVERY_CPU_US[0]
    most = max(target, *(sum(value for value, _ in parts) for parts in found.values()))
    scale = (WIDTH - LABELS - 130) / most
    drawing.title(
        "CPU microseconds per delivery",
        "as the kernel counts them for each process; the target is for worker and Postgres",
    )
    top = drawing.y
    for kind, label in (("waiting", "all enqueued before"), ("mixed", "enqueued meanwhile")):
        drawing.bar(label, found[kind], scale, f"{sum(value for value, _ in found[kind][:2]):.0f} + the rest")
    drawing.mark(target, scale, top, f"target {target}")
    drawing.legend([("worker", "a"), ("Postgres", "b"), ("receiver", "c"), ("enqueueing process", "d")])


def _parts(rounds, names):
    return [
        (statistics.median(run["cpu_us"][name] for run in rounds), colour)
        for name, colour in names
        if name in rounds[0]["cpu_us"]
    ]


def fairness(drawing, results):
    """A steady tenant's latency, alone and beside dead neighbours."""
    kinds = {name: found for name, found in results.items() if name != "hung"}
    alone = [tables.round_median(kinds["alone"], place) for place in (0, 1)]
    most = max(tables.round_median(found, 1) for found in kinds.values())
    scale = (WIDTH - LABELS - 200) / most
    drawing.title(
        "A steady tenant, from accept to arrival",
        "p50 and p99 in milliseconds; the neighbour has 100,000 deliveries waiting",
    )
    for name, found in kinds.items():
        for place, share, colour in ((0, "p50", "a"), (1, "p99", "c")):
            value = tables.round_median(found, place)
            told = f"{value:.0f} ms" + ("" if name == "alone" else f" = {value / alone[place]:.2f} of alone")
            drawing.bar(f"{name}, {share}" if place == 0 else share, [(value, colour)], scale, told)


def draw(results):
    """The whole chart, of what there is."""
    drawing = Drawing()
    if "deliveries" in results:
        rates(drawing, results["deliveries"])
        costs(drawing, results["deliveries"])
    if "fairness" in results:
        fairness(drawing, results["fairness"])
    drawing.text(PAD, drawing.y + 14, results["machine"], "soft")
    drawing.y += 20
    return drawing.svg("Durable deliveries: rate, cost and fairness")


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
