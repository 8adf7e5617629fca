"""What no form of ours submits: garbage is refused or passed over, and never a fault; a viewer is not even shown a form."""

import json

import pytest

from entrance import browser
from seen import SCRIPTED, words


@pytest.fixture
async def webhook(app, tenant):
    return await app.webhooks.create_n8n_webhook(
        tenant.id, "orders", webhook_url="https://n8n.example.com/webhook/orders"
    )


@pytest.mark.parametrize(
    "field",
    [
        {"authType": "jwt", "authConfig.claims": "[" * 100_000},
        {"policy.timeoutMs": "nan"},
        {"policy.timeoutMs": "1e400"},
        {"policy.concurrency": "9" * 5000},
    ],
)
async def test_a_webhook_of_garbage_is_refused_at_its_field(owner_page, tenant, field):
    path = f"/tenants/{tenant.id}/webhooks/new"
    typed = {"workflowName": "w", "webhookUrl": "https://n8n.example.com/webhook/w", "description": "\x00"} | field
    answer = await owner_page.post(path, data=typed, headers=SCRIPTED)
    assert answer.status_code == 422, answer.text
    assert 'value="w"' in answer.text


@pytest.mark.parametrize("hours", ["9" * 400, "-1", "nan", "1e400", "x"])
async def test_no_overlap_is_too_long_to_be_refused(owner_page, webhook, hours):
    path = f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}/rotate"
    answer = await owner_page.post(path, data={"overlapHours": hours}, headers=SCRIPTED)
    assert answer.status_code == 422
    assert "whsec_" not in answer.text


@pytest.mark.parametrize("payload", ["NaN", "[1e999]", "[" * 50_000, "{", ""])
async def test_a_payload_that_is_no_json_is_said_to_be_none(owner_page, webhook, payload):
    path = f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}/test"
    answer = await owner_page.post(path, data={"payload": payload, "do": "check"}, headers=SCRIPTED)
    assert answer.status_code == 422
    assert "is not JSON" in words(answer)


async def test_a_long_payload_of_other_letters_is_as_long_as_it_is(owner_page, webhook):
    path = f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}/test"
    payload = json.dumps("ж" * 300_000, ensure_ascii=False)  # 600 kB as UTF-8; escaped it would be too long
    answer = await owner_page.post(path, data={"payload": payload, "do": "check"}, headers=SCRIPTED)
    assert answer.status_code == 200


async def test_a_file_with_half_a_character_is_looked_at(owner_page, tenant):
    text = '[{"workflowName": "\\ud800", "description": "\\ud800"}]'
    answer = await owner_page.post(f"/tenants/{tenant.id}/webhooks/exchange", data={"text": text}, headers=SCRIPTED)
    assert answer.status_code < 500


async def test_an_address_that_is_none_is_passed_over(owner_page, webhook):
    root = f"/tenants/{webhook.tenant_id}/webhooks"
    table = await owner_page.get(root, headers=SCRIPTED | {"hx-current-url": "http://["})
    assert table.status_code == 200
    changed = await owner_page.post(f"{root}/{webhook.id}/switch", data={}, headers={"referer": "http://["})
    assert changed.status_code < 500


async def test_who_must_choose_a_password_is_told_so_in_the_dialog_too(app, site):
    made = await app.admins.create_admin("must-change@example.com")
    async with browser(app, asgi=site) as opened:
        typed = {"email": made.user.email, "password": made.password.open()}
        answer = await opened.post("/login", data=typed, headers=SCRIPTED)
        assert "Choose a password first" in words(answer)
        assert "signed-in" not in answer.headers.get("hx-trigger", "")


@pytest.mark.parametrize(
    "path",
    [
        *("/new-tenant", "/tenants/{t}/delete", "/tenants/{t}/shred", "/tenants/{t}/suspend", "/tenants/{t}/rekey"),
        *("/tenants/{t}/integrations/n8n/edit", "/tenants/{t}/integrations/sms/remove", "/tenants/{t}/webhooks/new"),
        *("/tenants/{t}/integrations/sms/rotation/stage", "/api-keys/new", "/users/invite"),
    ],
)
async def test_a_viewer_is_shown_no_form(visitor, tenant, path):
    viewer = await visitor("viewer")
    answer = await viewer.get(path.format(t=tenant.id), headers=SCRIPTED)
    assert answer.status_code == 403, answer.text
    assert "<form" not in answer.text


async def test_only_an_owner_revokes_a_platform_key(app, visitor):
    key = (await app.api_keys.create_api_key("the backend")).key
    admin, owner = await visitor("admin"), await visitor("owner")
    path = f"/api-keys/{key.id}/revoke"
    refused = await admin.post(path, data={"confirm": "the backend"}, headers=SCRIPTED)
    assert refused.status_code == 403
    assert (await app.api_keys.get_api_key(key.id)).revoked_at is None
    done = await owner.post(path, data={"confirm": "the backend"}, headers=SCRIPTED)
    assert done.status_code == 200
    assert (await app.api_keys.get_api_key(key.id)).revoked_at is not None


async def test_asking_for_the_head_of_the_live_tail_takes_no_place(app, owner_page):
    before = app.tail.readers
    answer = await owner_page.head("/calls/live")
    assert answer.status_code == 200
    assert app.tail.readers == before
