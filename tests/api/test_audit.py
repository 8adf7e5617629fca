"""Every route declares what it leaves in the audit log, and leaves it; what is refused or fails is there too."""

import re
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from tenancy import PLATFORM, is_problem, whatsapp

from canary import CANARY, planted
from entrance import browser, code_of, make_quick, origin, person
from hookvault.api.app import create_app
from hookvault.api.coverage import AUDIT, Unaudited, route_of
from hookvault.api.hot import ROUTE
from hookvault.audit import tally
from hookvault.audit.model import ANONYMOUS, Actor
from hookvault.audit.tally import Happening, Tally
from hookvault.clock import iso
from hookvault.ids import id_time
from hookvault.settings import Settings
from hookvault.wiring import build
from houses import CASES, Houses
from n8n import Answer
from post import PostOffice

TENANT = f"{PLATFORM}/tenants/{{tenantId}}"
INTEGRATION = f"{TENANT}/integrations/{{kind}}"
KEYS = {"encryption_key": "3c9d41e7" * 8, "encryption_key_next": "b75a08f2" * 8}
URL = "https://n8n.example.com/webhook/order"
NOBODY = "hv_" + "A" * 43


def routes(client):
    """Every route of the application, the hot ones included: method and path."""

    def walk(found):
        for route in found:
            if hasattr(route, "original_router"):  # a router that FastAPI included as it is
                yield from walk(route.original_router.routes)
            else:
                assert route.methods, f"{route} is of a kind that this test does not know"
                yield from ((method, route.path) for method in route.methods - {"HEAD", "OPTIONS"})

    return set(walk(client._transport.app._inner.routes))


async def test_every_route_declares_its_event_or_why_none(client):
    assert AUDIT.keys() == routes(client)
    hot = {f"/api/tenants/{{tenantId}}/webhooks/{{workflowName}}/{kind}" for kind in ("call", "deliveries")}
    assert {path for _, path in routes(client) if ROUTE.fullmatch(re.sub(r"[{}]", "", path))} == hot
    assert [kept for kept in AUDIT.values() if isinstance(kept, Unaudited) and len(kept.why) < 10] == []
    assert [
        kept for kept in AUDIT.values() if isinstance(kept, str) and not re.fullmatch(r"[a-z_]+\.[a-z_]+", kept)
    ] == []


def test_a_request_is_named_by_its_route_and_never_by_its_own_words():
    for method, path in AUDIT:
        assert route_of(method, re.sub(r"\{\w+\}", "dry-run-7", path)).route == f"{method} {path}"
    for path in ("/api/platform/secret", "/api/platform/tenants/a/b/c", "/x\n", "/api/platform/tenants/"):
        assert route_of("GET", path).route == "another path"


@pytest.fixture(scope="module")
async def database_url(make_migrated):
    """A database of this module's own: its master key is rotated here."""
    return await make_migrated()


@pytest.fixture(scope="module")
async def houses():
    async with Houses() as opened:
        yield opened


@pytest.fixture(scope="module")
async def post():
    async with PostOffice() as office:
        yield office


@pytest.fixture(scope="module")
async def app(database_url, houses, post, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")

    known = {"hookvault_data_dir": folder, "provider_base_urls": houses.base_urls} | post.settings | KEYS
    built = await build(Settings(database_url=database_url, **known))
    make_quick(built)
    await built.start()
    yield built
    await built.close()


@pytest.fixture(scope="module")
async def stranger(app):
    """The API without any key."""
    transport, hooks = httpx.ASGITransport(create_app(app)), {"response": [CANARY.record]}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", event_hooks=hooks) as opened:
        yield opened


@pytest.fixture(scope="module")
async def client(app, stranger):
    key = (await app.api_keys.create_api_key("tests")).token.open()
    CANARY.made(key)
    headers, hooks = {"authorization": f"Bearer {key}"}, {"response": [CANARY.record]}
    async with httpx.AsyncClient(
        transport=stranger._transport, base_url="http://test", headers=headers, event_hooks=hooks
    ) as opened:
        yield opened


@pytest.fixture
def owner(database_url):
    async def run(statement, *values):
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    return run


@pytest.fixture
async def stage(acme, deliveries, n8n):
    """A tenant that has one of everything."""
    n8n.answers["/webhook/ok/failing"] = Answer(400)
    webhook = await acme.webhook(n8n.url("/webhook/ok/failing"), "orders")
    ended = await deliveries.send(webhook)
    await deliveries.ended(ended)
    await acme.client.post(f"{acme.path}/integrations/n8n", json={"baseUrl": "https://n.example.com"})
    replay = await acme.client.post(f"/api/tenants/{acme.id}/deliveries/replay", json={"ratePerSecond": 0.1})
    key = await acme.key()
    call = (await acme.calls())[0]["id"]
    named = {
        "webhookId": webhook["id"],
        "deliveryId": ended,
        "callId": call,
        "replayId": replay.json()["id"],
        "keyId": key["id"],
    }
    return {"tenantId": acme.id, "kind": "n8n", "fingerprint": "mk_" + "0" * 16, "workflowName": "orders", **named}


BODIES = {
    ("POST", f"{PLATFORM}/tenants"): lambda stage: {"name": "New", "id": f"{stage['tenantId']}-new"},
    ("PATCH", TENANT): lambda _: {"name": "Renamed"},
    ("POST", f"{TENANT}/shred"): lambda stage: {"confirm": stage["tenantId"]},
    ("POST", f"{PLATFORM}/keys/rekey"): lambda stage: {"tenantId": stage["tenantId"]},
    ("PUT", f"{TENANT}/integrations/{{kind}}"): lambda _: {"baseUrl": "https://n8n.example.com"},
    ("POST", f"{TENANT}/webhooks"): lambda _: {"workflowName": "other", "webhookUrl": URL},
    ("PUT", f"{TENANT}/webhooks/{{webhookId}}"): lambda _: {"description": "new"},
    ("POST", f"{TENANT}/webhooks/dry-run"): lambda _: {"workflowName": "x", "webhookUrl": URL},
    ("POST", f"{TENANT}/webhooks/{{webhookId}}/test"): lambda _: {"call": False},
    ("POST", "/api/tenants/{tenantId}/deliveries/replay"): lambda _: {},
    ("POST", f"{PLATFORM}/api-keys"): lambda stage: {"name": "k", "tenantId": stage["tenantId"]},
}
AUDITED = {route: kept for route, kept in AUDIT.items() if isinstance(kept, str)}
# Those that no key asks: somebody who is signed in, or nobody known yet.
PERSONAL = {route: kept for route, kept in AUDITED.items() if not route[1].startswith((PLATFORM, "/api/tenants"))}


async def since(owner, moment=None):
    return await owner("SELECT * FROM audit_events WHERE $1::uuid IS NULL OR id > $1 ORDER BY id", moment)


@pytest.fixture
async def seen(app, owner):
    """The events that were left since this was asked for, or asked before."""
    await app.audit.tally.save(all_of_it=True)
    await app.audit.tally.save(all_of_it=True)
    last = (await owner("SELECT id FROM audit_events ORDER BY id DESC LIMIT 1"))[0]["id"]

    async def asked():
        await app.audit.tally.save(all_of_it=True)
        return [dict(row) for row in await since(owner, last)]

    return asked


async def prepared(client, houses, stage, route):  # noqa: C901, PLR0911, PLR0912 - one line for each kind
    """What a route needs before it can do anything; the names that its path needs, and its body."""
    _, path = route
    if path.startswith(INTEGRATION) and path != INTEGRATION:
        config, new = houses.config("twilio"), CASES["twilio"][2]()
        houses.take(config | new)
        integration = f"{PLATFORM}/tenants/{stage['tenantId']}/integrations/sms"
        steps = [(integration, config)]
        step = path.removeprefix(INTEGRATION)
        if route != ("POST", f"{INTEGRATION}/rotation") and step != "/test":
            steps.append((f"{integration}/rotation", new))
        if step in ("/rotation/rollback", "/rotation/revoke"):
            steps.append((f"{integration}/rotation/switch", {"force": True, "graceSeconds": 60}))
        for where, body in steps:
            assert (await client.post(where, json=body)).status_code < 300, where
        bodies = {"/rotation/switch": {"force": True}, "/rotation": new if route[0] == "POST" else None}
        return {**stage, "kind": "sms"}, bodies.get(step)
    if path.startswith(f"{PLATFORM}/users/"):
        return {"userId": str((await person(client._transport.app._app)).id)}, {"name": "New"} if route[
            0
        ] == "PATCH" else None
    if path.startswith(f"{PLATFORM}/invitations"):
        body = {"email": f"guest-{uuid4()}@example.com", "role": "viewer"}
        if route == ("POST", f"{PLATFORM}/invitations"):
            return stage, body
        return {"invitationId": (await client.post(f"{PLATFORM}/invitations", json=body)).json()["id"]}, None
    if path == f"{PLATFORM}/demo":
        client._transport.app._app.demo.calls = 50
        await client.delete(path)
        if route[0] == "DELETE":
            assert (await client.post(path)).status_code == 201
    if path.endswith("/retire"):
        await client.post(f"{PLATFORM}/keys/rotate")
        keys = (await client.get(f"{PLATFORM}/keys")).json()["keys"]
        previous = [key["fingerprint"] for key in keys if key["state"] == "previous"]
        return {**stage, "fingerprint": previous[0]}, {"reason": "lost"}
    if path.endswith("/rekey"):
        await client.delete(f"{PLATFORM}/keys/rekey")
        if route[0] == "DELETE":
            await client.post(f"{PLATFORM}/keys/rekey", json={})
    if route == ("POST", INTEGRATION):
        return {**stage, "kind": "whatsapp"}, whatsapp()
    return stage, BODIES.get(route, lambda _: None)(stage)


@pytest.mark.parametrize("route", [route for route in AUDITED if route not in PERSONAL], ids=" ".join)
async def test_each_declared_route_leaves_its_event(client, houses, stage, seen, route):
    method, path = route
    for _ in range(20):
        named, body = await prepared(client, houses, stage, route)
        before = len(await seen())
        answer = await client.request(method, path.format(**named), json=body, headers={"x-request-id": "req-42"})
        if route != ("DELETE", f"{PLATFORM}/keys/rekey") or answer.status_code != 404:  # it may be over already
            break
    assert answer.status_code < 300, answer.text
    events = [event for event in (await seen())[before:] if event["request_id"] == "req-42"]
    assert [event["action"] for event in events].count(AUDITED[route]) == 1
    for event in events:
        assert (event["outcome"], event["actor_type"], event["ip"]) == ("success", "api_key", "127.0.0.1")


async def deed(app, post, route):  # noqa: PLR0911 - one for each kind
    """A browser, and what it does on a route that is about a person: body and path."""
    who, (method, path) = await person(app, "owner"), route
    opened = browser(app)
    body = {"password": who.password}
    if path == "/api/invitations/{token}":
        to = f"guest-{uuid4()}@example.com"
        await app.accounts.invitations.invite(to, "viewer")
        return opened, {"name": "Guest", "password": planted("guest")}, f"/api/invitations/{post.token(to)}"
    if path == "/api/password-resets":
        if method == "POST":
            return opened, {"email": who.email}, path
        await app.accounts.resets.ask(who.email, origin())
        await app.accounts.resets.settle()
        return opened, {"token": post.token(who.email), "password": planted("new")}, path
    if route == ("POST", "/api/session"):
        return opened, who.login, path
    assert (await opened.post("/api/session", json=who.login)).status_code == 201
    if path == "/api/session/password":
        return opened, body | {"newPassword": planted("new")}, path
    if route in (("PUT", "/api/session/totp"), ("POST", "/api/session/second-factor")):
        secret = (await opened.post("/api/session/totp", json=body)).json()["secret"]
        if method == "PUT":
            return opened, {"code": code_of(secret)}, path
        await opened.put("/api/session/totp", json={"code": code_of(secret, -1)})
        await opened.post("/api/session", json=who.login)
        return opened, {"code": code_of(secret)}, path
    if path == "/api/sessions/{sessionId}":
        path = f"/api/sessions/{(await opened.get('/api/session')).json()['id']}"
    return opened, body if path == "/api/session/totp" else None, path


@pytest.mark.parametrize("route", PERSONAL, ids=" ".join)
async def test_each_route_about_a_person_leaves_its_event(app, post, seen, route):
    opened, body, path = await deed(app, post, route)
    before = len(await seen())
    answer = await opened.request(route[0], path, json=body, headers={"x-request-id": "req-43"})
    await opened.aclose()
    assert answer.status_code < 300, answer.text
    events = [event for event in (await seen())[before:] if event["request_id"] == "req-43"]
    assert [event["action"] for event in events].count(PERSONAL[route]) == 1
    nobody = route == (
        "POST",
        "/api/password-resets",
    )  # who asked is not known, nor is it said whether anybody has the address
    for event in events:
        assert (event["outcome"], event["actor_type"]) == ("success", "anonymous" if nobody else "user")
        assert event["ip"].startswith("10.")
        assert "@" not in str(event["detail"]) or event["action"] == "admin.created"


WRONG = {
    ("POST", f"{PLATFORM}/tenants"): ({"name": "", "id": "x"}, "invalid_input"),
    ("PATCH", TENANT): ({"color": "kAnArIe-not-a-value"}, "invalid_input"),
    ("POST", f"{TENANT}/integrations/{{kind}}"): ({"baseUrl": "https://x.example"}, "integration_exists"),
    ("PUT", f"{TENANT}/integrations/{{kind}}"): ({"apiKey": "***"}, "mask_submitted"),
    ("POST", f"{TENANT}/webhooks"): ({"workflowName": "orders", "webhookUrl": URL}, "webhook_exists"),
    ("PUT", f"{TENANT}/webhooks/{{webhookId}}"): ({"webhookUrl": "ftp://x"}, "invalid_url"),
    ("POST", f"{TENANT}/webhooks/{{webhookId}}/signing-secret/rotate"): ({"overlapHours": 999}, "invalid_input"),
    ("POST", "/api/tenants/{tenantId}/deliveries/replay"): ({"ratePerSecond": -1}, "invalid_input"),
    ("POST", f"{PLATFORM}/api-keys"): ({"name": "k", "tenantId": "nobody-here"}, "tenant_not_found"),
}


@pytest.mark.parametrize("route", WRONG, ids=" ".join)
async def test_what_fails_leaves_its_code_and_nothing_of_what_was_submitted(client, stage, seen, route):
    method, path = route
    body, code = WRONG[route]
    before = len(await seen())
    answer = await client.request(method, path.format(**stage), json=body)
    assert answer.json()["code"] == code
    (event,) = (await seen())[before:]
    assert (event["action"], event["outcome"], event["actor_type"]) == (AUDITED[route], "failed", "api_key")
    assert event["tenant_id"] == ("" if "{tenantId}" not in path else stage["tenantId"])
    assert f'"code": "{code}"' in str(event["detail"])
    assert str(answer.status_code) in str(event["detail"])
    assert "color" not in str(event)


@pytest.mark.parametrize(
    ("content", "code"), [(b"{", "malformed_body"), (b'"\xff"', "malformed_body"), (b"[" * 200, None)]
)
async def test_a_body_that_cannot_be_read_has_failed_too(client, acme, seen, content, code):
    answer = await client.patch(acme.path, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert code in (None, answer.json()["code"])
    assert [(event["action"], event["outcome"]) for event in (await seen())[-1:]] == [("tenant.updated", "failed")]


async def test_a_tenant_that_never_was_gets_no_log_by_being_asked_for(client, seen):
    is_problem(await client.patch(f"{PLATFORM}/tenants/never-was", json={"name": "x"}), 404, "tenant_not_found")
    (event,) = await seen()
    assert (event["tenant_id"], event["target_id"], event["outcome"]) == ("", "never-was", "failed")
    is_problem(await client.get(f"{PLATFORM}/tenants/never-was/audit"), 404, "tenant_not_found")


async def test_where_the_failure_cannot_be_recorded_the_answer_is_the_same(app, client, acme, monkeypatch):
    async def fails(*_words, **_more):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(app.audit, "record_apart", fails)
    is_problem(await client.patch(acme.path, json={"name": ""}), 422, "invalid_input")
    is_problem(await client.patch(acme.path, content=b"{"), 400, "malformed_body")


async def test_reads_and_missing_routes_leave_nothing(client, acme, seen):
    before = len(await seen())
    for path in (acme.path, f"{acme.path}/webhooks", f"{acme.path}/webhooks/{uuid4()}", f"{PLATFORM}/api-keys?limit=0"):
        await client.get(path)
    await client.post(f"{PLATFORM}/nothing", json={})
    await client.put(acme.path, json={})
    assert (await seen())[before:] == []


async def test_a_key_without_the_right_leaves_a_denial_in_its_own_log(client, make_tenancy, seen, n8n):
    acme, other = await make_tenancy(), await make_tenancy()
    await other.webhook(n8n.url(), "orders")
    made = await acme.key()
    with_key = {"headers": {"authorization": f"Bearer {made['key']}"}}
    before = len(await seen())
    assert (await client.patch(acme.path, json={"name": "x"}, **with_key)).status_code == 403
    assert (await client.get(f"/api/tenants/{other.id}/deliveries", **with_key)).status_code == 403
    assert (await other.call("orders", key=made["key"])).status_code == 403
    events = (await seen())[before:]
    assert {(event["tenant_id"], event["actor_type"], event["actor_id"]) for event in events} == {
        (acme.id, "api_key", made["id"])
    }
    assert [(event["action"], event["outcome"], event["target_id"]) for event in events] == [
        ("tenant.updated", "denied", f"PATCH {TENANT}"),
        ("route.requested", "denied", "GET /api/tenants/{tenantId}/deliveries"),
        ("route.requested", "denied", "POST /api/tenants/{tenantId}/webhooks/{workflowName}/call"),
    ]
    assert f'"tenantId": "{other.id}"' in str(events[1]["detail"])


async def test_an_unknown_key_is_nobody_s_and_counted(stranger, acme, app, seen):
    made = await acme.key()
    await app.api_keys.revoke_api_key(made["id"])
    before = len(await seen())
    for key in (NOBODY, made["key"], None, "hv_x", NOBODY):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        assert (await stranger.patch(acme.path, json={"name": "x"}, headers=headers)).status_code == 401
    first, further = (await seen())[before:]
    for event in (first, further):
        assert (event["tenant_id"], event["actor_type"], event["actor_id"]) == ("", "anonymous", "anonymous")
        assert (event["action"], event["outcome"], event["ip"]) == ("tenant.updated", "denied", "127.0.0.1")
        assert made["key"] not in str(event)
    assert ('"count": 1' in str(first["detail"]), '"count": 4' in str(further["detail"])) == (True, True)


async def test_the_platform_s_list_has_all_with_filters(client, acme, seen):
    await client.patch(acme.path, json={"name": ""})
    await client.patch(acme.path, json={"name": "fine"})

    async def listed(**query):
        answer = await client.get(f"{PLATFORM}/audit", params=query)
        assert answer.status_code == 200, answer.text
        return [(item["action"], item["outcome"]) for item in answer.json()["items"]]

    assert await listed(tenantId=acme.id, action="tenant.updated") == [
        ("tenant.updated", o) for o in ("success", "failed")
    ]
    assert await listed(tenantId=acme.id, outcome="failed") == [("tenant.updated", "failed")]
    assert {outcome for _, outcome in await listed(outcome="failed", limit=200)} == {"failed"}
    assert await listed(tenantId="nobody-here") == []
    is_problem(await client.get(f"{PLATFORM}/audit", params={"outcome": "odd"}), 422, "invalid_input")
    is_problem(await client.get(f"{PLATFORM}/audit", params={"cursor": "x"}), 422, "invalid_cursor")
    reading = [event for event in await seen() if event["action"] == "audit.listed"]
    assert {event["target_id"] for event in reading} == {"all"}


async def test_changes_tell_before_and_after_and_of_secrets_a_hint(client, acme):
    one, two = planted("first-token"), planted("second-token")
    webhook = await acme.webhook(f"{URL}?key=1", description="a" * 300, authToken=one, staticHeaders={"x-a": "short"})
    path = f"{acme.path}/webhooks/{webhook['id']}"
    change = {
        "authToken": two,
        "staticHeaders": {"x-a": None, "x-b": planted("b")},
        "isActive": False,
        "description": "b",
    }
    assert (await client.put(path, json=change)).status_code == 200
    event = (await acme.audit())[0]
    found = {change["field"]: (change["before"], change["after"]) for change in event["detail"]["changes"]}
    assert event["detail"]["changed"] == ["auth_token", "description", "is_active", "static_headers"]
    assert found.pop("staticHeaders.x-b")[0] is None
    assert found == {
        "authToken": (f"••••{one[-4:]}", f"••••{two[-4:]}"),
        "description": ("a" * 200 + "…", "b"),
        "isActive": (True, False),
        "staticHeaders.x-a": ("set", None),
    }
    moved = {"webhookUrl": "https://other.example.com/x?token=abc", "authToken": two, "staticHeaders": None}
    assert (await client.put(path, json=moved)).status_code == 200
    changes = (await acme.audit())[0]["detail"]["changes"]
    assert {"field": "webhookUrl", "before": f"{URL}?…", "after": "https://other.example.com/x?…"} in changes


async def test_an_integration_that_changes_its_provider_shows_no_secret_of_either(client, acme):
    key = planted("vonage-key")
    vonage = {"provider": "vonage", "apiKey": key, "apiSecret": planted("s"), "phoneNumber": "+491701234567"}
    aws = {
        "provider": "aws_sns",
        "accessKeyId": planted("id"),
        "secretAccessKey": planted("sk"),
        "region": "eu-central-1",
    }
    path = f"{acme.path}/integrations/sms"
    assert (await client.post(path, json=vonage)).status_code == 201
    created = (await acme.audit())[0]["detail"]
    assert {"field": "apiKey", "before": None, "after": f"••••{key[-4:]}"} in created["changes"]
    assert (await client.put(path, json=aws)).status_code == 200
    changes = (await acme.audit())[0]["detail"]["changes"]
    assert {"field": "provider", "before": "vonage", "after": "aws_sns"} in changes
    assert {"field": "apiKey", "before": f"••••{key[-4:]}", "after": None} in changes
    assert {"field": "phoneNumber", "before": "+491701234567", "after": None} in changes


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


async def test_a_flood_leaves_one_event_a_minute_of_each_kind_and_some_kinds_at_most(monkeypatch):
    monkeypatch.setattr(tally, "KINDS", 3)
    clock, written = Clock(), []

    async def write(actor, _action, target, **more):
        written.append((actor.ip, target[1], more["detail"]["count"]))

    def note(ip, target="POST x", who=ANONYMOUS):
        actor = Actor(who.kind, who.id, ip)
        made.note(Happening(actor, "route.requested", ("route", target), "", "denied", {"code": "unauthorized"}))

    made = Tally(write, clock=clock)
    for _ in range(5):
        note("192.0.2.1")
    await made.save()
    assert written == [("192.0.2.1", "POST x", 1)]
    clock.now = 61
    note("192.0.2.1")
    await made.save()
    assert written[1:] == [("192.0.2.1", "POST x", 5)]
    for n in range(50):
        note(f"2001:db8::{n:x}")
        note(f"2001:db8:0:{n:x}::1")
    note("192.0.2.9", who=Actor("api_key", "k"))
    await made.save()
    clock.now = 200
    await made.save()
    assert sum(count for *_, count in written) == 6 + 100 + 1
    assert len(written) < 12
    assert (None, "further", 1) in written
    assert ("192.0.2.9", "POST x", 1) in written
    clock.now = 400
    await made.save()
    assert made._windows == ({}, {})


async def test_what_cannot_be_written_now_is_written_later():
    written, broken = [], [True]

    async def write(_actor, _action, target, **_more):
        if broken[0]:
            raise ConnectionError
        written.append(target)

    made = Tally(write)
    made.note(Happening(ANONYMOUS, "route.requested", ("route", "x"), "", "denied", {}))
    with pytest.raises(ConnectionError):
        await made.save()
    broken[0] = False
    await made.save()
    assert written == [("route", "x")]


async def test_an_attempt_on_one_tenant_does_not_vanish_among_others():
    written = []

    async def write(_actor, _action, _target, **more):
        written.append(more["detail"])

    made = Tally(write)
    for tenant in ("t1", "beta", "t2", "beta"):
        detail = {"code": "forbidden", "tenantId": tenant}
        made.note(Happening(Actor("api_key", "k"), "tenant.shredded", ("route", "x"), "", "denied", detail))
    await made.save(all_of_it=True)
    assert {(item["tenantId"], item["count"]) for item in written} == {("t1", 1), ("beta", 1), ("t2", 1)}


async def test_what_fails_again_and_again_is_counted(client, acme, seen):
    for _ in range(20):
        await client.put(f"{acme.path}/integrations/n8n", json={"apiKey": "****"})
    events = [event for event in await seen() if event["action"] == "integration.updated"]
    assert len(events) == 2  # the first at once, and at the end of the minute how many more there were
    assert '"count": 19' in str(events[1]["detail"])


async def test_the_log_is_narrowed_by_who_and_when(client, acme, app):
    """Every combination is a part of the same list, in the same order, however it is paged."""
    key = await acme.key()
    for name in ("one", "two", "three"):
        await client.patch(acme.path, json={"name": name})
    await app.tenants.update_tenant(acme.id, {"name": "four"}, actor=Actor("user", "somebody"))
    whole = (await client.get(f"{acme.path}/audit", params={"action": "tenant.updated"})).json()["items"]
    assert [event["actorId"] == "somebody" for event in whole] == [True, False, False, False]
    assert key["id"] not in {event["actorId"] for event in whole}

    async def asked(path=f"{acme.path}/audit", **query):
        found, cursor = [], None
        while True:
            answer = await client.get(
                path,
                params={"action": "tenant.updated", "limit": 1, **query, "cursor": cursor or ""}
                if cursor
                else {"action": "tenant.updated", "limit": 1, **query},
            )
            found += answer.json()["items"]
            if (cursor := answer.json()["nextCursor"]) is None:
                return [event["id"] for event in found]

    ids = [event["id"] for event in whole]
    assert await asked(actorId="somebody") == ids[:1]
    assert await asked(f"{PLATFORM}/audit", actorId="somebody", tenantId=acme.id) == ids[:1]
    times = [iso(id_time(UUID(each))) for each in ids]  # an event is written down within a ms of its id's time
    assert await asked(endDate=times[0]) == [i for i, at in zip(ids, times, strict=True) if at < times[0]]
    assert await asked(startDate=times[2]) == [i for i, at in zip(ids, times, strict=True) if at >= times[2]]
    assert await asked(startDate="2000-01-01T00:00:00Z") == ids
    assert await asked(endDate="9999-12-31T00:00:00Z") == ids
    assert await asked(endDate="1000-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"startDate": "yesterday"}, "invalid_input"),
        ({"startDate": "2026-01-01T00:00:00"}, "invalid_input"),
        ({"startDate": "2026-01-02T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}, "invalid_range"),
        ({"actorId": "x" * 201}, "invalid_input"),
        ({"actorId": "a\x00b"}, "invalid_input"),
    ],
)
async def test_the_log_refuses_what_can_t_be_asked(client, query, code):
    is_problem(await client.get(f"{PLATFORM}/audit", params=query), 422, code)
