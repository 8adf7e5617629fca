"""The tables: medians over the rounds, ratios of medians, as Markdown that reads well in a terminal."""

import os
import platform
import statistics
import sys
from pathlib import Path

TARGETS = {"one hot webhook": 10, "24 webhooks": 4, "transport": 6}
PROCESSES = ("server", "postgres", "receiver", "load")


def machine():
    """What was measured on, and how busy it is already."""
    name = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} x {name}, {platform.system()}, Python {python}; load average before: {load}\n"


def calls(results, in_flight):
    """The calls' table, and under it where the CPU time went."""
    rows, costs = [], []
    for spread in next(iter(results.values())):
        base = median(results["straightforward"][spread], "rate")
        for name, by_spread in results.items():
            rounds = by_spread[spread]
            rate = median(rounds, "rate")
            rows.append(
                [spread, name, f"{rate:.0f}", ratio(rate / base, spread, own=name == "Hookvault"), *times(rounds)]
            )
            used = [statistics.median(result["cpu_us"][process] for result in rounds) for process in PROCESSES]
            costs.append([spread, name, *[f"{value:.0f}" for value in used], f"{median(rounds, 'cores'):.2f}"])
    head = [f"calls, {in_flight} in flight", "", "calls/s", "ratio", "p50 ms", "p99 ms"]
    cost_head = ["CPU µs per call", "", *PROCESSES, "cores busy"]
    return table(head, rows) + "\n\n" + table(cost_head, costs)


def transport(results, in_flight):
    """The transport's table."""
    base = median(results["aiohttp"], "rate")
    rows = []
    for kind, rounds in results.items():
        name = "hookvault.outbound" if kind == "own" else kind
        rate = median(rounds, "rate")
        cells = [f"{rate:.0f}", ratio(rate / base, "transport", own=kind == "own"), *times(rounds)]
        rows.append([name, *cells, f"{median(rounds, 'cpu_us'):.0f}"])
    head = [f"transport, {in_flight} in flight", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU µs"]
    return table(head, rows)


def median(rounds, name):
    return statistics.median(result[name] for result in rounds)


def times(rounds):
    return [f"{median(rounds, 'p50_ms'):.1f}", f"{median(rounds, 'p99_ms'):.1f}"]


def ratio(value, target, *, own):
    wanted = TARGETS[target]
    return f"{value:.1f}x ({'reaches' if value >= wanted else 'MISSES'} {wanted}x)" if own else f"{value:.1f}x"


def table(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    left = [not any(row[column][:1].isdigit() for row in rows) or column == 0 for column in range(len(head))]
    lines = [
        head,
        ["-" * width if is_left else "-" * (width - 1) + ":" for width, is_left in zip(widths, left, strict=True)],
    ]
    return "\n".join(
        "| " + " | ".join(cell(*each) for each in zip(line, widths, left, strict=True)) + " |" for line in lines + rows
    )


def cell(text, width, left):
    return text.ljust(width) if left else text.rjust(width)
