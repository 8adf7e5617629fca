"""Demo data: the books balance, it is loaded once, lives, is removed whole, and shows none of its made-up secrets."""

import asyncio
import json
import secrets
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from canary import CANARY
from hookvault.analytics.model import CallFilter
from hookvault.api.app import create_app
from hookvault.clock import now
from hookvault.deliveries.model import STATUSES, DeliveryFilter
from hookvault.demo import story
from hookvault.demo.furnish import DEMO
from hookvault.demo.history import shares_at
from hookvault.demo.story import HOUSES
from hookvault.errors import ConflictError, InvalidError
from hookvault.settings import Settings
from hookvault.wiring import build

pytestmark = pytest.mark.timeout(180)
CALLS = 1500
PATIENCE_S = 60
MAIN = HOUSES[0]
BOOKS = """
SELECT (SELECT count(*) FROM webhook_analytics WHERE tenant_id = $1) AS rows,
    (SELECT sum(total_calls) FROM n8n_webhook_counters WHERE tenant_id = $1) AS counters,
    (SELECT sum(total_calls) FROM webhook_call_rollups WHERE tenant_id = $1) AS minutes,
    (SELECT count(*) FROM webhook_analytics WHERE tenant_id = $1 AND NOT success) AS failed_rows,
    (SELECT sum(failed_calls) FROM n8n_webhook_counters WHERE tenant_id = $1) AS failed_counters
"""


@pytest.fixture(scope="module")
async def database_url(make_migrated):
    """A database of this module's own: what the demo loads is the whole platform."""
    return await make_migrated()


@pytest.fixture(scope="module")
async def app(database_url, tmp_path_factory):
    built = await build(Settings(database_url=database_url, hookvault_data_dir=tmp_path_factory.mktemp("demo")))
    await built.start()
    built.demo.calls = CALLS
    yield built
    await built.close()


@pytest.fixture(scope="module")
async def client(app):
    key = (await app.api_keys.create_api_key("tests")).token.open()
    CANARY.made(key)
    headers, hooks = {"authorization": f"Bearer {key}"}, {"response": [CANARY.record]}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(app)), base_url="http://test", headers=headers, event_hooks=hooks
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
async def loaded(app):
    """What was loaded."""
    return await app.demo.load(actor=DEMO)


async def statuses(app, tenant_id):
    page = await app.deliveries.list_deliveries(tenant_id, DeliveryFilter(), limit=1000)
    return Counter(delivery.status for delivery in page.items)


async def until(asked, true, seconds=PATIENCE_S):
    """What is asked for, once something holds of it."""
    ends = time.monotonic() + seconds
    while not true(found := await asked()):
        assert time.monotonic() < ends, found
        await asyncio.sleep(0.2)
    return found


def test_the_main_tenant_has_what_the_pages_show():
    assert len(MAIN.workflows) == 24
    assert len({item.name for item in MAIN.workflows}) == 24
    assert {item.auth for item in MAIN.workflows} == {"none", "bearer", "header", "basic", "jwt"}
    assert sum(house.share for house in HOUSES) == pytest.approx(1)
    assert all(sum(item.answers.values()) == pytest.approx(1) for house in HOUSES for item in house.workflows)


def test_the_outage_is_on_a_working_day_whatever_day_it_is():
    for step in range(7):
        present = now() + timedelta(days=step)
        days = [(present - timedelta(days=age)).replace(hour=14, minute=0) for age in range(31)]
        down = [day for day in days if "starting" in shares_at(MAIN.workflows[0], day, present)]
        assert len(down) == 1
        assert down[0].weekday() in (1, 2)
        assert timedelta(days=7) < present - down[0] < timedelta(days=16)


async def test_the_books_balance(app, owner, loaded):
    assert loaded.tenants == ("northwind", "fjordline", "palmstudio")
    await until(lambda: statuses(app, "northwind"), lambda found: found["pending"] < 12)
    for tenant_id in loaded.tenants:

        async def books(tenant_id=tenant_id):
            return dict((await owner(BOOKS, tenant_id))[0])

        found = await until(books, lambda found: len({found[name] for name in ("rows", "counters", "minutes")}) == 1)
        assert found["rows"] > 0
        assert found["failed_rows"] == found["failed_counters"]
    told = (await app.figures.summarize("northwind")).figures
    assert told.total_calls >= CALLS * MAIN.share * 0.9
    assert 0.85 < told.success_rate < 0.999


async def test_the_month_is_whole_and_every_cause_is_there(app, loaded):
    days = await app.figures.list_series("northwind", "day")
    assert len([day for day in days if day.figures.total_calls]) >= 30
    causes = {error.cause for error in (await app.figures.list_errors("northwind"))}
    assert {"auth_refused", "workflow_not_active", "workflow_failed", "timeout", "receiver_failed"} <= causes
    health = {item.health.status for item in await app.figures.list_health("northwind")}
    assert {"failing", "healthy", "idle", "disabled"} <= health


async def test_deliveries_are_in_every_state(app, loaded):
    found = Counter()

    async def asked():
        found.update(await statuses(app, "northwind"))
        return found

    await until(asked, lambda seen: set(STATUSES) <= set(seen))
    suspended = await statuses(app, "palmstudio")
    assert suspended["held"] >= 4
    lately = await app.figures.summarize("palmstudio", now() - timedelta(days=5), now())
    assert lately.figures.total_calls == 0, "a suspended tenant is not called"


async def test_what_is_loaded_already_is_not_loaded_again(app, owner, loaded):
    before = (await owner("SELECT count(*) FROM tenants"))[0][0]
    with pytest.raises(ConflictError, match="here already") as raised:
        await app.demo.load(actor=DEMO)
    assert raised.value.code == "demo_exists"
    assert (await owner("SELECT count(*) FROM tenants"))[0][0] == before


async def test_no_made_up_secret_is_shown(app, client, owner, loaded):
    kept = [story.N8N_API_KEY, story.STAGED_TOKEN, MAIN.whatsapp["accessToken"], MAIN.whatsapp["appSecret"]]
    kept += [MAIN.sms["accountSid"], MAIN.sms["authToken"], HOUSES[1].sms["apiSecret"]]
    kept += [story.token_of(item) for house in HOUSES for item in house.workflows if item.auth != "none"]
    base = "/api/platform/tenants/northwind"
    paths = [
        f"{base}/integrations",
        f"{base}/webhooks?limit=200",
        f"{base}/webhooks/analytics?limit=1000",
        f"{base}/audit",
    ]
    paths += ["/api/tenants/northwind/deliveries?limit=200", f"{base}/integrations/sms/rotation", "/api/platform/audit"]
    for path in paths:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        assert [secret for secret in kept if secret in answer.text] == [], path
    tables = (
        "tenant_integrations",
        "n8n_webhooks",
        "webhook_analytics",
        "webhook_deliveries",
        "audit_events",
        "api_keys",
    )
    for table in tables:
        rows = json.dumps([row[0] for row in await owner(f"SELECT t::text FROM {table} t")])
        assert [secret for secret in kept if secret in rows] == [], table


async def test_live_traffic_makes_calls_and_deliveries(app, owner, loaded):
    calls, accepted = (
        "SELECT count(*) FROM webhook_analytics WHERE delivery_id IS NULL",
        "SELECT count(*) FROM webhook_deliveries",
    )
    before = [(await owner(statement))[0][0] for statement in (calls, accepted)]
    await app.demo.play()
    try:

        async def more():
            return [(await owner(statement))[0][0] for statement in (calls, accepted)]

        await until(more, lambda found: all(new >= old + 3 for new, old in zip(found, before, strict=True)))
        seen = [call for call in app.demo._traffic._houses if call == "palmstudio"]
        assert seen == [], "a suspended tenant is left alone"
    finally:
        await app.demo._traffic.close()
    latest = (await app.analytics.list_tenant_calls("northwind", CallFilter(), limit=20)).items
    assert any(call.status_code == 200 for call in latest)


async def test_people_are_made_once(app, loaded):
    for _ in range(2):
        await app.demo.add_people()
    assert Counter(user.role for user in (await app.accounts.admins.list_admins()).items) == {"admin": 1, "viewer": 1}
    assert [item.state for item in (await app.accounts.invitations.list_invitations()).items] == ["pending"]


async def test_a_restarted_server_has_the_receiver_on_the_same_port(app, loaded, settings_of):
    await app.demo.receiver.close()
    try:
        other = await build(settings_of(app))
        await other.start(deliver=False)
        assert other.demo.receiver.port == loaded.receiver_port
        busy = await build(settings_of(app))
        await busy.start(deliver=False)  # the port is taken: it says so, and serves all the same
        assert busy.demo.receiver.port is None
        await busy.close()
        await other.close()
    finally:
        await app.demo.resume()
    assert app.demo.receiver.port == loaded.receiver_port


@pytest.fixture
def settings_of():
    return lambda app: app.settings


async def test_production_has_no_demo(app, loaded):
    service = app.demo
    real = app.settings
    app.settings = real.model_copy(update={"app_env": "production"})
    try:
        for command in (service.load(actor=DEMO), service.remove(actor=DEMO)):
            with pytest.raises(ConflictError) as raised:
                await command
            assert raised.value.code == "demo_not_here"
    finally:
        app.settings = real
    assert await service.exists()


async def test_removing_leaves_nothing_but_history(app, owner, loaded):
    real = await app.tenants.create_tenant("Northwind, a real one", tenant_id=f"northwind-{secrets.token_hex(3)}")
    recorded = (await owner("SELECT count(*) FROM webhook_analytics"))[0][0]
    for _ in range(2):
        await app.demo.remove(actor=DEMO)
    assert app.demo.receiver.port is None
    assert [row["id"] for row in await owner("SELECT id FROM tenants")] == [real.id]
    names = ("tenant_integrations", "n8n_webhooks", "delivery_queue", "credential_versions", "delivery_replays")
    for name in names:
        found = await owner(f"SELECT count(*) FROM {name} WHERE tenant_id = ANY($1)", list(loaded.tenants))
        assert found[0][0] == 0, name
    assert (await owner("SELECT count(*) FROM data_keys WHERE tenant_id <> $1", real.id))[0][0] == 0
    assert (await owner("SELECT count(*) FROM webhook_analytics"))[0][0] >= recorded
    events = await owner("SELECT count(*) FROM audit_events WHERE action = 'demo.removed'")
    assert events[0][0] == 1, "the second time there was nothing to remove"


async def test_who_had_an_id_keeps_it_and_a_load_that_fails_leaves_nothing(app, owner, monkeypatch):
    broken = (replace(MAIN, workflows=(*MAIN.workflows[:2], replace(MAIN.workflows[0], name="not a name"))),)
    monkeypatch.setattr("hookvault.demo.service.HOUSES", broken)
    with pytest.raises(InvalidError):
        await app.demo.load(actor=DEMO)
    assert app.demo.receiver.port is None
    assert not await app.demo.exists()
    monkeypatch.undo()
    loaded = await app.demo.load(actor=DEMO)
    assert loaded.tenants == ("northwind-3", "fjordline-2", "palmstudio-2")
    await app.demo.remove(actor=DEMO)
