"""The forms of a webhook, its page, and its test."""

import json
import re

import pytest
from webhooking import Shop, at_field, form, value_of, words

from canary import CANARY, planted
from n8n import N8n

NAUGHTY = '<script>alert("x")</script>'


@pytest.fixture
async def shop(app, owner_page, tenant):
    return Shop(app, owner_page, tenant.id)


def signing_secret(answer):
    """The secret that is shown this once; nothing may show it again."""
    (found,) = set(re.findall(r"whsec_[A-Za-z0-9+/=]{20,}", answer.text))
    CANARY.made(found)
    return found


@pytest.fixture(autouse=True)
def unseen(monkeypatch):
    """The one answer that shows a new secret is not searched; all others are."""
    see = CANARY.see
    monkeypatch.setattr(CANARY, "see", lambda what, text: see(what, text) if "shown this once" not in text else None)


async def test_a_webhook_is_added_with_all_that_a_form_has(shop):
    token, value = planted("token"), planted("header")
    typed = form(
        **{
            "description": NAUGHTY,
            "authType": "header",
            "authConfig.headerName": "X-Api-Key",
            "authToken": token,
            "header.0.name": "X-Source",
            "header.0.value": value,
            "policy.timeoutMs": "5000",
            "policy.maxRetries": "2",
            "policy.schedule": "5, 60 300",
            "policy.rateLimit.calls": "10",
            "policy.rateLimit.seconds": "2",
            "policy.concurrency": "3",
            "policy.redactPaths": "$.card\r\n$..password",
        }
    )
    del typed["policy.keepPayloads"]
    made = await shop.post("/new", typed)
    assert made.status_code == 200, words(made)
    signing_secret(made)
    assert "webhook-signature" in made.text
    (webhook,) = await shop.app.webhooks.get_n8n_webhooks_by_tenant(shop.tenant)
    assert (webhook.auth_type, dict(webhook.auth_config)) == ("header", {"headerName": "X-Api-Key"})
    assert webhook.auth_token.set
    assert list(webhook.static_headers) == ["X-Source"]
    policy = webhook.policy
    assert (policy.timeout_ms, policy.max_retries, policy.schedule) == (5000, 2, (5, 60, 300))
    assert (policy.rate_limit._asdict(), policy.concurrency) == ({"calls": 10, "seconds": 2}, 3)
    assert (policy.redact_paths, policy.keep_payloads) == (("$.card", "$..password"), False)
    for path in ("", "/edit", "/auth", "?tab=setup", "?tab=test", "/duplicate"):
        shown = await shop.get(f"/{webhook.id}{path}")
        assert shown.status_code == 200, path
        assert NAUGHTY not in shown.text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"workflowName": "two words"}, "workflowName"),
        ({"webhookUrl": "https://n8n.example.com/webhook-test/x"}, "webhookUrl"),
        ({"webhookUrl": "https://169.254.169.254/"}, "webhookUrl"),
        ({"webhookUrl": ""}, "webhookUrl"),
        ({"authType": "bearer"}, "authToken"),
        ({"authType": "header", "authConfig.headerName": "Host", "authToken": "abcdefgh"}, "authConfig.headerName"),
        ({"authType": "basic", "authConfig.user": "a:b", "authToken": "abcdefgh"}, "authConfig.user"),
        ({"authType": "jwt", "authConfig.claims": "{nope", "authToken": "a" * 40}, "authConfig.claims"),
        ({"header.0.name": "X-A", "header.0.value": ""}, "header.0.value"),
        ({"policy.timeoutMs": "soon"}, "policy.timeoutMs"),
        ({"policy.maxRetries": "11"}, "policy.maxRetries"),
        ({"policy.schedule": "5, never"}, "policy.schedule"),
        ({"policy.rateLimit.calls": "5"}, "policy.rateLimit.seconds"),
        ({"policy.concurrency": "0"}, "policy.concurrency"),
        ({"policy.redactPaths": "card.number"}, "policy.redactPaths"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(shop, wrong, field):
    answer = await shop.post("/new", form(description="Kept as typed", **wrong))
    assert answer.status_code in (400, 422), words(answer)
    assert at_field(answer, field), words(answer)
    assert "data-failed" in answer.text
    assert value_of(answer, "description") == "Kept as typed"
    assert await shop.names() == []


async def test_a_name_that_is_taken_is_said_at_the_name(shop):
    await shop.make("order-paid")
    answer = await shop.post("/new", form())
    assert answer.status_code == 409
    assert "order-paid" in at_field(answer, "workflowName")


async def test_what_was_typed_as_a_secret_is_never_sent_back(shop):
    token, value = planted("token"), planted("value")
    wrong = {"authType": "bearer", "authToken": token, "header.0.name": "X-A", "header.0.value": value}
    answer = await shop.post("/new", form(workflowName="two words", **wrong))
    assert token not in answer.text
    assert value not in answer.text
    assert value_of(answer, "header.0.name") == "X-A"


async def test_the_address_that_would_be_derived_is_shown_as_one_types(app, shop):
    config = {"n8n_base_url": "https://n8n.acme.example/webhook", "n8n_api_key": planted("n8n")}
    assert "no n8n integration" in words(await shop.part("/address?workflowName=OrderPaid"))
    await app.integrations.create_tenant_integration(shop.tenant, **config)
    shown = await shop.part("/address?workflowName=OrderPaid")
    assert f"https://n8n.acme.example/webhook/{shop.tenant}/order-paid" in words(shown)
    assert NAUGHTY not in (await shop.part(f"/address?webhookUrl={NAUGHTY}")).text
    made = await shop.post("/new", form(workflowName="OrderPaid", webhookUrl=""))
    signing_secret(made)
    (webhook,) = await app.webhooks.get_n8n_webhooks_by_tenant(shop.tenant)
    assert webhook.webhook_url == f"https://n8n.acme.example/webhook/{shop.tenant}/order-paid"


async def test_the_fields_of_an_auth_type_take_the_place_of_another_s(shop):
    webhook = await shop.make("one", auth_token=planted("token"))
    assert 'name="authConfig.user"' in (await shop.part("/authfields?authType=basic")).text
    assert 'name="authToken"' not in (await shop.part("/authfields?authType=none")).text
    stored = await shop.part(f"/authfields?authType=bearer&of={webhook.id}")
    assert "leave empty to keep it" in stored.text
    assert "leave empty to keep it" not in (await shop.part(f"/authfields?authType=jwt&of={webhook.id}")).text


async def test_an_edit_changes_what_was_typed_and_keeps_secrets(shop):
    webhook = await shop.make(
        "one", auth_token=planted("token"), static_headers={"X-A": planted("a"), "X-B": planted("b")}
    )
    typed = form(workflowName="two", webhookUrl=webhook.webhook_url, authType="bearer", version="1", description="New")
    done = await shop.post(f"/{webhook.id}/edit", {**typed, "remove.X-B": "on"})
    assert (done.status_code, done.headers["hx-refresh"]) == (200, "true"), words(done)
    now = await shop.find(webhook)
    assert (now.workflow_name, now.description, now.auth_type) == ("two", "New", "bearer")
    assert (now.auth_token.set, list(now.static_headers)) == (True, ["X-A"])


async def test_another_address_asks_for_the_secrets_again_at_their_fields(shop):
    webhook = await shop.make("one", auth_token=planted("token"), static_headers={"X-A": planted("a")})
    typed = form(workflowName="one", webhookUrl="https://other.example/webhook/x", authType="bearer", version="1")
    answer = await shop.post(f"/{webhook.id}/edit", typed)
    assert answer.status_code == 422
    again = "Enter it again: a stored secret is never sent anywhere new unseen."
    assert at_field(answer, "authToken") == at_field(answer, "staticHeaders.X-A") == again
    assert value_of(answer, "webhookUrl") == "https://other.example/webhook/x"
    given = {**typed, "authToken": planted("token"), "staticHeaders.X-A": planted("a")}
    assert (await shop.post(f"/{webhook.id}/edit", given)).status_code == 200
    assert (await shop.find(webhook)).webhook_url == "https://other.example/webhook/x"


async def test_a_change_of_another_admin_is_not_overwritten_unseen(app, shop):
    webhook = await shop.make("one")
    await app.webhooks.update_n8n_webhook(shop.tenant, webhook.id, {"description": "Theirs"})
    typed = form(workflowName="one", webhookUrl=webhook.webhook_url, version="1", description="Mine")
    answer = await shop.post(f"/{webhook.id}/edit", typed)
    assert answer.status_code == 412
    assert "was changed by" in words(answer)
    assert "Description Theirs Mine" in words(answer)
    assert value_of(answer, "description") == "Mine"
    assert (await shop.find(webhook)).description == "Theirs"
    assert 'name="version" value="2"' in answer.text
    await shop.post(f"/{webhook.id}/edit", {**typed, "version": "2"})
    assert (await shop.find(webhook)).description == "Mine"


async def test_a_copy_has_all_but_the_secrets(shop):
    webhook = await shop.make(
        "one", auth_token=planted("token"), policy={"timeoutMs": 700}, static_headers={"X-A": planted("a")}
    )
    shown = await shop.part(f"/{webhook.id}/duplicate")
    assert (value_of(shown, "workflowName"), value_of(shown, "policy.timeoutMs")) == ("one-copy", "700")
    assert value_of(shown, "header.0.name") == "X-A"
    assert "is stored" not in shown.text
    assert f'hx-post="{shop.root}/new"' in shown.text


async def test_an_auth_secret_is_changed_alone(shop):
    webhook = await shop.make("one", auth_token=planted("old"), description="Stays")
    empty = await shop.post(
        f"/{webhook.id}/auth", {"authType": "header", "authConfig.headerName": "X-K", "version": "1"}
    )
    assert at_field(empty, "authToken")
    typed = {"authType": "header", "authConfig.headerName": "X-K", "authToken": planted("new"), "version": "1"}
    assert (await shop.post(f"/{webhook.id}/auth", typed)).status_code == 200
    now = await shop.find(webhook)
    assert (now.auth_type, now.description) == ("header", "Stays")


async def test_a_rotation_shows_the_new_secret_this_once(shop):
    webhook = await shop.make("one")
    wrong = await shop.post(f"/{webhook.id}/rotate", {"overlapHours": "200"})
    assert at_field(wrong, "overlapHours")
    assert value_of(wrong, "overlapHours") == "200"
    rotated = await shop.post(f"/{webhook.id}/rotate", {"overlapHours": "1.5"})
    secret = signing_secret(rotated)
    assert "two signatures" in words(rotated)
    assert secret not in (await shop.get(f"/{webhook.id}?tab=setup")).text
    assert (await shop.find(webhook)).previous_signing_until is not None


async def test_a_webhook_is_deleted_once_its_name_is_typed(shop):
    webhook = await shop.make("one")
    assert "Type one to confirm" in words(await shop.part(f"/{webhook.id}/delete"))
    wrong = await shop.post(f"/{webhook.id}/delete", {"confirm": "another"})
    assert "Nothing was deleted" in words(wrong)
    assert await shop.names() == ["one"]
    done = await shop.post(f"/{webhook.id}/delete", {"confirm": "one"})
    assert done.headers["hx-redirect"] == f"/tenants/{shop.tenant}/integrations"
    assert await shop.names() == []


async def test_a_test_shows_the_whole_exchange(shop):
    async with N8n() as n8n:
        webhook = await shop.make("one", webhook_url=n8n.url("/webhook/ok"), auth_token=planted("token"))
        checked = await shop.post(f"/{webhook.id}/test", {"payload": '{"a": "<b>"}', "do": "check"})
        assert "Nothing was sent" in words(checked)
        assert "webhook-signature" in checked.text
        assert n8n.seen == []
        sent = await shop.post(f"/{webhook.id}/test", {"payload": '{"a": "<b>"}', "do": "send", "in_page": "on"})
        assert json.loads(n8n.last.body) == {"a": "<b>"}
        said = words(sent)
        assert "Success 200" in said
        assert "Workflow was started" in said
        assert "<b>" not in sent.text
        assert "authorization Bearer ***" in said
        broken = await shop.make("two", webhook_url=n8n.url("/webhook/error"))
        assert "Failed 500" in words(await shop.post(f"/{broken.id}/test", {"payload": "1", "do": "send"}))


async def test_a_payload_that_is_no_json_is_said_at_its_field(shop):
    webhook = await shop.make("one")
    answer = await shop.post(f"/{webhook.id}/test", {"payload": '{"a": nope}', "do": "send"})
    assert answer.status_code == 422
    assert "line 1, column 7" in re.search(r'id="h-payload">.*?<span>(.*?)</span>', answer.text, re.DOTALL).group(1)
    assert "nope" in answer.text
    deep = await shop.post(f"/{webhook.id}/test", {"payload": "[" * 200 + "]" * 200, "do": "check"})
    assert deep.status_code in (413, 422)


async def test_the_page_tells_of_calls_and_what_waits(app, shop):
    async with N8n() as n8n:
        webhook = await shop.make("one", webhook_url=n8n.url("/webhook/ok"))
        await app.webhooks.call_webhook(shop.tenant, "one", {"a": 1}, triggered_by=NAUGHTY)
    await app.webhooks.update_n8n_webhook(shop.tenant, webhook.id, {"is_active": False})
    delivery = await app.webhooks.enqueue(shop.tenant, "one", {"a": 1})
    page = await shop.get(f"/{webhook.id}?range=7d")
    assert f'hx-get="{shop.root}/{webhook.id}/counted?range=7d"' in page.text
    counted, recent = await shop.part(f"/{webhook.id}/counted?range=7d"), await shop.part(f"/{webhook.id}/recent")
    assert "Calls 1" in words(counted)
    assert "Calls by status code last 7 days 2xx 1 100%" in words(counted)
    assert NAUGHTY not in recent.text
    assert 'hx-get="/calls/' in recent.text
    assert str(delivery)[-12:] in recent.text
    assert "Held" in words(recent)
    assert "Disabled" in words(await shop.part(f"/{webhook.id}/health"))


async def test_the_code_names_no_key(shop):
    webhook = await shop.make("one")
    said = words(await shop.get(f"/{webhook.id}?tab=setup"))
    assert f"/api/tenants/{shop.tenant}/webhooks/one/call" in said
    assert f"/api/tenants/{shop.tenant}/webhooks/one/deliveries" in said
    assert "Bearer $HOOKVAULT_KEY" in said
