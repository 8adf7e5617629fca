"""`hookvault demo` as a person runs it: it starts, lives, stops, and keeps its data apart."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from canary import CANARY
from hookvault.db import embedded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
COMMAND = Path(sys.executable).with_name("hookvault")
START_S = 200


def environment(**more):
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LOG_LEVEL": "info", **more}


@pytest.fixture
def place(tmp_path):
    yield tmp_path
    for folder in (tmp_path / ".hookvault-demo", tmp_path / ".hookvault"):
        if folder.exists():
            embedded.destroy(folder)


def spawned(place, port):
    with (place / "out").open("wb") as out, (place / "err").open("wb") as err:
        words = [COMMAND, "demo", "--port", str(port)]
        return subprocess.Popen(words, cwd=place, env=environment(), stdout=out, stderr=err)


def run(place, *words, **more):
    env = environment(**more)
    return subprocess.run(
        [COMMAND, *words], cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False
    )


async def started(process, place, url):
    """What was announced once the server answers."""
    ends = time.monotonic() + START_S
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        while time.monotonic() < ends:
            assert process.poll() is None, (place / "err").read_text()
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return (place / "out").read_text()
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError((place / "err").read_text())


async def test_it_starts_lives_and_stops(place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = spawned(place, port)
    url = f"http://127.0.0.1:{port}"
    try:
        told = await started(process, place, url)
        assert "This is the demo" in told
        assert ".hookvault-demo/, apart from" in told
        assert re.search(r"Password   \S{23}   \(shown only now\)", told)
        assert "HOOKVAULT_DATA_DIR=.hookvault-demo" in told
        assert not (place / ".hookvault").exists()
        made = await asyncio.to_thread(
            run, place, "api-key", "create", "--platform", HOOKVAULT_DATA_DIR=".hookvault-demo"
        )
        key = made.stdout.split()[-1]
        CANARY.made(key)
        headers, hooks = {"authorization": f"Bearer {key}"}, {"response": [CANARY.record]}
        async with httpx.AsyncClient(base_url=url, headers=headers, event_hooks=hooks, timeout=60) as client:
            tenants = (await client.get("/api/platform/tenants")).json()["items"]
            assert {tenant["id"] for tenant in tenants} == {"northwind", "fjordline", "palmstudio"}
            users = (await client.get("/api/platform/users")).json()["items"]
            assert [user["role"] for user in users] == ["owner", "admin", "viewer"]
            before = (await client.get("/api/platform/analytics/summary")).json()["totalCalls"]
            assert before >= 39_000
            ends = time.monotonic() + 60
            while (await client.get("/api/platform/analytics/summary")).json()["totalCalls"] < before + 5:
                assert time.monotonic() < ends, "no traffic"
                await asyncio.sleep(0.5)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        code = await asyncio.to_thread(process.wait, 60)
    log = (place / "err").read_text()
    CANARY.logs.append(log)
    assert code == 0, log
    assert "Traceback" not in log
    assert "stopped" in log
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def test_production_refuses_it(place):
    keys = {"ENCRYPTION_KEY": "9f8e7d6c5b4a3021" * 4, "SESSION_SECRET": "1f8e7d6c5b4a3022" * 4}
    done = run(place, "demo", APP_ENV="production", **keys)
    assert done.returncode == 1
    assert "APP_ENV is production" in done.stderr
    assert "(demo_not_here)" in done.stderr
    assert list(place.iterdir()) == []
