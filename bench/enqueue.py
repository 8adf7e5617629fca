"""Accepting deliveries over HTTP: a request is answered once its delivery is committed. Nobody delivers meanwhile."""

import asyncio
import secrets
import sys

import calls
import stage as stages

IN_FLIGHT = 64
PAYLOAD_BYTES = 1024
KINDS = ("without a key", "with Idempotency-Key")


def measure(rounds, seconds):
    """Requests without and with an Idempotency-Key in turn; results by kind."""
    results = {kind: [] for kind in KINDS}
    with stages.opened(4, 6) as stage:
        server, port = stage.server("--no-worker")
        accepted = 0
        for number in range(rounds):
            for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                asyncio.run(stages.checkpoint(stage))
                key = f"bench-{secrets.token_hex(4)}-" if kind == KINDS[1] else None
                given = load(stage, (server, port), seconds, key)
                result = calls.under_load(given, f"enqueueing {kind}")
                accepted += result["answered"]
                result["ledger"] = asyncio.run(stages.balance(stage, accepted))
                results[kind].append(result)
                print(f"round {number + 1}, enqueueing {kind}: {result['rate']:.0f}/s", file=sys.stderr)
    return results


def load(stage, served, seconds, key=None, *, warmup_s=1.0):
    """The arguments of load.py for enqueueing to a server (process and port)."""
    server, port = served
    before, after = '{"payload":{"number":"', f'","text":"{"x" * (PAYLOAD_BYTES - 32)}"}},"triggeredBy":"bench"}}'
    return {
        "port": port,
        "targets": targets(stage, stage.webhooks),
        "connections": IN_FLIGHT,
        "warmup_s": warmup_s,
        "measured_s": seconds,
        "before": before,
        "after": after,
        "answer": ["HTTP/1.1 202 ", '"deliveryId"'],
        "watched": {
            "processes": {"server": server.pid, "receiver": stage.receiver.pid},
            "postmaster": stage.postmaster,
        },
        **({"key": key} if key else {}),
    }


def targets(stage, webhooks):
    """Path and Authorization of each webhook's deliveries."""
    return [
        (f"/api/tenants/{tenant_id}/webhooks/{name}/deliveries", f"Bearer {stage.tokens[tenant_id]}")
        for tenant_id, _, name in webhooks
    ]
