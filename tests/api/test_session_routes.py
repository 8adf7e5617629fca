"""Signing in over HTTP: the cookie, who may do what with it, and that no other site can."""

import asyncio
import logging
from http.cookies import SimpleCookie

import httpx
import pytest
from tenancy import PLATFORM, is_problem

from canary import CANARY, planted
from entrance import ORIGIN, browser, code_of, make_quick, person, signed_in, somewhere
from hookvault.api.app import create_app
from hookvault.api.cookie import cookie_name, origin_of
from hookvault.settings import Settings
from hookvault.wiring import build
from n8n import Answer
from post import PostOffice

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
SECURE = "https://hookvault.example.com"
NAMES = {"name": "cookie test"}


@pytest.fixture(autouse=True)
def quick(app):
    make_quick(app)


@pytest.fixture(scope="module")
async def post():
    async with PostOffice() as office:
        yield office


@pytest.fixture(scope="module")
async def secure(database_url, post, tmp_path_factory):
    """An installation behind https, with a mail server."""
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(
        database_url=database_url, encryption_key=KEY, hookvault_data_dir=folder, app_url=SECURE, **post.settings
    )
    built = await build(settings)
    make_quick(built)
    yield built
    await built.close()


def cookie_of(answer):
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return morsel


async def me(opened):
    return (await opened.get("/api/session")).json()


async def test_signing_in_and_out(app):
    who = await person(app, "owner")
    async with browser(app) as opened:
        is_problem(await opened.get("/api/session"), 401, "unauthorized")
        is_problem(await opened.post("/api/session", json=who.login | {"password": "x"}), 401, "login_failed")
        answer = await opened.post("/api/session", json=who.login)
        assert answer.status_code == 201
        assert (answer.json()["missing"], answer.json()["user"]["role"]) == (None, "owner")
        assert who.password not in answer.text
        cookie = cookie_of(answer)
        assert (cookie.key, cookie["path"], cookie["httponly"], cookie["samesite"], cookie["secure"]) == (
            "hookvault", "/", True, "Lax", ""
        )  # fmt: skip
        assert cookie["domain"] == ""
        assert 604_000 < int(cookie["max-age"]) <= 604_800
        assert cookie.value not in answer.text
        assert (await me(opened))["user"]["email"] == who.email
        assert (await opened.get(f"{PLATFORM}/tenants")).status_code == 200
        gone = await opened.delete("/api/session")
        assert gone.status_code == 204
        assert (cookie_of(gone).value, cookie_of(gone)["max-age"]) == ("", "0")
        headers = {"cookie": f"hookvault={cookie.value}"}
        is_problem(await opened.get("/api/session", headers=headers), 401, "unauthorized")


async def test_over_https_the_cookie_is_for_this_host_and_https_only(secure):
    who = await person(secure)
    own = {"origin": SECURE}
    async with browser(secure, **own) as opened:
        cookie = cookie_of(await opened.post("/api/session", json=who.login))
    assert (cookie.key, cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"], cookie["samesite"]) == (
        "__Host-hookvault", True, True, "/", "", "Lax"
    )  # fmt: skip
    async with browser(secure, **own) as opened:
        for name, status in (("__Host-hookvault", 200), ("hookvault", 401), ("__host-hookvault", 401)):
            answer = await opened.get("/api/session", headers={"cookie": f"a=b; {name}={cookie.value}; c"})
            assert answer.status_code == status, name
        twice = f"__Host-hookvault={cookie.value}; __Host-hookvault=other"
        assert (await opened.get("/api/session", headers={"cookie": twice})).status_code == 401


def test_origins_are_written_as_browsers_do():
    for url, origin in (
        ("https://Hookvault.Example.com:443/x", "https://hookvault.example.com"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://a.example:8443/", "https://a.example:8443"),
    ):
        assert origin_of(url) == origin
    assert cookie_name("http://127.0.0.1:3000") == "hookvault"


# Everything that says where a request comes from, and whether a change by cookie is taken.
ORIGINS = [
    ({"origin": ORIGIN}, True),
    ({"sec-fetch-site": "same-origin"}, True),
    ({"origin": ORIGIN, "sec-fetch-site": "same-origin"}, True),
    ({}, False),
    ({"origin": "null"}, False),
    ({"origin": ""}, False),
    ({"origin": "https://evil.example"}, False),
    ({"origin": "http://127.0.0.1:3001"}, False),
    ({"origin": "https://127.0.0.1:3000"}, False),
    ({"origin": f"{ORIGIN}.evil.example"}, False),
    ({"origin": f"{ORIGIN}/"}, False),
    ({"origin": "http://evil.example", "host": "evil.example"}, False),
    ({"origin": "http://localhost:3000", "host": "localhost:3000"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "none"}, False),
    ({"sec-fetch-site": ""}, False),
    ({"origin": ORIGIN, "sec-fetch-site": "cross-site"}, False),
    ({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, False),
]


@pytest.fixture(scope="module")
async def cookie(app):
    make_quick(app)
    who = await person(app, "owner")
    async with signed_in(app, who) as opened:
        return f"hookvault={opened.cookies['hookvault']}"


@pytest.mark.parametrize(("headers", "taken"), ORIGINS, ids=str)
async def test_a_change_by_cookie_is_taken_from_our_own_pages_only(app, cookie, headers, taken):
    transport = httpx.ASGITransport(create_app(app))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers={"cookie": cookie} | headers) as opened:
        created = await opened.post(f"{PLATFORM}/api-keys", json=NAMES)
        deleted = await opened.delete(f"{PLATFORM}/invitations/01890000-0000-7000-8000-000000000000")
        others = await opened.delete("/api/sessions")
        if taken:
            CANARY.made(created.json()["key"])
            assert (created.status_code, deleted.status_code, others.status_code) == (201, 204, 200)
        else:
            for refused in (created, deleted, others):
                is_problem(refused, 403, "foreign_origin")
        assert (await opened.get(f"{PLATFORM}/tenants")).status_code == 200  # nothing can read the answer of a GET


@pytest.mark.parametrize(("headers", "taken"), ORIGINS, ids=str)
async def test_no_other_site_signs_anybody_in(app, headers, taken):
    who = await person(app)
    transport = httpx.ASGITransport(create_app(app), client=(somewhere(), 1))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as opened:
        answer = await opened.post("/api/session", json=who.login)
        assert answer.status_code == (201 if taken or not headers else 403), answer.text
        assert ("set-cookie" in answer.headers) == (taken or not headers)


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/plain; charset=application/json",
        "",
        None,
    ],
)
async def test_a_form_changes_nothing(app, cookie, kind):
    headers = {"cookie": cookie, "origin": ORIGIN} | ({} if kind is None else {"content-type": kind})
    who = await person(app)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(app)), base_url=ORIGIN, headers=headers
    ) as opened:
        for method, path, body in (
            ("POST", f"{PLATFORM}/api-keys", b'{"name": "k"}'),
            ("POST", "/api/session", f'{{"email": "{who.email}", "password": "{who.password}"}}'.encode()),
            ("POST", "/api/password-resets", b'{"email": "a@example.com"}'),
        ):
            is_problem(await opened.request(method, path, content=body), 415, "unsupported_media_type")
        if kind:
            is_problem(await opened.delete("/api/sessions"), 415, "unsupported_media_type")


async def test_an_api_key_needs_no_origin_and_is_nobody(client, app):
    made = await client.post(f"{PLATFORM}/api-keys", json=NAMES, headers={"origin": "https://elsewhere.example"})
    assert made.status_code == 201
    for method, path in (
        ("GET", "/api/session"),
        ("DELETE", "/api/session"),
        ("GET", "/api/sessions"),
        ("POST", "/api/session/totp"),
    ):
        is_problem(await client.request(method, path, json={}), 403, "session_needed")


async def test_a_key_counts_before_a_cookie_and_a_cookie_calls_no_webhook(app, cookie, acme, n8n):
    webhook = await acme.webhook(n8n.url())
    async with browser(app, cookie=cookie) as opened:
        is_problem(
            await opened.get(f"{PLATFORM}/tenants", headers={"authorization": "Bearer hv_x"}), 401, "unauthorized"
        )
        for deed in ("call", "deliveries"):
            path = f"/api/tenants/{acme.id}/webhooks/{webhook['workflowName']}/{deed}"
            is_problem(await opened.post(path, json={"payload": 1}), 401, "unauthorized")
        is_problem(
            await opened.post(f"/api/tenants/{acme.id}/deliveries", json={"payload": 1}), 405, "method_not_allowed"
        )
        assert n8n.seen == []


async def test_deliveries_are_read_and_replayed_by_session_as_far_as_the_role_goes(app, acme, deliveries, n8n):
    n8n.answers["/webhook/ok/orders"] = Answer(400)
    webhook = await acme.webhook(n8n.url("/webhook/ok/orders"))
    made = await deliveries.send(webhook)
    await deliveries.ended(made)
    changes = (
        ("replay", {"preview": True}, 200),
        ("replay", {"status": ["failed"]}, 202),
        (f"{made}/replay", None, 202),
    )
    async with signed_in(app, await person(app, "viewer")) as opened:
        listed = await opened.get(deliveries.path)
        assert [item["id"] for item in listed.json()["items"]] == [made]
        assert (await opened.get(f"{deliveries.path}/{made}")).json()["status"] == "failed"
        assert (await opened.get(f"{deliveries.path}/replays")).json()["items"] == []
        for path, body, _ in changes:
            is_problem(await opened.post(f"{deliveries.path}/{path}", json=body), 403, "read_only")
    async with signed_in(app, await person(app, "admin")) as opened:
        for path, body, status in changes:
            assert (await opened.post(f"{deliveries.path}/{path}", json=body)).status_code == status, path
        foreign = {"origin": "https://evil.example"}
        refused = await opened.post(f"{deliveries.path}/{made}/replay", headers=foreign)
        is_problem(refused, 403, "foreign_origin")


async def test_a_viewer_reads_and_changes_nothing(app, acme):
    async with signed_in(app, await person(app, "viewer")) as opened:
        for path in ("tenants", "users", "invitations", "api-keys", "audit", f"tenants/{acme.id}/webhooks", "keys"):
            assert (await opened.get(f"{PLATFORM}/{path}")).status_code == 200, path
        for method, path in (
            ("POST", "tenants"), ("PATCH", f"tenants/{acme.id}"), ("DELETE", f"tenants/{acme.id}"), ("POST", "api-keys"),
            ("PUT", f"tenants/{acme.id}/integrations/n8n"), ("POST", "keys/rotate"), ("POST", "invitations"), ("POST", "nothing"),
        ):  # fmt: skip
            is_problem(await opened.request(method, f"{PLATFORM}/{path}", json={}), 403, "read_only")
        assert (await opened.delete("/api/sessions")).status_code == 200  # what is one's own


async def test_an_admin_works_and_only_an_owner_says_who_may(app, acme):
    who = await person(app)
    async with signed_in(app, who) as opened:
        assert (await opened.patch(acme.path, json={"name": "New"})).status_code == 200
        mine = await opened.post(f"{PLATFORM}/api-keys", json={"name": "k", "tenantId": acme.id})
        assert mine.status_code == 201
        CANARY.made(mine.json()["key"])
        guest = {"email": "guest@example.com", "role": "owner"}
        for method, path, body in (
            ("PATCH", f"users/{who.id}", {"role": "owner"}),
            ("DELETE", f"users/{who.id}", None),
            ("POST", "invitations", guest),
            ("POST", f"invitations/{who.id}/resend", None),
            ("DELETE", f"invitations/{who.id}", None),
            ("POST", "api-keys", {"name": "would be an owner's"}),
        ):
            is_problem(await opened.request(method, f"{PLATFORM}/{path}", json=body), 403, "owner_only")
    events = await acme.audit()
    assert [(event["actorType"], event["actorId"]) for event in events[:2]] == [("user", str(who.id))] * 2


async def test_an_owner_changes_roles_and_the_other_s_session_ends(app):
    who, other = await person(app, "owner"), await person(app)
    async with signed_in(app, who) as opened, signed_in(app, other) as theirs:
        changed = await opened.patch(f"{PLATFORM}/users/{other.id}", json={"role": "viewer", "name": "Eve"})
        assert (changed.status_code, changed.json()["role"], changed.json()["name"]) == (200, "viewer", "Eve")
        is_problem(await theirs.get("/api/session"), 401, "unauthorized")
        is_problem(await opened.patch(f"{PLATFORM}/users/{other.id}", json={"disabled": "yes"}), 422, "invalid_input")
        is_problem(await opened.patch(f"{PLATFORM}/users/{other.id}", json={"email": "x"}), 422, "invalid_input")
        seen, cursor = set(), None
        while cursor is not None or not seen:
            listed = await opened.get(
                f"{PLATFORM}/users", params={"limit": 200} | ({"cursor": cursor} if cursor else {})
            )
            assert "hash" not in listed.text
            assert "argon" not in listed.text
            seen |= {item["id"] for item in listed.json()["items"]}
            cursor = listed.json()["nextCursor"]
        assert {str(who.id), str(other.id)} <= seen
        first = (await opened.get(f"{PLATFORM}/users", params={"limit": 1})).json()
        second = (await opened.get(f"{PLATFORM}/users", params={"limit": 1, "cursor": first["nextCursor"]})).json()
        assert first["items"][0]["id"] != second["items"][0]["id"]
        for _ in range(2):
            assert (await opened.delete(f"{PLATFORM}/users/{other.id}")).status_code == 204


async def test_a_password_of_somebody_else_s_choice_only_lets_one_change_it(app):
    who = await person(app, "owner")
    made = await app.admins.reset_password(who.email)
    given, own = made.password.open(), planted("own")
    CANARY.made(given)
    async with browser(app) as opened:
        entered = await opened.post("/api/session", json={"email": who.email, "password": given})
        assert entered.json()["missing"] == "password_change"
        for method, path in (
            ("GET", f"{PLATFORM}/tenants"), ("POST", f"{PLATFORM}/api-keys"), ("GET", "/api/sessions"),
            ("DELETE", "/api/sessions"),
            ("POST", "/api/session/totp"), ("PUT", "/api/session/totp"), ("DELETE", "/api/session/totp"),
            ("POST", "/api/session/second-factor"), ("GET", f"{PLATFORM}/calls/live"), ("GET", "/nowhere"),
        ):  # fmt: skip
            is_problem(await opened.request(method, path, json=NAMES), 403, "password_change_required")
        assert (await me(opened))["missing"] == "password_change"
        before = opened.cookies["hookvault"]
        changed = await opened.put("/api/session/password", json={"password": given, "newPassword": own})
        assert (changed.status_code, changed.json()["missing"]) == (200, None)
        assert opened.cookies["hookvault"] != before
        assert (await opened.get(f"{PLATFORM}/tenants")).status_code == 200
        answer = await opened.get("/api/session", headers={"cookie": f"hookvault={before}"})
        assert answer.status_code == 401


async def test_a_second_factor_from_the_first_code_to_the_last(app):
    who = await person(app)
    async with signed_in(app, who) as opened, signed_in(app, who) as elsewhere:
        is_problem(await opened.post("/api/session/totp", json={"password": "wrong"}), 422, "wrong_password")
        made = (await opened.post("/api/session/totp", json={"password": who.password})).json()
        CANARY.made(made["secret"])
        assert made["uri"].startswith("otpauth://totp/Hookvault:")
        is_problem(await opened.put("/api/session/totp", json={"code": "000000"}), 422, "wrong_code")
        before = opened.cookies["hookvault"]
        confirmed = await opened.put("/api/session/totp", json={"code": code_of(made["secret"], -1)})
        codes = confirmed.json()["recoveryCodes"]
        assert len(codes) == 10
        for code in codes:
            CANARY.made(code)
        assert opened.cookies["hookvault"] != before
        assert (await me(opened))["user"]["hasTotp"]
        is_problem(await elsewhere.get("/api/session"), 401, "unauthorized")
    async with browser(app) as opened:
        half = await opened.post("/api/session", json=who.login)
        assert half.json()["missing"] == "second_factor"
        first = opened.cookies["hookvault"]
        for method, path in (
            ("GET", f"{PLATFORM}/tenants"), ("POST", f"{PLATFORM}/api-keys"), ("GET", "/api/sessions"),
            ("DELETE", "/api/sessions"),
            ("PUT", "/api/session/password"), ("POST", "/api/session/totp"), ("DELETE", "/api/session/totp"),
        ):  # fmt: skip
            is_problem(await opened.request(method, path, json=NAMES), 403, "second_factor_required")
        is_problem(
            await opened.post("/api/session/second-factor", json={"code": code_of(made["secret"], -1)}),
            422,
            "wrong_code",
        )
        whole = await opened.post("/api/session/second-factor", json={"code": code_of(made["secret"])})
        assert (whole.status_code, whole.json()["missing"]) == (200, None)
        assert opened.cookies["hookvault"] != first
        assert (await opened.get(f"{PLATFORM}/tenants")).status_code == 200
        assert (await opened.get("/api/session", headers={"cookie": f"hookvault={first}"})).status_code == 401
        is_problem(await opened.post("/api/session/second-factor", json={"code": codes[0]}), 422, "wrong_code")
        removed = await opened.request("DELETE", "/api/session/totp", json={"password": who.password})
        assert removed.json()["user"]["hasTotp"] is False


async def test_a_token_from_before_is_never_gone_on_with(app):
    """Session fixation: whatever cookie a browser comes with, signing in gives it another, and ends that one."""
    attacker, victim = await person(app), await person(app)
    async with signed_in(app, attacker) as planted_one:
        fixed = planted_one.cookies["hookvault"]
        async with browser(app, cookie=f"hookvault={fixed}") as opened:
            answer = await opened.post("/api/session", json=victim.login)
            assert cookie_of(answer).value != fixed
        is_problem(await planted_one.get("/api/session"), 401, "unauthorized")


async def test_sessions_are_listed_and_ended(app):
    who = await person(app)
    async with (
        signed_in(app, who, ip="192.0.2.7") as opened,
        signed_in(app, who) as second,
        signed_in(app, who) as third,
    ):
        items = (await opened.get("/api/sessions")).json()["items"]
        assert [item["current"] for item in items] == [False, False, True]
        assert (items[2]["ip"], items[2]["userAgent"]) == ("192.0.2.7", "Browser/1.0")
        other = (await me(second))["id"]
        assert (await opened.delete(f"/api/sessions/{other}")).status_code == 204
        is_problem(await second.get("/api/session"), 401, "unauthorized")
        assert (await third.get("/api/session")).status_code == 200
        assert (await opened.delete("/api/sessions")).json() == {"ended": 1}
        is_problem(await third.get("/api/session"), 401, "unauthorized")
        assert (await opened.get("/api/session")).status_code == 200


async def test_too_many_failures_say_when_to_try_again(app):
    async with browser(app) as opened:
        for _ in range(5):
            assert (
                await opened.post("/api/session", json={"email": "no@example.com", "password": "x"})
            ).status_code == 401
        refused = await opened.post("/api/session", json={"email": "no@example.com", "password": "x"})
        is_problem(refused, 429, "rate_limited")
        assert 25 <= int(refused.headers["retry-after"]) <= 30


@pytest.fixture
def lines():
    """What the log has from now on."""
    kept, handler = [], logging.Handler()
    handler.emit = lambda record: kept.append(str(record.msg))
    logger = logging.getLogger("hookvault")
    logger.addHandler(handler)
    yield kept
    logger.removeHandler(handler)


async def test_an_invitation_from_the_mail_to_the_first_sign_in(secure, post, lines):
    owner, to = await person(secure, "owner"), f"guest-{somewhere()}@example.com"
    async with browser(secure, origin=SECURE) as opened:
        opened.base_url = SECURE
        assert (await opened.post("/api/session", json=owner.login)).status_code == 201
        made = await opened.post(f"{PLATFORM}/invitations", json={"email": to, "role": "viewer"})
        assert (made.status_code, made.json()["mail"], made.json()["link"]) == (201, "sent", None)
        again = await opened.post(f"{PLATFORM}/invitations/{made.json()['id']}/resend")
        assert again.status_code == 200
        is_problem(
            await opened.post(f"{PLATFORM}/invitations", json={"email": to, "role": "admin"}), 409, "invitation_exists"
        )
        listed = (await opened.get(f"{PLATFORM}/invitations")).json()["items"]
        assert (listed[0]["email"], listed[0]["state"]) == (to, "pending")
        post.refuses = "451 later"
        failed = await opened.post(f"{PLATFORM}/invitations/{made.json()['id']}/resend")
        post.refuses = None
        is_problem(failed, 503, "mail_unavailable")
        await opened.post(f"{PLATFORM}/invitations/{made.json()['id']}/resend")
    token, password = post.token(to), planted("guest")
    async with browser(secure, origin=SECURE) as opened:
        opened.base_url = SECURE
        shown = await opened.get(f"/api/invitations/{token}")
        assert (shown.json()["email"], shown.json()["role"]) == (to, "viewer")
        accepted = await opened.post(f"/api/invitations/{token}", json={"name": "Guest", "password": password})
        assert (accepted.status_code, accepted.json()["email"]) == (201, to)
        used = await opened.post(f"/api/invitations/{token}", json={"name": "Guest", "password": password})
        is_problem(used, 404, "link_invalid")
        unknown = await opened.post(f"/api/invitations/{token[::-1]}", json={"name": "Guest", "password": password})
        assert unknown.content == used.content
        assert (await opened.post("/api/session", json={"email": to, "password": password})).status_code == 201
    await secure.audit.tally.save(all_of_it=True)
    assert any("/api/invitations/{token}" in line for line in lines)
    assert not any(token in line for line in lines)


async def test_a_new_password_by_mail(secure, post):
    who, new = await person(secure), planted("by-mail")
    async with browser(secure, origin=SECURE) as opened:
        known = await opened.post("/api/password-resets", json={"email": who.email})
        unknown = await opened.post("/api/password-resets", json={"email": "nobody@example.com"})
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
        assert known.status_code == 202
        await secure.accounts.resets.settle()
        token = post.token(who.email)
        weak = await opened.put("/api/password-resets", json={"token": token, "password": "short"})
        is_problem(weak, 422, "weak_password")
        assert (await opened.put("/api/password-resets", json={"token": token, "password": new})).status_code == 204
        is_problem(
            await opened.put("/api/password-resets", json={"token": token, "password": new}), 404, "link_invalid"
        )
        assert (await opened.post("/api/session", json={"email": who.email, "password": new})).status_code == 201


async def test_a_live_stream_ends_with_its_session(app, monkeypatch):
    monkeypatch.setattr("hookvault.api.live.HEARTBEAT_S", 0.05)
    who = await person(app)
    async with signed_in(app, who) as opened, signed_in(app, who) as other:
        stream = asyncio.create_task(opened.get(f"{PLATFORM}/calls/live"))
        await asyncio.sleep(0.3)
        assert not stream.done()
        await other.delete("/api/sessions")
        assert (await asyncio.wait_for(stream, 10)).status_code == 200


ODD = [
    *(None, 1, "x", [], {}, {"surprise": 1}, {"code": 123456}, {"code": ""}, {"code": "x" * 65}, {"password": None}),
    *({"email": 1, "password": 1}, {"email": [], "password": {}}, {"email": "x" * 321, "password": "x"}),
    *({"token": "", "password": "x"}, {"name": "x" * 201, "password": "x" * 12}, {"password": "x", "newPassword": 1}),
]
UNREADABLE = [
    b"{",
    b'{"a": "\\u0000"}',
    b'{"email": "\\ud800", "password": "x"}',
    b'{"code": 1, "code": 2}',
    b"\xff",
    b"[",
]
BODIES = [
    ("POST", "/api/session"),
    ("POST", "/api/session/second-factor"),
    ("PUT", "/api/session/password"),
    *[(method, "/api/session/totp") for method in ("POST", "PUT", "DELETE")],
    *[(method, "/api/password-resets") for method in ("POST", "PUT")],
    ("POST", "/api/invitations/none"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_that_is_none_changes_nothing(app, cookie, owner, method, path):
    tables = ("platform_users", "user_totp", "user_sessions")
    counted = "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    before = await owner(counted)
    async with browser(app, cookie=cookie) as opened:
        for body in ODD:
            answer = await opened.request(method, path, json=body)
            assert 400 <= answer.status_code < 500, answer.text
            assert answer.json()["code"]
        for content in UNREADABLE:
            answer = await opened.request(method, path, content=content, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, answer.text
    assert await owner(counted) == before
