"""Measures Hookvault against the straightforward way, and its transport against aiohttp; prints the tables, in about two minutes.

All variants take turns in every round, on one machine and one Postgres (fsync on), so the ratios hold even where the machine
is busy. A run whose books don't balance is void: every call answered must be one row, one count and one call received.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import asyncpg

import plain
import tables
from hookvault.db import embedded
from hookvault.settings import Settings
from hookvault.wiring import build

HERE = Path(__file__).parent
TENANT = "bench"
HOT = "hot"
SPREAD = [f"flow-{number:02}" for number in range(24)]
IN_FLIGHT = 64
TRANSPORT_IN_FLIGHT = 256
PAYLOAD_BYTES = 1024


class VoidError(Exception):
    """The run proves nothing: something was lost, refused, or not as loaded as it should be."""


@dataclass
class Server:
    """A server under load: its own process, its own receiver, and where its books are."""

    name: str
    process: subprocess.Popen
    port: int
    headers: dict[str, str]
    receiver: subprocess.Popen
    receiver_port: int
    schema: str
    answered: int = 0
    results: dict[str, list[dict]] = field(default_factory=dict)


def start(stack, *command, env=None, ready=None):
    """Starts a process that ends with us. With `ready` it is waited for until that URL answers, whatever the status."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True
    )
    stack.callback(stop, process)
    if ready is not None:
        wait_for(process, ready)
    return process


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def wait_for(process, port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise VoidError(f"the server on port {port} did not start")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def receiver(stack):
    process = start(stack, HERE / "receiver.py")
    return process, int(process.stdout.readline())


def counted(port):
    with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        return json.load(answer)


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
    key = secrets.token_hex(32)
    (own_receiver, own_port), (plain_receiver, plain_port) = receiver(stack), receiver(stack)
    token = asyncio.run(furnish(database_url, key, (own_port, plain_port)))
    ports = free_port(), free_port()
    env = {
        "APP_ENV": "production",
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEY": key,
        "SESSION_SECRET": secrets.token_hex(32),
        "WEBHOOK_ALLOW_HTTP": "true",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "HOOKVAULT_DATA_DIR": str(folder),
        "LOG_LEVEL": "error",
    }
    own = start(stack, "-m", "hookvault", "serve", "--port", ports[0], env=env, ready=ports[0])
    other = start(stack, HERE / "plain.py", ports[1], env={"BENCH_DATABASE_URL": database_url}, ready=ports[1])
    authorization = {"Authorization": f"Bearer {token}"}
    found = [
        Server("Hookvault", own, ports[0], authorization, own_receiver, own_port, "public"),
        Server("straightforward", other, ports[1], {}, plain_receiver, plain_port, "plain"),
    ]
    return database_url, found


def load(server, names, postmaster, seconds):
    """One run of the load on one server."""
    before, after = '{"payload":{"number":"', f'","text":"{"x" * (PAYLOAD_BYTES - 32)}"}},"triggeredBy":"bench"}}'
    given = {
        "port": server.port,
        "paths": [f"/api/tenants/{TENANT}/webhooks/{name}/call" for name in names],
        "connections": IN_FLIGHT,
        "warmup_s": 1.0,
        "measured_s": seconds,
        "before": before,
        "after": after,
        "headers": server.headers,
        "watched": {
            "processes": {"server": server.process.pid, "receiver": server.receiver.pid},
            "postmaster": postmaster,
        },
    }
    result = output(HERE / "load.py", json.dumps(given))
    if result["faults"] or result["sent"] != result["answered"]:
        raise VoidError(f"{server.name}: {result['sent'] - result['answered']} calls failed: {result['faults']}")
    if result["most_in_flight"] != IN_FLIGHT:
        raise VoidError(f"{server.name}: only {result['most_in_flight']} calls were in flight")
    server.answered += result["answered"]
    return result


def output(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise VoidError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


async def balance(database_url, server):
    """Calls answered = rows = counters = calls received, else the run is void."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetchval(f"SELECT count(*) FROM {server.schema}.webhook_analytics WHERE success")  # noqa: S608
    sums = "SELECT sum(total_calls)::bigint, sum(successful_calls)::bigint"
    books = [rows, *await connection.fetchrow(f"{sums} FROM {server.schema}.n8n_webhook_counters")]
    if server.schema == "public":
        books += await connection.fetchrow(f"{sums} FROM webhook_call_rollups")
    await connection.close()
    books.append(counted(server.receiver_port)["posts"])
    if set(books) != {server.answered}:
        raise VoidError(f"{server.name}: the books don't balance: {server.answered} answered, {books} recorded")


async def checkpoint(database_url):
    """Both variants begin alike: the first change of a page after a checkpoint writes the whole page."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CHECKPOINT")
    await connection.close()


def measure_calls(rounds, seconds):
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
    return {server.name: server.results for server in found}, sum(server.answered for server in found)


def measure_transport(rounds, seconds):
    results = {}
    with ExitStack() as stack:
        _, port = receiver(stack)
        for number in range(rounds):
            kinds = ("own", "aiohttp")
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                before = counted(port)
                result = output(HERE / "transport.py", kind, port, TRANSPORT_IN_FLIGHT, 1, seconds)
                after = counted(port)
                if after["posts"] - before["posts"] != result["sent"]:
                    raise VoidError(f"{kind}: {result['sent']} sent, {after['posts'] - before['posts']} received")
                if not TRANSPORT_IN_FLIGHT <= after["mostOpen"] <= TRANSPORT_IN_FLIGHT + 2:
                    raise VoidError(f"{kind}: {after['mostOpen']} connections instead of {TRANSPORT_IN_FLIGHT}")
                results.setdefault(kind, []).append(result)
                print(f"round {number + 1}, transport, {kind}: {result['rate']:.0f} requests/s", file=sys.stderr)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=5, help="measured, of each run; a second of warm-up comes before"
    )
    parser.add_argument("--only", choices=["calls", "transport"])
    given = parser.parse_args()
    print(tables.machine())
    try:
        if given.only != "transport":
            results, answered = measure_calls(given.rounds, given.seconds)
            print(tables.calls(results, IN_FLIGHT))
            print(f"\nThe books balance: {answered} calls answered, recorded, counted and received.\n")
        if given.only != "calls":
            print(tables.transport(measure_transport(given.rounds, given.seconds), TRANSPORT_IN_FLIGHT))
    except VoidError as error:
        raise SystemExit(f"VOID: {error}") from None


if __name__ == "__main__":
    main()
