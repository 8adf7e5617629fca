"""The page of the audit log."""

import re
import secrets
from datetime import UTC, timedelta

import pytest

from hookvault.admin.happening import Change, changes_of, facts_of, title
from hookvault.audit.model import Actor
from hookvault.clock import now
from hookvault.ids import new_id
from seen import SCRIPTED, words


@pytest.fixture
async def eventful(app, tenant):
    """A tenant whose webhook was made and changed."""
    webhook = await app.webhooks.create_n8n_webhook(
        tenant.id, "orders", webhook_url="https://n8n.example.com/webhook/orders", auth_token="first-secret-token-1234"
    )
    changes = {"description": "<script>x</script>", "auth_token": "second-secret-token-5678"}
    await app.webhooks.update_n8n_webhook(tenant.id, webhook.id, changes)
    return tenant, webhook


async def test_a_change_is_told_with_names_and_no_secret(owner_page, eventful):
    tenant, webhook = eventful
    answer = await owner_page.get("/audit", params={"tenantId": tenant.id})
    said = words(answer)
    assert "a program in the same process Webhook updated orders" in said
    assert "authToken secret changed ••••1234 → ••••5678" in said
    assert "description nothing <script>x</script>" in said or "description <script>x</script>" in said
    assert "<script>x" not in answer.text
    assert "secret-token" not in answer.text
    assert f'href="/tenants/{tenant.id}/webhooks/{webhook.id}"' in answer.text


async def test_filters_stand_in_the_url_and_narrow_the_list(owner_page, app, eventful):
    tenant, _ = eventful
    await app.tenants.update_tenant(tenant.id, {"name": "New"}, actor=Actor("user", str(owner_page.who.id)))

    async def titles(**query):
        answer = await owner_page.get("/audit", params={"tenantId": tenant.id, **query})
        assert answer.status_code == 200
        return re.findall(r"<strong>([^<]+)</strong>", answer.text)

    assert await titles() == ["Tenant updated", "Webhook updated", "Webhook created", "Tenant created"]
    assert await titles(action="webhook.updated", actor="", outcome="") == ["Webhook updated"]
    assert await titles(actor=str(owner_page.who.id)) == ["Tenant updated"]
    assert await titles(outcome="denied") == []
    today = now().astimezone(UTC).date()
    assert len(await titles(**{"from": today.isoformat(), "to": today.isoformat()})) == 4
    assert await titles(to=(today - timedelta(days=1)).isoformat()) == []
    assert await titles(**{"from": (today + timedelta(days=1)).isoformat()}) == []
    page = await owner_page.get("/audit", params={"action": "webhook.updated", "actor": str(owner_page.who.id)})
    assert 'value="webhook.updated" selected' in page.text
    assert f'value="{owner_page.who.id}" selected' in page.text


async def test_a_day_is_the_reader_s(owner_page, app, eventful):
    """At any moment somewhere in the world it is another day."""
    tenant, _ = eventful
    far = "Pacific/Kiritimati" if now().hour >= 10 else "Pacific/Pago_Pago"
    day = now().date().isoformat()
    found = []
    for zone in ("UTC", far):
        owner_page.cookies.set("tz", zone)
        answer = await owner_page.get("/audit", params={"tenantId": tenant.id, "from": day, "to": day})
        found.append("<strong>Webhook updated</strong>" in answer.text)
    owner_page.cookies.delete("tz")
    assert found == [True, False]


@pytest.mark.parametrize(
    "query",
    [
        {"action": "odd"},
        {"outcome": "odd"},
        {"tenantId": "no id!"},
        {"from": "yesterday"},
        {"from": "9999-12-31", "to": "0001-01-01"},
    ],
)
async def test_what_can_t_be_asked_is_said_above_the_filters(owner_page, query):
    answer = await owner_page.get("/audit", params=query)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    name, value = next(iter(query.items()))
    assert name == "outcome" or f'value="{value}"' in answer.text


async def test_an_event_has_a_link_of_its_own(owner_page, app, eventful):
    tenant, _ = eventful
    [event] = (await app.audit.list_events(tenant.id, limit=1)).items
    page = await owner_page.get("/audit", params={"tenantId": tenant.id})
    assert f'href="/audit?event={event.id}#e-{event.id}"' in page.text
    alone = await owner_page.get("/audit", params={"event": str(event.id)})
    ids = re.findall(r'<li id="e-([\w-]+)">\s*<details class="event"( open)?>', alone.text)
    assert (str(event.id), " open") in ids
    assert all((opened == " open") == (found == str(event.id)) for found, opened in ids)
    assert (await owner_page.get("/audit", params={"event": "x"})).status_code == 404


async def test_further_rows_come_by_the_filters_that_were_set(owner_page, app, tenant):
    for number in range(52):
        await app.tenants.update_tenant(tenant.id, {"name": f"N{number}"})
    query = {"tenantId": tenant.id, "action": "tenant.updated"}
    first = await owner_page.get("/audit", params=query)
    more = re.search(r'hx-get="(/audit\?[^"]*cursor=[^"]*)"', first.text)[1].replace("&amp;", "&")
    rest = await owner_page.get(more, headers=SCRIPTED)
    assert "<html" not in rest.text
    assert rest.text.count("<details") == 2
    assert "Show more" not in rest.text


async def test_reading_leaves_its_event_and_a_viewer_reads_too(visitor, app, tenant):
    page = await visitor("viewer")
    for _ in range(2):  # what others noted in the last minute: of more than a hundred kinds, the further ones are one
        await app.audit.tally.save(all_of_it=True)
    assert (await page.get("/audit", params={"tenantId": tenant.id})).status_code == 200
    await app.audit.tally.save(all_of_it=True)
    said = words(await page.get("/audit", params={"action": "audit.listed", "actor": str(page.who.id)}))
    assert f"{page.who.email} Audit log read" in said


@pytest.fixture
async def crowd(app):
    """More admins than a list has room for, all older than whoever comes next."""
    names = [f"crowd-{number}-{secrets.token_hex(4)}@example.com" for number in range(201)]
    ids = [new_id() for _ in names]
    async with app.database.system() as tx:
        await tx.execute(
            """INSERT INTO platform_users (id, email, password_hash, created_at, updated_at)
            SELECT id, name, name, $3, $3 FROM unnest($1::uuid[], $2::text[]) AS new (id, name)""",
            ids,
            names,
            now(),
        )
    yield
    async with app.database.system() as tx:
        await tx.execute("DELETE FROM platform_users WHERE id = ANY($1::uuid[])", ids)


async def test_whoever_did_something_is_named_however_many_admins_there_are(crowd, visitor, app, tenant):
    page = await visitor("owner")
    await app.tenants.update_tenant(tenant.id, {"name": "Renamed"}, actor=Actor("user", str(page.who.id)))
    said = await page.get("/audit", params={"tenantId": tenant.id, "actor": str(page.who.id)})
    assert f"{page.who.email} Tenant updated" in words(said)
    assert f'<option value="{page.who.id}" selected>{page.who.email}</option>' in said.text


async def test_a_deleted_tenant_s_events_stay_readable(owner_page, app, eventful):
    tenant, _ = eventful
    await app.tenants.delete_tenant(tenant.id)
    answer = await owner_page.get("/audit", params={"tenantId": tenant.id})
    assert "<strong>Tenant deleted</strong>" in answer.text


def test_events_in_words():
    assert title("api_key.created") == "API key created"
    assert title("webhook.signing_secret_rotated") == "Webhook signing secret rotated"
    detail = {
        "changed": ["a"],
        "count": 3,
        "none": None,
        "changes": [
            {"field": "a", "before": None, "after": "••••3f9c"},
            {"field": "b", "before": "set", "after": None},
            {"field": "c", "before": "••••3f9c", "after": "set"},
            {"field": "d", "before": 1, "after": False},
            "odd",
        ],
    }
    assert changes_of(detail) == [
        Change("a", "secret set", None, "••••3f9c"),
        Change("b", "secret removed", "set", None),
        Change("c", "secret changed", "••••3f9c", "set"),
        Change("d", "", 1, False),
    ]
    assert facts_of(detail) == [("count", 3)]
    assert changes_of({"changes": "odd"}) == []
