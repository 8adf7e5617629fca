"""The main job from end to end: a real server process, its embedded Postgres, and a receiver that answers like n8n."""

import asyncio
import secrets
from collections import Counter
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from server import Server

from canary import planted
from n8n import Answer, N8n

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TENANT = "/api/platform/tenants/acme"
EXPECTED = {"ok": 200, "echo": 200, "html404": 502, "json404": 502, "error": 502, "slow": 504}
KINDS = list(EXPECTED)
AUTH = [
    {},
    {"authToken": planted("e2e-bearer", special=True)},
    {"authType": "header", "authConfig": {"headerName": "X-Key"}, "authToken": planted("e2e-header", special=True)},
    {"authType": "basic", "authConfig": {"user": "ann"}, "authToken": planted("e2e-basic", special=True)},
    {"authType": "jwt", "authConfig": {"claims": {"sub": "acme"}}, "authToken": planted("e2e-jwt", special=True)},
]
WHATSAPP = {
    "phoneNumberId": "106540352242922",
    "businessAccountId": "102290129340398",
    "accessToken": planted("e2e-whatsapp"),
    "appSecret": planted("e2e-app-secret"),
}
SMS = {
    "provider": "twilio",
    "accountSid": planted("e2e-sid"),
    "authToken": planted("e2e-sms"),
    "phoneNumber": "+15555555555",
}


@pytest.fixture
async def server(tmp_path):
    made = Server(tmp_path)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def n8n():
    async with N8n() as receiver:
        yield receiver


async def done(client, method, path, body=None, *, status=200):
    answer = await client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def call(client, name, payload, **fields):
    return await client.post(f"/api/tenants/acme/webhooks/{name}/call", json={"payload": payload, **fields})


async def set_up(client, n8n):
    """A tenant with all three integrations and 24 webhooks of every kind of auth and receiver."""
    await done(client, "POST", "/api/platform/tenants", {"id": "acme", "name": "Acme GmbH"}, status=201)
    n8n_config = {"baseUrl": n8n.url("/webhook/ok"), "apiKey": planted("e2e-n8n-key")}
    for kind, config in (("whatsapp", WHATSAPP), ("sms", SMS), ("n8n", n8n_config)):
        await done(client, "POST", f"{TENANT}/integrations/{kind}", config, status=201)
    made = []
    for number in range(24):
        kind = KINDS[number % len(KINDS)]
        body = {
            "workflowName": f"{kind}-{number:02}",
            "webhookUrl": n8n.url(f"/webhook/{kind}/{number:02}"),
            "staticHeaders": {"x-static": planted(f"e2e-static-{number}", special=True)},
            **AUTH[number % len(AUTH)],
        }
        made.append(await done(client, "POST", f"{TENANT}/webhooks", body, status=201))
    return made


async def test_the_main_job(server, n8n):
    key = await server.platform_key()
    async with server.client(key) as client:
        webhooks = await set_up(client, n8n)
        await calls_are_answered_by_kind(client, webhooks)
        await figures_match_what_the_receiver_saw(client, webhooks, n8n)
        await changes_hold(client, webhooks, n8n)
        before = await everything(client)

    await server.stop()
    await server.start()
    async with server.client(key) as client:
        assert await everything(client) == before
        await secrets_still_open(client, n8n)
        before = await everything(client)

    await server.stop()
    await a_wrong_key_is_refused(server)
    await server.start()
    async with server.client(key) as client:
        assert await everything(client) == before


async def calls_are_answered_by_kind(client, webhooks):
    for round_ in range(3):
        answers = await asyncio.gather(
            *[call(client, item["workflowName"], {"round": round_}, timeoutMs=1500) for item in webhooks]
        )
        for webhook, answer in zip(webhooks, answers, strict=True):
            kind = webhook["workflowName"].partition("-")[0]
            assert answer.status_code == EXPECTED[kind], (kind, answer.text)
            code = {502: "webhook_failed", 504: "webhook_timeout"}.get(answer.status_code)
            assert answer.json().get("code") == code


async def figures_match_what_the_receiver_saw(client, webhooks, n8n):
    seen = n8n.counted()
    assert sum(seen.values()) == 72
    shown = (await done(client, "GET", f"{TENANT}/webhooks?limit=200"))["items"]
    assert len(shown) == 24
    for webhook in shown:
        path = webhook["webhookUrl"].removeprefix(n8n.url(""))
        good = webhook["workflowName"].partition("-")[0] in ("ok", "echo")
        counted = (webhook["totalCalls"], webhook["successfulCalls"], webhook["failedCalls"])
        assert counted == ((seen[path], seen[path], 0) if good else (seen[path], 0, seen[path]))
    calls = (await done(client, "GET", f"{TENANT}/webhooks/analytics?limit=1000"))["items"]
    assert Counter(item["webhookId"] for item in calls) == {item["id"]: 3 for item in webhooks}
    assert {item["id"] for item in calls} == {item.headers["webhook-id"] for item in n8n.seen}
    assert Counter(item["statusCode"] for item in calls) == {200: 24, 404: 24, 500: 12, None: 12}
    summary = await done(client, "GET", f"{TENANT}/webhooks/analytics/summary")
    assert (summary["totalCalls"], summary["successfulCalls"], summary["failedCalls"]) == (72, 24, 48)
    assert summary["successRate"] == pytest.approx(1 / 3)
    assert summary["p99"] >= 1400
    one = (await done(client, "GET", f"{TENANT}/webhooks/{webhooks[0]['id']}/analytics"))["items"]
    assert [item["requestPayload"]["round"] for item in one] == [2, 1, 0]


async def changes_hold(client, webhooks, n8n):
    first, second, *_ = webhooks
    changed = await done(
        client, "PUT", f"{TENANT}/webhooks/{first['id']}", {"description": "Orders", "isActive": False}
    )
    assert (changed["description"], changed["isActive"], changed["totalCalls"]) == ("Orders", False, 3)
    assert (await call(client, first["workflowName"], {})).status_code == 409
    await done(client, "PUT", f"{TENANT}/webhooks/{first['id']}", {"isActive": True})
    assert (await call(client, first["workflowName"], {})).status_code == 200
    await done(client, "DELETE", f"{TENANT}/webhooks/{second['id']}", status=204)
    assert (await call(client, second["workflowName"], {})).status_code == 404
    derived = await done(client, "POST", f"{TENANT}/webhooks", {"workflowName": "ContactForm"}, status=201)
    assert derived["webhookUrl"] == n8n.url("/webhook/ok/acme/contact-form")
    assert (await call(client, "ContactForm", {})).status_code == 200
    await done(client, "PUT", f"{TENANT}/integrations/sms", {"authToken": planted("e2e-sms-again")})
    await done(client, "DELETE", f"{TENANT}/integrations/whatsapp", status=204)


async def _audited(client):
    """The audit log, but for its own readings, which are noted there too."""
    items = (await done(client, "GET", f"{TENANT}/audit?limit=200"))["items"]
    return [item for item in items if item["action"] != "audit.listed"]


async def everything(client):
    """All that can be read of the tenant. The summary without its dates, which are those of the question."""
    summary = await done(client, "GET", f"{TENANT}/webhooks/analytics/summary")
    return {
        "tenant": await done(client, "GET", TENANT),
        "integrations": await done(client, "GET", f"{TENANT}/integrations"),
        "webhooks": await done(client, "GET", f"{TENANT}/webhooks?limit=200"),
        "calls": await done(client, "GET", f"{TENANT}/webhooks/analytics?limit=1000"),
        "audit": await _audited(client),
        "summary": {name: value for name, value in summary.items() if name not in ("startDate", "endDate")},
    }


async def secrets_still_open(client, n8n):
    """A stored token and header go on the wire as they were given before the restart."""
    assert (await call(client, "ok-06", {"after": "restart"})).status_code == 200
    assert n8n.seen[-1].headers["authorization"] == f"Bearer {AUTH[1]['authToken']}"
    assert "e2e-static-6" in n8n.seen[-1].headers["x-static"]


async def a_wrong_key_is_refused(server):
    wrong = secrets.token_hex(32)
    refused = await server.run("serve", ENCRYPTION_KEY=wrong)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: Wrong ENCRYPTION_KEY")
    assert refused.stderr.count("\n") == 1
    assert wrong not in refused.stderr


@asynccontextmanager
async def record_held_up(url):
    """For half a second no record can be committed: whoever is answered in that time was answered too soon."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE webhook_analytics IN EXCLUSIVE MODE")
            await asyncio.sleep(0.5)
            yield
    finally:
        await connection.close()


async def test_kill_9_loses_no_call_that_was_answered(server, n8n):
    key = await server.platform_key()
    answered, cut_off = [], []
    async with server.client(key) as client:
        await done(client, "POST", "/api/platform/tenants", {"id": "acme", "name": "Acme"}, status=201)
        for name in ("fast", "slower"):
            url = n8n.url(f"/webhook/{name}")
            await done(client, "POST", f"{TENANT}/webhooks", {"workflowName": name, "webhookUrl": url}, status=201)
        n8n.answers["/webhook/slower"] = Answer(delay=0.05)

        async def calling(number):
            try:
                while True:  # each of the 200 callers calls until the server is gone
                    answer = await call(client, ("fast", "slower")[number % 2], {"n": number})
                    if answer.status_code == 503:  # a slow machine: its record is held up for longer than it waits
                        assert answer.json()["code"] == "recording_unavailable"
                        cut_off.append(number)
                        return
                    assert answer.status_code == 200, answer.text
                    answered.append(answer.json()["callId"])
            except httpx.TransportError:
                cut_off.append(number)

        url = (await server.run("db", "url")).stdout.strip()
        callers = [asyncio.create_task(calling(number)) for number in range(200)]
        async with asyncio.timeout(60):
            while len(answered) < 600:
                await asyncio.sleep(0.005)
            async with record_held_up(url):
                await server.kill()
            await asyncio.gather(*callers)
    assert len(cut_off) == 200
    assert len(n8n.seen) > len(answered)  # some calls were made that nobody was told of

    await server.start()
    async with server.client(key) as client:
        recorded = await all_calls(client)
        shown = (await done(client, "GET", f"{TENANT}/webhooks"))["items"]
        summary = await done(client, "GET", f"{TENANT}/webhooks/analytics/summary")
    assert set(answered) <= recorded
    assert recorded <= {seen.headers["webhook-id"] for seen in n8n.seen}
    # Rows, counters and rollups went in together or not at all.
    assert sum(webhook["totalCalls"] for webhook in shown) == summary["totalCalls"] == len(recorded)
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT sum(total_calls) FROM webhook_call_rollups") == len(recorded)
    finally:
        await connection.close()


async def all_calls(client):
    found, cursor = [], ""
    while cursor is not None:
        page = await done(
            client, "GET", f"{TENANT}/webhooks/analytics?limit=1000" + (f"&cursor={cursor}" if cursor else "")
        )
        found += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
    assert len(found) == len(set(found))
    return set(found)


async def test_a_database_that_stops_and_comes_back(server, n8n):
    key = await server.platform_key()
    async with server.client(key) as client:
        await done(client, "POST", "/api/platform/tenants", {"id": "acme", "name": "Acme"}, status=201)
        stopped = asyncio.Event()
        n8n.answers["/webhook/wait"] = Answer(when=stopped)
        for name in ("wait", "ok"):
            url = n8n.url(f"/webhook/{name}")
            await done(client, "POST", f"{TENANT}/webhooks", {"workflowName": name, "webhookUrl": url}, status=201)
        pending = asyncio.create_task(call(client, "wait", {"n": 1}))  # under way when its database stops
        async with asyncio.timeout(30):
            while not n8n.seen:
                await asyncio.sleep(0.01)
        assert (await server.run("db", "stop")).returncode == 0
        stopped.set()
        lost = await pending
        assert (lost.status_code, lost.json()["code"]) == (503, "recording_unavailable"), lost.text
        assert lost.json()["callId"] == n8n.seen[0].headers["webhook-id"]
        assert (await client.get("/readyz")).json()["code"] == "database_unavailable"
        assert (await client.get("/healthz")).status_code == 200
        refused = await call(client, "ok", {"n": 2})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable"), refused.text
        assert len(n8n.seen) == 1

        assert (await server.run("db", "url")).returncode == 0  # starts it again
        async with asyncio.timeout(20):
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.1)
        assert (await call(client, "ok", {"n": 3})).status_code == 200
        calls = (await done(client, "GET", f"{TENANT}/webhooks/analytics"))["items"]
        assert [item["requestPayload"] for item in calls] == [{"n": 3}]


async def test_production_without_a_key_stops_in_one_line_that_says_how_to_make_one(tmp_path):
    server = Server(tmp_path, APP_ENV="production", SESSION_SECRET="s3" * 20)
    refused = await server.run("serve")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "ENCRYPTION_KEY" in refused.stderr
    assert "hookvault keys generate" in refused.stderr
    malformed = await server.run("serve", ENCRYPTION_KEY="0123abc")
    assert (malformed.returncode, malformed.stderr.count("\n")) == (1, 1)
    assert "64 hexadecimal characters" in malformed.stderr
    assert "0123abc" not in malformed.stderr
    assert not server.data.exists()
