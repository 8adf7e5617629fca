"""A tenant's webhooks: made, read, changed, deleted; their signing secrets rotated."""

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tenancy import is_problem

from canary import planted

FIELDS = {
    *("id", "tenantId", "workflowName", "webhookUrl", "description", "isActive", "authType", "authConfig", "authToken"),
    *("staticHeaders", "signingSecret", "policy", "configVersion", "totalCalls", "successfulCalls", "failedCalls"),
    *("lastCalledAt", "createdAt", "createdBy", "updatedAt", "updatedBy", "previousSigningUntil"),
}
POLICY = {
    *("timeoutMs", "maxRetries", "retryOnTimeout", "retryOnWorkflowError", "schedule", "rateLimit", "concurrency"),
    *("redactPaths", "keepPayloads"),
}
URL = "https://n8n.example.com/webhook/orders"
UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_create_shows_the_signing_secret_once(client, acme):
    made = await client.post(f"{acme.path}/webhooks", json={"workflowName": "orders", "webhookUrl": URL})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    webhook = made.json()
    assert webhook.keys() == FIELDS
    secret = webhook["signingSecret"]
    assert secret.startswith("whsec_")
    assert (webhook["authType"], webhook["isActive"], webhook["totalCalls"]) == ("none", True, 0)
    assert webhook["previousSigningUntil"] is None
    on = dict.fromkeys(("retryOnTimeout", "retryOnWorkflowError", "keepPayloads"), True)
    assert webhook["policy"] == dict.fromkeys(POLICY) | on

    read = (await client.get(f"{acme.path}/webhooks/{webhook['id']}")).json()
    assert read["signingSecret"]["hint"] == "••••" + secret[-4:]
    assert read | {"signingSecret": secret} == webhook


async def rotated(client, acme, webhook, **body):
    answer = await client.post(f"{acme.path}/webhooks/{webhook['id']}/signing-secret/rotate", json=body or None)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == FIELDS
    return answer.json()


def verifies(secret, seen):
    try:
        Webhook(secret).verify(seen.body, seen.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_rotate_signs_with_both_secrets_for_a_day(client, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    await acme.call(webhook, {"n": 1})
    assert [verifies(webhook["signingSecret"], seen) for seen in n8n.seen] == [True]
    made = await rotated(client, acme, webhook)
    assert made["signingSecret"].startswith("whsec_")
    assert made["signingSecret"] != webhook["signingSecret"]
    assert made["configVersion"] == 2
    hours = (datetime.fromisoformat(made["previousSigningUntil"]) - datetime.now(UTC)).total_seconds() / 3600
    assert 23.9 < hours <= 24
    await acme.call(webhook, {"n": 1})
    assert len(n8n.last.headers["webhook-signature"].split(" ")) == 2
    assert [verifies(secret["signingSecret"], n8n.last) for secret in (made, webhook)] == [True, True]
    event = (await acme.audit())[0]
    assert (event["action"], event["detail"]["overlapHours"]) == ("webhook.signing_secret_rotated", 24.0)
    (change,) = event["detail"]["changes"]
    assert change == {
        "field": "signingSecret", "before": f"••••{webhook['signingSecret'][-4:]}", "after": f"••••{made['signingSecret'][-4:]}",
    }  # fmt: skip

    third = await rotated(client, acme, webhook, overlapHours=1)
    await acme.call(webhook, {"n": 1})
    assert [verifies(one["signingSecret"], n8n.last) for one in (third, made, webhook)] == [True, True, False]


async def test_rotate_without_an_overlap_replaces_the_signing_secret_at_once(client, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    former = await rotated(client, acme, webhook, overlapHours=5)
    made = await rotated(client, acme, webhook, overlapHours=0)
    assert made["previousSigningUntil"] is None
    await acme.call(webhook, {"n": 1})
    assert len(n8n.last.headers["webhook-signature"].split(" ")) == 1
    assert [verifies(one["signingSecret"], n8n.last) for one in (made, former, webhook)] == [True, False, False]


async def test_a_former_signing_secret_ends_with_its_time(client, acme, n8n, app, owner):
    webhook = await acme.webhook(n8n.url())
    made = await rotated(client, acme, webhook, overlapHours=0.1)
    past = "UPDATE n8n_webhooks SET previous_signing_until = now() - interval '1 second' WHERE id = $1"
    await owner(past, webhook["id"])
    app.webhooks.forget(acme.id)
    await acme.call(webhook, {"n": 1})
    assert [verifies(one["signingSecret"], n8n.last) for one in (made, webhook)] == [True, False]
    await app.upkeep.tidy(90)
    (row,) = await owner("SELECT previous_signing_secret FROM n8n_webhooks WHERE id = $1", webhook["id"])
    assert row[0] is None


@pytest.mark.parametrize("hours", [-1, 168.1, "24", None, True, 1e9])
async def test_an_overlap_out_of_bounds(client, acme, hours):
    webhook = await acme.webhook(URL)
    path = f"{acme.path}/webhooks/{webhook['id']}"
    is_problem(await client.post(f"{path}/signing-secret/rotate", json={"overlapHours": hours}), 422, "invalid_input")
    assert (await client.get(path)).json()["configVersion"] == 1


async def test_every_field_of_a_policy_is_kept_and_cleared(client, acme):
    policy = {
        "timeoutMs": 5000,
        "maxRetries": 3,
        "retryOnTimeout": False,
        "retryOnWorkflowError": False,
        "schedule": [1, 60],
        "rateLimit": {"calls": 10, "seconds": 60},
        "concurrency": 2,
        "redactPaths": ["$.card.number", "$..password"],
        "keepPayloads": False,
    }
    webhook = await acme.webhook(URL, policy=policy)
    assert webhook["policy"] == policy
    path = f"{acme.path}/webhooks/{webhook['id']}"
    assert (await client.put(path, json={"policy": {"concurrency": None}})).json()["policy"] == policy | {
        "concurrency": None
    }
    cleared = (await client.put(path, json={"policy": None})).json()["policy"]
    on = dict.fromkeys(("retryOnTimeout", "retryOnWorkflowError", "keepPayloads"), True)
    assert cleared == dict.fromkeys(POLICY) | on


@pytest.mark.parametrize(
    ("fields", "auth_type"),
    [
        ({}, "none"),
        ({"authToken": planted("bearer")}, "bearer"),
        ({"authType": "header", "authConfig": {"headerName": "X-Key"}, "authToken": planted("header")}, "header"),
        ({"authType": "basic", "authConfig": {"user": "ann"}, "authToken": planted("basic")}, "basic"),
        ({"authType": "jwt", "authConfig": {"claims": {"sub": "acme"}}, "authToken": planted("jwt")}, "jwt"),
    ],
    ids=["none", "token alone", "header", "basic", "jwt"],
)
async def test_auth_types_and_static_headers_show_no_value(client, acme, fields, auth_type):
    headers = {"X-Static": planted("static-header"), "x-short": "abc"}
    webhook = await acme.webhook(URL, staticHeaders=headers, **fields)
    assert webhook["authType"] == auth_type
    assert webhook["authToken"]["set"] is ("authToken" in fields)
    assert webhook["staticHeaders"].keys() == headers.keys()
    assert webhook["staticHeaders"]["X-Static"]["hint"] == "••••" + headers["X-Static"][-4:]
    assert webhook["staticHeaders"]["x-short"]["hint"] is None


async def test_the_url_is_derived_from_the_base_url(client, acme):
    path = f"{acme.path}/webhooks"
    refused = await client.post(path, json={"workflowName": "ContactForm_new"})
    assert is_problem(refused, 422, "invalid_input")["errors"][0]["field"] == "webhookUrl"
    await client.post(f"{acme.path}/integrations/n8n", json={"baseUrl": "https://n8n.example.com/webhook/"})
    derived = await client.post(path, json={"workflowName": "ContactForm_new"})
    assert derived.json()["webhookUrl"] == f"https://n8n.example.com/webhook/{acme.id}/contact-form-new"
    await client.put(f"{acme.path}/integrations/n8n", json={"baseUrl": "https://n8n.example.com/w/{tenantId}/x"})
    placed = await client.post(path, json={"workflowName": "other"})
    assert placed.json()["webhookUrl"] == f"https://n8n.example.com/w/{acme.id}/x/other"
    back = await client.put(f"{path}/{derived.json()['id']}", json={"webhookUrl": None})
    assert back.json()["webhookUrl"] == f"https://n8n.example.com/w/{acme.id}/x/contact-form-new"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("not a url", "invalid_url"),
        ("ftp://example.com/x", "invalid_url"),
        ("https://user:password@example.com/x", "invalid_url"),
        ("https://n8n.example.com/webhook-test/x", "invalid_url"),
        ("http://169.254.169.254/latest/meta-data", "address_blocked"),
        ("http://10.0.0.1/x", "address_blocked"),
        ("http://[::ffff:10.0.0.1]/x", "address_blocked"),
        ("http://0x7f.1/x", None),
        ("https://example.com/" + "x" * 2100, "invalid_input"),
        ("", None),
    ],
)
async def test_an_address_that_may_not_be_called(client, acme, url, code):
    refused = await client.post(f"{acme.path}/webhooks", json={"workflowName": "orders", "webhookUrl": url})
    is_problem(refused, 422, code or refused.json()["code"])
    assert (await client.get(f"{acme.path}/webhooks")).json()["items"] == []
    webhook = await acme.webhook(URL)
    is_problem(
        await client.put(f"{acme.path}/webhooks/{webhook['id']}", json={"webhookUrl": url}), 422, refused.json()["code"]
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"authType": "bearer"}, "invalid_input"),
        ({"authType": "none", "authToken": planted("unused")}, "invalid_input"),
        ({"authType": "header", "authToken": planted("nameless")}, "invalid_input"),
        ({"authType": "header", "authConfig": {"headerName": "Host"}, "authToken": planted("host")}, "invalid_input"),
        ({"authType": "basic", "authConfig": {"user": "a:b"}, "authToken": planted("colon")}, "invalid_input"),
        ({"authType": "jwt", "authConfig": {"algorithm": "none"}, "authToken": planted("alg")}, "invalid_input"),
        ({"authType": "digest", "authToken": planted("digest")}, "invalid_input"),
        ({"authToken": planted("line\nbreak")}, "invalid_input"),
        ({"authToken": ""}, "invalid_input"),
        ({"authToken": "••••3f9c"}, "mask_submitted"),
        ({"staticHeaders": {"x-a": "***"}}, "mask_submitted"),
        ({"staticHeaders": {"webhook-id": planted("own")}}, "invalid_input"),
        ({"staticHeaders": {"x-hookvault-call": planted("ours")}}, "invalid_input"),
        ({"staticHeaders": {"a b": planted("name")}}, "invalid_input"),
        ({"staticHeaders": {"x-a": planted("one"), "X-A": planted("two")}}, "invalid_input"),
        ({"staticHeaders": {"x-a": planted("split\r\nx-b: 1")}}, "invalid_input"),
        ({"staticHeaders": {f"x-{n}": planted("many") for n in range(21)}}, "invalid_input"),
        ({"policy": {"timeoutMs": 0}}, "invalid_input"),
        ({"policy": {"timeoutMs": 120_001}}, "invalid_input"),
        ({"policy": {"maxRetries": 11}}, "invalid_input"),
        ({"policy": {"maxRetries": True}}, "invalid_input"),
        ({"policy": {"surprise": 1}}, "invalid_input"),
        ({"policy": {"schedule": []}}, "invalid_input"),
        ({"policy": {"schedule": [0]}}, "invalid_input"),
        ({"policy": {"schedule": [86_401]}}, "invalid_input"),
        ({"policy": {"schedule": [1.5]}}, "invalid_input"),
        ({"policy": {"schedule": [1] * 11}}, "invalid_input"),
        ({"policy": {"retryOnWorkflowError": "no"}}, "invalid_input"),
        ({"policy": {"concurrency": 0}}, "invalid_input"),
        ({"policy": {"rateLimit": {"calls": 1}}}, "invalid_input"),
        ({"policy": {"rateLimit": {"calls": 0, "seconds": 1}}}, "invalid_input"),
        ({"policy": {"rateLimit": {"calls": 1, "seconds": 86_401}}}, "invalid_input"),
        ({"workflowName": "a b"}, "invalid_input"),
        ({"workflowName": "x" * 65}, "invalid_input"),
        ({"isActive": "yes"}, "invalid_input"),
        ({"description": "x" * 2001}, "invalid_input"),
        ({"signingSecret": "whsec_mine"}, "invalid_input"),
        ({"totalCalls": 5}, "invalid_input"),
    ],
)
async def test_what_is_not_a_webhook(client, acme, fields, code):
    existing = await acme.webhook(URL)
    before = await acme.audit()
    body = {"workflowName": "orders", "webhookUrl": URL, **fields}
    is_problem(await client.post(f"{acme.path}/webhooks", json=body), 422, code)
    is_problem(await client.put(f"{acme.path}/webhooks/{existing['id']}", json=fields), 422, code)
    assert [item["id"] for item in (await client.get(f"{acme.path}/webhooks")).json()["items"]] == [existing["id"]]
    assert await acme.audit() == before


async def test_a_workflow_name_is_taken_once_and_free_after_deletion(client, acme, n8n):
    one = await acme.webhook(n8n.url(), "orders")
    other = await acme.webhook(URL, "other")
    body = {"workflowName": "orders", "webhookUrl": URL}
    is_problem(await client.post(f"{acme.path}/webhooks", json=body), 409, "webhook_exists")
    path = f"{acme.path}/webhooks/{other['id']}"
    is_problem(await client.put(path, json={"workflowName": "orders"}), 409, "webhook_exists")
    await acme.call("orders", {"n": 1})
    for _ in range(2):
        gone = await client.delete(f"{acme.path}/webhooks/{one['id']}")
        assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.put(path, json={"workflowName": "orders"})).json()["workflowName"] == "orders"
    is_problem(await client.get(f"{acme.path}/webhooks/{one['id']}"), 404, "webhook_not_found")
    # Its calls stay readable under its own id.
    calls = (await client.get(f"{acme.path}/webhooks/{one['id']}/analytics")).json()["items"]
    assert [call["requestPayload"] for call in calls] == [{"n": 1}]


async def test_changes_hold_for_the_next_call(client, acme, n8n):
    webhook = await acme.webhook(n8n.url("/webhook/ok/first"))
    path = f"{acme.path}/webhooks/{webhook['id']}"
    await acme.call(webhook, 1)
    changed = await client.put(path, json={"webhookUrl": n8n.url("/webhook/ok/second")}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["totalCalls"] == 1
    await acme.call(webhook, 2)
    assert [seen.path for seen in n8n.seen] == ["/webhook/ok/first", "/webhook/ok/second"]
    is_problem(await client.put(path, json={"isActive": False}, headers={"if-match": '"1"'}), 412, "version_mismatch")
    assert (await client.put(path, json={"isActive": False})).json()["isActive"] is False
    is_problem(await acme.call(webhook, 3), 409, "webhook_inactive")
    assert (await client.put(path, json={"isActive": True})).json()["isActive"] is True
    assert (await acme.call(webhook, 4)).status_code == 200
    assert [seen.body for seen in n8n.seen] == [b"1", b"2", b"4"]


async def test_absent_keeps_a_value_replaces_null_clears(client, acme, n8n):
    token, static = planted("token"), planted("static")
    webhook = await acme.webhook(
        n8n.url(), authToken=token, staticHeaders={"x-one": static, "x-two": planted("second")}, description="Orders"
    )
    path = f"{acme.path}/webhooks/{webhook['id']}"
    changed = (await client.put(path, json={"staticHeaders": {"x-two": None, "X-Three": "3"}})).json()
    assert changed["staticHeaders"].keys() == {"x-one", "X-Three"}
    assert (changed["description"], changed["authToken"]["set"]) == ("Orders", True)
    await acme.call(webhook, {})
    assert n8n.last.headers["authorization"] == f"Bearer {token}"
    assert (n8n.last.headers["x-one"], n8n.last.headers["x-three"]) == (static, "3")
    assert "x-two" not in n8n.last.headers
    is_problem(await client.put(path, json={"authToken": None}), 422, "invalid_input")  # bearer needs one
    cleared = (await client.put(path, json={"authType": "none", "authToken": None, "staticHeaders": None})).json()
    assert (cleared["authToken"]["set"], cleared["staticHeaders"]) == (False, {})
    await acme.call(webhook, {})
    assert not {"authorization", "x-one", "x-three"} & n8n.last.headers.keys()


async def test_what_was_read_can_be_sent_back_as_it_is(client, acme, n8n):
    token, static = planted("token"), planted("static")
    webhook = await acme.webhook(
        n8n.url(), authToken=token, staticHeaders={"x-one": static}, policy={"timeoutMs": 5000}
    )
    path = f"{acme.path}/webhooks/{webhook['id']}"
    shown = (await client.get(path)).json()
    editable = ("workflowName", "webhookUrl", "description", "isActive", "authType", "authConfig", "authToken")
    sent_back = await client.put(path, json={name: shown[name] for name in (*editable, "staticHeaders", "policy")})
    assert sent_back.status_code == 200, sent_back.text
    await acme.call(webhook, {})
    assert (n8n.last.headers["authorization"], n8n.last.headers["x-one"]) == (f"Bearer {token}", static)


async def test_a_new_url_asks_for_the_secrets_that_would_go_there(client, acme, n8n):
    webhook = await acme.webhook(URL, authToken=planted("token"), staticHeaders={"x-one": planted("static")})
    path = f"{acme.path}/webhooks/{webhook['id']}"
    refused = is_problem(await client.put(path, json={"webhookUrl": n8n.url()}), 422, "secrets_required")
    assert [error["field"] for error in refused["errors"]] == ["authToken", "staticHeaders.x-one"]
    again = {"webhookUrl": n8n.url(), "authToken": planted("again"), "staticHeaders": {"x-one": planted("again")}}
    assert (await client.put(path, json=again)).status_code == 200


async def test_list_pages_by_workflow_name(client, acme):
    for name in ("c", "a", "e", "b", "d"):
        await acme.webhook(URL, name)
    path = f"{acme.path}/webhooks"
    first = (await client.get(path, params={"limit": 2})).json()
    second = (await client.get(path, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    third = (await client.get(path, params={"limit": 2, "cursor": second["nextCursor"]})).json()
    pages = [[item["workflowName"] for item in page["items"]] for page in (first, second, third)]
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    assert third["nextCursor"] is None
    assert first["items"][0].keys() == FIELDS


async def test_unknown_ids(client, acme):
    path = f"{acme.path}/webhooks/{UNKNOWN}"
    is_problem(await client.get(path), 404, "webhook_not_found")
    is_problem(await client.put(path, json={}), 404, "webhook_not_found")
    is_problem(await client.post(f"{path}/signing-secret/rotate"), 404, "webhook_not_found")
    is_problem(await client.get(f"{path}/analytics"), 404, "webhook_not_found")
    assert (await client.delete(path)).status_code == 204
    is_problem(await client.get(f"{acme.path}/webhooks/not-a-uuid"), 422, "invalid_input")


async def test_audit_names_fields_and_no_values(client, acme):
    webhook = await acme.webhook(URL)
    await client.put(
        f"{acme.path}/webhooks/{webhook['id']}",
        json={"authToken": planted("token"), "staticHeaders": {"x-a": planted("static")}},
    )
    updated, created, *_ = await acme.audit()
    assert (updated["action"], updated["targetId"]) == ("webhook.updated", webhook["id"])
    assert updated["detail"]["changed"] == ["auth_token", "static_headers"]
    assert created["detail"] == {"workflowName": webhook["workflowName"]}
