"""The README's first call, typed as it stands into a shell, against a real server and the example receiver."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"## Your first recorded call\n(.*?)\n## ", re.DOTALL)
BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.DOTALL)
CHANGING = re.compile(
    r'"(?:callId|deliveryId|id|createdAt|updatedAt|startDate|endDate|createdBy|responseTime|averageResponseTime|p50|p95|p99)":'
    r'(?:"[^"]*"|null|[0-9.]+)'
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(command: list[str], url: str, **options) -> subprocess.Popen:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    for _ in range(300):
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.1)
        else:
            return process
    raise AssertionError(f"nothing listens at {url}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; the README's lines need it")
def test_the_first_call_gives_the_output_that_the_readme_shows(tmp_path):
    environment = {**os.environ, "HOOKVAULT_DATA_DIR": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"}
    port, receiver_port = free_port(), free_port()
    hookvault = f"{sys.executable} -m hookvault"
    section = SECTION.search((ROOT / "README.md").read_text())[1]
    blocks = [
        (
            kind,
            text.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
            .replace("127.0.0.1:5678", f"127.0.0.1:{receiver_port}")
            .replace(".venv/bin/hookvault", hookvault),
        )
        for kind, text in BLOCK.findall(section)
    ]
    receiver_code = (ROOT / "examples" / "receiver.py").read_text().replace("5678", str(receiver_port))
    receiver = started([sys.executable, "-c", receiver_code], f"http://127.0.0.1:{receiver_port}/")
    server = started(
        [*hookvault.split(), "serve", "--port", str(port)], f"http://127.0.0.1:{port}/healthz", env=environment
    )
    try:
        shown = [line for kind, text in blocks if kind == "json" for line in text.strip().splitlines()]
        script = "\n".join(text for kind, text in blocks if kind == "sh" and "examples/receiver.py" not in text)
        ran = subprocess.run(
            ["bash", "-euc", script],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        printed = [CHANGING.sub("…", line) for line in ran.stdout.splitlines() if line.strip()]
        for line in shown:
            json.loads(line)
            assert CHANGING.sub("…", line) in printed
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        receiver.kill()
        subprocess.run([*hookvault.split(), "db", "stop"], env=environment, timeout=30, check=True)
