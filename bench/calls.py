"""Calling a webhook and waiting for its answer: Hookvault against the straightforward way, and its transport against aiohttp."""

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

import plain
import processes
from hookvault.db import embedded
from hookvault.settings import Settings
from hookvault.wiring import build
from processes import HERE, VoidError
from stage import environment

TENANT = "bench"
HOT = "hot"
SPREAD = [f"flow-{number:02}" for number in range(24)]
IN_FLIGHT = 64
TRANSPORT_IN_FLIGHT = 256
PAYLOAD_BYTES = 1024


@dataclass
class Server:
    """A server under load: its own process, its own receiver, and where its books are."""

    name: str
    process: subprocess.Popen
    port: int
    authorization: str
    receiver: subprocess.Popen
    receiver_port: int
    schema: str
    answered: int = 0
    results: dict[str, list[dict]] = field(default_factory=dict)


async def furnish(database_url, key, receiver_ports):
    """A tenant with its webhooks and a key of its own, and the same rows in the straightforward way's tables."""
    settings = Settings(database_url=database_url, encryption_key=key, webhook_allow_http=True)
    app = await build(settings, migrate=True)
    await app.tenants.create_tenant("Bench", tenant_id=TENANT)
    for name in [HOT, *SPREAD]:
        url = f"http://127.0.0.1:{receiver_ports[0]}/webhook/{name}"
        fields = {"webhook_url": url, "auth_type": "bearer", "auth_token": secrets.token_hex(20)}
        await app.webhooks.create_n8n_webhook(TENANT, name, **fields)
    made = await app.api_keys.create_api_key("bench", tenant_id=TENANT, scopes=["call"])
    await app.close()
    connection = await asyncpg.connect(database_url)
    await connection.execute(plain.TABLES)
    await connection.execute("INSERT INTO plain.n8n_webhooks SELECT * FROM public.n8n_webhooks")
    await connection.execute("INSERT INTO plain.n8n_webhook_counters SELECT * FROM public.n8n_webhook_counters")
    ports = [f":{port}/" for port in receiver_ports]
    await connection.execute("UPDATE plain.n8n_webhooks SET webhook_url = replace(webhook_url, $1, $2)", *ports)
    fsync = await connection.fetchval("SHOW fsync"), await connection.fetchval("SHOW synchronous_commit")
    await connection.close()
    if fsync != ("on", "on"):
        raise VoidError("the database does not flush its commits")
    return made.token.open()


def servers(stack, folder):
    """The database, both receivers, and both servers, ready."""
    database_url = embedded.ensure_running(folder)
    stack.callback(embedded.destroy, folder)
    env = environment(folder, database_url)
    (own_receiver, own_port), (plain_receiver, plain_port) = processes.receiver(stack), processes.receiver(stack)
    token = asyncio.run(furnish(database_url, env["ENCRYPTION_KEY"], (own_port, plain_port)))
    ports = processes.free_port(), processes.free_port()
    own = processes.start(stack, "-m", "hookvault", "serve", "--port", ports[0], env=env, ready=ports[0])
    plain_env = {"BENCH_DATABASE_URL": database_url}
    other = processes.start(stack, HERE / "plain.py", ports[1], env=plain_env, ready=ports[1])
    found = [
        Server("Hookvault", own, ports[0], f"Bearer {token}", own_receiver, own_port, "public"),
        Server("straightforward", other, ports[1], "", plain_receiver, plain_port, "plain"),
    ]
    return database_url, found


def load(server, names, postmaster, seconds):
    """One run of the load on one server."""
    before, after = '{"payload":{"number":"', f'","text":"{"x" * (PAYLOAD_BYTES - 32)}"}},"triggeredBy":"bench"}}'
    given = {
        "port": server.port,
        "targets": [(f"/api/tenants/{TENANT}/webhooks/{name}/call", server.authorization) for name in names],
        "connections": IN_FLIGHT,
        "warmup_s": 1.0,
        "measured_s": seconds,
        "before": before,
        "after": after,
        "answer": ["HTTP/1.1 200 ", '"success":true'],
        "watched": {
            "processes": {"server": server.process.pid, "receiver": server.receiver.pid},
            "postmaster": postmaster,
        },
    }
    result = under_load(given, server.name)
    server.answered += result["answered"]
    return result


def under_load(given, name):
    """Runs the load; void unless every request was answered as it should be, with as many in flight as there should be."""
    result = processes.output(HERE / "load.py", json.dumps(given))
    if result["faults"] or result["sent"] != result["answered"]:
        raise VoidError(f"{name}: {result['sent'] - result['answered']} requests failed: {result['faults']}")
    if result["most_in_flight"] != given["connections"]:
        raise VoidError(f"{name}: only {result['most_in_flight']} requests were in flight")
    return result


async def balance(database_url, server):
    """Calls answered = rows = counters = calls received, else the run is void."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetchval(f"SELECT count(*) FROM {server.schema}.webhook_analytics WHERE success")  # noqa: S608
    sums = "SELECT sum(total_calls)::bigint, sum(successful_calls)::bigint"
    books = [rows, *await connection.fetchrow(f"{sums} FROM {server.schema}.n8n_webhook_counters")]
    if server.schema == "public":
        books += await connection.fetchrow(f"{sums} FROM webhook_call_rollups")
    await connection.close()
    books.append(processes.counted(server.receiver_port)["posts"])
    if set(books) != {server.answered}:
        raise VoidError(f"{server.name}: the books don't balance: {server.answered} answered, {books} recorded")


async def checkpoint(database_url):
    """Both variants begin alike: the first change of a page after a checkpoint writes the whole page."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CHECKPOINT")
    await connection.close()


def measure(rounds, seconds):
    """Both ways in turn; results by way and spread."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="hookvault-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        database_url, found = servers(stack, folder)
        postmaster = embedded.status(folder).pid
        for number in range(rounds):
            for spread, names in (("one hot webhook", [HOT]), ("24 webhooks", SPREAD)):
                for server in found if number % 2 == 0 else reversed(found):
                    asyncio.run(checkpoint(database_url))
                    result = load(server, names, postmaster, seconds)
                    server.results.setdefault(spread, []).append(result)
                    asyncio.run(balance(database_url, server))
                    print(f"round {number + 1}, {spread}, {server.name}: {result['rate']:.0f} calls/s", file=sys.stderr)
    return {**{server.name: server.results for server in found}, "answered": sum(server.answered for server in found)}


def measure_transport(rounds, seconds):
    """Both clients in turn, on small requests; results by client."""
    results = {}
    with ExitStack() as stack:
        _, port = processes.receiver(stack)
        for number in range(rounds):
            kinds = ("own", "aiohttp")
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                result = transport(port, kind, seconds)
                results.setdefault(kind, []).append(result)
                print(f"round {number + 1}, transport, {kind}: {result['rate']:.0f} requests/s", file=sys.stderr)
    return results


def transport(port, kind, seconds, *like):
    """One run of a client alone, `like` being the bytes and headers of its requests; see transport.py."""
    before = processes.counted(port)
    result = processes.output(HERE / "transport.py", kind, port, TRANSPORT_IN_FLIGHT, 1, seconds, *like)
    after = processes.counted(port)
    if after["posts"] - before["posts"] != result["sent"]:
        raise VoidError(f"{kind}: {result['sent']} sent, {after['posts'] - before['posts']} received")
    if not TRANSPORT_IN_FLIGHT <= after["mostOpen"] <= TRANSPORT_IN_FLIGHT + 2:
        raise VoidError(f"{kind}: {after['mostOpen']} connections instead of {TRANSPORT_IN_FLIGHT}")
    return result
