"""Whatever people write into names, descriptions, payloads and answers is shown as text, runs nothing, and fits."""

import json

import atlas
import pytest
from sweep import WIDE, Traveller

from canary import CANARY, MARK, planted
from n8n import Answer
from scene import played
from witness import watched

pytestmark = pytest.mark.timeout(300, func_only=True)

SCRIPT = "<script>window.__x = 1; alert(1)</script>"
IMAGE = '"><img src=x onerror="window.__x = 1">'
BRACES = "}{{7*7}}${7*7}<%= 7*7 %>"
TURNED = "\u202egnp.exe"
LONG = "W" * 200
NASTY = f"{SCRIPT}{IMAGE}{BRACES}"
TENANT = "hostile"


@pytest.fixture(scope="module")
async def lair(make_migrated, tmp_path_factory):
    """A site where every text that somebody may choose is a nasty one, and every secret is planted."""
    async with played(await make_migrated(), tmp_path_factory.mktemp("lair")) as scene:
        yield atlas.World(scene, await _furnish(scene))


async def _furnish(scene):
    app = scene.app
    await app.tenants.create_tenant(NASTY[:200], tenant_id=TENANT)
    await app.integrations.configure(
        TENANT, "n8n", {"baseUrl": scene.n8n.url("/webhook"), "apiKey": planted("n8n")}, create=True
    )
    sms = {"provider": "vonage", "apiKey": planted("sms-key"), "apiSecret": planted("sms"), "phoneNumber": "4915112345"}
    await app.integrations.configure(TENANT, "sms", sms, create=True)
    scene.n8n.answers["/webhook/nasty"] = Answer(500, json.dumps({"message": NASTY + TURNED, LONG: LONG}).encode())
    fields = {
        "webhook_url": scene.n8n.url("/webhook/nasty"),
        "auth_type": "header",
        "auth_token": planted("header-token"),
        "auth_config": {"headerName": "X-" + "h" * 62},
        "static_headers": {"X-Static": planted("static-header")},
    }
    webhook = await app.webhooks.create_n8n_webhook(TENANT, "w" * 64, description=NASTY + LONG, **fields)
    payload = {"text": NASTY + TURNED, LONG: [LONG, SCRIPT, IMAGE]}
    called = await app.webhooks.call_webhook(TENANT, "w" * 64, payload, triggered_by=NASTY[:100])
    key = await app.api_keys.create_api_key(NASTY[:100], tenant_id=TENANT)
    made = await app.admins.create_admin("nasty@example.com", role="admin")
    await app.accounts.admins.update_admin(made.user.id, {"name": NASTY[:100]})
    return {
        "tenant": TENANT,
        "secret": "apiSecret",
        "webhook": str(webhook.id),
        "call": str(called.call_id),
        "key": str(key.key.id),
        "user": str(made.user.id),
    }


def _addresses(lair):
    """What can be seen with what there is here."""
    for section in (atlas.PAGES, atlas.DIALOGS):
        for paths in section.values():
            for path in paths:
                try:
                    yield path.format(**lair.names)
                except KeyError:
                    continue


async def test_nothing_runs_and_everything_fits(browser, lair):
    """And no secret is in what the browser was sent."""
    said = []
    before = len(CANARY.responses)
    async with watched(browser, viewport={"width": 390, "height": 800}, reduced_motion="reduce") as page:
        page.on("dialog", lambda dialog: said.append(dialog.message))
        await lair.scene.enter(page)
        traveller = Traveller(page)
        for path in _addresses(lair):
            await traveller.go(lair.scene.base + path)
            await _check(page, traveller, path)
        assert not traveller.found, "\n".join(traveller.found)
    assert said == []
    seen = CANARY.responses[before:]
    assert len(seen) > 50  # pages, and the parts that they asked for
    assert [what for what, text in seen if MARK in text] == []


async def _check(page, traveller, path):
    over = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if over > 0:
        traveller.complain(path, f"{over} px too wide: {await page.evaluate(WIDE)}")
    if await page.evaluate("window.__x"):
        traveller.complain(path, "ran a script of somebody")
    if await page.locator("main img[src='x'], main script").count():
        traveller.complain(path, "has somebody's element")
    if "}49" in await page.evaluate("document.body.textContent"):
        traveller.complain(path, "worked out what was in braces")


async def test_the_nasty_texts_are_there_to_be_read(browser, lair):
    """So the test above did see them."""
    places = {
        "/tenants/hostile": NASTY[:60],
        "/tenants/hostile/webhooks/{webhook}": SCRIPT,
        "/calls/{call}": SCRIPT,
        "/users": SCRIPT,
        "/api-keys": SCRIPT,
    }
    async with watched(browser, viewport={"width": 1440, "height": 900}) as page:
        await lair.scene.enter(page)
        for path, text in places.items():
            await page.goto(lair.scene.base + path.format(**lair.names))
            assert text in await page.evaluate("document.body.textContent"), path


async def test_a_secret_in_a_page_is_found(browser, lair):
    """The search sees what a browser is sent: one put into a name on purpose is heard of."""
    before = len(CANARY.responses)
    leaked = planted("leaked")
    await lair.scene.app.tenants.create_tenant("Leaky", tenant_id="leaky")
    async with watched(browser) as page:
        await lair.scene.enter(page)
        await page.goto(f"{lair.scene.base}/tenants?q={leaked}")
        await page.wait_for_load_state("networkidle")
    found = [what for what, text in CANARY.responses[before:] if leaked in text]
    assert found
    CANARY.responses[before:] = [(what, text.replace(leaked, "")) for what, text in CANARY.responses[before:]]


async def test_a_megabyte_in_a_field_is_refused_and_the_page_goes_on(browser, lair):
    async with watched(browser) as page:
        page.witness.expect("status of 4")
        await lair.scene.enter(page, path="/tenants")
        await page.get_by_role("link", name="New tenant").first.click()
        field = page.locator("dialog[open] [name=name]")
        await field.wait_for()
        await field.evaluate("(field, text) => { field.value = text; }", "A" * 1_100_000)
        await page.locator("dialog[open] button[type=submit]").click()
        await page.locator(".toast, dialog[open] .field-error, dialog[open] .notice.bad").first.wait_for()
        assert len(await field.input_value()) > 1_000_000
        await field.fill("Small enough")
        await page.locator("dialog[open] button[type=submit]").click()
        await page.wait_for_url("**/tenants/small-enough**")
