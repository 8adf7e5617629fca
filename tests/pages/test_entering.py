"""Signing in on the page: who comes in, who does not, and where one is led."""

import pytest

from entrance import browser, person


@pytest.fixture
async def stranger(app, site):
    async with browser(app, asgi=site) as opened:
        yield opened


async def test_a_page_leads_a_stranger_to_the_login_and_back(app, stranger):
    answer = await stranger.get("/tenants?q=a")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/tenants%3Fq%3Da")
    page = await stranger.get(answer.headers["location"])
    assert 'name="next" value="/tenants?q=a"' in page.text
    who = await person(app)
    entered = await stranger.post("/login", data={**who.login, "next": "/tenants?q=a"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/tenants?q=a")


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
        "/\tx",
        "evil",
    ],
)
async def test_nobody_is_led_elsewhere(app, stranger, elsewhere):
    who = await person(app)
    page = await stranger.get("/login", params={"next": elsewhere})
    assert "evil" not in page.text
    assert "javascript" not in page.text
    entered = await stranger.post("/login", data={**who.login, "next": elsewhere})
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(app, stranger):
    who = await person(app)
    wrong = await stranger.post("/login", data={"email": who.email, "password": "something else"})
    unknown = await stranger.post("/login", data={"email": "nobody@example.com", "password": "something else"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(who.email, "") == unknown.text.replace("nobody@example.com", "")
    assert "something else" not in wrong.text


async def test_another_site_s_form_is_refused(app, site):
    who = await person(app)
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        async with browser(app, asgi=site, **headers) as opened:
            answer = await opened.post("/login", data=who.login)
        assert answer.status_code == 403
        assert "foreign_origin" in answer.text
        assert "set-cookie" not in answer.headers


async def test_every_answer_has_strict_headers(stranger):
    for path in ("/login", "/nothing", "/static/app.css", "/static/nothing", "/"):
        headers = (await stranger.get(path)).headers
        assert "unsafe-" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "x-request-id" in headers
