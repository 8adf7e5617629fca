"""What a delivery costs where there are many tenants, or many deliveries that wait for another time."""

import asyncio
import os
import secrets
import sys
import time

import stage as stages
from deliveries import TENANTS, WEBHOOKS_EACH, delivered
from hookvault.clock import now
from hookvault.ids import new_id
from hookvault.vault.cipher import FieldCipher
from hookvault.vault.keys import MasterKey
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher
from hookvault.webhooks.seal import place
from hookvault.webhooks.signing import new_signing_secret
from processes import VoidError

TENANT_COUNTS = (10, 1_000, 10_000)
ROW_COUNTS = (10_000, 1_000_000)
HELD_WEBHOOKS = 100
_IDLE_S = 2.0
_HOLD = """
WITH off AS (UPDATE n8n_webhooks SET is_active = false WHERE tenant_id = 'crowd-00000' RETURNING tenant_id, id)
INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason) SELECT tenant_id, id, id, 'webhook_inactive' FROM off
"""
# Jobs without their stories, which nobody reads as long as they wait. Older than a minute, as most that wait are; ids in order,
# as they are made.
_ROWS = """
WITH made AS (
    SELECT ('0193a4f0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id, now() - interval '2 minutes' AS accepted_at, n
    FROM generate_series($1::int, $2::int) AS n
), counted AS (
    INSERT INTO delivery_ledger (id, accepted) VALUES (gen_random_uuid(), $2::int - $1::int + 1)
)
INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at)
SELECT 'crowd-00000', id, accepted_at, ($3::uuid[])[1 + n % array_length($3::uuid[], 1)], $4,
    CASE WHEN $4 THEN accepted_at ELSE now() + interval '1 day' + n * interval '10 milliseconds' END FROM made
"""


def tenants(rounds, _seconds):
    """The same number of deliveries, spread over ever more tenants with a webhook each."""
    results = {}
    for count in TENANT_COUNTS:
        with stages.opened(0, 0) as stage:
            began = time.monotonic()
            asyncio.run(add_crowd(stage, count))
            made_s = time.monotonic() - began
            stages.start_workers(stage, 1)
            runs = [asyncio.run(delivered(stage)) for _ in range(rounds)]
            results[f"{count:,} tenants"] = runs
            print(f"{count} tenants, made in {made_s:.1f} s: {runs[-1]['rate']:.0f} deliveries/s", file=sys.stderr)
    return results


def backlog(_rounds, _seconds):
    """The same deliveries, with further rows in the queue that are not to be delivered now."""
    results = {}
    for kind, ready in (("due tomorrow", False), ("of held webhooks", True)):
        with stages.opened(TENANTS, WEBHOOKS_EACH) as stage:
            further = asyncio.run(add_crowd(stage, 1, HELD_WEBHOOKS, called=False))
            have = 0
            for count in (0, *ROW_COUNTS) if not results else ROW_COUNTS:
                asyncio.run(add_rows(stage, have + 1, count, [webhook[1] for webhook in further], ready=ready))
                have = count
                name = f"{count:,} rows {kind}" if count else "no further rows"
                results[name] = [measured(stage, count, name)]
                print(f"{name}: {results[name][0]['rate']:.0f} deliveries/s", file=sys.stderr)
    return results


def measured(stage, waiting, name):
    """A run beside rows that wait, and what a worker costs that has nothing to do there."""
    try:
        return _measured(stage, waiting)
    except VoidError as error:
        raise VoidError(f"{name}: {error}") from None


def _measured(stage, waiting):
    stages.start_workers(stage, 1)
    stages.resume(stage)
    time.sleep(1.0)
    before, began = stage.used(), time.monotonic()
    time.sleep(_IDLE_S)
    after, seconds = stage.used(), time.monotonic() - began
    stages.pause(stage)
    result = asyncio.run(delivered(stage, made=waiting))
    result["idle_ms_per_s"] = {name: (after[name] - before[name]) / 1000 / seconds for name in ("worker", "postgres")}
    stages.end_workers(stage)
    return result


async def add_rows(stage, first, last, webhooks, *, ready):
    async with stages.owner(stage) as connection:
        if ready and first == 1:
            await connection.execute(_HOLD)
        if last >= first:
            await connection.execute(_ROWS, first, last, webhooks, ready, timeout=120)
        await connection.execute("VACUUM ANALYZE delivery_queue", timeout=120)


async def add_crowd(stage, count, webhooks_each=1, *, called=True):
    """Tenants with signed and authorized webhooks, as the services would make them, but in bulk; the webhooks."""
    master, moment = MasterKey(stage.env["ENCRYPTION_KEY"]), now()
    made = [_tenant(stage, master, f"crowd-{number:05}", webhooks_each, moment) for number in range(count)]
    webhooks = [webhook for _, _, found in made for webhook in found]
    async with stages.owner(stage) as connection:
        for table, rows in (
            ("tenants", [tenant for tenant, _, _ in made]),
            ("data_keys", [key for _, key, _ in made]),
            ("n8n_webhooks", webhooks),
            ("n8n_webhook_counters", [(row["tenant_id"], row["id"]) for row in webhooks]),
        ):
            await copy(connection, table, rows)
        await connection.execute("ANALYZE")
    found = [(row["tenant_id"], row["id"], row["workflow_name"]) for row in webhooks]
    stage.webhooks.extend(found if called else [])
    return found


async def copy(connection, table, rows):
    if rows and isinstance(rows[0], dict):
        await connection.copy_records_to_table(
            table, columns=list(rows[0]), records=[tuple(row.values()) for row in rows]
        )
    else:
        await connection.copy_records_to_table(table, columns=["tenant_id", "webhook_id"], records=rows)


def _tenant(stage, master, tenant_id, webhooks, moment):
    """The rows of a tenant, of its data key and of its webhooks."""
    data_key = os.urandom(32)
    wrapped = master.wrap(data_key, tenant_id=tenant_id, version=1)
    cipher = TenantCipher(tenant_id, 1, FieldCipher(data_key))
    tenant = {"id": tenant_id, "slug": tenant_id, "name": "Bench", "created_at": moment, "updated_at": moment}
    key = {
        "tenant_id": tenant_id,
        "version": 1,
        "wrapped": wrapped,
        "key_fingerprint": master.fingerprint,
        "created_at": moment,
    }
    return tenant, key, [_webhook(stage, cipher, f"flow-{number:03}", moment) for number in range(webhooks)]


def _webhook(stage, cipher, name, moment):
    identifier = new_id()
    return {
        "tenant_id": cipher.tenant_id,
        "id": identifier,
        "workflow_name": name,
        "webhook_url": f"http://127.0.0.1:{stage.port}/webhook/{name}",
        "auth_type": "bearer",
        "auth_token": cipher.seal(place(identifier, "auth_token"), Secret(secrets.token_hex(20))),
        "signing_secret": cipher.seal(place(identifier, "signing_secret"), new_signing_secret()),
        "key_version": 1,
        "created_at": moment,
        "created_by": "bench",
        "updated_at": moment,
        "updated_by": "bench",
    }
