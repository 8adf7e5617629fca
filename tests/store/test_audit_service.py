"""The audit log: each command leaves its event in its own transaction, a refused one leaves none."""

from uuid import uuid4

import asyncpg
import pytest

from canary import planted
from hookvault.audit import store
from hookvault.audit.model import Actor
from hookvault.errors import HookvaultError, InvalidError, NotFoundError
from hookvault.paging import encode_cursor

URL = "https://n8n.example.com/webhook/order"
ACTOR = Actor("api_key", "key-7", ip="192.0.2.7", request_id="req-7")


@pytest.fixture
async def stage(app, tenant):
    """A tenant that has one of everything."""
    await app.integrations.create_tenant_integration(
        tenant.id, n8n_base_url="https://n.example.com", n8n_api_key=planted("k")
    )
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)
    key = (await app.api_keys.create_api_key("shop", tenant_id=tenant.id)).key
    return {"t": tenant.id, "webhook": webhook.id, "key": key.id}


async def events(owner, tenant_id):
    return await owner("SELECT * FROM audit_events WHERE tenant_id = $1 ORDER BY id", tenant_id)


WHATSAPP = {"phoneNumberId": "106540352242922", "businessAccountId": "102290129340398", "accessToken": planted("token")}
COMMANDS = {
    "tenant.updated": lambda app, s: app.tenants.update_tenant(s["t"], {"name": "New"}, actor=ACTOR),
    "tenant.deleted": lambda app, s: app.tenants.delete_tenant(s["t"], actor=ACTOR),
    "integration.created": lambda app, s: app.integrations.configure(
        s["t"], "whatsapp", WHATSAPP, create=True, actor=ACTOR
    ),
    "integration.updated": lambda app, s: app.integrations.configure(
        s["t"], "n8n", {"enabled": False}, create=False, actor=ACTOR
    ),
    "integration.updated ": lambda app, s: app.integrations.update_tenant_integration(
        s["t"], n8n_api_key=planted("new"), actor=ACTOR
    ),
    "integration.deleted": lambda app, s: app.integrations.remove(s["t"], "n8n", actor=ACTOR),
    "integration.deleted ": lambda app, s: app.integrations.delete_tenant_integration(s["t"], actor=ACTOR),
    "webhook.created": lambda app, s: app.webhooks.create_n8n_webhook(s["t"], "other", webhook_url=URL, actor=ACTOR),
    "webhook.updated": lambda app, s: app.webhooks.update_n8n_webhook(
        s["t"], s["webhook"], {"auth_token": planted("bearer")}, actor=ACTOR
    ),
    "webhook.signing_secret_rotated": lambda app, s: app.webhooks.rotate_signing_secret(
        s["t"], s["webhook"], actor=ACTOR
    ),
    "webhook.deleted": lambda app, s: app.webhooks.delete_n8n_webhook(s["t"], s["webhook"], actor=ACTOR),
    "api_key.created": lambda app, s: app.api_keys.create_api_key("k", tenant_id=s["t"], actor=ACTOR),
    "api_key.revoked": lambda app, s: app.api_keys.revoke_api_key(s["key"], actor=ACTOR),
}


@pytest.mark.parametrize("action", COMMANDS)
async def test_a_command_leaves_exactly_one_event(app, owner, stage, action):
    before = await events(owner, stage["t"])
    await COMMANDS[action](app, stage)
    (event,) = (await events(owner, stage["t"]))[len(before) :]
    assert (event["action"], event["outcome"]) == (action.strip(), "success")
    assert (event["actor_type"], event["actor_id"], event["ip"], event["request_id"]) == (
        "api_key",
        "key-7",
        "192.0.2.7",
        "req-7",
    )
    assert event["target_type"] == action.partition(".")[0]
    assert "kAnArIe" not in str(dict(event))


@pytest.mark.parametrize("action", ["tenant.deleted", "integration.deleted", "webhook.deleted", "api_key.revoked"])
async def test_a_deletion_repeated_leaves_no_second_event(app, owner, stage, action):
    await COMMANDS[action](app, stage)
    before = await events(owner, stage["t"])
    await COMMANDS[action](app, stage)
    assert await events(owner, stage["t"]) == before


REFUSED = {
    "an unknown field": lambda app, s: app.tenants.update_tenant(s["t"], {"color": "red"}),
    "a stale tenant": lambda app, s: app.tenants.update_tenant(s["t"], {"name": "x"}, if_version=9),
    "a taken slug": lambda app, s: app.tenants.create_tenant("x", tenant_id=s["t"]),
    "an integration twice": lambda app, s: app.integrations.configure(
        s["t"], "n8n", {"baseUrl": "https://x.example"}, create=True
    ),
    "one that is not there": lambda app, s: app.integrations.configure(s["t"], "sms", {}, create=False),
    "half a configuration": lambda app, s: app.integrations.configure(s["t"], "whatsapp", {"appId": "1"}, create=True),
    "one good and one bad": lambda app, s: app.integrations.update_tenant_integration(
        s["t"], whatsapp_config=WHATSAPP, sms_config={"provider": "pigeon"}
    ),
    "a stale integration": lambda app, s: app.integrations.configure(s["t"], "n8n", {}, create=False, if_version=9),
    "a mask": lambda app, s: app.integrations.configure(s["t"], "n8n", {"apiKey": "***"}, create=False),
    "a workflow twice": lambda app, s: app.webhooks.create_n8n_webhook(s["t"], "order", webhook_url=URL),
    "a bad address": lambda app, s: app.webhooks.update_n8n_webhook(s["t"], s["webhook"], {"webhook_url": "ftp://x"}),
    "a stale webhook": lambda app, s: app.webhooks.update_n8n_webhook(s["t"], s["webhook"], {}, if_version=9),
    "another webhook": lambda app, s: app.webhooks.rotate_signing_secret(s["t"], uuid4()),
    "wrong scopes": lambda app, s: app.api_keys.create_api_key("k", tenant_id=s["t"], scopes=["platform"]),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_refused_change_leaves_no_event_and_no_change(app, owner, stage, why):
    tables = ("audit_events", "tenant_integrations", "n8n_webhooks", "api_keys", "data_keys")
    before = [await owner(f"SELECT * FROM {table} WHERE tenant_id = $1", stage["t"]) for table in tables]
    with pytest.raises(HookvaultError):
        await REFUSED[why](app, stage)
    assert [await owner(f"SELECT * FROM {table} WHERE tenant_id = $1", stage["t"]) for table in tables] == before


async def test_where_the_event_cannot_be_written_nothing_is_changed(app, owner, stage, monkeypatch):
    """One transaction: a change without its event can't be."""
    monkeypatch.setattr(store, "_INSERT", store._INSERT.replace("audit_events", "no_such_table"))
    tables = (
        "tenants WHERE id",
        "tenant_integrations WHERE tenant_id",
        "n8n_webhooks WHERE tenant_id",
        "api_keys WHERE tenant_id",
    )
    before = [await owner(f"SELECT * FROM {table} = $1", stage["t"]) for table in tables]
    for command in COMMANDS.values():
        with pytest.raises(asyncpg.UndefinedTableError):
            await command(app, stage)
    assert [await owner(f"SELECT * FROM {table} = $1", stage["t"]) for table in tables] == before


async def test_the_platform_s_own_events_belong_to_no_tenant(app, owner):
    made = await app.api_keys.create_api_key("platform key", actor=ACTOR)
    email = f"{made.key.id}@example.com"
    admin = await app.admins.create_admin(email, actor=ACTOR)
    await app.admins.reset_password(email, actor=ACTOR)
    await app.api_keys.revoke_api_key(made.key.id, actor=ACTOR)
    rows = await owner(
        "SELECT action, tenant_id FROM audit_events WHERE target_id = ANY ($1) ORDER BY id",
        [str(made.key.id), str(admin.user.id)],
    )
    assert [row["action"] for row in rows] == [
        "api_key.created",
        "admin.created",
        "admin.password_reset",
        "api_key.revoked",
    ]
    assert {row["tenant_id"] for row in rows} == {""}


async def test_events_are_listed_newest_first_page_by_page(app, owner, tenant):
    for n in range(7):
        await app.tenants.update_tenant(tenant.id, {"name": f"N{n}"})
    ids = [row["id"] for row in await events(owner, tenant.id)][::-1]
    for limit in (1, 3, 8, 50):
        found, cursor = [], None
        while True:
            page = await app.audit.list_events(tenant.id, limit=limit, cursor=cursor)
            found += [event.id for event in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == ids
    assert page.items[0].detail == {"changed": ["name"]}


async def test_a_tenant_that_never_was_has_no_log(app):
    with pytest.raises(NotFoundError) as caught:
        await app.audit.list_events("never-was")
    assert caught.value.code == "tenant_not_found"


async def test_a_foreign_cursor_is_refused(app, tenant):
    for cursor in ("x", encode_cursor("calls", "2026-01-01T00:00:00.000Z", str(uuid4()))):
        with pytest.raises(InvalidError) as caught:
            await app.audit.list_events(tenant.id, cursor=cursor)
        assert caught.value.code == "invalid_cursor"
