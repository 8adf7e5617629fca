"""Where deliveries are measured: a database of its own, a receiver, webhooks, and the service's processes on them.

Every run keeps a ledger. What was accepted must be delivered, waiting, or ended, by the service's own account, by its rows and
by the receiver's count of distinct ids; else the run is void.
"""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

import cpu
import processes
from fill import fill
from hookvault.db import embedded
from hookvault.db.pool import Database
from hookvault.settings import Settings
from hookvault.wiring import build
from hookvault.worker.upkeep import Upkeep
from processes import VoidError

WARM = 1024  # deliveries of each worker before it is measured: its connections and windows are those of every day
_DELIVERED = "SELECT coalesce(sum(delivered), 0)::bigint FROM delivery_ledger"
_ROWS = """
SELECT (SELECT count(*) FROM webhook_deliveries) AS deliveries,
    (SELECT count(*) FROM webhook_deliveries WHERE status = 'pending') AS pending,
    (SELECT count(*) FROM webhook_deliveries WHERE status = 'delivered') AS delivered,
    (SELECT count(*) FROM delivery_queue) AS queued,
    (SELECT count(*) FROM webhook_analytics WHERE success AND delivery_id IS NOT NULL) AS calls,
    (SELECT coalesce(sum(successful_calls), 0)::bigint FROM n8n_webhook_counters) AS counted
"""


@dataclass
class Stage:
    """What runs, and where. `webhooks` are (tenant id, webhook id, workflow name); `tokens` are API keys by tenant."""

    stack: ExitStack
    folder: Path
    database_url: str
    env: dict[str, str]
    receiver: object
    port: int
    postmaster: int
    webhooks: list[tuple] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    workers: list = field(default_factory=list)

    def service(self, *command, ready=None):
        """A process of the service."""
        return processes.start(self.stack, "-m", "hookvault", *command, env=self.env, ready=ready)

    def server(self, *options):
        """`hookvault serve`, and its port."""
        port = processes.free_port()
        return self.service("serve", "--port", port, *options, ready=port), port

    def used(self, **more):
        """Microseconds of CPU time that each part has used so far."""
        return {
            "worker": sum(cpu.process_us(process.pid) for process in self.workers),
            "postgres": cpu.tree_us(self.postmaster),
            "receiver": cpu.process_us(self.receiver.pid),
            **{name: cpu.process_us(process.pid) for name, process in more.items()},
        }


@contextmanager
def opened(tenants, webhooks_each):
    """A stage with so many tenants and webhooks, made by the services. All of it is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hookvault-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database_url = embedded.ensure_running(folder)
        stack.callback(embedded.destroy, folder)
        receiver, port = processes.receiver(stack, "noting")
        env = environment(folder, database_url)
        stage = Stage(stack, folder, database_url, env, receiver, port, embedded.status(folder).pid)
        asyncio.run(furnish(stage, tenants, webhooks_each))
        yield stage


def environment(folder, database_url):
    return {
        "APP_ENV": "production",
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "SESSION_SECRET": secrets.token_hex(32),
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "HOOKVAULT_DATA_DIR": str(folder),
        "LOG_LEVEL": "error",
    }


async def furnish(stage, tenants, webhooks_each):
    """Tenants, their webhooks with a bearer token and a signing secret, and a key for each tenant, through the services."""
    app = await build(settings(stage), migrate=True)
    for number in range(tenants):
        tenant_id = f"tenant-{number:05}"
        await add_tenant(app, stage, tenant_id, stage.port, webhooks_each)
    await app.close()
    async with owner(stage) as connection:
        fsync = await connection.fetchval("SHOW fsync"), await connection.fetchval("SHOW synchronous_commit")
    if fsync != ("on", "on"):
        raise VoidError("the database does not flush its commits")


async def add_tenant(app, stage, tenant_id, port, webhooks):
    await app.tenants.create_tenant("Bench", tenant_id=tenant_id)
    for index in range(webhooks):
        name = f"flow-{index:03}"
        fields = {"webhook_url": f"http://127.0.0.1:{port}/webhook/{name}"}
        token = secrets.token_hex(20)
        made = await app.webhooks.create_n8n_webhook(tenant_id, name, **fields, auth_type="bearer", auth_token=token)
        stage.webhooks.append((tenant_id, made.id, name))
    key = await app.api_keys.create_api_key("bench", tenant_id=tenant_id, scopes=["call"])
    stage.tokens[tenant_id] = key.token.open()


def settings(stage):
    given = {"database_url": stage.database_url, "encryption_key": stage.env["ENCRYPTION_KEY"]}
    return Settings(**given, webhook_allow_http=True)


@asynccontextmanager
async def owner(stage):
    """A connection as the embedded cluster's own superuser, who sees all rows."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def checkpoint(stage):
    """Runs begin alike: the first change of a page after a checkpoint writes the whole page."""
    async with owner(stage) as connection:
        await connection.execute("CHECKPOINT")


async def accept(stage, number, webhooks=None, **more):
    """Has deliveries accepted by the service's own statement, in turn over the webhooks; seconds."""
    began = time.monotonic()
    database = await Database.connect(stage.database_url)
    await fill(database, [webhook[:2] for webhook in webhooks or stage.webhooks], number, **more)
    await database.close()
    return time.monotonic() - began


def start_workers(stage, number):
    """Worker processes, warm and then paused: what is measured is delivering, not starting."""
    stage.workers = [stage.service("worker") for _ in range(number)]
    asyncio.run(warm(stage))
    pause(stage)


async def warm(stage):
    async with owner(stage) as connection:
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'"
        await until(lambda: connection.fetchval(listening), len(stage.workers), stage.workers)
        before = await connection.fetchval(_DELIVERED)
        number = max(WARM * len(stage.workers), len(stage.webhooks))
        await accept(stage, number)
        await until(lambda: connection.fetchval(_DELIVERED), before + number, stage.workers)
        await asyncio.sleep(0.5)


def pause(stage):
    for worker in stage.workers:
        os.kill(worker.pid, signal.SIGSTOP)


def resume(stage):
    for worker in stage.workers:
        os.kill(worker.pid, signal.SIGCONT)


def end_workers(stage):
    resume(stage)
    for worker in stage.workers:
        processes.stop(worker)
    stage.workers = []


async def until(ask, wanted, alive=(), *, timeout_s=90):
    """Waits until an answer is at least so much."""
    deadline = time.monotonic() + timeout_s
    while (found := await ask()) < wanted:
        if time.monotonic() > deadline or any(process.poll() is not None for process in alive):
            raise VoidError(f"{found} instead of {wanted} after {timeout_s} s, or a process ended")
        await asyncio.sleep(0.05)


async def watch(stage, number, first=0.10, last=0.95, **more):
    """Follows the deliveries of a run from the one share to the other: rate, and CPU per delivery of each part.

    `number` are under way. The workers are resumed here, so that nothing is delivered unseen.
    """
    async with owner(stage) as connection:
        before = await connection.fetchval(_DELIVERED)
        resume(stage)
        points = []
        for share in (first, last):
            wanted = before + round(number * share)
            await until(lambda: connection.fetchval(_DELIVERED), wanted, stage.workers)
            delivered = await connection.fetchval(_DELIVERED)
            points.append((time.monotonic(), delivered, stage.used(**more), cpu.machine_us()))
        await until(lambda: connection.fetchval(_DELIVERED), before + number, stage.workers)
    return between(*points)


def between(first, second):
    """What happened between two moments: (time, delivered, CPU used by our parts, and by all of the machine)."""
    seconds, done = second[0] - first[0], second[1] - first[1]
    spent = {name: second[2][name] - first[2][name] for name in second[2]}
    return {
        "rate": done / seconds,
        "cpu_us": {name: value / done for name, value in spent.items()},
        "cores": sum(spent.values()) / 1e6 / seconds,
        "others": (second[3] - first[3] - sum(spent.values())) / 1e6 / seconds,
        "delivered": done,
    }


async def balance(stage, waiting=0, made=0):
    """The ledger, the rows and the receiver agree, and so many wait or are held; else the run is void.

    `made` of them are jobs that were made in bulk, without stories.
    """
    async with owner(stage) as connection:
        rows = dict(await connection.fetchrow(_ROWS))
    database = await Database.connect(stage.database_url)
    ledger = await Upkeep(database).ledger()
    await database.close()
    told = processes.counted(stage.port)
    delivered = ledger.delivered
    expected = {
        "deliveries": ledger.accepted - made,
        "pending": waiting - made,
        "queued": waiting,
        "delivered": delivered,
        "calls": delivered,
        "counted": delivered,
    }
    accounted = ledger.balance == 0 and ledger.pending + ledger.held == waiting
    if not accounted or rows != expected or told["distinct"] != delivered:
        raise VoidError(f"the books don't balance: {ledger}, {rows}, the receiver has {told}; {waiting} should wait")
    return {**{name: getattr(ledger, name) for name in ledger.__slots__}, "twice": told["posts"] - told["distinct"]}
