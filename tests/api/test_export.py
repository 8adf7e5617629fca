"""Exports: whole or broken off, in bounded memory, in three formats that say the same."""

import asyncio
import csv
import io
import json
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
import uvicorn
from pyarrow import parquet
from tenancy import PLATFORM, is_problem

from canary import CANARY, planted
from hookvault.analytics.export import export, writer_of
from hookvault.analytics.export import parquet as parquet_module
from hookvault.analytics.export.row import COLUMNS
from hookvault.analytics.model import CallFilter
from hookvault.api.app import create_app
from hookvault.api.download import MOST
from hookvault.api.schemas import CallOut
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord
from n8n import Answer

FORMATS = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
ODD = {"text": 'a "quoted", ünïcode\r\nline 𝄞', "n": [1, -2.5, None, True, 2**70, {}], "=cmd": "@x"}


@pytest.fixture
async def history(acme, n8n):
    """Calls of every kind: odd payloads, failures, triggers that look like formulas, null."""
    webhook = await acme.webhook(n8n.url("/webhook/ok"), "ok")
    for payload, trigger in ((ODD, "=1+1"), (None, "shop"), ("", "a,b;c"), (-5, "\uff1d1"), ([], 'say "x"')):
        answer = await acme.call(webhook, payload, triggeredBy=trigger)
        assert answer.status_code == 200, answer.text
    n8n.answers["/webhook/ok"] = Answer(503, b"-down", "text/plain")
    await acme.call(webhook, 7, triggeredBy="'quoted")
    n8n.answers["/webhook/ok"] = Answer(delay=5)
    await acme.call(webhook, 8, timeoutMs=50)
    return webhook


async def exported(client, acme, form, **query):
    answer = await client.get(f"{acme.path}/webhooks/analytics/export", params={"format": form, **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == FORMATS[form]
    return answer


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_ndjson_is_the_api_s_objects(client, acme, history):
    answer = await exported(client, acme, "ndjson")
    lines = answer.text.split("\n")
    assert lines.pop() == ""
    calls = await acme.calls()
    assert [json.loads(line) for line in lines] == calls
    assert len(calls) == 7
    day = datetime.now(UTC)
    name = f"calls-{acme.id}-{day:%Y%m%d}-{day:%Y%m%d}.ndjson"  # from the tenant's creation on
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def test_an_export_has_the_fields_of_the_api():
    assert {column.field for column in COLUMNS} == set(CallOut.model_fields)


async def test_csv_says_the_same(client, acme, history):
    answer = await exported(client, acme, "csv")
    assert answer.text.startswith("id,tenantId,webhookId,workflowName,timestamp,requestPayload,")
    rows, calls = rows_of(answer.text), await acme.calls()
    assert len(rows) == len(calls) == 7
    for row, call in zip(rows, calls, strict=True):
        assert row.keys() == call.keys()
        for name, value in call.items():
            if name in ("requestPayload", "requestHeaders", "responseBody", "metadata", "timing"):
                assert (json.loads(row[name]) if row[name] else None) == value
            elif isinstance(value, bool):
                assert row[name] == str(value).lower()
            elif value is None:
                assert row[name] == ""
            else:
                assert row[name].removeprefix("'") == str(value).removeprefix("'")
    triggers = {row["triggeredBy"] for row in rows}
    assert triggers == {"'=1+1", "shop", "a,b;c", "'\uff1d1", 'say "x"', "'quoted", ""}
    assert "-5" in {row["requestPayload"] for row in rows}  # a number is none that a spreadsheet would run


async def test_parquet_says_the_same(client, acme, history):
    table = parquet.read_table(io.BytesIO((await exported(client, acme, "parquet")).content))
    assert str(table.schema.field("timestamp").type) == "timestamp[ms, tz=UTC]"
    assert {str(table.schema.field(name).type) for name in ("statusCode", "responseTime", "attempt")} == {"int32"}
    rows, calls = table.to_pylist(), await acme.calls()
    CANARY.see("the Parquet file", repr(rows))
    for row, call in zip(rows, calls, strict=True):
        for name, value in call.items():
            if name in ("requestPayload", "requestHeaders", "responseBody", "metadata", "timing"):
                assert (json.loads(row[name]) if row[name] else None) == value
            elif name == "timestamp":
                assert row[name] == datetime.fromisoformat(value)
            else:
                assert row[name] == value


@pytest.mark.parametrize("form", FORMATS)
async def test_an_empty_export_is_a_file_too(client, acme, form):
    content = (await exported(client, acme, form)).content
    if form == "csv":
        assert rows_of(content.decode()) == []
        assert content.endswith(b",expungedAt\r\n")
    elif form == "ndjson":
        assert content == b""
    else:
        assert parquet.read_table(io.BytesIO(content)).num_rows == 0


async def test_filters_and_the_platform(client, acme, make_tenancy, history, n8n):
    failed = rows_of((await exported(client, acme, "csv", status="failed")).text)
    assert [row["requestPayload"] for row in failed] == ["8", "7"]
    assert [row["cause"] for row in failed] == ["timeout", "receiver_failed"]
    assert len(rows_of((await exported(client, acme, "csv", cause="timeout", minResponseTime=1)).text)) == 1
    other = await make_tenancy()
    await other.webhook(n8n.url("/webhook/x"), "x")
    await other.call("x", 99)
    whole = rows_of((await client.get(f"{PLATFORM}/calls/export", params={"callId": failed[0]["id"]})).text)
    assert [row["id"] for row in whole] == [failed[0]["id"]]
    answer = await client.get(f"{PLATFORM}/calls/export", params={"tenantId": other.id, "format": "ndjson"})
    assert [json.loads(line)["requestPayload"] for line in answer.text.splitlines()] == [99]
    is_problem(await client.get(f"{PLATFORM}/tenants/never-was/webhooks/analytics/export"), 404, "tenant_not_found")


async def test_no_secret_is_in_an_export(client, acme, n8n):
    secrets = {name: planted(f"export-{name}") for name in ("bearer", "static")}
    webhook = await acme.webhook(
        n8n.url("/webhook/echo"),
        "echo",
        authType="bearer",
        authToken=secrets["bearer"],
        staticHeaders={"X-Secret": secrets["static"]},
    )
    n8n.answers["/webhook/echo"] = Answer(500, f"you sent {secrets['bearer']}".encode(), "text/plain")
    await acme.call(webhook, {"a": 1})
    for form in FORMATS:
        content = (await exported(client, acme, form)).content
        text = repr(parquet.read_table(io.BytesIO(content)).to_pylist()) if form == "parquet" else content.decode()
        CANARY.see(f"export as {form}", text)
        assert "you sent" in text
        assert not any(secret in text for secret in secrets.values())


async def test_without_pyarrow_parquet_says_what_to_install(client, acme, history, monkeypatch):
    monkeypatch.setattr(parquet_module, "pa", None)
    answer = await client.get(f"{acme.path}/webhooks/analytics/export", params={"format": "parquet"})
    assert "hookvault[parquet]" in is_problem(answer, 422, "parquet_unavailable")["detail"]
    assert (await exported(client, acme, "ndjson")).text


# ## Much data

SIZE = 100_000


async def keep_many(app, acme, webhook, count, size=SIZE):
    """Calls with payloads that do not compress, over the last hours."""
    moment = datetime.now(UTC)
    for first in range(0, count, 50):
        futures = []
        for n in range(first, min(first + 50, count)):
            milliseconds = round((moment - timedelta(seconds=n)).timestamp() * 1000)
            identifier = UUID(int=milliseconds << 80 | new_id().int & ((1 << 80) - 1))
            call = CallRecord(
                tenant_id=acme.id,
                id=identifier,
                webhook_id=webhook,
                timestamp=id_time(identifier),
                request_payload=json.dumps("x" * size).encode(),
                request_headers=b"{}",
                status_code=200,
                response_body=None,
                response_time=n,
                success=True,
            )
            futures.append(app.recorder.put(call))
        for future in futures:
            await future


@pytest.fixture
async def much(app, acme, owner):
    """400 calls of 100 kB, gone after the test."""
    await owner("UPDATE tenants SET created_at = '2000-01-01' WHERE id = $1", acme.id)
    await keep_many(app, acme, new_id(), 400)
    yield acme
    await owner("DELETE FROM webhook_analytics WHERE tenant_id = $1", acme.id)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_memory_is_bounded(app, much, form):
    reader = await app.analytics.read_tenant_calls(much.id, CallFilter())
    total = rows = 0
    tracemalloc.start()
    try:
        async for data in export(reader, writer_of(form), lambda _rows: None):
            total += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert form == "parquet" or total > 400 * SIZE
    assert peak < 32 * 1024 * 1024, peak  # of 40 MB in all; several forms of one portion are alive at once
    assert rows == 0


@asynccontextmanager
async def serving(app):
    """The API on loopback."""
    config = uvicorn.Config(create_app(app), port=0, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


@pytest.mark.parametrize("form", FORMATS)
async def test_what_breaks_off_does_not_look_whole(app, much, platform_key, database_gone, form):
    """The database goes in the middle: the connection ends without the end of the body."""
    url = f"{much.path}/webhooks/analytics/export?format={form}"
    async with serving(app) as base, httpx.AsyncClient(base_url=base, timeout=30) as client:
        headers = {"authorization": f"Bearer {platform_key}"}
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", url, headers=headers) as answer:
                assert answer.status_code == 200
                parts = answer.aiter_raw()
                await anext(parts)
                async with database_gone():
                    async for _ in parts:
                        pass


async def test_a_slow_client_holds_no_connection(app, much, platform_key, owner):
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%' "
        "AND pid <> pg_backend_pid()"
    )
    url = f"{much.path}/webhooks/analytics/export?format=ndjson"
    headers = {"authorization": f"Bearer {platform_key}"}
    async with (
        serving(app) as base,
        httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client,
        client.stream("GET", url) as answer,
    ):
        await anext(answer.aiter_raw())
        await asyncio.sleep(0.5)  # buffers are full: nothing more is read
        seen = []
        while 0 not in seen:  # others have short transactions now and then; one that is held would be there each time
            assert len(seen) < 50
            seen.append((await owner(held))[0][0])
            await asyncio.sleep(0.02)


async def test_a_few_at_once_and_then_no_more(app, much, platform_key):
    url = f"{much.path}/webhooks/analytics/export?format=ndjson"
    headers = {"authorization": f"Bearer {platform_key}"}
    async with serving(app) as base, httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client:
        async with AsyncExitStack() as under_way:
            for _ in range(MOST):
                answer = await under_way.enter_async_context(client.stream("GET", url))
                assert answer.status_code == 200
            refused = await client.get(url)
            is_problem(refused, 503, "too_many_exports")
            assert refused.headers["retry-after"] == "10"
        for _ in range(100):
            async with client.stream("GET", url) as answer:
                if answer.status_code == 200:
                    return
            await asyncio.sleep(0.05)  # until the server has seen that they are gone
        raise AssertionError("no place was given back")


async def test_a_revoked_key_s_export_breaks_off(app, much):
    made = await app.api_keys.create_api_key("for one export")
    url = f"{much.path}/webhooks/analytics/export?format=ndjson"
    headers = {"authorization": f"Bearer {made.token.open()}"}
    async with (
        serving(app) as base,
        httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client,
        client.stream("GET", url) as answer,
    ):
        chunks = answer.aiter_raw(65_536)
        await anext(chunks)
        await app.api_keys.revoke_api_key(made.key.id)
        await asyncio.sleep(2.1)  # after which the key is looked at again
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in chunks:
                pass
