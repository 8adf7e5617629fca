"""The tables: medians over the rounds, ratios of medians, as Markdown that reads well in a terminal."""

import os
import platform
import statistics
import sys
from pathlib import Path

TARGETS = {"one hot webhook": 10, "24 webhooks": 4, "transport": 6}
DELIVERY_RATIO = (0.20, 0.30)  # the target and the aim: deliveries over the bare transport's requests
DELIVERY_CPU_US = (200, 140)  # worker and Postgres together
FAIRNESS_RATIO = 1.2
SEALING_RATIO = 2.0
PROCESSES = ("server", "postgres", "receiver", "load")
WAYS = ("Hookvault", "straightforward")


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
    return f"{os.cpu_count()} x {name}, {platform.system()}, Python {python}; load average before: {load}"


def calls(results, in_flight=64):
    """The calls' table, and under it where the CPU time went."""
    rows, costs = [], []
    for spread in results[WAYS[0]]:
        base = median(results[WAYS[1]][spread], "rate")
        for name in WAYS:
            rounds = results[name][spread]
            rate = median(rounds, "rate")
            rows.append([spread, name, f"{rate:.0f}", ratio(rate / base, spread, own=name == WAYS[0]), *times(rounds)])
            costs.append([spread, name, *used(rounds, PROCESSES), f"{median(rounds, 'cores'):.2f}"])
    head = [f"calls, {in_flight} in flight", "", "calls/s", "ratio", "p50 ms", "p99 ms"]
    cost_head = ["CPU µs per call", "", *PROCESSES, "cores busy"]
    books = f"The books balance: {results['answered']} calls answered, recorded, counted and received."
    return table(head, rows) + "\n\n" + table(cost_head, costs) + f"\n\n{books}"


def transport(results, in_flight=256):
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


def deliveries(results):
    """One worker's deliveries over the bare transport's requests, and what a delivery costs."""
    base = median(results["transport"], "rate")
    bare = [f"{base:.0f}", "1", f"{median(results['transport'], 'cpu_us'):.0f}", "", "", "", "", ""]
    rows = [["hookvault.outbound alone", *bare]]
    names = {"waiting": "all enqueued before", "mixed": "enqueued meanwhile"}
    for kind, name in names.items():
        rounds = results[kind]
        rate = median(rounds, "rate")
        share = rate / base
        told = f"{share:.2f} ({judged(share, *DELIVERY_RATIO, more=True)})" if kind == "waiting" else f"{share:.2f}"
        rows.append([name, f"{rate:.0f}", told, *cost(rounds), *used(rounds, ("receiver", "filler"))])
        rows[-1].append(f"{median(rounds, 'cores'):.2f}")
    together = ["worker µs", "postgres µs", "together", "receiver µs", "enqueueing µs", "cores busy"]
    text = table(["deliveries, one worker", "per second", "over the transport", *together], rows)
    accepted, others = (median(results["waiting"], name) for name in ("accepted_per_s", "others"))
    bound = median(results["transport"], "cpu_us") / statistics.median(
        run["cpu_us"]["worker"] for run in results["waiting"]
    )
    return (
        f"{text}\n\nThe worker's CPU time alone would allow {bound:.2f} of the transport. Programs that are none of ours kept "
        f"{others:.1f} cores busy meanwhile. Enqueued before at {accepted:.0f}/s. {ledger(results['mixed'][-1]['ledger'])}"
    )


def workers(results):
    """One, two and four processes."""
    base = median(results["1"], "rate")
    rows = []
    for count, rounds in results.items():
        rate = median(rounds, "rate")
        cores = [f"{median(rounds, name):.2f}" for name in ("cores", "others")]
        rows.append([count, f"{rate:.0f}", f"{rate / base:.2f}", *cost(rounds, judge=False), *cores])
    head = ["worker processes", "deliveries/s", "over one", "worker µs", "postgres µs", "together", "cores busy"]
    head.append("others' cores")
    note = f"This machine has {os.cpu_count()} cores for the workers, Postgres, the receiver and the bench together."
    return f"{table(head, rows)}\n\n{note}"


def enqueue(results, in_flight=64):
    """Enqueueing over HTTP."""
    rows = []
    for kind, rounds in results.items():
        spent = used(rounds, ("server", "postgres", "load"))
        rows.append([kind, f"{median(rounds, 'rate'):.0f}", *times(rounds), *spent, f"{median(rounds, 'cores'):.2f}"])
    costs = ["server µs", "postgres µs", "load µs", "cores busy"]
    head = [f"enqueueing, {in_flight} in flight", "requests/s", "p50 ms", "p99 ms", *costs]
    last = max((rounds[-1]["ledger"] for rounds in results.values()), key=lambda found: found["accepted"])
    return f"{table(head, rows)}\n\n{ledger(last)}"


def latency(results):
    """From the moment a delivery was due to be enqueued until it arrives."""
    rounds = results["rounds"]
    rows = [[f"{results['rate']:.0f}/s"]]
    for name in ("sent_late_ms", "accepted_ms", "arrived_ms"):
        rows[0] += [f"{statistics.median(run[name][place] for run in rounds):.1f}" for place in (0, 1)]
    head = ["open loop at half of what it can do", "sent late p50 ms", "p99 ms", "accepted p50 ms", "p99 ms"]
    note = f"serve with its own worker accepts and delivers {results['capacity']:.0f}/s under full load."
    text = table([*head, "arrived p50 ms", "p99 ms"], rows)
    return f"{text}\n\n{note} All times are from the moment a request was due. {ledger(rounds[-1]['ledger'])}"


def fairness(results):
    """A steady tenant alone, and beside dead neighbours."""
    kinds = {name: found for name, found in results.items() if name != "hung"}
    base = [round_median(kinds["alone"], place) for place in (0, 1)]
    rows = []
    for name, found in kinds.items():
        have = [round_median(found, place) for place in (0, 1)]
        own = name != "alone"
        ratios = [fair(value / alone, judge=own) for value, alone in zip(have, base, strict=True)]
        pooled = [f"{value:.1f}" for value in found["arrived_ms"]]
        rows.append([name, f"{have[0]:.1f}", ratios[0], f"{have[1]:.1f}", ratios[1], *pooled, str(found["number"])])
    head = ["a steady tenant, 200/s", "p50 ms", "ratio", "p99 ms", "ratio", "p50 over all rounds", "p99", "deliveries"]
    note = (
        "From the moment due to arrival; medians over the rounds' p50 and p99. The dead neighbour had 100,000 deliveries "
        f"waiting; {results['hung']} calls hung at its receiver."
    )
    return f"{table(head, rows)}\n\n{note}"


def tenants(results):
    """The cost of a delivery by tenants."""
    return _by_condition("one worker, 20,000 deliveries", results, ())


def backlog(results):
    """The cost of a delivery beside rows that wait."""
    return _by_condition("one worker, 20,000 deliveries", results, ("worker", "postgres"))


def _by_condition(title, results, idle):
    base = median(next(iter(results.values())), "rate")
    rows = []
    for name, rounds in results.items():
        rate = median(rounds, "rate")
        idles = [f"{statistics.median(run['idle_ms_per_s'][part] for run in rounds):.1f}" for part in idle]
        others = f"{median(rounds, 'others'):.1f}"
        rows.append([name, f"{rate:.0f}", f"{rate / base:.2f}", *cost(rounds, judge=False), others, *idles])
    head = [title, "deliveries/s", "over the first", "worker µs", "postgres µs", "together", "others' cores"]
    return table([*head, *[f"idle {part} ms/s" for part in idle]], rows)


def cost(rounds, *, judge=True):
    """What the worker and Postgres use for a delivery, and both together."""
    parts = [statistics.median(run["cpu_us"][name] for run in rounds) for name in ("worker", "postgres")]
    both = statistics.median(run["cpu_us"]["worker"] + run["cpu_us"]["postgres"] for run in rounds)
    told = f"{both:.0f}"
    if (
        judge and "filler" not in rounds[0]["cpu_us"]
    ):  # with enqueueing beside it, Postgres' part is not the delivery's alone
        told += f" ({judged(both, *DELIVERY_CPU_US, more=False)})"
    return [*[f"{part:.0f}" for part in parts], told]


def used(rounds, processes):
    return [
        f"{statistics.median(run['cpu_us'][name] for run in rounds):.0f}" if name in rounds[0]["cpu_us"] else ""
        for name in processes
    ]


def judged(value, target, aim, *, more):
    """Whether a figure reaches its target, and its aim."""
    reaches = (lambda wanted: value >= wanted) if more else (lambda wanted: value <= wanted)
    if reaches(aim):
        return f"reaches {target}, and the aim of {aim}"
    return f"reaches {target}" if reaches(target) else f"MISSES {target}"


def fair(value, *, judge):
    told = f"{value:.2f}"
    return f"{told} ({judged(value, FAIRNESS_RATIO, 0, more=False)})" if judge else told


def round_median(found, place):
    return statistics.median(run["arrived_ms"][place] for run in found["rounds"])


def ledger(found):
    parts = ", ".join(f"{found[name]} {name}" for name in ("delivered", "pending", "held", "failed", "expired"))
    return f"The ledger balances: {found['accepted']} accepted = {parts}; {found['twice']} arrived twice."


def median(rounds, name):
    return statistics.median(result[name] for result in rounds)


def times(rounds):
    return [f"{median(rounds, 'p50_ms'):.1f}", f"{median(rounds, 'p99_ms'):.1f}"]


def ratio(value, target, *, own):
    wanted = TARGETS[target]
    return f"{value:.1f}x ({'reaches' if value >= wanted else 'MISSES'} {wanted}x)" if own else f"{value:.1f}x"


def sealing(found):
    """Microseconds to seal and to open a field of 200 characters, beside the bare cipher."""
    rows = []
    for name in ("seal", "open"):
        own, bare = (statistics.median(found[kind]) * 1e6 for kind in (name, f"{name}, bare"))
        verdict = "reached" if own / bare <= SEALING_RATIO else "MISSED"
        rows.append([name, f"{own:.1f}", f"{bare:.1f}", f"{own / bare:.2f} ({verdict})", f"{1e6 / own:.0f}"])
    return table(["200 characters, one core", "µs", "µs bare", "ratio (at most 2)", "per second"], rows)


def rewrapping(found):
    """How long another master key takes to become the active one."""
    seconds = statistics.median(found["seconds"])
    row = [f"{found['tenants']} tenants", f"{seconds:.2f}", f"{found['tenants'] / seconds:.0f}"]
    return table(["rotate the master key", "seconds", "data keys/s"], [row])


def rekeying(found):
    """Fields sealed anew per second, and what calls notice of it."""
    rate = statistics.median(run["rate"] for run in found)
    before, beside = (statistics.median(run[name] for run in found) for name in ("before", "beside"))
    row = [str(found[0]["fields"]), f"{rate:.0f}", f"{before:.0f}", f"{beside:.0f}", f"{beside / before:.2f}"]
    return table(["rekey, calls beside it", "fields/s", "calls/s before", "calls/s beside", "ratio"], [row])


def backing_up(found):
    """Backups beside pg_dump: the same rows, plain as text, over the seconds less a bare start of the command."""
    rows = []
    for name, seconds in found["seconds"].items():
        took = statistics.median(seconds) - (0 if name.startswith("pg_") else found["start"])
        size = found["bytes"].get(name)
        rows.append(
            [name, f"{took:.1f}", f"{found['plain'] / 1e6 / took:.0f}", "" if size is None else f"{size / 1e6:.0f}"]
        )
    return table([f"{found['plain'] / 1e6:.0f} MB of deliveries", "seconds", "MB/s", "file, MB"], rows)


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


MOST_PAGE_MS, MOST_PAGE_KB = 50, 100


def pages(found):
    """Milliseconds and compressed KB of each page, and of the figures that come after it."""
    rows = []
    for name, page in found.items():
        parts = [part["seconds"] * 1000 for part in page["parts"]]
        size = (page["bytes"] + page["dress"] + sum(part["bytes"] for part in page["parts"])) / 1000
        verdict = "reached" if page["seconds"] * 1000 <= MOST_PAGE_MS and size <= MOST_PAGE_KB else "MISSED"
        over = sum(taken > MOST_PAGE_MS for taken in parts)
        later = ", ".join(f"{taken:.0f}" for taken in sorted(parts)) or "-"
        taken, own = f"{page['seconds'] * 1000:.1f}", f"{page['bytes'] / 1000:.1f}"
        rows.append([name, taken, own, f"{size:.0f}", verdict, later, str(over or "-")])
    return table(
        ["page", "ms", "KB", "KB, first visit with all", "target", "figures that follow, ms", "of them over 50"], rows
    )
