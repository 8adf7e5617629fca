"""A real server process with a data directory and an embedded Postgres of its own, as an operator would run it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from canary import CANARY
from hookvault.db import embedded

COMMAND = [sys.executable, "-m", "hookvault"]
START_S = 60
STOP_S = 40


class Server:
    """`hookvault serve`, started, killed and started again on the same data."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "HOOKVAULT_DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "LOG_LEVEL": "debug",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, **more: str) -> None:
        """Starts the server and waits until it is ready."""
        log = self.folder / "stderr.log"
        self.process = self._spawned(log, more)
        deadline = time.monotonic() + START_S
        async with httpx.AsyncClient(base_url=self.url) as client:
            while time.monotonic() < deadline:
                assert self.process.poll() is None, f"the server stopped: {log.read_text()}"
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(f"the server did not get ready: {log.read_text()}")

    def _spawned(self, log: Path, more: dict[str, str]) -> "subprocess.Popen[bytes]":
        environment = {**self.environment, **more}
        with log.open("ab") as stderr, (self.folder / "stdout.log").open("ab") as stdout:
            return subprocess.Popen([*COMMAND, "serve"], cwd=self.folder, env=environment, stdout=stdout, stderr=stderr)

    async def stop(self) -> None:
        """Stops the server as a supervisor would; it ends well."""
        assert await self.end(signal.SIGTERM) == 0

    async def kill(self) -> None:
        """kill -9: the server gets no chance to do anything."""
        assert await self.end(signal.SIGKILL) == -signal.SIGKILL

    async def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = await asyncio.to_thread(self.process.wait, STOP_S)
        self.process = None
        return code

    async def run(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command beside the server."""
        done = await asyncio.to_thread(
            subprocess.run,
            [*COMMAND, *words],
            cwd=self.folder,
            env={**self.environment, "LOG_LEVEL": "", **more},
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        CANARY.logs.append(done.stderr)
        return done

    async def platform_key(self) -> str:
        """A platform key made on the command line."""
        key = (await self.run("api-key", "create", "--platform")).stdout.split()[-1]
        CANARY.made(key)
        return key

    def client(self, key: str) -> httpx.AsyncClient:
        """A client whose every answer is searched for secrets."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"authorization": f"Bearer {key}"},
            event_hooks={"response": [CANARY.record]},
            limits=httpx.Limits(max_connections=300),
            timeout=30,
        )

    async def close(self) -> None:
        """Stops everything, and gives all that was logged and stored to the search for secrets."""
        if self.process is not None:
            await self.end(signal.SIGKILL)
        CANARY.logs.append((self.folder / "stderr.log").read_text())
        try:
            await CANARY.read(await asyncio.to_thread(embedded.ensure_running, self.data))
        finally:
            await asyncio.to_thread(embedded.destroy, self.data)
