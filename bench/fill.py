"""Has deliveries accepted by the service's own statement, in batches, without HTTP.

As a script it is the other half of the mixed mode: it takes one JSON argument, {database_url, webhooks, number, waiting},
accepts as fast as the workers deliver, never more than `waiting` ahead of them, and prints one JSON line.
"""

import asyncio
import json
import sys
import time
from uuid import UUID

import uvloop

from hookvault.db.pool import Database
from hookvault.deliveries import store
from hookvault.deliveries.model import NewDelivery
from hookvault.ids import id_time, new_id

PAYLOAD_BYTES = 1024
_BATCH = 500
_WAITING = "SELECT (sum(accepted) - sum(delivered))::bigint FROM delivery_ledger"


def payload(number):
    """JSON of 1 KB, each another."""
    start, end = b'{"number":"%010d","text":"' % number, b'"}'
    return start + b"x" * (PAYLOAD_BYTES - len(start) - len(end)) + end


async def fill(database, webhooks, number, *, waiting=None):
    """Accepts so many deliveries, in turn over webhooks (tenant id, webhook id); with `waiting`, no more may wait."""
    ledger_id = new_id()
    for first in range(0, number, _BATCH):
        if waiting is not None:
            await _caught_up(database, waiting)
        numbers = range(first, min(first + _BATCH, number))
        batch = [_delivery(webhooks[each % len(webhooks)], each) for each in numbers]
        async with database.system_statement() as tx:
            accepted = await store.accept(tx, batch, ledger_id)
        if len(accepted) != len(batch):
            raise RuntimeError(f"{len(batch)} given and {len(accepted)} accepted")


async def _caught_up(database, waiting):
    while True:
        async with database.system_statement() as tx:
            if await tx.fetchval(_WAITING) <= waiting:
                return
        await asyncio.sleep(0.01)


def _delivery(webhook, number):
    identifier = new_id()
    return NewDelivery(webhook[0], identifier, id_time(identifier), webhook[1], payload(number), "bench")


async def main():
    given = json.loads(sys.argv[1])
    database = await Database.connect(given["database_url"])
    webhooks = [(tenant_id, UUID(webhook_id)) for tenant_id, webhook_id in given["webhooks"]]
    began = time.monotonic()
    await fill(database, webhooks, given["number"], waiting=given["waiting"])
    print(json.dumps({"seconds": time.monotonic() - began}))
    await database.close()


if __name__ == "__main__":
    uvloop.run(main())
