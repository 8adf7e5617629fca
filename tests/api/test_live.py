"""Calls live, by Server-Sent Events over a real socket: what is shown, to whom, in which order, and for how long."""

import asyncio
import json
import secrets
import socket
import time
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from statistics import median
from types import SimpleNamespace
from uuid import UUID, uuid4

import asyncpg
import pytest
import uvicorn
from tenancy import PLATFORM, is_problem

from canary import CANARY, planted
from hookvault.analytics.tail import hub
from hookvault.api import live, protocol
from hookvault.api.app import create_app
from hookvault.api.protocol import BoundedProtocol
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord
from hookvault.wiring import build
from n8n import Answer
from stream import Stream, until

FIELDS = {
    *("id", "tenantId", "webhookId", "workflowName", "timestamp", "statusCode", "responseTime", "success", "errorCode"),
    *("errorMessage", "cause", "triggeredBy", "deliveryId", "attempt", "retryOf"),
}
SOON_S = 3.0  # a second, and what a busy machine adds


@pytest.fixture
async def serve():
    """Serves services on a socket of their own, as `hookvault serve` does."""
    stops = []

    async def start(app):
        config = uvicorn.Config(
            create_app(app), http=BoundedProtocol, ws="none", lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)

        async def stop():
            server.should_exit = True
            await asyncio.wait_for(task, 10)

        stops.append(stop)
        return SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}", stop=stop, server=server)

    yield start
    for stop in stops:
        await stop()


@pytest.fixture
async def served(serve, app, owner):
    """This worker's services on a socket; each test begins with nobody watching."""
    await rest(app)
    made = await serve(app)
    yield made
    await until(lambda: not app.tail.readers)
    await rest(app)
    await owner("DELETE FROM webhook_analytics WHERE request_payload = '{}' AND request_headers = '{}'")  # many


async def rest(app):
    """Has the tail stop at once, and not linger."""
    if app.tail._task is not None:
        app.tail._task.cancel()
        await asyncio.wait([app.tail._task])


@pytest.fixture
async def second(settings):
    """Another process's services on the same database."""
    built = await build(settings)
    await built.start()
    yield built
    await built.close()


@pytest.fixture
def watch(served, acme, platform_key):
    def opened(tenancy=acme, *, url=served.url, key=platform_key, **params):
        return Stream(f"{url}{tenancy.path}/webhooks/analytics/live", key, **params)

    return opened


@pytest.fixture
def watch_all(served, platform_key):
    def opened(**params):
        return Stream(f"{served.url}{PLATFORM}/calls/live", platform_key, **params)

    return opened


def record(webhook, tenant_id, *, at=None, **fields):
    """A call of a webhook as a writer commits it."""
    identifier = (
        new_id() if at is None else UUID(int=round(at.timestamp() * 1000) << 80 | new_id().int & ((1 << 80) - 1))
    )
    made = {
        "tenant_id": tenant_id,
        "id": identifier,
        "webhook_id": UUID(webhook["id"]),
        "timestamp": id_time(identifier),
        "request_payload": b"{}",
        "request_headers": b"{}",
        "status_code": 200,
        "response_body": None,
        "response_time": 10,
        "success": True,
    }
    return CallRecord(**made | fields)


async def commit(app, calls):
    await asyncio.gather(*[app.recorder.put(call) for call in calls])
    return [str(call.id) for call in calls]


async def test_a_call_is_shown_at_once_and_as_it_is_recorded(watch, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/orders"), "orders")
    n8n.answers["/webhook/orders"] = Answer(404, b"no", "text/plain")
    async with watch() as stream:
        head = stream.response.headers
        assert head["content-type"].startswith("text/event-stream")
        assert head["cache-control"] == "no-store"
        assert head["x-accel-buffering"] == "no"
        assert stream.text.startswith("retry: 2000\n\n")
        await acme.call(webhook, {"a": 1}, triggeredBy="form", maxRetries=0)
        committed = time.monotonic()
        (shown,) = await stream.has(1)
        assert stream.events[0].at - committed < SOON_S
        assert stream.events[0].id == shown["id"]
    assert shown.keys() == FIELDS
    (recorded,) = await acme.calls()
    assert shown.pop("cause") == "not_found"
    assert shown == {name: recorded[name] for name in shown}
    assert (shown["workflowName"], shown["triggeredBy"], shown["statusCode"]) == ("orders", "form", 404)


async def test_a_delivery_s_calls_are_shown(watch, acme, deliveries, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/ok"))
    async with watch() as stream:
        path = f"/api/tenants/{acme.id}/webhooks/{webhook['workflowName']}/deliveries"
        accepted = await acme.client.post(path, json={"payload": 1})
        (shown,) = await stream.has(1)
    assert shown["deliveryId"] == accepted.json()["deliveryId"]


async def test_it_streams_through_all_layers_and_ends_with_its_client(client, app, acme, platform_key, n8n):
    """In-process: each message is seen as it is sent, so nothing on the way gathers them."""
    await rest(app)
    webhook, sent, gone = await acme.webhook(n8n.url()), [], asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET"}
    path = f"{acme.path}/webhooks/analytics/live"
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http", "root_path": ""}
    scope |= {"headers": [(b"authorization", f"Bearer {platform_key}".encode())], "client": ("127.0.0.1", 1)}
    task = asyncio.create_task(client._transport.app(scope, receive, send))
    await until(lambda: len(sent) == 2)
    assert (sent[0]["status"], sent[1]["body"]) == (200, b"retry: 2000\n\n")
    await commit(app, [record(webhook, acme.id)])
    await until(lambda: len(sent) == 3)
    assert sent[2]["body"].startswith(b"id: ")
    assert sent[2]["more_body"]
    gone.set()
    await asyncio.wait_for(task, 10)
    assert app.tail.readers == 0
    await rest(app)


async def test_the_document_says_what_an_event_holds(client):
    document = (await client.get("/api/openapi.json")).json()
    for path in (f"{PLATFORM}/calls/live", f"{PLATFORM}/tenants/{{tenantId}}/webhooks/analytics/live"):
        operation = document["paths"][path]["get"]
        assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
        assert "Last-Event-ID" in {parameter["name"] for parameter in operation["parameters"]}
    assert document["components"]["schemas"]["LiveCallOut"]["properties"].keys() == FIELDS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"status": "success"}, [1]),
        ({"status": "failed"}, [2, 3, 4]),
        ({"status": "5xx"}, [3]),
        ({"status": "404"}, [2]),
        ({"cause": "timeout"}, [4]),
        ({"cause": "receiver_failed"}, [3]),
        ({"minResponseTime": 20}, [2, 3, 4]),
        ({"maxResponseTime": 20}, [1, 2]),
        ({"triggeredBy": "job", "status": "failed"}, [3]),
        ({"triggeredBy": "nobody"}, []),
        ({"other": True}, []),
    ],
)
async def test_filters(watch, watch_all, app, acme, n8n, query, expected):
    webhook = await acme.webhook(n8n.url())
    params = {"webhookId": str(uuid4())} if query.pop("other", False) else query
    numbers = [
        record(webhook, acme.id, response_time=10, triggered_by="job"),
        record(webhook, acme.id, response_time=20, status_code=404, success=False),
        record(webhook, acme.id, response_time=30, status_code=503, success=False, triggered_by="job"),
        record(webhook, acme.id, response_time=40, status_code=None, success=False, error_code="timeout"),
    ]
    end = record(webhook, acme.id)
    async with watch() as whole, watch(**params) as stream, watch_all(tenantId=acme.id, **params) as same:
        ids = await commit(app, numbers)
        await whole.has(4)
        await commit(app, [end])
        await whole.has(5)
        wanted = [ids[number - 1] for number in expected]
        await until(lambda: [i for i in stream.ids if i != str(end.id)] == wanted, 2, lambda: stream.ids)
        await until(lambda: [i for i in same.ids if i != str(end.id)] == wanted, 2, lambda: same.ids)


async def test_nothing_of_another_tenant(watch, watch_all, app, acme, make_tenancy, n8n):
    other = await make_tenancy()
    mine, theirs = await acme.webhook(n8n.url()), await other.webhook(n8n.url())
    async with watch() as stream, watch(other) as beside, watch_all() as everything:
        ids = await commit(app, [record(mine, acme.id) if n % 2 else record(theirs, other.id) for n in range(100)])
        await everything.has(100)
        assert everything.ids == ids
        assert (await stream.has(50), stream.ids) == (stream.calls, ids[1::2])
        assert (await beside.has(50), beside.ids) == (beside.calls, ids[::2])
    assert {call["tenantId"] for call in stream.calls} == {acme.id}


async def test_a_hundred_readers_get_all_in_order(watch, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    streams = [watch() for _ in range(100)]
    await asyncio.gather(*[stream.__aenter__() for stream in streams])
    try:
        ids = []
        for _ in range(10):
            ids += await commit(app, [record(webhook, acme.id) for _ in range(10)])
        for stream in streams:
            await stream.has(100, 10)
            assert stream.ids == ids
            assert stream.missed == []
    finally:
        await asyncio.gather(*[stream.__aexit__() for stream in streams])
    await until(lambda: app.tail.readers == 0)


async def test_many_calls_a_second(watch, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    calls = [record(webhook, acme.id) for _ in range(3000)]
    async with watch() as stream:
        began = time.monotonic()
        for at in range(0, 3000, 100):
            await commit(app, calls[at : at + 100])
            await asyncio.sleep(max(0, began + at / 1500 - time.monotonic()))
        ended = time.monotonic()
        await until(lambda: stream.ids and stream.ids[-1] == str(calls[-1].id))
        assert stream.events[-1].at - ended < SOON_S
        assert len(stream.ids) + sum(stream.missed) == 3000
    assert stream.ids == [str(call.id) for call in calls if str(call.id) in set(stream.ids)]


async def test_who_reads_slowly_is_told_what_was_missed(watch, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    async with watch() as slow, watch() as quick:
        slow.paused.clear()
        ids = []
        for _ in range(20):
            ids += await commit(app, [record(webhook, acme.id, error_message="x" * 500) for _ in range(100)])
            await quick.has(len(ids))
        assert quick.ids == ids
        assert quick.missed == []
        slow.paused.set()
        await until(lambda: slow.ids and slow.ids[-1] == ids[-1])
    assert slow.missed
    assert len(slow.ids) + sum(slow.missed) == len(ids)
    assert slow.ids == [identifier for identifier in ids if identifier in set(slow.ids)]
    names = [event.name for event in slow.events]
    gap = slow.events[names.index("missed") + 1]
    assert ids.index(gap.id) == names.index("missed") + slow.missed[0]  # it stands where they are missing


async def test_whoever_goes_away_is_removed_at_once(watch, app):
    async with watch():
        assert app.tail.readers == 1
    await until(lambda: app.tail.readers == 0)


async def test_who_takes_nothing_for_long_is_let_go(watch, app, acme, n8n, monkeypatch):
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    webhook = await acme.webhook(n8n.url())
    async with watch() as slow:
        slow.paused.clear()
        await commit(app, [record(webhook, acme.id, error_message="x" * 500) for _ in range(1000)])
        await until(lambda: app.tail.readers == 0, 5)
        slow.paused.set()


async def test_a_broken_stream_goes_on_exactly_where_it_broke_off(watch, app, acme, make_tenancy, n8n):
    webhook, other = await acme.webhook(n8n.url()), await make_tenancy()
    theirs = await other.webhook(n8n.url())
    async with watch() as first:
        ids = await commit(app, [record(webhook, acme.id) for _ in range(10)])
        await first.has(10)
    missed = [record(webhook, acme.id, status_code=500 + n % 2, success=False) for n in range(1000)]
    for at in range(0, 1000, 100):
        await commit(app, [*missed[at : at + 100], record(theirs, other.id)])
    await asyncio.sleep(0.5)
    gone = [str(call.id) for call in missed]
    async with watch(last=ids[4]) as again, watch(lastEventId=ids[-1], status="500") as filtered:
        await again.has(1005)
        later = await commit(app, [record(webhook, acme.id)])
        await again.has(1006)
        await filtered.has(500)
    assert again.ids == [*ids[5:], *gone, *later]
    assert filtered.ids == gone[::2]
    assert again.missed == filtered.missed == []


async def test_after_a_restart_it_goes_on_from_the_database(watch, watch_all, app, acme, make_tenancy, n8n):
    webhook, other = await acme.webhook(n8n.url()), await make_tenancy()
    theirs = await other.webhook(n8n.url())
    now = datetime.now(UTC)
    long_ago = record(webhook, acme.id, at=now - timedelta(seconds=60))
    long_one = record(webhook, acme.id, at=now - timedelta(seconds=100), response_time=95_000)
    last = record(webhook, acme.id, at=now - timedelta(seconds=20), response_time=5)
    after = [record(webhook, acme.id, at=now - timedelta(seconds=10 - n)) for n in range(5)]
    beside = record(theirs, other.id, at=now - timedelta(seconds=10))
    await commit(app, [long_ago, long_one, last, *after, beside])
    await owner_made(app, acme, other)
    assert str(last.id) not in app.tail._ring._positions
    async with watch(last=str(last.id)) as stream, watch(last=str(last.id), status="failed") as none:
        await stream.has(7)
        live_one = await commit(app, [record(webhook, acme.id)])
        await stream.has(8)
        assert none.calls == []
    expected = [
        last,
        *sorted([*after, long_one], key=lambda call: call.timestamp + timedelta(milliseconds=call.response_time)),
    ]
    assert stream.ids == [*[str(call.id) for call in expected], *live_one]
    assert stream.missed == []
    async with watch_all(last=str(last.id)) as everything:
        await until(lambda: str(beside.id) in everything.ids)
        assert {*map(str, [call.id for call in after])} <= {*everything.ids}
    async with watch(other, last=str(last.id)) as strange:  # another tenant's call is a time, and nothing more
        await strange.has(1)
        assert strange.ids == [str(beside.id)]


async def owner_made(app, *tenancies):
    """These tenants have been there for years."""
    async with app.database.system() as tx:
        for tenancy in tenancies:
            await tx.execute("UPDATE tenants SET created_at = '2000-01-01' WHERE id = $1", tenancy.id)


async def test_what_is_left_out_of_a_long_absence_is_told(watch, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    await owner_made(app, acme)
    now = datetime.now(UTC)
    last = record(webhook, acme.id, at=now - timedelta(seconds=60))
    calls = [record(webhook, acme.id, at=now - timedelta(seconds=30, milliseconds=-n)) for n in range(1200)]
    await commit(app, [last])
    for at in range(0, 1200, 400):
        await commit(app, calls[at : at + 400])
    async with watch(last=str(last.id)) as stream:
        await stream.has(1000)
    assert stream.events[0].data == {"count": 201}
    assert stream.ids == [str(call.id) for call in calls[200:]]
    old = UUID(int=round((now - timedelta(hours=5)).timestamp() * 1000) << 80 | new_id().int & ((1 << 80) - 1))
    async with watch(last=str(old)) as stream:
        await stream.has(1000)
    assert stream.events[0].data == {"count": None}


async def test_a_remade_tenant_s_stream_shows_nothing_of_the_old_one(watch, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    async with watch() as stream:
        ids = await commit(app, [record(webhook, acme.id)])
        await stream.has(1)
    await acme.client.delete(acme.path)
    async with watch(last=ids[0]) as stream:  # its calls stay readable as long as nobody else has its id
        ids += await commit(app, [record(webhook, acme.id)])
        await stream.has(1)
    before = record(webhook, acme.id)
    await asyncio.sleep(0.01)
    await acme.client.post(f"{PLATFORM}/tenants", json={"id": acme.id, "name": "Another"})
    new = await acme.webhook(n8n.url())
    async with watch(last=ids[0]) as ring, watch() as fresh:
        await commit(app, [before])
        shown = await commit(app, [record(new, acme.id)])
        await fresh.has(1)
        await ring.has(1)
    await rest(app)
    async with watch(last=ids[0]) as database:
        await database.has(1)
    assert ring.ids == fresh.ids == database.ids == shown


async def test_a_tenant_that_never_was(client):
    is_problem(await client.get(f"{PLATFORM}/tenants/never-was/webhooks/analytics/live"), 404, "tenant_not_found")
    is_problem(await client.get(f"{PLATFORM}/calls/live?tenantId=never-was"), 404, "tenant_not_found")


@pytest.mark.parametrize(
    "query",
    [
        {"status": "6xx"},
        {"status": "ok"},
        {"cause": "bad luck"},
        {"minResponseTime": -1},
        {"minResponseTime": "many"},
        {"maxResponseTime": 2**31},
        {"minResponseTime": 2, "maxResponseTime": 1},
        {"webhookId": "x"},
        {"triggeredBy": "x" * 201},
        {"lastEventId": "x"},
        {"lastEventId": ""},
        {"lastEventId": "7b2c9f14-5d3e-4a86-9c01-3f6de1a8b452"},
        {"lastEventId": "ffffffff-ffff-7fff-bfff-ffffffffffff"},
        {"lastEventId": "0fffffff-ffff-7fff-bfff-ffffffffffff"},
    ],
)
async def test_what_is_no_question(client, acme, app, query):
    for path in (f"{acme.path}/webhooks/analytics/live", f"{PLATFORM}/calls/live"):
        answer = await client.get(path, params=query)
        is_problem(answer, 422, answer.json()["code"])
        assert answer.json()["code"] in ("invalid_input", "invalid_event_id")
    if "lastEventId" in query:
        answer = await client.get(path, headers={"last-event-id": query["lastEventId"]})
        is_problem(answer, 422, answer.json()["code"])
    is_problem(await client.get(f"{PLATFORM}/calls/live?tenantId=%2F"), 422, "invalid_input")
    assert app.tail.readers == 0


async def test_too_many_readers(watch, monkeypatch, app):
    monkeypatch.setattr(hub, "READERS", 3)
    async with watch(), watch(), watch() as third, watch() as fourth:
        problem = is_problem(fourth.response, 503, "too_many_readers")
        assert fourth.response.headers["retry-after"] == "10"
        assert "3 streams" in problem["detail"]
        assert app.tail.readers == 3
        assert third.ended is None
    await until(lambda: app.tail.readers == 0)
    async with watch() as stream:
        assert stream.response.status_code == 200


async def new_key(client, **fields):
    made = (await client.post(f"{PLATFORM}/api-keys", json={"name": "short", **fields})).json()
    CANARY.made(made["key"])
    return made


async def test_a_revoked_key_ends_its_streams_and_no_other(watch, client, app, acme, n8n):
    webhook, made = await acme.webhook(n8n.url()), await new_key(client)
    async with watch(key=made["key"]) as revoked, watch() as other:
        await commit(app, [record(webhook, acme.id)])
        await revoked.has(1)
        await client.delete(f"{PLATFORM}/api-keys/{made['id']}")
        at = time.monotonic()
        await revoked.end()
        assert revoked.ended - at < SOON_S
        await commit(app, [record(webhook, acme.id)])
        await other.has(2)
        assert other.ended is None
    assert len(revoked.calls) == 1
    async with watch(key=made["key"]) as again:
        is_problem(again.response, 401, "unauthorized")


async def test_a_key_is_asked_for_again_even_if_nobody_tells(watch, client, app, acme, n8n, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.5)
    monkeypatch.setattr(app.tail, "doubt", lambda *_: None)
    made = await new_key(client)
    async with watch(key=made["key"]) as stream, watch() as other:
        await until(lambda: stream.comments >= 2)
        await client.delete(f"{PLATFORM}/api-keys/{made['id']}")
        await stream.end(3)
        await until(lambda: other.comments >= 4)
        assert other.ended is None


async def test_a_tenant_s_key_may_not(watch, acme):
    made = await acme.key()
    async with watch(key=made["key"]) as stream:
        is_problem(stream.response, 403, "forbidden")


async def test_no_secret_is_shown(watch, acme, n8n):
    token = planted("live-token")
    n8n.answers["/webhook/leak"] = Answer(500, json.dumps({"message": f"bad {token}"}).encode())
    webhook = await acme.webhook(n8n.url("/webhook/leak"), authType="bearer", authToken=token)
    async with watch() as stream:
        await acme.call(webhook, {"body": "live-payload"}, maxRetries=0)
        await stream.has(1)
    assert token not in stream.text
    assert "live-payload" not in stream.text


async def test_another_process_s_calls_are_shown_within_a_second(watch, serve, second, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    beside = await serve(second)
    async with watch() as here, watch(url=beside.url) as there:
        at = {}
        for n in range(30):
            process = (app, second)[n % 2]
            (identifier,) = await commit(process, [record(webhook, acme.id)])
            at[identifier] = time.monotonic()
            await asyncio.sleep(0.05)
        for stream in (here, there):
            await stream.has(30)
            assert Counter(stream.ids) == Counter(at.keys())  # each once
            late = [event.at - at[event.id] for event in stream.events]
            assert (median(late) < 1, max(late) < SOON_S) == (True, True), sorted(late)[-5:]
            assert stream.missed == []
            assert all(call["workflowName"] == webhook["workflowName"] for call in stream.calls)
    await until(lambda: second.tail.readers == 0)


async def test_the_first_calls_of_a_process_that_has_not_heard_yet_are_found(watch, second, acme, n8n, monkeypatch):
    monkeypatch.setattr(second.tail, "hear", lambda _payload: None)
    webhook = await acme.webhook(n8n.url())
    await commit(second, [record(webhook, acme.id)])
    await asyncio.sleep(0.05)
    async with watch() as stream:
        ids = await commit(second, [record(webhook, acme.id, response_time=0) for _ in range(3)])
        await stream.has(3)
        await asyncio.sleep(0.3)
        assert {*stream.ids} == {*ids}  # and none of before
        assert len(stream.ids) == 3


async def test_what_was_not_heard_while_the_listener_was_away_is_found(watch, second, app, acme, n8n, owner):
    webhook = await acme.webhook(n8n.url())
    async with watch() as stream:
        ids = await commit(second, [record(webhook, acme.id)])
        await stream.has(1)
        await asyncio.sleep(1.5)  # the first look has been taken
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        await owner(f"{cut} AND pid <> pg_backend_pid() AND (query LIKE '%LISTEN%' OR query = 'SELECT 1')")
        ids += await commit(second, [record(webhook, acme.id) for _ in range(3)])
        await stream.has(4, 12)
        assert Counter(stream.ids) == Counter(ids)


async def test_more_of_another_process_than_can_be_fetched_is_told(watch, watch_all, second, acme, make_tenancy, n8n):
    webhook, other = await acme.webhook(n8n.url()), await make_tenancy()
    calls = [record(webhook, acme.id) for _ in range(4000)]
    async with watch() as stream, watch(other) as beside:
        await asyncio.sleep(1.5)  # the first look has been taken
        for at in range(0, 4000, 1000):
            await commit(second, calls[at : at + 1000])
        await until(lambda: len(stream.ids) + sum(stream.missed) >= 4000, 10, lambda: (len(stream.ids), stream.missed))
        assert stream.ids[-1] == str(calls[-1].id)
        assert len(stream.ids) + sum(stream.missed) == 4000
        assert beside.events == []


async def test_while_nobody_watches_nothing_is_told(app, second, acme, n8n, database_url, watch):
    """Listened to by somebody else: what is told is seen, and while nobody watches there is nothing."""
    webhook = await acme.webhook(n8n.url())
    heard = []
    async with watch():
        await until(lambda: second.recorder.tap.tell is not None)
    await rest(app)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.add_listener("hookvault_live", lambda *words: heard.append(words[3]))
        for process in (app, second):
            process.tail._herald._until = 0.0  # as after a quarter of a minute
            await commit(process, [record(webhook, acme.id) for _ in range(50)])
            await asyncio.sleep(0)
            assert process.recorder.tap.tell is process.worker.acks.tap.tell is None
        await asyncio.sleep(0.5)
        assert heard == []
        async with watch() as stream:
            await asyncio.sleep(0.2)
            ids = await commit(second, [record(webhook, acme.id) for _ in range(3)])
            await stream.has(3)
        assert [payload.split()[0] for payload in heard] == ["watch", "calls"]
        assert all(UUID(identifier).hex in heard[1] for identifier in ids)
    finally:
        await connection.close()


async def test_a_stopped_server_ends_its_streams(serve, second, acme, platform_key, n8n):
    """Also those of whoever does not read."""
    webhook = await acme.webhook(n8n.url())
    served = await serve(second)
    inner = served.server.shutdown

    async def shutdown(sockets=None):
        second.tail.end()
        await inner(sockets)

    served.server.shutdown = shutdown
    url = f"{served.url}{acme.path}/webhooks/analytics/live"
    async with Stream(url, platform_key) as stream, Stream(url, platform_key) as stuck:
        stuck.paused.clear()
        await commit(second, [record(webhook, acme.id, error_message="x" * 500) for _ in range(1000)])
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await served.stop()
        assert time.monotonic() - began < 5
        await stream.end(1)
        stuck.paused.set()


async def test_hostile_notifications_break_nothing(watch, owner, app, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    async with watch() as stream:
        for payload in (
            "",
            "x",
            "calls",
            "calls a",
            "calls a -1 b",
            f"calls a 0 {acme.id}:zz",
            "calls a 0 ../x:" + "0" * 32,
            f"calls a 0 {acme.id}:{'f' * 32}",
            f"calls a 0 {acme.id}:{new_id().hex}",
            "watch",
            "watch b c",
        ):
            await owner("SELECT pg_notify('hookvault_live', $1)", payload)
        await asyncio.sleep(0.5)
        ids = await commit(app, [record(webhook, acme.id)])
        await stream.has(1)
        assert stream.ids == ids
        assert stream.missed == []


async def test_a_renamed_workflow_is_shown_by_its_new_name(watch, acme, n8n):
    webhook = await acme.webhook(n8n.url(), "before")
    async with watch() as stream:
        await acme.call("before")
        await stream.has(1)
        changed = await acme.client.put(
            f"{acme.path}/webhooks/{webhook['id']}", json={"workflowName": f"after-{secrets.token_hex(2)}"}
        )
        assert changed.status_code == 200, changed.text
        name = changed.json()["workflowName"]
        await asyncio.sleep(0.3)
        await acme.call(name)
        assert [call["workflowName"] for call in await stream.has(2)] == ["before", name]
