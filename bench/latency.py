"""From the moment that a delivery was due to be enqueued until it is with its receiver; and that beside a dead neighbour."""

import asyncio
import json
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import calls
import processes
import stage as stages
from enqueue import load, targets
from hookvault.wiring import build
from pace import spread
from processes import HERE, VoidError

CONNECTIONS = 128
WARMUP_S = 1.0
DEAD_JOBS = 100_000
DEAD_WEBHOOKS = {"alone": 0, "beside one dead webhook": 1, "beside forty dead webhooks": 40}
RATE = 200  # a modest tenant's deliveries per second


def measure(rounds, seconds):
    """serve with its own worker: its capacity, then the latency at half of it."""
    with stages.opened(4, 6) as stage:
        served = stage.server()
        capacity, number = full_load(stage, served)
        runs = []
        for _ in range(rounds):
            asyncio.run(stages.checkpoint(stage))
            run = paced(stage, served[1], stage.webhooks, capacity / 2, seconds)
            number += run["sent"]
            arrived(stage, number)
            run["ledger"] = asyncio.run(stages.balance(stage))
            runs.append(finished(stage, run))
            print(f"latency at {capacity / 2:.0f}/s: {runs[-1]['arrived_ms']} ms", file=sys.stderr)
    return {"capacity": capacity, "rate": capacity / 2, **pooled(runs)}


def full_load(stage, served):
    """Deliveries per second that one process can accept and deliver; how many that were."""
    result = calls.under_load(load(stage, served, 4.0, warmup_s=0.0), "full load")
    number, began = result["answered"], time.monotonic()
    arrived(stage, number)
    return number / (number / result["rate"] + time.monotonic() - began), number


def paced(stage, port, webhooks, rate, seconds):
    """One run at a constant rate."""
    processes.counted(stage.port, "/late")  # forgets what was before
    given = {"port": port, "targets": targets(stage, webhooks), "rate": rate, "seconds": seconds + WARMUP_S}
    run = processes.output(HERE / "pace.py", json.dumps({**given, "connections": CONNECTIONS}))
    if run["faults"] or run["answered"] != round(given["rate"] * given["seconds"]):
        raise VoidError(f"{run['answered']} of {run['sent']} were accepted: {run['faults']}")
    return {**run, "rate": rate}


def arrived(stage, number):
    """Waits until so many have come to the receiver."""
    deadline = time.monotonic() + 60
    while (found := processes.counted(stage.port)["distinct"]) < number:
        if time.monotonic() > deadline:
            raise VoidError(f"{found} of {number} arrived")
        time.sleep(0.05)


def finished(stage, run):
    """The run with its latencies, the warm-up left out."""
    measured = run.pop("first") + WARMUP_S * 1e9
    run["late"] = [late for due, late in processes.counted(stage.port, "/late")["late"] if due >= measured]
    run["arrived_ms"] = spread(run["late"])
    return run


@dataclass
class Site:
    """A steady tenant's server, and how many of its deliveries have arrived so far."""

    stage: stages.Stage
    port: int
    webhooks: list
    waiting: int
    number: int = 0


def fairness(rounds, seconds):
    """A steady tenant alone, and beside one whose 100,000 deliveries are for a receiver that hangs; each on its own server."""
    results = {name: [] for name in DEAD_WEBHOOKS}
    with ExitStack() as stack:
        _, hanging = processes.receiver(stack, "hanging")
        sites = {name: stack.enter_context(site(hanging, dead)) for name, dead in DEAD_WEBHOOKS.items()}
        for number in range(rounds):
            for name in DEAD_WEBHOOKS if number % 2 == 0 else reversed(DEAD_WEBHOOKS):
                run = turn(sites[name], seconds)
                results[name].append(run)
                print(f"round {number + 1}, fairness, {name}: {run['arrived_ms']} ms", file=sys.stderr)
        hung = processes.counted(hanging)["posts"]
    return {**{name: pooled(runs) for name, runs in results.items()}, "hung": hung}


@contextmanager
def site(hanging, dead):
    """A server that delivers for a steady tenant, and for one with dead webhooks where there are to be any."""
    with stages.opened(1, 4) as stage:
        steady = list(stage.webhooks)
        if dead:
            asyncio.run(add_dead(stage, hanging, dead))
        server, port = stage.server()
        if dead:
            asyncio.run(stages.accept(stage, DEAD_JOBS, stage.webhooks[len(steady) :]))
        yield Site(stage, port, steady, DEAD_JOBS if dead else 0)
        processes.kill(server)  # to end in order it would wait half a minute for the calls that hang


async def add_dead(stage, hanging, dead):
    app = await build(stages.settings(stage))
    await stages.add_tenant(app, stage, "tenant-dead", hanging, dead)
    await app.close()


def turn(found, seconds):
    """One run of the steady tenant."""
    asyncio.run(stages.checkpoint(found.stage))
    run = paced(found.stage, found.port, found.webhooks, RATE, seconds)
    found.number += run["sent"]
    arrived(found.stage, found.number)
    run["ledger"] = asyncio.run(stages.balance(found.stage, found.waiting))
    return finished(found.stage, run)


def pooled(runs):
    """All rounds of a variant: latencies over all of them, and each round's."""
    late = [each for run in runs for each in run.pop("late")]
    return {"arrived_ms": spread(late), "number": len(late), "rounds": runs}
