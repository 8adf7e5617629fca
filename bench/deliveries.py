"""Deliveries end to end: by one worker process, over the bare transport; by more processes; with enqueueing going on."""

import asyncio
import json
import sys
from contextlib import ExitStack

import calls
import processes
import stage as stages
from processes import HERE, VoidError

TENANTS, WEBHOOKS_EACH = 4, 6
JOBS = 20_000
WAITING = 4_000
LIKE_A_DELIVERY = (1024, 8)  # bytes of payload, and headers, as a delivery has them


def one_worker(rounds, seconds):
    """Deliveries by one worker, and in turn with it the transport alone."""
    results = {"transport": [], "waiting": [], "mixed": []}
    with stages.opened(TENANTS, WEBHOOKS_EACH) as stage:
        stages.start_workers(stage, 1)
        for number in range(rounds):
            results["transport"].append(bare(seconds))
            results["waiting"].append(asyncio.run(delivered(stage)))
            results["mixed"].append(asyncio.run(mixed(stage)))
            said = ", ".join(f"{name} {rates[-1]['rate']:.0f}/s" for name, rates in results.items())
            print(f"round {number + 1}, deliveries, one worker: {said}", file=sys.stderr)
    return results


def bare(seconds):
    """hookvault.outbound alone: what a delivery sends, without all that makes it one, to a receiver of the same kind."""
    with ExitStack() as stack:
        _, port = processes.receiver(stack, "noting")
        return calls.transport(port, "own", seconds, *LIKE_A_DELIVERY)


async def delivered(stage, number=JOBS, made=0):
    """All that was accepted while no worker ran is delivered; so many jobs that were made in bulk go on waiting."""
    took = await stages.accept(stage, number)
    await stages.checkpoint(stage)
    processes.counted(stage.port)  # the most connections are counted from here on
    result = await stages.watch(stage, number)
    result["most_open"] = processes.counted(stage.port)["mostOpen"]
    stages.pause(stage)
    result["accepted_per_s"] = number / took
    result["ledger"] = await stages.balance(stage, made, made)
    return result


async def mixed(stage, number=JOBS):
    """Deliveries while others are being accepted."""
    await stages.checkpoint(stage)
    webhooks = [(tenant_id, str(webhook_id)) for tenant_id, webhook_id, _ in stage.webhooks]
    given = {"database_url": stage.database_url, "webhooks": webhooks, "number": number, "waiting": WAITING}
    filler = processes.start(stage.stack, HERE / "fill.py", json.dumps(given))
    result = await stages.watch(stage, number, last=0.85, filler=filler)
    if filler.wait(10) != 0:
        raise VoidError("the enqueueing process failed")
    stages.pause(stage)
    result["ledger"] = await stages.balance(stage)
    return result


def many_workers(rounds, _seconds, counts=(1, 2, 4)):
    """The same set of jobs for one, two and four processes."""
    results = {str(count): [] for count in counts}
    with stages.opened(TENANTS, WEBHOOKS_EACH) as stage:
        for number in range(rounds):
            for count in counts if number % 2 == 0 else reversed(counts):
                stages.start_workers(stage, count)
                result = asyncio.run(delivered(stage))
                stages.end_workers(stage)
                results[str(count)].append(result)
                print(f"round {number + 1}, {count} workers: {result['rate']:.0f} deliveries/s", file=sys.stderr)
    return results
