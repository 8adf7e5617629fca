"""The tables of the analytics."""

import statistics

from tables import median, table

FLAT, MOST_MS = 1.5, 20
BOUNDED = ("summary", "series by day, UTC", "series by day, Berlin", "series by hour, 48 h", "errors")
PERCENTILE_ERROR, ROLLUP_SHARE = 0.05, 0.15


def reading(found):
    """Milliseconds of each question by the calls of the tenant, then the pages of the call log."""
    rounds = found["rounds"]
    sizes = list(rounds[0]["seconds"]["summary"])
    rows = [_question(name, rounds, sizes) for name in rounds[0]["seconds"]]
    head = [
        "30 days, ms",
        *(f"{int(size):,} calls" if size.isdigit() else size for size in sizes),
        "largest over smallest",
    ]
    tails = sorted(run["tail_s"] / 60 for run in rounds)
    rolled = found["rolled_s"] / found["calls"] * 1e6
    note = (
        f"Medians of {len(rounds)} rounds. The last {tails[0]:.1f} to {tails[-1]:.1f} minutes were read from calls. "
        f"The first rollups of {found['calls']:,} calls took {found['rolled_s']:.0f} s: {rolled:.1f} s a million calls."
    )
    return f"{table(head, rows)}\n\n{note}\n\n{_log(found['log'], sizes)}"


def _question(name, rounds, sizes):
    times = {}
    for size in sizes:
        taken = [run["seconds"][name][size] for run in rounds if size in run["seconds"][name]]
        times[size] = statistics.median(taken) * 1000 if taken else None
    cells = ["" if taken is None else f"{taken:.1f}" for taken in times.values()]
    tenants = [taken for size, taken in times.items() if size.isdigit() and taken is not None]
    if not tenants:
        return [name, *cells, ""]
    flat = tenants[-1] / tenants[0]
    told = f"{flat:.2f}"
    if name in BOUNDED:
        told += " (reached)" if flat <= FLAT and tenants[-1] <= MOST_MS else " (MISSED)"
    return [name, *cells, told]


def _log(found, sizes):
    rows = []
    for name, page in found.items():
        if page["rows"] is None:
            rows.append([name, "-", "over 30 s"])
        else:
            rows.append([name, str(page["rows"]), f"{statistics.median(page['seconds']) * 1000:.1f}"])
    largest = max(int(size) for size in sizes if size.isdigit())
    return table([f"first page of 100, of {largest:,} calls", "rows", "ms"], rows)


def accuracy(found):
    """The worst errors of p50, p95 and p99."""
    rows = []
    for name, errors in found.items():
        worst = max(errors["tenant"], errors["webhook"])
        verdict = "reached" if worst <= PERCENTILE_ERROR else "MISSED"
        rows.append([name, f"{errors['tenant']:.2%}", f"{errors['webhook']:.2%} ({verdict})"])
    return table(["worst of p50, p95, p99", "tenant, 30 days", "a webhook's day (at most 5 %)"], rows)


def recording(found):
    """CPU of recording a call by the size of the batch."""
    rows = []
    for batch, ways in found["batches"].items():
        base = None
        for way, runs in ways.items():
            parts = [statistics.median(run[name] for run in runs) for name in ("python", "postgres")]
            both = statistics.median(run["python"] + run["postgres"] for run in runs)
            base = both if base is None else base
            share = (base - both) / base
            told = "" if base == both else f"{share:.0%}"
            if way == "without rollups":
                told += " (reached)" if share <= ROLLUP_SHARE else " (MISSED)"
            rows.append([f"{batch} at once", way, *[f"{part:.0f}" for part in parts], f"{both:.0f}", told])
    head = ["recording a call, CPU µs", "", "python", "postgres", "together", "costs (rollups: at most 15 %)"]
    return f"{table(head, rows)}\n\nThe log's indexes: {', '.join(found['indexes'])}."


def forgetting(found):
    """A day of calls dropped, and deleted."""
    rows = []
    for name, runs in found.items():
        seconds = [statistics.median(run["seconds"][place] for run in runs) for place in range(len(runs[0]["seconds"]))]
        told = " + ".join(f"{part:.2f}" for part in seconds)
        rows.append([name, told, f"{median(runs, 'wal') / 1e6:.1f}", f"{median(runs, 'given_back') / 1e6:.0f}"])
    return table(["a day of 1,000,000 calls of 1 KB", "seconds", "WAL, MB", "disk given back, MB"], rows)
