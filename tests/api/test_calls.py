"""Calling a webhook: what goes on the wire, what is answered, what is recorded."""

import asyncio
import base64
import json
import time
from urllib.parse import quote
from uuid import UUID

import jwt
import pytest
from standardwebhooks import Webhook
from tenancy import is_problem

from canary import CANARY, planted
from n8n import NOT_REGISTERED, STARTED, Answer

REPLY = {"callId", "success", "statusCode", "responseBody", "responseTime", "attempts"}
PAYLOAD = '{"z":1, "a" : [1.0, 1e2, 123456789012345678901234567890],\n"ü":"\\u00fc\\n","a":null}'


async def posted(client, tenancy, webhook, body):
    path = f"/api/tenants/{tenancy.id}/webhooks/{webhook['workflowName']}/call"
    return await client.post(path, content=body, headers={"content-type": "application/json"})


async def test_the_exact_bytes_and_headers_go_on_the_wire(client, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/ok/orders?a=1"))
    answer = await posted(client, acme, webhook, f'{{ "payload" : {PAYLOAD} }}'.encode())
    reply = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert reply.keys() == REPLY
    assert (reply["success"], reply["statusCode"], reply["attempts"]) == (True, 200, 1)
    assert reply["responseBody"] == json.loads(STARTED)
    assert isinstance(reply["responseTime"], int)
    assert UUID(reply["callId"]).version == 7

    seen = n8n.last
    assert (seen.path, seen.body) == ("/webhook/ok/orders?a=1", PAYLOAD.encode())
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["webhook-id"] == seen.headers["x-hookvault-call"] == reply["callId"]
    assert seen.headers["x-hookvault-tenant"] == acme.id
    assert abs(int(seen.headers["webhook-timestamp"]) - time.time()) < 5
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["host"] == f"127.0.0.1:{n8n.port}"
    assert "authorization" not in seen.headers
    Webhook(webhook["signingSecret"]).verify(seen.body, seen.headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(webhook["signingSecret"]).verify(seen.body + b" ", seen.headers)


async def test_a_record_tells_what_the_time_went_into(client, acme, n8n):
    n8n.answers["/webhook/ok/timed"] = Answer(delay=0.05)
    webhook = await acme.webhook(n8n.url("/webhook/ok/timed"))
    for _ in range(2):
        await posted(client, acme, webhook, b'{"payload":1}')
    kept, _ = calls = await acme.calls()
    one = await client.get(f"/api/platform/calls/{kept['id']}")
    assert one.json()["timing"] == kept["timing"]
    for call in calls:
        timing = call["timing"]
        assert timing["tlsMs"] is None  # it is http
        assert 50 <= timing["waitMs"] <= call["responseTime"] + 0.5
        assert sum(took for took in timing.values() if took is not None) == pytest.approx(call["responseTime"], abs=1)
    assert (kept["timing"]["resolveMs"], kept["timing"]["connectMs"]) == (None, None)


async def test_a_record_tells_how_far_a_call_came_that_brought_nothing(client, acme, n8n):
    refused = await acme.webhook("http://127.0.0.1:9/webhook/nobody")
    await posted(client, acme, refused, b'{"payload":1,"maxRetries":0}')
    n8n.answers["/webhook/ok/never"] = Answer(delay=5)
    silent = await acme.webhook(n8n.url("/webhook/ok/never"))
    await posted(client, acme, silent, b'{"payload":1,"maxRetries":0,"timeoutMs":200}')
    late, lost = await acme.calls()
    assert (lost["errorCode"], lost["timing"]["waitMs"]) == ("connection_error", None)
    assert lost["timing"]["connectMs"] >= 0
    assert (late["errorCode"], late["timing"]["downloadMs"]) == ("timeout", None)
    assert late["timing"]["waitMs"] >= 150


@pytest.mark.parametrize("payload", ["null", "false", "0", '""', "[]", "{}", '"text"', '{"a":{"b":[]}}', " [1] "])
async def test_every_json_value_is_a_payload(client, acme, n8n, payload):
    webhook = await acme.webhook(n8n.url())
    assert (await posted(client, acme, webhook, f'{{"payload":{payload}}}'.encode())).status_code == 200
    assert n8n.last.body.strip() == payload.strip().encode()
    assert (await acme.calls())[0]["requestPayload"] == json.loads(payload)


async def test_bearer(acme, n8n):
    token = planted("bearer", special=True)
    await acme.call(await acme.webhook(n8n.url(), authToken=token))
    assert n8n.last.headers["authorization"] == f"Bearer {token}"


async def test_header(acme, n8n):
    token = planted("header", special=True)
    config = {"authType": "header", "authConfig": {"headerName": "X-N8N-Key"}, "authToken": token}
    await acme.call(await acme.webhook(n8n.url(), **config))
    assert n8n.last.headers["x-n8n-key"] == token
    assert "authorization" not in n8n.last.headers


async def test_basic(acme, n8n):
    token = planted("basic", special=True)
    config = {"authType": "basic", "authConfig": {"user": "bücher"}, "authToken": token}
    await acme.call(await acme.webhook(n8n.url(), **config))
    scheme, _, pair = n8n.last.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", f"bücher:{token}")


async def test_jwt(acme, n8n):
    token = planted("jwt", special=True)
    config = {"authType": "jwt", "authConfig": {"claims": {"sub": acme.id, "n": 1}}, "authToken": token}
    await acme.call(await acme.webhook(n8n.url(), **config))
    scheme, _, signed = n8n.last.headers["authorization"].partition(" ")
    claims = jwt.decode(signed, token, algorithms=["HS256"])
    assert scheme == "Bearer"
    assert (claims["sub"], claims["n"]) == (acme.id, 1)
    assert claims["exp"] - claims["iat"] == 300
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(signed, "another-secret-of-the-right-length!", algorithms=["HS256"])


async def test_static_headers(acme, n8n):
    headers = {"X-Static": planted("static", special=True), "x-two": "with a space"}
    await acme.call(await acme.webhook(n8n.url(), staticHeaders=headers))
    assert (n8n.last.headers["x-static"], n8n.last.headers["x-two"]) == (headers["X-Static"], "with a space")


AUTH = {
    "bearer": {"authToken": True},
    "header": {"authType": "header", "authConfig": {"headerName": "X-Key"}, "authToken": True},
    "basic": {"authType": "basic", "authConfig": {"user": "ann"}, "authToken": True},
    "jwt": {"authType": "jwt", "authToken": True},
}


@pytest.mark.parametrize("auth", AUTH)
async def test_a_receiver_that_echoes_secrets_gets_none_into_answer_or_record(acme, n8n, owner, auth):
    token, static = planted(f"echo-{auth}", special=True), planted("echo-static", special=True)
    config = AUTH[auth] | {"authToken": token, "staticHeaders": {"x-static": static}}
    webhook = await acme.webhook(n8n.url("/webhook/echo"), **config)
    reply = (await acme.call(webhook, {"n": 1})).json()
    sent = n8n.last.headers["x-key" if auth == "header" else "authorization"]
    for out in (
        json.dumps(reply),
        str(await owner("SELECT a::text FROM webhook_analytics a WHERE tenant_id = $1", acme.id)),
    ):
        for secret in (token, static, sent.rpartition(" ")[2]):
            assert secret not in out
            assert json.dumps(secret)[1:-1] not in out
    assert reply["responseBody"]["headers"]["x-static"] == "***"
    assert reply["responseBody"]["body"] == '{"n":1}'
    assert (await acme.calls())[0]["altered"] is True


@pytest.mark.parametrize("status", [200, 500])
async def test_a_receiver_that_echoes_in_other_forms(acme, n8n, status):
    token, static = planted("forms", special=True), planted("forms-static", special=True)
    webhook = await acme.webhook(n8n.url("/webhook/forms"), authToken=token, staticHeaders={"x-static": static})

    def forms(seen):
        values = [value.encode() for value in (token, static, webhook["signingSecret"])]
        text = b"|".join(
            [
                *values,
                *[json.dumps(value.decode()).encode() for value in values],
                *[json.dumps(value.decode()).replace("/", "\\/").encode() for value in values],
                *[base64.b64encode(b"x" * n + value + b"y") for n in range(3) for value in values],
                *[base64.urlsafe_b64encode(value) for value in values],
                *[quote(value).encode() for value in values],
            ]
        )
        return Answer(status, text, "text/plain")

    n8n.answers["/webhook/forms"] = forms
    reply = (await acme.call(webhook, {})).json()
    assert "***" in reply["responseBody"]
    assert [line for line in CANARY.findings() if acme.id in line] == []  # the rows are searched at the end of the run


async def test_a_secret_that_is_cut_off_at_the_limit_leaves_no_beginning(acme, n8n):
    token = planted("cut")
    webhook = await acme.webhook(n8n.url("/webhook/cut"), authToken=token)
    for shown in (8, 20, len(token) - 1):
        n8n.answers["/webhook/cut"] = Answer(200, b"." * (65_536 - shown) + token.encode() + b"!", "text/plain")
        reply = (await acme.call(webhook)).json()
        assert reply["responseBody"] == "." * (65_536 - shown) + "***"


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/webhook/error", 500, {"message": "Error in workflow"}),
        ("/webhook/html404", 404, "<!DOCTYPE html>\n<html><body><pre>Cannot POST /webhook/x</pre></body></html>"),
        ("/webhook/json404", 404, json.loads(NOT_REGISTERED)),
    ],
)
async def test_a_failing_target_is_502_with_all_fields(acme, n8n, path, status, body):
    webhook = await acme.webhook(n8n.url(path))
    answer = await acme.call(webhook, {"n": 1})
    problem = is_problem(answer, 502, "webhook_failed")
    assert problem.keys() >= REPLY
    assert (problem["success"], problem["statusCode"], problem["responseBody"]) == (False, status, body)
    assert problem["attempts"] == 1
    (call,) = await acme.calls()
    assert (call["id"], call["statusCode"], call["errorCode"]) == (problem["callId"], status, f"http_{status}")


async def test_a_refused_connection_is_502(acme, n8n):
    webhook = await acme.webhook("http://127.0.0.1:1/x")
    problem = is_problem(await acme.call(webhook), 502, "webhook_failed")
    assert (problem["statusCode"], problem["responseBody"], problem["errorCode"]) == (None, None, "connection_error")


async def test_a_redirect_is_not_followed(acme, n8n):
    n8n.answers["/webhook/moved"] = Answer(302, b"", headers=(("location", n8n.url("/webhook/ok")),))
    problem = is_problem(await acme.call(await acme.webhook(n8n.url("/webhook/moved"))), 502, "webhook_failed")
    assert problem["statusCode"] == 302
    assert len(n8n.seen) == 1


@pytest.mark.parametrize("where", ["call", "policy"])
async def test_a_slow_target_is_504_with_all_fields(acme, n8n, where):
    policy = {"policy": {"timeoutMs": 150}} if where == "policy" else {}
    webhook = await acme.webhook(n8n.url("/webhook/slow"), **policy)
    began = time.monotonic()
    answer = await acme.call(webhook, {}, **({"timeoutMs": 150} if where == "call" else {}))
    assert time.monotonic() - began < 2
    problem = is_problem(answer, 504, "webhook_timeout")
    assert problem.keys() >= REPLY
    assert (problem["statusCode"], problem["responseBody"], problem["errorCode"]) == (None, None, "timeout")
    assert 100 <= problem["responseTime"] < 2000
    assert (await acme.calls())[0]["errorCode"] == "timeout"


async def test_a_stored_address_that_became_forbidden_is_422(acme, n8n, owner):
    webhook = await acme.webhook(n8n.url())
    for url, code in (("http://169.254.169.254/x", "address_blocked"), ("gopher://example.com", "invalid_url")):
        await owner("UPDATE n8n_webhooks SET webhook_url = $2 WHERE id = $1", webhook["id"], url)
        await asyncio.sleep(1.1)  # what another process changed holds within a second
        problem = is_problem(await acme.call(webhook), 422, code)
        assert problem.keys() >= REPLY
        assert (problem["statusCode"], problem["attempts"]) == (None, 1)
        assert (await acme.calls())[0]["errorCode"] == code
    assert n8n.seen == []


async def test_unknown_inactive_suspended(client, acme, n8n):
    is_problem(await acme.call("nothing"), 404, "webhook_not_found")
    off = await acme.webhook(n8n.url(), isActive=False)
    is_problem(await acme.call(off), 409, "webhook_inactive")
    on = await acme.webhook(n8n.url())
    assert (await acme.call(on)).status_code == 200
    await client.patch(acme.path, json={"status": "suspended"})
    is_problem(await acme.call(on), 409, "tenant_suspended")
    await client.patch(acme.path, json={"status": "active"})
    assert (await acme.call(on)).status_code == 200
    assert len(n8n.seen) == len(await acme.calls()) == 2


async def test_retries_share_one_webhook_id_and_one_budget(acme, n8n):
    answers = [Answer(503), Answer(500, b"no"), Answer()]
    n8n.answers["/webhook/flaky"] = lambda _seen: answers[min(len(n8n.seen), 3) - 1]
    reply = (await acme.call(await acme.webhook(n8n.url("/webhook/flaky")), {"n": 1}, maxRetries=5)).json()
    assert (reply["success"], reply["statusCode"], reply["attempts"]) == (True, 200, 3)
    assert {seen.headers["webhook-id"] for seen in n8n.seen} == {reply["callId"]}
    assert len({seen.headers["x-hookvault-call"] for seen in n8n.seen}) == 3
    last, middle, first = await acme.calls()
    assert [call["attempt"] for call in (first, middle, last)] == [1, 2, 3]
    assert (first["id"], first["retryOf"]) == (reply["callId"], None)
    assert middle["retryOf"] == last["retryOf"] == reply["callId"]
    assert [call["success"] for call in (first, middle, last)] == [False, False, True]


async def test_no_retry_without_asking_nor_after_a_permanent_answer(acme, n8n):
    problem = (await acme.call(await acme.webhook(n8n.url("/webhook/error")))).json()
    assert problem["attempts"] == 1
    n8n.answers["/webhook/denied"] = Answer(403, b"Authorization data is wrong!", "text/plain")
    problem = (await acme.call(await acme.webhook(n8n.url("/webhook/denied")), maxRetries=5)).json()
    assert (problem["attempts"], problem["statusCode"]) == (1, 403)
    webhook = await acme.webhook(n8n.url("/webhook/error"), policy={"maxRetries": 1})
    assert (await acme.call(webhook)).json()["attempts"] == 2
    assert (await acme.call(webhook, maxRetries=0)).json()["attempts"] == 1


@pytest.mark.parametrize(
    ("body", "kind", "shown", "altered"),
    [
        (b"", "text/plain", None, False),
        (b'{"a": 1}', "text/html", {"a": 1}, False),
        ("Grüße".encode(), "text/plain; charset=utf-8", "Grüße", False),
        (b"\xff\xfe\x00", "application/octet-stream", "��" + "�", True),
        (b'{"a":"\\u0000"}', "application/json", {"a": "�"}, True),
        (b'{"a":"\\ud800"}', "application/json", {"a": "�"}, True),
        (b"NaN", "application/json", "NaN", False),
        (b"[" * 100 + b"]" * 100, "application/json", "[" * 100 + "]" * 100, False),
        (b'{"a":', "application/json", '{"a":', False),
        (b"x" * 70_000, "text/plain", "x" * 65_536, True),
    ],
    ids=["empty", "json", "text", "binary", "nul", "surrogate", "nan", "deep", "broken", "long"],
)
async def test_whatever_is_answered_is_shown_and_recorded(acme, n8n, body, kind, shown, altered):
    n8n.answers["/webhook/any"] = Answer(200, body, kind)
    reply = (await acme.call(await acme.webhook(n8n.url("/webhook/any")))).json()
    assert reply["responseBody"] == shown
    (call,) = await acme.calls()
    assert (call["responseBody"], call["altered"]) == (shown, altered)


@pytest.mark.parametrize(
    ("payload", "recorded"),
    [
        ('{"a":"\\u0000"}', {"a": "�"}),
        ("1e999999", "1e999999"),
        ("-" + "9" * 200_000, None),
    ],
    ids=["nul", "exponent", "digits"],
)
async def test_what_the_database_cannot_hold_is_sent_exactly_and_flagged(client, acme, n8n, payload, recorded):
    webhook = await acme.webhook(n8n.url())
    answer = await posted(client, acme, webhook, f'{{"payload":{payload}}}'.encode())
    assert answer.status_code == 200, answer.text
    assert n8n.last.body == payload.encode()
    (call,) = await acme.calls()
    assert call["altered"] is True
    if recorded is not None:
        assert call["requestPayload"] == recorded


async def test_half_a_surrogate_pair_is_no_payload(client, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    is_problem(await posted(client, acme, webhook, b'{"payload":"\\ud800"}'), 400, "malformed_body")
    assert n8n.seen == []


async def test_the_record_tells_who_and_what_without_auth(acme, n8n):
    webhook = await acme.webhook(n8n.url(), authToken=planted("recorded"), staticHeaders={"x-static": planted("rec")})
    reply = (await acme.call(webhook, {"n": 1}, triggeredBy="form:contact", metadata={"ip": "192.0.2.1"})).json()
    (call,) = await acme.calls()
    assert (call["id"], call["workflowName"]) == (reply["callId"], webhook["workflowName"])
    assert (call["triggeredBy"], call["metadata"]) == ("form:contact", {"ip": "192.0.2.1"})
    assert (call["success"], call["responseTime"]) == (True, reply["responseTime"])
    headers = call["requestHeaders"]
    assert headers["x-static"] == "***"
    assert headers["webhook-id"] == reply["callId"]
    assert not {"authorization", "webhook-signature"} & headers.keys()


async def test_calls_of_many_at_once_are_all_recorded(acme, n8n):
    webhook = await acme.webhook(n8n.url())
    answers = await asyncio.gather(*[acme.call(webhook, {"n": n}) for n in range(60)])
    assert {answer.status_code for answer in answers} == {200}
    ids = {answer.json()["callId"] for answer in answers}
    calls = await acme.calls(limit=200)
    assert {call["id"] for call in calls} == ids
    assert sorted(call["requestPayload"]["n"] for call in calls) == list(range(60))
    shown = (await acme.client.get(f"{acme.path}/webhooks/{webhook['id']}")).json()
    assert (shown["totalCalls"], shown["successfulCalls"], shown["failedCalls"]) == (60, 60, 0)


async def test_a_record_that_cannot_be_committed_is_503_with_the_call_id(client, acme, n8n, database_gone, monkeypatch):
    monkeypatch.setattr("hookvault.db.writer.PATIENCE_S", 0.5)  # the whole wait is told of in the end-to-end tests
    webhook = await acme.webhook(n8n.url())
    for module in ("webhooks.endpoint", "accounts.keys"):
        monkeypatch.setattr(f"hookvault.{module}._FRESH_S", 60)  # seconds; what is known already needs no database
    await acme.call(webhook, {"n": 1})
    async with database_gone():
        answer = await acme.call(webhook, {"n": 2})
        not_ready = await client.get("/readyz")
        alive = await client.get("/healthz")
    problem = is_problem(answer, 503, "recording_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert n8n.last.body == b'{"n":2}'
    assert n8n.last.headers["webhook-id"] == problem["callId"]
    is_problem(not_ready, 503, "database_unavailable")
    assert alive.status_code == 200
    assert (await client.get("/readyz")).status_code == 200
    assert (await acme.call(webhook, {"n": 3})).status_code == 200
    assert [call["requestPayload"]["n"] for call in await acme.calls()] == [3, 1]


async def test_without_a_database_nothing_is_called(acme, n8n, database_gone):
    webhook = await acme.webhook(n8n.url())
    async with database_gone():
        is_problem(await acme.call(webhook), 503, "database_unavailable")
    assert n8n.seen == []


@pytest.mark.parametrize(
    "fields",
    [
        {"timeoutMs": 0},
        {"timeoutMs": 120_001},
        {"timeoutMs": -1},
        {"timeoutMs": 1.5},
        {"timeoutMs": "100"},
        {"timeoutMs": True},
        {"maxRetries": 11},
        {"maxRetries": -1},
        {"maxRetries": None, "retries": 1},
        {"triggeredBy": "x" * 201},
        {"triggeredBy": "a\u0000b"},
        {"triggeredBy": 5},
        {"metadata": []},
        {"metadata": {"a": "x" * 20_000}},
        {"idempotencyKey": "x"},
    ],
)
async def test_what_is_not_a_call_is_refused_before_anything_is_sent(acme, n8n, fields):
    webhook = await acme.webhook(n8n.url())
    is_problem(await acme.call(webhook, {}, **fields), 422, "invalid_input")
    assert n8n.seen == []
    assert await acme.calls() == []
