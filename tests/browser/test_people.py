"""How people come in: limits on guessing, invitations and forgotten passwords by mail, a second factor; and what viewers see."""

import asyncio
import re
import secrets
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import expect

from canary import CANARY, planted
from entrance import code_of, person, somewhere
from post import PostOffice
from scene import played
from witness import PATIENCE_MS, watched

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
async def post():
    async with PostOffice() as office:
        yield office


@pytest.fixture(scope="module")
async def scene(make_migrated, tmp_path_factory, post):
    """A site that sends mails, and that believes a proxy where a browser is."""
    folder, settings = tmp_path_factory.mktemp("people"), {"trusted_proxies": "127.0.0.0/8", **post.settings}
    async with played(await make_migrated(), folder, **settings) as opened:
        yield opened


@asynccontextmanager
async def elsewhere(browser):
    """A page of a browser that comes from an address of its own."""
    async with watched(browser, extra_http_headers={"X-Forwarded-For": somewhere()}) as page:
        yield page


@pytest.fixture
async def page(browser):
    async with elsewhere(browser) as opened:
        yield opened


async def _sign_in(page, scene, email, password):
    await page.goto(f"{scene.base}/login")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def _shown_overview(page):
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_who_guesses_has_to_wait_and_the_owner_of_the_address_has_not(page, browser, scene):
    page.witness.expect("401")
    page.witness.expect("429")
    who = await person(scene.app, "admin")
    for _ in range(5):
        await _sign_in(page, scene, who.email, secrets.token_hex())
        await expect(page.get_by_role("alert")).to_contain_text("wrong")
    await _sign_in(page, scene, who.email, who.password)
    await expect(page.get_by_role("alert")).to_contain_text("second")
    await expect(page.get_by_label("Email")).to_have_value(who.email)
    async with elsewhere(browser) as other:
        await _sign_in(other, scene, who.email, who.password)
        await _shown_overview(other)


async def test_an_invitation_leads_to_the_first_sign_in(page, browser, scene, post):
    email, password = f"ines-{secrets.token_hex(4)}@example.com", planted("invited")
    who = await scene.who("owner")
    await _sign_in(page, scene, who.email, who.password)
    await page.get_by_role("link", name="Users & invitations").click()
    await page.get_by_role("link", name="Invite somebody").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Email").fill(email)
    await dialog.get_by_role("radio", name="Viewer").check()
    await dialog.get_by_role("button", name="Send invitation").click()
    row = page.get_by_role("row").filter(has_text=email)
    await expect(row).to_contain_text("Pending")
    async with elsewhere(browser) as other:
        link = f"{scene.base}/invitations/{post.token(email)}"
        await other.goto(link)
        await expect(other.get_by_role("main")).to_contain_text(email)
        await other.get_by_label("Your name").fill("Ines <b>Bold</b>")
        await other.get_by_label("Password", exact=True).fill(password)
        await other.get_by_label("Password, once more").fill(password)
        await other.get_by_role("button", name="Accept the invitation").click()
        await expect(other.get_by_role("status")).to_contain_text(email)
        await _sign_in(other, scene, email, password)
        await _shown_overview(other)
        await expect(other.get_by_role("link", name="Ines <b>Bold</b>")).to_be_visible()
        other.witness.expect("404")
        await other.goto(link)
        await expect(other.get_by_role("heading", name="This link does not work")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("row").filter(has_text=email).last).to_contain_text("Accepted")


async def test_a_forgotten_password_is_set_anew_by_mail(page, scene, post):
    page.witness.expect("401")
    who, password = await person(scene.app, "admin"), planted("reset")
    await page.goto(f"{scene.base}/login")
    await page.get_by_role("link", name="Forgot your password?").click()
    await page.get_by_label("Email").fill(who.email)
    await page.get_by_role("button", name="Send the link").click()
    await expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    await _until(lambda: post.count(who.email))
    await page.goto(f"{scene.base}/password-resets/{post.token(who.email)}")
    await page.get_by_label("New password", exact=True).fill(password)
    await page.get_by_label("New password, once more").fill(password)
    await page.get_by_role("button", name="Set password").click()
    await expect(page.get_by_role("status")).to_contain_text("Your password is set")
    await _sign_in(page, scene, who.email, who.password)
    await expect(page.get_by_role("alert")).to_be_visible()
    await _sign_in(page, scene, who.email, password)
    await _shown_overview(page)


async def _until(met):
    """A mail goes out after the answer, so that its time tells nothing."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while not met():
            await asyncio.sleep(0.02)


async def test_a_second_factor_is_set_up_and_asked_for_and_a_recovery_code_does_once(page, browser, scene):
    who = await person(scene.app, "admin")
    await _sign_in(page, scene, who.email, who.password)
    await _shown_overview(page)
    await page.goto(f"{scene.base}/settings")
    await page.get_by_role("link", name="Set up").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Password").fill(who.password)
    await dialog.get_by_role("button", name="Go on").click()
    secret = "".join((await dialog.locator("#totp-key").inner_text()).split())
    await dialog.get_by_label("The code that it shows now").fill(code_of(secret))
    await dialog.get_by_role("button", name="Put it in force").click()
    codes = (await dialog.locator("#recovery-codes").inner_text()).split()
    assert len(codes) == len(set(codes)) > 5
    await dialog.get_by_role("link", name="I have kept them").click()
    await expect(page.get_by_role("region", name="Second factor")).to_contain_text("On")
    assert secret not in await page.content()
    async with elsewhere(browser) as other:
        other.witness.expect("422")
        await _sign_in(other, scene, who.email, who.password)
        await other.get_by_label("Code").fill("000000")
        await other.get_by_role("button", name="Go on").click()
        await expect(other.get_by_role("alert")).to_be_visible()
        await other.get_by_label("Code").fill(code_of(secret, 1))
        await other.get_by_role("button", name="Go on").click()
        await _shown_overview(other)
    await _recovered(browser, scene, who, codes[0], works=True)
    await _recovered(browser, scene, who, codes[0], works=False)


async def _recovered(browser, scene, who, code, *, works):
    """Signs in with a recovery code."""
    async with elsewhere(browser) as other:
        await _sign_in(other, scene, who.email, who.password)
        await other.get_by_label("Code").fill(code)
        await other.get_by_role("button", name="Go on").click()
        if works:
            await _shown_overview(other)
        else:
            other.witness.expect("422")
            await expect(other.get_by_role("alert")).to_be_visible()


WRITING = (
    "New tenant|Connect|Add webhook|Edit|Test|Test all|Import|Replay\\b|Enable\\b|Disable\\b|Delete|Rotate|Rekey|Scan now|"
    "New API key|Revoke|Invite somebody|Remove|Save|Suspend|Actions for|More for order|Add a header"
)


async def test_a_viewer_sees_nothing_that_writes(page, scene):
    tenant = await scene.tenant()
    webhook = await scene.webhook(tenant, "order-paid")
    await scene.app.webhooks.call_webhook(tenant.id, "order-paid", 1)
    key = await scene.app.api_keys.create_api_key("seen", tenant_id=tenant.id)
    CANARY.made(key.token.open())
    own = f"/tenants/{tenant.id}"
    pages = {
        "/tenants": tenant.name,
        f"{own}/integrations": "order-paid",
        f"{own}/settings": tenant.name,
        f"{own}/webhooks/{webhook.id}": "order-paid",
        f"{own}/webhooks/{webhook.id}?tab=setup": "Settings",
        f"{own}/replays": "Replays",
        f"/calls?tenantId={tenant.id}": "order-paid",
        f"/deliveries?tenantId={tenant.id}": "Deliveries",
        "/users": "Users",
        "/api-keys": "seen",
        "/keys": "Active master key",
        "/audit": "Audit",
    }
    who = await scene.who("viewer")
    await _sign_in(page, scene, who.email, who.password)
    await _shown_overview(page)
    for path, seen in pages.items():
        await page.goto(f"{scene.base}{path}")
        await expect(page.get_by_role("main").get_by_text(seen).filter(visible=True).first).to_be_visible()
        assert await _writing(page) == [], path


async def _writing(page):
    """What on the page looks as though it changed something."""
    found = []
    for role in ("link", "button", "switch"):
        for each in await page.get_by_role("main").get_by_role(role, name=re.compile(f"^({WRITING})")).all():
            found.append(await each.inner_text() or await each.get_attribute("aria-label"))
    return found
