"""The overview: each thing that needs attention is one line that leads to its place; quiet where there is none."""

import re
import secrets
from datetime import timedelta
from html import unescape
from random import Random

import pytest

from counts import call_at
from entrance import browser, make_quick, person
from hookvault.admin.board import attention
from hookvault.admin.pages.overview import PARTS
from hookvault.admin.site import create_site
from hookvault.admission import store as admission
from hookvault.clock import now
from hookvault.custody import store as custody
from hookvault.custody.model import Fault
from hookvault.integrations.model import KINDS
from hookvault.settings import Settings
from hookvault.webhooks.record import write_calls
from hookvault.wiring import build
from seen import SCRIPTED, words

SCRIPT = "<script>alert(1)</script>"
N8N = {"baseUrl": "https://n8n.example.com", "apiKey": "n8n-key-0123456789"}


@pytest.fixture(scope="module")
async def database_url(make_migrated):
    """A database of these tests' own: what needs attention is asked of the whole platform."""
    return await make_migrated()


@pytest.fixture(scope="module")
async def app(database_url, tmp_path_factory):
    key = "5c0e" * 15 + "77ab"
    folder = tmp_path_factory.mktemp("overview")
    built = await build(Settings(database_url=database_url, encryption_key=key, hookvault_data_dir=folder))
    built.settings = built.settings.model_copy(update={"smtp_host": "127.0.0.1"})
    yield built
    await built.close()


@pytest.fixture(scope="module")
def site(app):
    make_quick(app)
    return create_site(app)


@pytest.fixture
async def webhook(app, owner):
    """A webhook of a tenant of a month's age; both are gone afterwards."""
    tenant = await app.tenants.create_tenant(f"Clinic {SCRIPT}", tenant_id=f"t-{secrets.token_hex(6)}")
    await owner("UPDATE tenants SET created_at = now() - interval '30 days' WHERE id = $1", tenant.id)
    yield await app.webhooks.create_n8n_webhook(tenant.id, "orders", webhook_url="https://n8n.example.com/webhook/w")
    await app.tenants.delete_tenant(tenant.id)
    app.deliveries._failed.until = app.deliveries._held.until = app.upkeep._stale_at = 0.0


async def lines(client):
    """The lines: (how bad, what is said, where it leads)."""
    answer = await client.get("/overview/attention", headers=SCRIPTED)
    assert answer.status_code == 200
    assert SCRIPT not in answer.text
    items = re.findall(r'<li class="(\w+)">(.*?)</li>', answer.text, re.DOTALL)
    return [
        (
            kind,
            " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split()),
            unescape(re.search(r'<a [^>]*href="([^"]+)"', text)[1]),
        )
        for kind, text in items
    ]


async def test_a_new_installation_is_led_to_the_guide(owner_page, visitor):
    page = await owner_page.get("/")
    assert page.status_code == 200
    assert 'href="/guide"' in page.text
    assert 'action="/guide/demo"' in page.text
    viewer = await visitor("viewer")
    assert "/guide/demo" not in (await viewer.get("/")).text
    assert "Everything is quiet" in words(await owner_page.get("/overview/attention", headers=SCRIPTED))


async def test_every_part_is_there_and_without_scripts_one_page_has_all(owner_page, webhook):
    page = await owner_page.get("/")
    assert "first-run" not in page.text
    places = re.findall(r'hx-get="(/overview/\w+)" hx-trigger="load"', page.text)
    assert places == [f"/overview/{name}" for name in PARTS]
    for place in places:
        answer = await owner_page.get(place, headers=SCRIPTED)
        assert answer.status_code == 200
        assert f'hx-get="{place}" hx-trigger="pulse from:body" hx-swap="outerMorph"' in answer.text
        assert (await owner_page.get(place)).headers["location"] == "/?all=1"
    whole = await owner_page.get("/?all=1")
    assert whole.status_code == 200
    for said in ("Needs attention", "Deliveries held", "Busiest tenants", "Recent events", "Webhook created"):
        assert said in words(whole)
    assert SCRIPT not in whole.text


async def test_a_failing_webhook(app, owner_page, webhook):
    calls = [call_at(webhook.tenant_id, webhook.id, now() - timedelta(minutes=n), Random(3)) for n in range(30)]
    calls = [call._replace(success=False, status_code=500, error_code="http_500") for call in calls]
    await write_calls(app.database, calls)
    place = f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}"
    (line,) = await lines(owner_page)
    assert (line[0], line[2]) == ("bad", place)
    assert f"orders is failing Clinic {SCRIPT} · 100% of its calls failed." in line[1]
    busy = await owner_page.get("/overview/busy", headers=SCRIPTED)
    assert SCRIPT not in busy.text
    assert busy.text.count(f'href="/tenants/{webhook.tenant_id}"') == 2
    now_ = words(await owner_page.get("/overview/now", headers=SCRIPTED))
    assert "Success rate 0.0%" in now_
    # Its circuit opens too: that is the same trouble, and one line.
    async with app.database.tenant(webhook.tenant_id) as tx:
        await admission.hold(tx, webhook.tenant_id, webhook.id, "circuit_open", probe_s=30.0)
    assert [line[2] for line in await lines(owner_page)] == [place]
    assert "circuit is open" in (await lines(owner_page))[0][1]


@pytest.fixture
async def many(app, owner):
    """Nine tenants of a month's age with three webhooks each, all called: the first of the last tenant fails most rarely."""
    made = []
    for number in range(9):
        tenant = await app.tenants.create_tenant(f"Shop {number}", tenant_id=f"m{number}-{secrets.token_hex(4)}")
        await owner("UPDATE tenants SET created_at = now() - interval '30 days' WHERE id = $1", tenant.id)
        for name in "abc":
            url = "https://n8n.example.com/webhook/w"
            webhook = await app.webhooks.create_n8n_webhook(tenant.id, name, webhook_url=url)
            calls = [
                call_at(tenant.id, webhook.id, now() - timedelta(minutes=n), Random(3)) for n in range(30 - number)
            ]
            bad = {"success": False, "status_code": 500, "error_code": "http_500"}
            await write_calls(app.database, [call._replace(**bad) for call in calls])
        made.append(tenant)
    yield made
    for tenant in made:
        await app.tenants.delete_tenant(tenant.id)


async def test_a_few_of_many_failing_webhooks_are_named_and_the_others_counted(app, owner_page, many):
    shown = await lines(owner_page)
    assert [line[0] for line in shown] == ["bad"] * 5
    tenants = [line[2].split("/")[2] for line in shown[:4]]
    assert tenants == [many[0].id] * 2 + [many[1].id] * 2
    assert shown[4][1].startswith(
        "23 further webhooks are failing or degraded Of Shop 0, Shop 1, Shop 2 and 6 further tenants."
    )
    assert shown[4][2] == "/analytics"
    unwell = await app.census.list_unwell()
    assert {each.tenant_id for each in unwell} == {tenant.id for tenant in many}
    await app.tenants.update_tenant(many[0].id, {"status": "suspended"})
    for tenant in many[1:-1]:
        await app.tenants.delete_tenant(tenant.id)
    shown = await lines(owner_page)
    assert [line[2].split("/")[2] for line in shown[:2]] == [many[-1].id] * 2
    assert shown[2][1].startswith("1 further webhook is failing or degraded Of Shop 8.")
    assert shown[2][2] == f"/tenants/{many[-1].id}/integrations"


async def test_an_open_circuit(app, owner_page, webhook):
    async with app.database.tenant(webhook.tenant_id) as tx:
        await admission.hold(tx, webhook.tenant_id, webhook.id, "circuit_open", probe_s=30.0)
    (line,) = await lines(owner_page)
    assert (line[0], line[2]) == ("bad", f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}")
    assert line[1].startswith("Deliveries to orders are held")


async def test_held_and_failed_deliveries(app, owner, owner_page, webhook):
    for _ in range(2):
        await app.webhooks.enqueue(webhook.tenant_id, "orders", {"n": 1})
    await app.webhooks.update_n8n_webhook(webhook.tenant_id, webhook.id, {"is_active": False})
    app.deliveries._failed.until = app.deliveries._held.until = app.upkeep._stale_at = 0.0
    (held,) = await lines(owner_page)
    assert held[0] == "warn"
    assert held[1].startswith(f"2 deliveries of Clinic {SCRIPT} are held")
    assert held[2] == f"/deliveries?tenantId={webhook.tenant_id}&status=held"
    tiles = words(await owner_page.get("/overview/now", headers=SCRIPTED))
    assert "Deliveries pending 0 on their way Deliveries held 2" in tiles
    await owner(
        "UPDATE webhook_deliveries SET status = 'failed', finished_at = now() WHERE tenant_id = $1", webhook.tenant_id
    )
    assert len(await lines(owner_page)) == 1  # as of some seconds ago
    app.deliveries._failed.until = 0.0
    failed, _ = await lines(owner_page)
    assert failed[0] == "bad"
    assert failed[1].startswith(f"2 deliveries failed in 24 h 2 of Clinic {SCRIPT}.")
    assert failed[2] == f"/deliveries?status=failed&tenantId={webhook.tenant_id}"


async def test_secrets_that_do_not_open(app, owner, owner_page, webhook):
    tenant = webhook.tenant_id
    faults = [
        Fault(tenant, "tenant_integrations", tenant, "n8n.apiKey", "does_not_open", None),
        Fault(tenant, "tenant_integrations", tenant, "sms.authToken", "key_missing", "mk_0123456789abcdef"),
    ]
    async with app.database.system() as tx:
        await custody.note_faults(tx, faults, now())
    found = {line[2]: line for line in await lines(owner_page)}
    assert found["/keys"][1].startswith("The master key mk_0123456789abcdef is missing")
    assert found[f"/tenants/{tenant}/integrations"][1].startswith(f"1 secret of Clinic {SCRIPT} must be entered again")
    await owner("DELETE FROM secret_faults")


async def test_staged_credentials(app, owner_page, webhook):
    await app.integrations.configure(webhook.tenant_id, "n8n", N8N, create=True)
    await app.rotations.stage(webhook.tenant_id, "n8n", {"apiKey": "n8n-key-another-one"})
    (line,) = await lines(owner_page)
    assert (line[0], line[2]) == ("info", f"/tenants/{webhook.tenant_id}/integrations")
    assert line[1].startswith(f"New n8n credentials of Clinic {SCRIPT} wait")
    await app.rotations.discard(webhook.tenant_id, "n8n")
    assert await lines(owner_page) == []


async def test_a_rekeying_under_way(app, owner_page, webhook):
    await app.rekeys.start()
    (line,) = await lines(owner_page)
    assert (line[0], line[2]) == ("info", "/keys")
    assert line[1].startswith("Secrets are being sealed anew")
    await app.rekeys.cancel()
    assert await lines(owner_page) == []


async def test_what_the_installation_lacks(app, owner_page, webhook):
    known = app.settings
    try:
        app.settings = known.model_copy(update={"smtp_host": None})
        assert [(line[0], line[2]) for line in await lines(owner_page)] == [("info", "/settings")]
        app.settings = known.model_copy(update={"database_url": None})
        assert await attention.gather(app) == []
        app.settings = known.model_copy(update={"app_env": "production", "database_url": None, "smtp_host": None})
        told = [line.title for line in await attention.gather(app)]
        assert told == ["The database is the embedded one", "Mail is not set up"]
    finally:
        app.settings = known


def test_every_integration_has_a_name():
    assert set(attention._INTEGRATIONS) == set(KINDS)


async def test_only_who_is_signed_in_sees_it(app, site):
    async with browser(app, asgi=site) as stranger:
        for path in ("/", "/overview/attention", "/overview/now"):
            assert (await stranger.get(path)).status_code == 303
    assert (await person(app)).email  # somebody else exists, and that alone opens nothing


async def test_no_such_part(owner_page):
    assert (await owner_page.get("/overview/pie", headers=SCRIPTED)).status_code == 404
