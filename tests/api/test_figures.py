"""Counted calls over HTTP: series in a time zone, errors in plain words, rankings, health, heat map, and the platform's own."""

from datetime import UTC, datetime, timedelta

import pytest
from tenancy import is_problem

from hookvault.analytics.rolling.roller import Roller
from n8n import Answer

FIGURES = {"totalCalls", "successfulCalls", "failedCalls", "successRate", "averageResponseTime", "p50", "p95", "p99"}
INACTIVE = b'{"code":404,"message":"The requested webhook \\"POST x\\" is not registered."}'
TENANT_QUESTIONS = ["summary", "series", "errors", "slowest", "failing", "heatmap"]


@pytest.fixture
async def history(acme, n8n):
    """Orders: 6 calls well, 3 refused with 401, 1 timed out. Mails: 2 well, 1 at a workflow that is not active."""
    orders = await acme.webhook(n8n.url("/webhook/orders"), "orders")
    mails = await acme.webhook(n8n.url("/webhook/mails"), "mails")
    for n in range(6):
        await acme.call(orders, n)
    n8n.answers["/webhook/orders"] = Answer(401, b"no", "text/plain")
    for n in range(3):
        await acme.call(orders, n)
    n8n.answers["/webhook/orders"] = Answer(delay=5)
    await acme.call(orders, 0, timeoutMs=60)
    for n in range(2):
        await acme.call(mails, n)
    n8n.answers["/webhook/mails"] = Answer(404, INACTIVE, "application/json")
    await acme.call(mails, 0)
    await acme.webhook(n8n.url("/webhook/never"), "never")
    return {"orders": orders, "mails": mails}


@pytest.fixture(params=["calls", "rollups"])
async def counted(request, app, history):
    """Asked while everything stands in the calls, and once what can be is rolled up."""
    if request.param == "rollups":
        roller = Roller(app.database)
        await roller.advance(-timedelta(minutes=6))  # as if it were six minutes later
        await roller.build()
    return history


async def asked(client, acme, question, **query):
    answer = await client.get(f"{acme.path}/webhooks/analytics/{question}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_errors_are_told_in_plain_words(client, acme, counted):
    items = (await asked(client, acme, "errors"))["items"]
    assert [(item["cause"], item["errorCode"], item["statusCode"], item["failedCalls"]) for item in items] == [
        ("auth_refused", "http_401", 401, 3),
        ("timeout", "timeout", None, 1),
        ("workflow_not_active", "http_404", 404, 1),
    ]
    assert items[2]["text"] == "The n8n workflow is not active, or the path is wrong (HTTP 404)"
    latest = (await acme.calls(status="401"))[0]["timestamp"]
    assert items[0]["lastAt"] == latest
    of_mails = (await asked(client, acme, "errors", webhookId=counted["mails"]["id"]))["items"]
    assert [item["cause"] for item in of_mails] == ["workflow_not_active"]


@pytest.mark.parametrize(("interval", "points"), [("minute", 60), ("hour", 48), ("day", 30)])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
async def test_a_series_adds_up_to_the_summary(client, acme, counted, interval, points, zone):
    items = (await asked(client, acme, "series", interval=interval, timeZone=zone))["items"]
    assert len(items) == points
    assert items[-1].keys() == {"start", *FIGURES}
    starts = [item["start"] for item in items]
    assert starts == sorted(set(starts))
    summary = await asked(client, acme, "summary")
    for name in ("totalCalls", "successfulCalls", "failedCalls"):
        assert sum(item[name] for item in items) == summary[name]
    assert (summary["totalCalls"], summary["failedCalls"]) == (13, 5)
    called = [item for item in items if item["totalCalls"]]
    assert all(item["p50"] is not None for item in called)
    assert items[0]["p50"] is None


async def test_rankings(client, acme, counted):
    slowest = (await asked(client, acme, "slowest"))["items"]
    assert [item["workflowName"] for item in slowest] == ["orders", "mails"]
    assert slowest[0].keys() == {"webhookId", "workflowName", "deleted", "cause", *FIGURES}
    assert slowest[0]["p99"] > 40
    failing = (await asked(client, acme, "failing"))["items"]
    assert [(item["workflowName"], item["failedCalls"], item["cause"]) for item in failing] == [
        ("orders", 4, "auth_refused"),
        ("mails", 1, "workflow_not_active"),
    ]
    assert (await asked(client, acme, "failing", limit=1))["items"] == failing[:1]
    await client.delete(f"{acme.path}/webhooks/{counted['orders']['id']}")
    assert (await asked(client, acme, "failing"))["items"][0]["deleted"] is True


async def test_health(client, acme, counted):
    await client.put(f"{acme.path}/webhooks/{counted['mails']['id']}", json={"isActive": False})
    items = (await asked(client, acme, "health"))["items"]
    assert [(item["workflowName"], item["status"]) for item in items] == [
        ("orders", "failing"),
        ("never", "idle"),
        ("mails", "disabled"),
    ]
    assert items[0]["reason"] == "40% of its calls failed."
    assert (items[0]["periodSeconds"], items[0]["totalCalls"]) == (86_400, 10)
    assert items[1]["lastCalledAt"] is None
    await client.patch(acme.path, json={"status": "suspended"})
    assert {item["status"] for item in (await asked(client, acme, "health"))["items"]} == {"disabled"}


async def test_the_heat_map_has_every_hour_of_the_week(client, acme, counted):
    for zone, shift in (("UTC", timedelta()), ("Asia/Kolkata", timedelta(hours=5, minutes=30))):
        cells = (await asked(client, acme, "heatmap", timeZone=zone))["items"]
        assert [(cell["weekday"], cell["hour"]) for cell in cells] == [(d, h) for d in range(1, 8) for h in range(24)]
        called = {(cell["weekday"], cell["hour"]) for cell in cells if cell["totalCalls"]}
        moments = [datetime.fromisoformat(call["timestamp"]) + shift for call in await acme.calls()]
        assert called == {(moment.isoweekday(), moment.hour) for moment in moments}
        assert sum(cell["failedCalls"] for cell in cells) == 5


async def test_the_platform_counts_all_tenants(client, acme, counted):
    tenants = (await client.get("/api/platform/analytics/tenants", params={"limit": 1000})).json()["items"]
    mine = next(item for item in tenants if item["tenantId"] == acme.id)
    assert (mine["totalCalls"], mine["failedCalls"], mine["successRate"]) == (13, 5, pytest.approx(8 / 13))
    end = datetime.now(UTC).isoformat()
    tenants = (await client.get("/api/platform/analytics/tenants", params={"limit": 1000, "endDate": end})).json()[
        "items"
    ]
    whole = (await client.get("/api/platform/analytics/summary", params={"endDate": end})).json()
    assert whole["totalCalls"] == sum(item["totalCalls"] for item in tenants)
    assert tenants == sorted(tenants, key=lambda item: (-item["failedCalls"], -item["totalCalls"], item["tenantId"]))
    errors = (await client.get("/api/platform/analytics/errors", params={"endDate": end})).json()["items"]
    assert sum(item["failedCalls"] for item in errors) == whole["failedCalls"]
    series = (await client.get("/api/platform/analytics/series", params={"interval": "hour"})).json()["items"]
    assert len(series) == 48
    cells = (await client.get("/api/platform/analytics/heatmap", params={"endDate": end})).json()["items"]
    assert sum(cell["totalCalls"] for cell in cells) == whole["totalCalls"]


async def test_a_deleted_tenant_keeps_counting_without_a_name(client, acme, history):
    await client.delete(acme.path)
    tenants = (await client.get("/api/platform/analytics/tenants", params={"limit": 1000})).json()["items"]
    mine = next(item for item in tenants if item["tenantId"] == acme.id)
    assert (mine["name"], mine["totalCalls"]) == (None, 13)


@pytest.mark.parametrize(
    ("question", "query", "code"),
    [
        *[(question, {"startDate": "2026-02-30"}, "invalid_input") for question in TENANT_QUESTIONS],
        *[(question, {"startDate": "2026-02-29T00:00:00Z"}, "invalid_input") for question in TENANT_QUESTIONS],
        *[
            (question, {"startDate": "2026-02-02", "endDate": "2026-02-01"}, "invalid_range")
            for question in TENANT_QUESTIONS
        ],
        *[
            (question, {"startDate": "2026-02-02", "endDate": "2026-02-02"}, "invalid_range")
            for question in TENANT_QUESTIONS
        ],
        *[(question, {"endDate": "0001-01-01"}, "invalid_range") for question in TENANT_QUESTIONS],
        ("series", {"timeZone": "Mars/Olympus"}, "unknown_time_zone"),
        ("heatmap", {"timeZone": "../../etc/passwd"}, "unknown_time_zone"),
        ("series", {"timeZone": "x" * 65}, "invalid_input"),
        ("series", {"interval": "week"}, "invalid_input"),
        ("series", {"interval": "minute", "startDate": "2026-01-01", "endDate": "2026-02-01"}, "interval_too_fine"),
        ("series", {"interval": "hour", "startDate": "2025-01-01", "endDate": "2026-01-01"}, "interval_too_fine"),
        ("heatmap", {"startDate": "2020-01-01", "endDate": "2026-01-01"}, "interval_too_fine"),
        ("slowest", {"limit": 21}, "invalid_input"),
        ("failing", {"limit": 0}, "invalid_input"),
        ("errors", {"webhookId": "x"}, "invalid_input"),
    ],
)
async def test_what_can_not_be_asked(client, acme, question, query, code):
    is_problem(await client.get(f"{acme.path}/webhooks/analytics/{question}", params=query), 422, code)


@pytest.mark.parametrize("question", [*TENANT_QUESTIONS, "health"])
async def test_a_tenant_that_never_was(client, question):
    answer = await client.get(f"/api/platform/tenants/never-was/webhooks/analytics/{question}")
    is_problem(answer, 404, "tenant_not_found")


async def test_another_tenant_s_webhook_has_no_figures_here(client, acme, history):
    other = (await client.post("/api/platform/tenants", json={"name": "Other"})).json()
    path = f"/api/platform/tenants/{other['id']}/webhooks/analytics"
    for question in ("summary", "series", "errors", "heatmap"):
        answer = (await client.get(f"{path}/{question}", params={"webhookId": history["orders"]["id"]})).json()
        items = answer.get("items", [answer])
        assert sum(item.get("totalCalls", item.get("failedCalls", 0)) for item in items) == 0
