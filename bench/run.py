"""Measures Hookvault: calls and the transport against the straightforward way, then deliveries; prints tables.

About twenty minutes for all; --only runs parts of it. Variants take turns in every round, on one machine and one Postgres
(fsync on), so the ratios hold even where the machine is busy. A run whose books don't balance is void.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import analytics
import asked
import calls
import crowd
import deliveries
import enqueue
import latency
import pages
import recording
import tables
import vault
from processes import VoidError


class Part(NamedTuple):
    """A part of the bench: measured by `measure(rounds, seconds)`, told by `tell(results)`."""

    measure: object
    tell: object
    rounds: int
    asked_for: bool = False  # only measured by name


PARTS = {
    "calls": Part(calls.measure, tables.calls, 3),
    "transport": Part(calls.measure_transport, tables.transport, 3),
    "deliveries": Part(deliveries.one_worker, tables.deliveries, 3),
    "enqueue": Part(enqueue.measure, tables.enqueue, 3),
    "latency": Part(latency.measure, tables.latency, 3),
    "fairness": Part(latency.fairness, tables.fairness, 3),
    "tenants": Part(crowd.tenants, tables.tenants, 1),
    "backlog": Part(crowd.backlog, tables.backlog, 1),
    "workers": Part(deliveries.many_workers, tables.workers, 2),
    "sealing": Part(vault.sealing, tables.sealing, 5),
    "rewrapping": Part(vault.rewrapping, tables.rewrapping, 3),
    "rekeying": Part(vault.rekeying, tables.rekeying, 2),
    "backups": Part(vault.backing_up, tables.backing_up, 2),
    "analytics": Part(analytics.reading, asked.reading, 5),
    "analytics-large": Part(analytics.reading_large, asked.reading, 7, asked_for=True),
    "percentiles": Part(analytics.accuracy, asked.accuracy, 1),
    "recording": Part(recording.recording, asked.recording, 5),
    "pages": Part(pages.measure, tables.pages, 3),
    "forgetting": Part(recording.forgetting, asked.forgetting, 1),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="of each part; by default as many as each needs")
    parser.add_argument(
        "--seconds", type=float, default=5, help="measured, of each run; a second of warm-up comes before"
    )
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go too, for bench/chart.py")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that databases and processes end with us
    results = {"machine": tables.machine()}
    print(results["machine"])
    void = []
    for name in given.only or [name for name, part in PARTS.items() if not part.asked_for]:
        if not measured(name, given, results):
            void.append(name)
        if given.json:
            given.json.write_text(json.dumps(results, indent=1))
    if void:
        raise SystemExit(f"void: {', '.join(void)}")


def measured(name, given, results):
    """Measures a part and prints its table; whether it proves anything."""
    part, began = PARTS[name], time.monotonic()
    try:
        results[name] = part.measure(given.rounds or part.rounds, given.seconds)
    except VoidError as error:
        print(f"\nVOID, {name}: {error}", flush=True)
        return False
    print(f"\n{part.tell(results[name])}", flush=True)
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return True


if __name__ == "__main__":
    main()
