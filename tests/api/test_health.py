"""Health, metrics, the OpenAPI document, the reference page, and the headers of every answer."""

import re

import httpx
import pytest
from tenancy import PLATFORM, is_problem

from canary import CANARY


async def test_health_and_readiness_need_no_key(stranger):
    for path in ("/healthz", "/readyz"):
        answer = await stranger.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def numbers(text):
    """Every sample of ours: name with labels -> value."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("hookvault_")]
    return {name: float(value) for name, value in lines}


async def test_metrics_count_calls_and_name_no_tenant(stranger, acme, n8n):
    before = numbers((await stranger.get("/metrics")).text)
    good, bad = await acme.webhook(n8n.url()), await acme.webhook(n8n.url("/webhook/error"))
    await acme.call(good)
    await acme.call(good)
    await acme.call(bad)
    answer = await stranger.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    after = numbers(answer.text)
    gained = {name: after[name] - before.get(name, 0) for name in after}
    assert gained['hookvault_calls_total{outcome="success"}'] == 2
    assert gained['hookvault_calls_total{outcome="failed"}'] == 1
    assert after["hookvault_calls_in_flight"] == after["hookvault_records_waiting"] == 0
    assert acme.id not in answer.text
    assert "process_cpu_seconds_total" in answer.text


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.0.2.7", {}),
        ("::ffff:192.0.2.7", {}),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}),
    ],
)
async def test_metrics_from_elsewhere_need_a_platform_key(client, acme, address, headers):
    transport = httpx.ASGITransport(client._transport.app, client=(address, 1234))
    hooks = {"response": [CANARY.record]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", event_hooks=hooks) as far:
        is_problem(await far.get("/metrics", headers=headers), 401, "unauthorized")
        tenants = {"authorization": f"Bearer {(await acme.key())['key']}"}
        is_problem(await far.get("/metrics", headers=headers | tenants), 403, "forbidden")
        platform = {"authorization": client.headers["authorization"]}
        assert (await far.get("/metrics", headers=headers | platform)).status_code == 200
        assert (await far.get("/healthz", headers=headers)).status_code == 200


async def test_the_openapi_document_needs_no_key_and_shows_what_is_served(stranger):
    document = (await stranger.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    call = document["paths"]["/api/tenants/{tenantId}/webhooks/{workflowName}/call"]["post"]
    assert {"200", "404", "409", "422", "502", "503", "504"} <= call["responses"].keys()
    fields = call["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"payload", "triggeredBy", "metadata", "timeoutMs", "maxRetries"} <= fields.keys()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/"):
                known = [name for scheme in operation["security"] for name in scheme]
                wanted = ["session"] if path.startswith("/api/session") else ["apiKey", "session"]
                if path.startswith("/api/tenants/{tenantId}/webhooks"):
                    wanted = ["apiKey"]  # the hot routes
                if (method, path) == ("post", "/api/session") or path.startswith(
                    ("/api/invitations", "/api/password-resets")
                ):
                    wanted = []  # nobody need be known
                assert known == wanted, (method, path)
                assert {"401", "403", "422", "503"} <= operation["responses"].keys(), (method, path)


async def test_every_reference_in_the_document_leads_somewhere(stranger):
    answer = await stranger.get("/api/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert wanted <= schemas.keys()
    assert "ProblemOut" in wanted


async def test_the_reference_page_has_every_route_and_nothing_from_elsewhere(stranger):
    page = await stranger.get("/api/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    document = (await stranger.get("/api/openapi.json")).json()
    for path in document["paths"]:
        assert path in page.text
    assert "<script" not in page.text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert [source for source in sources if source.startswith(("http", "//"))] == []
    style = await stranger.get("/api/docs.css")
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "url(" not in style.text


async def test_the_front_page_is_none_of_the_api(client, stranger):
    assert (await stranger.get("/")).status_code == 401
    is_problem(await client.get("/"), 404, "not_found")


async def test_every_answer_is_safe_in_a_browser(client, stranger, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    answers = [
        await stranger.get("/healthz"),
        await stranger.get("/api/docs"),
        await stranger.get(f"{PLATFORM}/tenants"),
        await client.get(acme.path),
        await client.post(f"{PLATFORM}/tenants", content=b"{"),
        await client.get(f"{PLATFORM}/nothing"),
        await acme.call(webhook),
        await acme.call("nothing"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 200, 400, 404, 200, 404]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_request_id_is_taken_over_or_made(client, acme):
    assert (await client.get(acme.path, headers={"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 65, "é", "a\tb"):
        made = (await client.get(acme.path, headers={"x-request-id": odd.encode()})).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", made)


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/platform/nothing", "/api/platform/tenants/", "/api/tenants/x"]
)
async def test_an_unknown_route(client, stranger, path):
    is_problem(await client.get(path), 404, "not_found")
    is_problem(await stranger.get(path), 401, "unauthorized")
