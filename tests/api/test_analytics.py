"""Recorded calls: lists of a webhook and of a tenant, filters, cursors, the summary."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tenancy import is_problem

from n8n import Answer

CALL = {
    *("id", "tenantId", "webhookId", "workflowName", "timestamp", "requestPayload", "requestHeaders", "statusCode"),
    *("responseBody", "responseTime", "success", "errorCode", "errorMessage", "triggeredBy", "metadata", "deliveryId"),
    *("attempt", "retryOf", "altered", "expungedAt", "cause", "causeText", "timing"),
}
FIGURES = {"totalCalls", "successfulCalls", "failedCalls", "successRate", "averageResponseTime", "p50", "p95", "p99"}


@pytest.fixture
async def history(acme, n8n):
    """Two webhooks and seven calls: orders 1 to 4 well, 5 with 404, 6 timed out; mails 7 with 500."""
    orders = await acme.webhook(n8n.url("/webhook/orders"), "orders")
    mails = await acme.webhook(n8n.url("/webhook/error"), "mails")
    for n in range(1, 5):
        assert (await acme.call(orders, n, triggeredBy="form" if n % 2 else "job")).status_code == 200
    n8n.answers["/webhook/orders"] = Answer(404, b"no", "text/plain")
    await acme.call(orders, 5, triggeredBy="form")
    n8n.answers["/webhook/orders"] = Answer(delay=5)
    await acme.call(orders, 6, timeoutMs=50)
    await acme.call(mails, 7)
    return {"orders": orders, "mails": mails}


def payloads(items):
    return [item["requestPayload"] for item in items]


async def test_calls_of_a_webhook_newest_first_in_pages(client, acme, history):
    path = f"{acme.path}/webhooks/{history['orders']['id']}/analytics"
    whole = (await client.get(path)).json()
    assert payloads(whole["items"]) == [6, 5, 4, 3, 2, 1]
    assert whole["nextCursor"] is None
    assert all(item.keys() == CALL for item in whole["items"])
    assert {item["workflowName"] for item in whole["items"]} == {"orders"}
    pages, cursor = [], None
    while True:
        page = (await client.get(path, params={"limit": 4} | ({"cursor": cursor} if cursor else {}))).json()
        pages.append(payloads(page["items"]))
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert pages == [[6, 5, 4, 3], [2, 1]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [7, 6, 5, 4, 3, 2, 1]),
        ({"status": "success"}, [4, 3, 2, 1]),
        ({"status": "failed"}, [7, 6, 5]),
        ({"status": "2xx"}, [4, 3, 2, 1]),
        ({"status": "5xx"}, [7]),
        ({"status": "404"}, [5]),
        ({"status": "200", "triggeredBy": "form"}, [3, 1]),
        ({"triggeredBy": "form"}, [5, 3, 1]),
        ({"triggeredBy": "nobody"}, []),
        ({"limit": 2}, [7, 6]),
    ],
)
async def test_calls_of_a_tenant_by_filter(acme, history, query, expected):
    assert payloads(await acme.calls(**query)) == expected


async def test_calls_of_a_tenant_by_webhook_and_range(client, acme, history):
    assert payloads(await acme.calls(webhookId=history["mails"]["id"])) == [7]
    assert payloads(await acme.calls(webhookId=history["orders"]["id"], status="failed")) == [6, 5]
    whole = await acme.calls()
    third = next(item["timestamp"] for item in whole if item["requestPayload"] == 3)
    sooner = [item["requestPayload"] for item in whole if item["timestamp"] < third]
    later = [item["requestPayload"] for item in whole if item["timestamp"] >= third]
    assert payloads(await acme.calls(endDate=third)) == sooner  # the end is exclusive
    assert payloads(await acme.calls(startDate=third)) == later
    assert sorted(sooner + later) == list(range(1, 8))
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert await acme.calls(startDate="2020-01-01T00:00:00Z", endDate="2020-02-01T00:00:00+02:00") == []
    assert payloads(await acme.calls(startDate=past, status="404")) == [5]


async def test_pages_of_a_filtered_list_stay_right_while_calls_arrive(client, acme, history, n8n):
    n8n.answers.clear()
    path = f"{acme.path}/webhooks/analytics"
    seen, cursor = [], None
    while True:
        query = {"limit": 1, "status": "success"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(path, params=query)).json()
        seen += payloads(page["items"])
        cursor = page["nextCursor"]
        if cursor is None:
            break
        await acme.call(history["orders"], "new")
    assert seen == [4, 3, 2, 1]


async def test_the_summary_adds_up(client, acme, history):
    summary = (await client.get(f"{acme.path}/webhooks/analytics/summary")).json()
    assert summary.keys() == {*FIGURES, "startDate", "endDate", "previous"}
    assert summary["previous"].keys() == FIGURES
    assert (summary["totalCalls"], summary["successfulCalls"], summary["failedCalls"]) == (7, 4, 3)
    assert summary["successRate"] == pytest.approx(4 / 7)
    times = sorted(call["responseTime"] for call in await acme.calls())
    assert summary["averageResponseTime"] == pytest.approx(sum(times) / 7)
    assert summary["p50"] == times[3]
    assert times[5] <= summary["p95"] <= summary["p99"] <= times[6]
    assert summary["previous"]["totalCalls"] == 0
    assert summary["previous"]["p50"] is None
    start, end = (datetime.fromisoformat(summary[name]) for name in ("startDate", "endDate"))
    assert end - start == timedelta(days=30)
    assert abs(end - datetime.now(UTC)) < timedelta(seconds=10)


async def test_the_summary_of_one_webhook_and_of_another_period(client, acme, history):
    path = f"{acme.path}/webhooks/analytics/summary"
    mails = (await client.get(path, params={"webhookId": history["mails"]["id"]})).json()
    assert (mails["totalCalls"], mails["failedCalls"], mails["successRate"]) == (1, 1, 0.0)
    soon = datetime.now(UTC) + timedelta(hours=1)
    query = {"startDate": soon.isoformat(), "endDate": (soon + timedelta(hours=2)).isoformat()}
    later = (await client.get(path, params=query)).json()
    assert (later["totalCalls"], later["successRate"], later["previous"]["totalCalls"]) == (0, None, 7)


async def test_counters_of_the_webhook_agree(client, acme, history):
    orders = (await client.get(f"{acme.path}/webhooks/{history['orders']['id']}")).json()
    assert (orders["totalCalls"], orders["successfulCalls"], orders["failedCalls"]) == (6, 4, 2)
    assert orders["lastCalledAt"] == (await acme.calls(webhookId=orders["id"]))[0]["timestamp"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"status": "6xx"}, "invalid_input"),
        ({"status": "ok"}, "invalid_input"),
        ({"startDate": "yesterday"}, "invalid_input"),
        ({"startDate": "2026-01-02", "endDate": "2026-01-01"}, "invalid_range"),
        ({"startDate": "2000-01-01"}, "invalid_range"),
        ({"endDate": "0001-01-01"}, "invalid_range"),
        ({"endDate": "9999-12-31T23:59:59-12:00"}, "invalid_range"),
        ({"webhookId": "x"}, "invalid_input"),
        ({"limit": 0}, "invalid_input"),
        ({"limit": 1001}, "invalid_input"),
        ({"limit": "many"}, "invalid_input"),
        ({"cursor": "garbage"}, "invalid_cursor"),
        ({"cursor": "WyJ0ZW5hbnRzIiwiYSJd"}, "invalid_cursor"),
    ],
)
async def test_what_is_no_question(client, acme, query, code):
    is_problem(await client.get(f"{acme.path}/webhooks/analytics", params=query), 422, code)


async def test_lists_of_calls_take_limits_to_1000(client, acme, history):
    assert len(await acme.calls(limit=1000)) == 7
    is_problem(await client.get(f"{acme.path}/webhooks", params={"limit": 201}), 422, "invalid_input")


async def test_figures_stay_exact_under_concurrency(client, acme, n8n):
    good, bad = await acme.webhook(n8n.url("/webhook/ok")), await acme.webhook(n8n.url("/webhook/error"))
    await asyncio.gather(*[acme.call(webhook, n) for n in range(40) for webhook in (good, bad)])
    summary = (await client.get(f"{acme.path}/webhooks/analytics/summary")).json()
    assert (summary["totalCalls"], summary["successfulCalls"], summary["failedCalls"]) == (80, 40, 40)
    assert len(n8n.seen) == 80
