"""One's own account: password, second factor, sessions; and what the installation is."""

import re
from uuid import uuid4

import pytest

from canary import planted
from entrance import browser, code_of
from hookvault import __version__
from hookvault.admin.agent import device
from seen import SCRIPTED, words


async def signed_in_anew(page):
    """The page goes on under another cookie: it still is somebody."""
    answer = await page.get("/settings")
    assert answer.status_code == 200
    return words(answer)


async def test_the_password_is_changed_and_the_session_goes_on(visitor, app, site):
    page = await visitor("viewer")
    cookie = page.cookies.get("hookvault")
    async with browser(app, asgi=site) as other:
        await other.post("/login", data=page.who.login)
        new = planted("new")
        typed = {"password": page.who.password, "newPassword": new, "again": new}
        answer = await page.post("/settings/password", data=typed, headers=SCRIPTED)
        assert answer.headers["hx-redirect"] == "/settings"
        assert page.cookies.get("hookvault") != cookie
        assert "Your password is changed." in await signed_in_anew(page)
        assert (await other.get("/settings")).status_code == 303


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"password": "wrong one"}, "password", "wrong"),
        ({"newPassword": "short", "again": "short"}, "newPassword", "12"),
        ({"again": "another"}, "again", "The two are not the same."),
    ],
)
async def test_what_is_wrong_with_a_password_stands_at_its_field(visitor, typed, field, said):
    page, new = await visitor("admin"), planted("unused")
    data = {"password": page.who.password, "newPassword": new, "again": new} | typed
    answer = await page.post("/settings/password", data=data, headers=SCRIPTED)
    assert answer.status_code == 422
    assert re.search(rf'name="{field}"[^>]* aria-invalid="true"', answer.text, re.DOTALL)
    assert said in words(answer)


async def enrolled(page):
    """Sets up a second factor; its secret and the recovery codes."""
    shown = await page.post("/settings/second-factor", data={"password": page.who.password}, headers=SCRIPTED)
    secret = re.search(r'data-copy="([A-Z2-7]{32})"', shown.text)[1]
    done = await page.post("/settings/second-factor/confirm", data={"code": code_of(secret)}, headers=SCRIPTED)
    return shown, secret, done


async def test_a_second_factor_is_set_up_and_asked_for(visitor, app, site):
    page = await visitor("admin")
    shown, secret, done = await enrolled(page)
    assert '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ' in shown.text
    assert " style=" not in shown.text
    assert (done.status_code, done.headers["hx-retarget"]) == (200, "#factor")
    codes = re.findall(r"<span>((?:[a-z2-9]{4}-){3}[a-z2-9]{4})\n</span>", done.text)
    assert len(set(codes)) == 10
    assert "Second factor On" in await signed_in_anew(page)
    assert secret not in (await page.get("/settings")).text
    async with browser(app, asgi=site) as other:
        asked = await other.post("/login", data=page.who.login)
        assert asked.headers["location"] == "/login/code"
        assert (await other.post("/login/code", data={"code": codes[0]})).headers["location"] == "/"


async def test_a_wrong_code_leaves_the_picture_where_it_is(visitor):
    page = await visitor("admin")
    shown = await page.post("/settings/second-factor", data={"password": page.who.password}, headers=SCRIPTED)
    secret = re.search(r'data-copy="([A-Z2-7]{32})"', shown.text)[1]
    wrong = "000000" if code_of(secret) != "000000" else "000001"
    for headers in (SCRIPTED, {}):  # with the script only the form is changed; without it the page has no secret either
        answer = await page.post("/settings/second-factor/confirm", data={"code": wrong}, headers=headers)
        assert answer.status_code == 422
        assert re.search(r'name="code"[^>]* aria-invalid="true"', answer.text, re.DOTALL)
        assert "hx-retarget" not in answer.headers
        assert "<svg xmlns" not in answer.text
        assert ("<html" in answer.text) == (not headers)


async def test_the_second_factor_is_removed_with_the_password_only(visitor):
    page = await visitor("admin")
    await enrolled(page)
    refused = await page.post("/settings/second-factor/remove", data={"password": "no"}, headers=SCRIPTED)
    assert (refused.status_code, "data-failed" in refused.text) == (422, True)
    assert "Second factor On" in await signed_in_anew(page)
    done = await page.post("/settings/second-factor/remove", data={"password": page.who.password}, headers=SCRIPTED)
    assert done.headers["hx-redirect"] == "/settings"
    assert "Second factor Off" in await signed_in_anew(page)
    again = await page.post("/settings/second-factor", data={"password": "no"}, headers=SCRIPTED)
    assert again.status_code == 422


async def test_sessions_are_listed_and_ended(visitor, app, site):
    page = await visitor("viewer")
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 <i>x</i>"
    others = [browser(app, asgi=site, **{"user-agent": agent}) for _ in range(3)]
    for other in others:
        await other.post("/login", data=page.who.login)
    answer = await page.get("/settings")
    assert words(answer).count("Firefox on Linux") == 3
    assert words(answer).count("this one") == 1
    assert "<i>x" not in answer.text
    ends = re.findall(r'action="(/settings/sessions/[\w-]{36}/end)"', answer.text)
    assert len(ends) == 3
    await page.post(ends[0], data={})
    assert sorted([(await other.get("/settings")).status_code for other in others]) == [200, 200, 303]
    await page.post("/settings/sessions/end-others", data={})
    assert {(await other.get("/settings")).status_code for other in others} == {303}
    assert "2 other sessions ended." in await signed_in_anew(page)
    for other in others:
        await other.aclose()


async def test_nobody_ends_somebody_else_s_session(visitor, app):
    page, other = await visitor("owner"), await visitor("viewer")
    [session] = await app.accounts.sessions.list_sessions(other.who.id)
    await page.post(f"/settings/sessions/{session.id}/end", data={})
    assert (await other.get("/settings")).status_code == 200
    assert (await page.post(f"/settings/sessions/{uuid4()}/end", data={})).status_code == 303
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await page.post("/settings/sessions/end-others", data={}, headers=foreign)).status_code == 403


async def test_the_installation_is_told_without_any_secret(visitor, app):
    page = await visitor("viewer")
    answer = await page.get("/settings/installation")
    said = words(answer)
    active = (await app.keys.status()).keys[0].fingerprint
    for shown in (__version__, app.settings.app_url, "90 days", "127.0.0.0/8, ::1/128", "Not set up", active):
        assert shown in said
    for secret in (app.settings.encryption_key, app.settings.database_url):
        assert secret.get_secret_value() not in answer.text


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/19.0 Safari/605.1.15", "Safari on macOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "an unknown program"),
    ],
)
def test_a_device_is_named_in_a_few_words(agent, said):
    assert device(agent) == said
