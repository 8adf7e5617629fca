"""Trying a webhook: before it is saved, and after; on the same path as any call."""

import itertools
from datetime import datetime, timedelta

import pytest
from standardwebhooks import Webhook
from tenancy import is_problem

from canary import planted
from n8n import Answer

SCHEDULE_S = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


async def dry_run(client, tenancy, **body):
    return await client.post(f"{tenancy.path}/webhooks/dry-run", json={"workflowName": "orders", **body})


async def try_saved(client, tenancy, webhook, **body):
    return await client.post(f"{tenancy.path}/webhooks/{webhook['id']}/test", json=body)


def header(answer, name):
    return [item["value"] for item in answer["request"]["headers"] if item["name"] == name]


async def test_a_dry_run_tells_where_it_would_go_what_it_would_send_and_when(client, acme, n8n):
    token, static = planted("trial-token"), planted("trial-static")
    url = n8n.url("/webhook/ok?x=1")
    fields = {"webhookUrl": url, "authToken": token, "staticHeaders": {"x-shop": static}}
    answer = await dry_run(client, acme, **fields, payload={"order": 1})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["address"] == {
        "allowed": True, "host": "127.0.0.1", "addresses": ["127.0.0.1"], "code": None, "message": None,
    }  # fmt: skip
    assert (told["request"]["method"], told["request"]["url"], told["request"]["body"]) == ("POST", url, {"order": 1})
    assert header(told, "authorization") == ["Bearer ***"]
    assert header(told, "x-shop") == ["***"]
    assert header(told, "webhook-signature") == ["v1,***"]
    assert header(told, "content-length") == [str(len(b'{"order":1}'))]
    assert header(told, "x-hookvault-tenant") == [acme.id]
    times = [datetime.fromisoformat(item["at"]) for item in told["timeline"]]
    assert [item["attempt"] for item in told["timeline"]] == list(range(1, 11))
    assert [round((b - a).total_seconds()) for a, b in itertools.pairwise(times)] == SCHEDULE_S
    assert told["result"] is None
    assert n8n.seen == []


async def test_a_dry_run_follows_the_policy(client, acme, n8n):
    answer = await dry_run(client, acme, webhookUrl=n8n.url(), policy={"schedule": [10, 60], "maxRetries": 3})
    times = [datetime.fromisoformat(item["at"]) for item in answer.json()["timeline"]]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses == [timedelta(seconds=seconds) for seconds in (10, 60, 60)]


async def test_a_dry_run_calls_when_it_is_told_to_and_saves_nothing(client, acme, n8n):
    n8n.answers["/webhook/ok"] = Answer(503, b'{"message":"later"}')
    answer = await dry_run(client, acme, webhookUrl=n8n.url(), authToken=planted("trial-called"), call=True)
    result = answer.json()["result"]
    assert (result["success"], result["statusCode"], result["errorCode"]) == (False, 503, "http_503")
    assert result["responseBody"] == {"message": "later"}
    assert n8n.last.body == b'{"test":true}'
    assert n8n.last.headers["webhook-signature"].startswith("v1,")
    assert (await client.get(f"{acme.path}/webhooks")).json()["items"] == []
    assert await acme.calls() == []
    assert (await acme.audit())[0]["action"] == "webhook.tried"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://10.0.0.5/x", "address_blocked"),
        ("https://[::ffff:169.254.169.254]/x", "address_blocked"),
        ("ftp://example.com/", "invalid_url"),
        ("https://user:pw@example.com/", "invalid_url"),
        ("https://n8n.example.com/webhook-test/x", "invalid_url"),
    ],
)
async def test_an_address_that_is_refused_is_the_answer(client, acme, url, code):
    answer = await dry_run(client, acme, webhookUrl=url, call=True)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["address"]["allowed"], answer.json()["address"]["code"]) == (False, code)
    assert answer.json()["address"]["message"]
    assert answer.json()["result"] is None


async def test_a_name_that_does_not_resolve_is_told_too(client, acme):
    answer = await dry_run(client, acme, webhookUrl="https://no-such-host.invalid/x", call=True)
    address = answer.json()["address"]
    assert (address["allowed"], address["code"], address["host"]) == (False, "dns_error", "no-such-host.invalid")
    assert answer.json()["result"] is None


async def test_a_saved_webhook_is_tried_on_the_same_path_and_recorded(client, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/echo"), authToken=planted("trial-saved"), isActive=False)
    answer = await try_saved(client, acme, webhook, payload={"hello": "world"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["success"]
    Webhook(webhook["signingSecret"]).verify(n8n.last.body, n8n.last.headers)
    [call] = await acme.calls()
    assert (call["triggeredBy"], call["requestPayload"]) == ("test", {"hello": "world"})
    assert call["id"] == answer.json()["result"]["callId"] == n8n.last.headers["webhook-id"]


async def test_a_saved_webhook_is_tried_without_a_body(client, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    answer = await client.post(f"{acme.path}/webhooks/{webhook['id']}/test")
    assert answer.status_code == 200, answer.text
    assert n8n.last.body == b'{"test":true}'


async def test_changes_are_tried_without_being_saved(client, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/ok/old"))
    answer = await try_saved(client, acme, webhook, webhookUrl=n8n.url("/webhook/ok/new"))
    assert answer.status_code == 200, answer.text
    assert n8n.last.path == "/webhook/ok/new"
    saved = (await client.get(f"{acme.path}/webhooks/{webhook['id']}")).json()
    assert saved["webhookUrl"] == n8n.url("/webhook/ok/old")
    assert saved["configVersion"] == webhook["configVersion"]


async def test_a_stored_secret_is_not_sent_to_a_new_address_for_a_test(client, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/ok/old"), authToken=planted("trial-kept"))
    answer = await try_saved(client, acme, webhook, webhookUrl=n8n.url("/webhook/echo/thief"))
    is_problem(answer, 422, "secrets_required")
    assert n8n.seen == []


async def test_a_test_that_is_told_not_to_call_calls_nothing(client, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    answer = await try_saved(client, acme, webhook, call=False)
    assert answer.json()["result"] is None
    assert n8n.seen == []


async def test_gone_in_a_test_switches_nothing_off(client, acme, n8n):
    n8n.answers["/webhook/ok"] = Answer(410, b"")
    webhook = await acme.webhook(n8n.url())
    assert (await try_saved(client, acme, webhook)).json()["result"]["errorCode"] == "http_410"
    assert (await client.get(f"{acme.path}/webhooks/{webhook['id']}")).json()["isActive"]


async def test_an_unknown_webhook_can_not_be_tried(client, acme):
    missing = await client.post(f"{acme.path}/webhooks/01a21498-b54c-746c-a61f-d748af16c3b6/test", json={})
    is_problem(missing, 404, "webhook_not_found")


@pytest.mark.parametrize(
    "body", [{"workflowName": "no spaces"}, {"authType": "magic"}, {"policy": {"schedule": []}}, {"x": 1}]
)
async def test_bad_fields_are_refused_as_on_save(client, acme, n8n, body):
    is_problem(await dry_run(client, acme, webhookUrl=n8n.url(), **body), 422, "invalid_input")
