"""The real processes of one installation, `hookvault serve` and `hookvault worker`, on one embedded Postgres."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from canary import CANARY
from hookvault.db import embedded

START_S = 30
STOP_S = 45
ZYGOTE = Path(__file__).with_name("zygote.py")
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
RESTARTING = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.TooManyConnectionsError)

# One statement, so one snapshot: what it compares is equal at every moment, not only when everything rests.
_BOOKS = """
WITH ledger AS (
    SELECT coalesce(sum(accepted), 0)::int AS accepted, coalesce(sum(delivered), 0)::int AS delivered,
        coalesce(sum(failed), 0)::int AS failed, coalesce(sum(expired), 0)::int AS expired FROM delivery_ledger
), stories AS (
    SELECT count(*)::int AS accepted, count(*) FILTER (WHERE status = 'pending')::int AS pending,
        count(*) FILTER (WHERE status = 'delivered')::int AS delivered, count(*) FILTER (WHERE status = 'failed')::int AS failed,
        count(*) FILTER (WHERE status = 'expired')::int AS expired FROM webhook_deliveries
)
SELECT jsonb_build_object('accepted', l.accepted, 'delivered', l.delivered, 'failed', l.failed, 'expired', l.expired,
        'jobs', (SELECT count(*) FROM delivery_queue)) AS ledger,
    jsonb_build_object('accepted', s.accepted, 'delivered', s.delivered, 'failed', s.failed, 'expired', s.expired,
        'jobs', s.pending) AS stories,
    (SELECT count(*) FROM delivery_queue q FULL JOIN (SELECT tenant_id, id FROM webhook_deliveries WHERE status = 'pending') d
        USING (tenant_id, id) WHERE q.ready IS NULL OR d.id IS NULL)::int AS unmatched,
    (SELECT count(*) FROM webhook_deliveries d WHERE status = 'delivered' AND NOT EXISTS (
        SELECT FROM webhook_analytics a WHERE a.tenant_id = d.tenant_id AND a.delivery_id = d.id AND a.success)
    )::int AS unrecorded,
    (SELECT count(*) FROM webhook_analytics)::int AS calls,
    (SELECT coalesce(sum(total_calls), 0) FROM n8n_webhook_counters)::int AS counted,
    (SELECT coalesce(sum(total_calls), 0) FROM webhook_call_rollups)::int AS rolled_up
FROM ledger l, stories s
"""

# What a dead process had claimed waits for the end of its lease; this ends all leases now.
_END_LEASES = "UPDATE delivery_queue SET due_at = now() WHERE leased_by IS NOT NULL AND NOT ready"


async def until(condition: Callable[[], Any], within: float = 20.0, what: object = "what was waited for") -> Any:
    """The first true value of `condition`, a function or a coroutine function, within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what() if callable(what) else what}"
        await asyncio.sleep(0.02)


class Zygote:
    """The process that processes are forked from; see zygote.py."""

    def __init__(self) -> None:
        self._started: asyncio.Queue[int] = asyncio.Queue()
        self._ended: dict[int, asyncio.Future[int]] = {}
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(sys.executable, str(ZYGOTE), stdin=pipe, stdout=pipe)
        assert await self._process.stdout.readline() == b'{"ready": true}\n'
        self._reading = asyncio.create_task(self._read())

    async def start(self, **job: Any) -> tuple[int, "asyncio.Future[int]"]:
        """Starts a process: its pid, and the future of its exit code."""
        async with self._turn:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            pid = await asyncio.wait_for(self._started.get(), 10)
        return pid, self._ended[pid]

    async def close(self) -> None:
        """Ends all that still runs."""
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 10)
        await self._reading

    async def _read(self) -> None:
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            if "started" in told:
                self._ended[told["started"]] = asyncio.get_running_loop().create_future()
                self._started.put_nowait(told["started"])
            else:
                self._ended[told["ended"]].set_result(told["code"])


class Member:
    """One process of a fleet."""

    def __init__(self, pid: int, port: int, ended: "asyncio.Future[int]") -> None:
        self.pid = pid
        self.url = f"http://127.0.0.1:{port}"
        self.ended = ended

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    async def code(self, within: float = STOP_S) -> int:
        """How it ended, once it has."""
        return await asyncio.wait_for(asyncio.shield(self.ended), within)

    async def kill(self) -> None:
        """kill -9: it gets no chance to do anything."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        assert await self.code(10) == -signal.SIGKILL

    async def stop(self) -> None:
        """As a supervisor would; it ends well."""
        os.kill(self.pid, signal.SIGTERM)
        assert await self.code() == 0


class Fleet:
    """The processes on one data directory."""

    def __init__(self, zygote: Zygote, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.members: list[Member] = []
        self.key = ""
        self._zygote = zygote
        self._number = 0
        self._url = ""
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "HOOKVAULT_DATA_DIR": str(self.data),
            "LOG_LEVEL": "warning",
            **environment,
        }

    async def open(self) -> None:
        """The database, and a platform key."""
        self._url = await asyncio.to_thread(embedded.ensure_running, self.data)
        self.key = (await self.run("api-key", "create", "--platform")).split()[-1]
        CANARY.made(self.key)

    async def start(self, *words: str, fault: str = "", **more: str) -> Member:
        """Starts `hookvault` with these words, and waits until it says that it works."""
        member, stdout = await self._spawn(words, {"HOOKVAULT_FAULT": fault, **more})
        self.members.append(member)
        await until(lambda: stdout.stat().st_size or not member.alive, START_S, self.log)
        assert member.alive, self.log()
        return member

    async def run(self, *words: str, **more: str) -> str:
        """Runs a command to its end; its stdout."""
        code, stdout, stderr = await self.ended(*words, **more)
        assert code == 0, stderr
        return stdout

    async def ended(self, *words: str, kill_after: float | None = None, **more: str) -> tuple[int, str, str]:
        """How a command ended, killed after so many seconds unless it was faster; its stdout and its stderr."""
        member, stdout = await self._spawn(words, more, own=True)
        try:
            code = await member.code(START_S if kill_after is None else kill_after)
        except TimeoutError:
            assert kill_after is not None, self.log()
            with suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
            code = await member.code(10)  # it may have been faster after all
        stderr = stdout.with_suffix(".err").read_text()
        with (self.folder / "stderr.log").open("a") as log:
            log.write(stderr)
        return code, stdout.read_text(), stderr

    @property
    def alive(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    @property
    def database_url(self) -> str:
        """The owner's, of its database."""
        return self._url

    @property
    def postmaster(self) -> int | None:
        return embedded.status(self.data).pid

    def log(self) -> str:
        """The end of all that its processes logged."""
        return (self.folder / "stderr.log").read_text()[-4000:]

    def client(self, key: str = "", **options: Any) -> httpx.AsyncClient:
        """A client for all members, whose URLs it is given whole."""
        headers = {"authorization": f"Bearer {key or self.key}"}
        limits = httpx.Limits(max_connections=300, max_keepalive_connections=300)
        return httpx.AsyncClient(headers=headers, verify=False, **{"limits": limits, "timeout": 30, **options})  # noqa: S501 - plain http

    async def sql(self, statement: str, *values: object, within: float = 30.0) -> list[asyncpg.Record]:
        """Rows of a statement, run as the owner; waits for a database that is being restarted."""
        deadline = time.monotonic() + within
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=10)
                try:
                    return await connection.fetch(statement, *values)
                finally:
                    await connection.close(timeout=5)
            except AWAY as error:
                refused = isinstance(error, asyncpg.PostgresError) and not isinstance(error, RESTARTING)
                if refused or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def value(self, statement: str, *values: object) -> Any:
        return (await self.sql(statement, *values))[0][0]

    async def end_leases(self) -> None:
        await self.sql(_END_LEASES)

    async def books(self) -> dict[str, int]:
        """The account, which must be exact: the ledger, the stories, the queue, the records and their counters agree."""
        (row,) = await self.sql(_BOOKS)
        ledger, stories = json.loads(row["ledger"]), json.loads(row["stories"])
        assert ledger == stories
        assert (row["unmatched"], row["unrecorded"]) == (0, 0), dict(row)
        assert row["calls"] == row["counted"] == row["rolled_up"]
        assert ledger["accepted"] == sum(ledger[name] for name in ("delivered", "failed", "expired", "jobs"))
        return {**ledger, "calls": row["calls"]}

    async def drained(self, within: float = 20.0) -> dict[str, int]:
        """Waits until no delivery waits; the account then."""

        async def empty() -> bool:
            return not await self.value("SELECT count(*) FROM delivery_queue")

        await until(empty, within, "an empty queue")
        return await self.books()

    async def close(self) -> None:
        """Ends everything and removes the cluster; what was logged is searched for secrets, and holds no surprise."""
        await self.kill_all()
        log = (self.folder / "stderr.log").read_text()
        CANARY.logs.append(log)
        await asyncio.to_thread(embedded.destroy, self.data)
        shutil.rmtree(self.folder, ignore_errors=True)
        at = log.find("Traceback")
        assert at < 0, log[max(0, at - 500) : at + 8000]

    async def kill_all(self) -> None:
        for member in self.alive:
            await member.kill()

    async def _spawn(self, words: tuple[str, ...], more: dict[str, str], *, own: bool = False) -> tuple[Member, Path]:
        self._number += 1
        stdout = self.folder / f"{self._number:03}-{words[0]}.log"
        for file in (stdout, stdout.with_suffix(".err")):
            file.touch(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        pid, ended = await self._zygote.start(
            folder=str(self.folder),
            words=words,
            environment={**self._environment, "PORT": str(port), **more},
            stdout=str(stdout),
            stderr=str(stdout.with_suffix(".err") if own else self.folder / "stderr.log"),
        )
        return Member(pid, port, ended), stdout
