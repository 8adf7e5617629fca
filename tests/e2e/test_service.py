"""The main job on a real server process: its own data directory, its own Postgres, a receiver that answers as n8n does."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter

import asyncpg
import httpx
import pytest

from hookvault.db import embedded

pytestmark = pytest.mark.slow

NOT_REGISTERED = (
    b'{"code":404,"message":"The requested webhook is not registered.","hint":"The workflow must be active"}'
)
ANSWERS = {
    "fine": (200, b'{"message":"Workflow was started"}'),
    "inactive": (404, NOT_REGISTERED),
    "broken": (500, b'{"message":"Error in workflow"}'),
    "starting": (404, b"<html>Cannot POST /webhook</html>"),
}
TOKEN = "EAAx7Q2mZB5nVx0BAKd3yPqLwTtR8sUvWnZjKfHgDcXbYaMeNoPiQrStUvWxYz12"


class N8N:
    """Answers by the first part of the path's last word; counts what arrived, by path and by webhook-id."""

    def __init__(self):
        self.paths = Counter()
        self.ids = Counter()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/webhook"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]))
                path = head.split(b" ", 2)[1].decode()
                self.paths[path] += 1
                self.ids[re.search(rb"webhook-id: (\S+)", head, re.IGNORECASE)[1].decode()] += 1
                kind = path.rpartition("/")[2].partition("-")[0]
                if kind == "slow":
                    await asyncio.sleep(3)
                status, body = ANSWERS.get(kind, ANSWERS["fine"])
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Server:
    """`hookvault serve` and the command beside it, on one data directory."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder / "data"
        self.environment = {**os.environ, "HOOKVAULT_DATA_DIR": str(self.folder), "PORT": str(self.port)}
        self.log = folder / "log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    async def start(self):
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "hookvault", "serve"]
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)  # noqa: ASYNC220 - quick
        async with httpx.AsyncClient() as client:
            for _ in range(300):
                assert self.process.poll() is None, self.log.read_text()[-2000:]
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
        raise AssertionError(self.log.read_text()[-2000:])

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(40)

    def command(self, *words, **environment):
        return subprocess.run(
            [sys.executable, "-m", "hookvault", *words],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def client(self):
        key = self.command("api-key", "create", "--platform").stdout.split()[-1]
        return httpx.AsyncClient(base_url=f"{self.url}/api", headers={"authorization": f"Bearer {key}"}, timeout=30)


@pytest.fixture
async def server(tmp_path):
    running = Server(tmp_path)
    try:
        await running.start()
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)
        assert running.command("db", "stop").returncode == 0


async def made(client, path, body):
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_the_main_job(server):
    names = [f"fine-{n}" for n in range(16)] + [
        f"{kind}-{n}" for kind in ("inactive", "broken", "starting", "slow") for n in (1, 2)
    ]
    assert len(names) == 24
    async with N8N() as n8n, server.client() as client:
        await made(client, "/platform/tenants", {"id": "acme", "name": "Acme GmbH"})
        base = "/platform/tenants/acme"
        whatsapp = {"phoneNumberId": "106540352242922", "businessAccountId": "102290129340398", "accessToken": TOKEN}
        await made(client, f"{base}/integrations/whatsapp", whatsapp)
        sms = {
            "provider": "twilio",
            "accountSid": "AC" + "0a" * 16,
            "authToken": "b1" * 16,
            "phoneNumber": "+15555555555",
        }
        await made(client, f"{base}/integrations/sms", sms)
        await made(client, f"{base}/integrations/n8n", {"baseUrl": n8n.url})
        ids = {name: (await made(client, f"{base}/webhooks", {"workflowName": name}))["id"] for name in names}

        def call(name):
            return client.post(f"/tenants/acme/webhooks/{name}/call", json={"payload": {"n": name}, "timeoutMs": 1000})

        answers = dict(zip(names, await asyncio.gather(*[call(name) for name in names]), strict=True))
        statuses = Counter((name.partition("-")[0], answer.status_code) for name, answer in answers.items())
        failed = {("inactive", 502): 2, ("broken", 502): 2, ("starting", 502): 2, ("slow", 504): 2}
        assert statuses == {("fine", 200): 16, **failed}
        assert n8n.paths == {f"/webhook/acme/{name}": 1 for name in names}

        summary = (await client.get(f"{base}/webhooks/analytics/summary")).json()
        assert (summary["totalCalls"], summary["successfulCalls"], summary["failedCalls"]) == (24, 16, 8)
        calls = (await client.get(f"{base}/webhooks/analytics", params={"limit": 1000})).json()["items"]
        assert (
            {call["id"] for call in calls} == {answer.json()["callId"] for answer in answers.values()} == set(n8n.ids)
        )

        changed = await client.put(f"{base}/webhooks/{ids['fine-0']}", json={"isActive": False})
        assert changed.status_code == 200
        assert (await call("fine-0")).json()["code"] == "webhook_inactive"
        assert (await client.delete(f"{base}/webhooks/{ids['fine-1']}")).status_code == 204
        assert (await call("fine-1")).json()["code"] == "webhook_not_found"

        assert server.end() == 0
        await server.start()
        page = (await client.get(f"{base}/webhooks", params={"limit": 200})).json()["items"]
        assert {webhook["workflowName"]: webhook["totalCalls"] for webhook in page} == {
            name: 1 for name in names if name != "fine-1"
        }
        kept = (await client.get(f"{base}/webhooks/{ids['fine-1']}/analytics")).json()["items"]
        assert [call["workflowName"] for call in kept] == ["fine-1"]
        token = (await client.get(f"{base}/integrations")).json()["whatsapp"]["accessToken"]
        assert token["set"]
        assert token["hint"] == "••••Yz12"
        assert (await client.delete(base)).status_code == 204
        assert (await client.get(base)).json()["code"] == "tenant_not_found"
        assert len((await client.get(f"{base}/webhooks/analytics")).json()["items"]) == 24
    log = server.log.read_text()
    assert TOKEN not in log
    assert "b1" * 16 not in log


@pytest.mark.parametrize("victim", ["server", "postgres"])
async def test_what_was_answered_is_in_the_database_whatever_is_killed(server, victim):
    async with N8N() as n8n, server.client() as client:
        await made(client, "/platform/tenants", {"id": "acme", "name": "Acme"})
        await made(client, "/platform/tenants/acme/webhooks", {"workflowName": "w", "webhookUrl": f"{n8n.url}/fine-w"})
        postmaster = embedded.status(server.folder).pid
        answered = []

        async def caller():
            for _ in range(60):
                try:
                    answer = await client.post("/tenants/acme/webhooks/w/call", json={"payload": {"a": 1}})
                except httpx.HTTPError:
                    return
                if answer.status_code == 200:
                    answered.append(answer.json()["callId"])
                else:
                    assert answer.json()["code"] in ("recording_unavailable", "database_unavailable"), answer.text

        callers = [asyncio.create_task(caller()) for _ in range(20)]
        while len(answered) < 200:
            await asyncio.sleep(0.005)
        if victim == "server":
            server.end(signal.SIGKILL)
        else:
            os.kill(postmaster, signal.SIGKILL)
        await asyncio.wait_for(asyncio.gather(*callers), 60)
        if victim == "server":
            await server.start()
        connection = await asyncpg.connect(server.command("db", "url").stdout.strip())
        try:
            recorded = {str(row["id"]) for row in await connection.fetch("SELECT id FROM webhook_analytics")}
            counted = await connection.fetchval("SELECT total_calls FROM n8n_webhook_counters")
        finally:
            await connection.close()
        assert set(answered) <= recorded  # nothing answered is lost
        assert recorded <= set(n8n.ids)  # nothing is recorded that was not made
        assert counted == len(recorded)
        assert len(answered) > 200 or victim == "server"
        assert max(n8n.ids.values()) == 1


async def test_a_wrong_key_is_refused_in_one_line_and_changes_nothing(server):
    assert server.end() == 0
    for words in (["serve"], ["tenant", "list"], ["keys", "status"], ["api-key", "create", "--platform"]):
        refused = server.command(*words, ENCRYPTION_KEY="5e" * 31 + "01")
        assert refused.returncode == 1, words
        assert refused.stdout == ""
        assert len(re.findall(r"mk_[0-9a-f]{16}", refused.stderr)) >= 2
        assert "Traceback" not in refused.stderr
    await server.start()


@pytest.mark.parametrize("key", [None, "", "short", "g" * 64])
def test_production_without_a_good_key_stops_with_one_line_that_says_how_to_make_one(tmp_path, key):
    server = Server(tmp_path)
    given = {} if key is None else {"ENCRYPTION_KEY": key}
    refused = server.command("serve", APP_ENV="production", SESSION_SECRET="s" * 40, **given)
    assert refused.returncode != 0
    [line] = refused.stderr.strip().splitlines()
    assert "ENCRYPTION_KEY" in line
    assert "hookvault keys generate" in line
    assert key is None or len(key) < 6 or key not in line
    assert not (tmp_path / "data").exists()
