"""Whatever is sent, on every route: a 4xx problem with a code, and nothing is changed by it."""

import json
import secrets

import asyncpg
import pytest
from tenancy import PLATFORM

from hookvault.paging import encode_cursor

TENANT = f"{PLATFORM}/tenants/{{tenant}}"
LIMIT = 1_048_576

# Every route that takes a body, with a body that it would take.
BODIES = {
    "tenant": ("POST", f"{PLATFORM}/tenants", {"name": "A"}),
    "tenant change": ("PATCH", TENANT, {"name": "B"}),
    "whatsapp": (
        "POST",
        f"{TENANT}/integrations/whatsapp",
        {"phoneNumberId": "1234567890", "businessAccountId": "1234567890", "accessToken": "an-access-token"},
    ),
    "sms": (
        "POST",
        f"{TENANT}/integrations/sms",
        {"provider": "vonage", "apiKey": "12345678", "apiSecret": "an-api-secret", "phoneNumber": "+49170123456"},
    ),
    "n8n": ("POST", f"{TENANT}/integrations/n8n", {"baseUrl": "https://n8n.example.com"}),
    "whatsapp change": ("PUT", f"{TENANT}/integrations/whatsapp", {"enabled": False}),
    "sms change": ("PUT", f"{TENANT}/integrations/sms", {"enabled": False}),
    "n8n change": ("PUT", f"{TENANT}/integrations/n8n", {"enabled": False}),
    "n8n test": ("POST", f"{TENANT}/integrations/n8n/test", {"baseUrl": "http://127.0.0.1:1", "apiKey": "an-api-key"}),
    "n8n stage": ("POST", f"{TENANT}/integrations/n8n/rotation", {"apiKey": "another-api-key"}),
    "n8n version test": ("POST", f"{TENANT}/integrations/n8n/rotation/test", {"version": "current"}),
    "n8n switch": ("POST", f"{TENANT}/integrations/n8n/rotation/switch", {"force": True}),
    "webhook": ("POST", f"{TENANT}/webhooks", {"workflowName": "made", "webhookUrl": "https://n8n.example.com/x"}),
    "webhook change": ("PUT", f"{TENANT}/webhooks/{{webhook}}", {"description": "changed"}),
    "api key": ("POST", f"{PLATFORM}/api-keys", {"name": "a"}),
    "user change": ("PATCH", f"{PLATFORM}/users/{{user}}", {"name": "B"}),
    "invitation": ("POST", f"{PLATFORM}/invitations", {"email": "guest@example.com", "role": "viewer"}),
    "dry run": ("POST", f"{TENANT}/webhooks/dry-run", {"workflowName": "tried", "webhookUrl": "http://127.0.0.1:1/x"}),
    "test": ("POST", f"{TENANT}/webhooks/{{webhook}}/test", {"call": False}),
    "replay": ("POST", "/api/tenants/{tenant}/deliveries/replay", {"preview": True, "workflowName": "orders"}),
    "call": ("POST", "/api/tenants/{tenant}/webhooks/orders/call", {"payload": 1}),
    "delivery": ("POST", "/api/tenants/{tenant}/webhooks/orders/deliveries", {"payload": 1}),
}
HOT = ("call", "delivery")  # a payload may hold anything: it is sent as it is
BODY_IS_OPTIONAL = ("test", "n8n test", "n8n version test", "n8n switch")
ROTATING = ("n8n stage", "n8n version test", "n8n switch")
CONFIGURED = {name.removesuffix(" change"): body for name, (_, _, body) in BODIES.items()}
EVERY_BODY = pytest.mark.parametrize("route", BODIES)


STATE = """
SELECT (SELECT count(*) FROM audit_events WHERE outcome = 'success' AND action <> 'audit.listed'),
    (SELECT count(*) FROM api_keys), (SELECT count(*) FROM tenants),
    (SELECT array_agg(t::text) FROM tenant_integrations t WHERE tenant_id = $1),
    (SELECT array_agg(t::text) FROM n8n_webhooks t WHERE tenant_id = $1),
    (SELECT count(*) FROM webhook_analytics t WHERE tenant_id = $1),
    (SELECT count(*) FROM webhook_deliveries t WHERE tenant_id = $1),
    (SELECT count(*) FROM idempotency_keys t WHERE tenant_id = $1),
    (SELECT array_agg(t::text) FROM credential_versions t WHERE tenant_id = $1),
    (SELECT count(*) FROM delivery_replays t WHERE tenant_id = $1), (SELECT sum(accepted) FROM delivery_ledger),
    (SELECT array_agg(t::text ORDER BY id) FROM platform_users t), (SELECT count(*) FROM user_invitations)
"""


class Scene:
    """One route in a tenant where its body would be taken, and all that could be changed by it."""

    def __init__(self, acme, asked, route, webhook_id, user_id):
        self.method, path, self.body = BODIES[route]
        if "email" in self.body:
            self.body = {**self.body, "email": f"guest-{secrets.token_hex(6)}@example.com"}
        self.path = path.format(tenant=acme.id, webhook=webhook_id, user=user_id)
        self._acme, self._asked = acme, asked

    async def send(self, content, **headers):
        sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._acme.client.request(self.method, self.path, content=content, headers=sent)

    async def state(self):
        """Every audit event and key there is, and the tenant's own rows."""
        (row,) = await self._asked(STATE, self._acme.id)
        return tuple(row)

    async def refuses(self, content, status, code, **headers):
        before = await self.state()
        answer = await self.send(content, **headers)
        refused(answer, status, code)
        assert await self.state() == before


def refused(answer, status=None, code=None):
    """A 4xx problem, with this status and one of these codes where given."""
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["code"]
    assert len(answer.content) < 8192
    if status is not None:
        assert (answer.status_code, body["code"]) == (status, code), answer.text


@pytest.fixture(scope="module")
async def asked(database_url):
    """Asks the database as its owner, on one connection: these tests ask often."""
    connection = await asyncpg.connect(database_url)
    yield connection.fetch
    await connection.close()


@pytest.fixture(scope="module")
async def admin(app):
    """Somebody who may be changed."""
    return (await app.admins.create_admin(f"changed-{secrets.token_hex(6)}@example.com")).user


@pytest.fixture
async def scene(acme, asked, n8n, admin):
    async def made(route):
        webhook = await acme.webhook(n8n.url(), "orders")
        if route.endswith(" change") and route.split()[0] in ("whatsapp", "sms", "n8n"):
            kind = route.split()[0]
            created = await acme.client.post(f"{acme.path}/integrations/{kind}", json=CONFIGURED_FIRST[kind])
            assert created.status_code == 201, created.text
        if route in ROTATING:
            config = {"baseUrl": "http://127.0.0.1:1", "apiKey": "an-api-key"}
            assert (await acme.client.post(f"{acme.path}/integrations/n8n", json=config)).status_code == 201
        if route == "n8n switch":
            new = {"apiKey": "another-api-key"}
            staged = await acme.client.post(f"{acme.path}/integrations/n8n/rotation", json=new)
            assert staged.status_code == 201, staged.text
        return Scene(acme, asked, route, webhook["id"], admin.id)

    return made


CONFIGURED_FIRST = {kind: BODIES[kind][2] for kind in ("whatsapp", "sms", "n8n")}


@EVERY_BODY
async def test_the_body_itself_would_be_taken(scene, route):
    place = await scene(route)
    answer = await place.send(json.dumps(place.body))
    assert answer.status_code in (200, 201, 202), answer.text


@EVERY_BODY
async def test_what_can_not_be_read(scene, route):
    place = await scene(route)
    good = json.dumps(place.body)
    cut = [good[:-1], good + "}", "{", "x", "{'a': 1}", good[:-1] + ",}", "\ufeff" + good]
    odd = [
        b'{"name": "\xff"}',
        b'{"\xc3\x28": 1}',
        b'{"a": "\xed\xa0\x80"}',
        good.encode("utf-16"),
        good.encode("utf-32-be"),
    ]
    for content in [*[text.encode() for text in cut], *odd]:
        await place.refuses(content, 400, "malformed_body")


@EVERY_BODY
async def test_nothing_and_what_is_no_object(scene, route):
    place = await scene(route)
    before = await place.state()
    nothing = () if route in BODY_IS_OPTIONAL else (b"", b" ", b"null")  # there a body need not be
    for content in (*nothing, b"[]", b"[1]", b'"text"', b"5", b"true"):
        refused(await place.send(content))
    assert await place.state() == before


@EVERY_BODY
async def test_too_deep_and_too_large(scene, route):
    place = await scene(route)
    deepest = b'{"surprise":' * 64 + b"1" + b"}" * 64
    refused(await place.send(deepest))
    await place.refuses(b'{"surprise":' * 65 + b"1" + b"}" * 65, 413, "too_deep")
    await place.refuses(b'{"surprise":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 413, "too_deep")
    await place.refuses(b"[" * 100_000, 413, "too_deep")
    too_large = json.dumps({**place.body, "payload": "x" * LIMIT}).encode()
    await place.refuses(too_large, 413, "payload_too_large")


async def chunked(size):
    for _ in range(size // 65_536 + 2):
        yield b" " * 65_536


@EVERY_BODY
async def test_too_large_without_saying_so(scene, route):
    place = await scene(route)
    before = await place.state()
    answer = await place.send(chunked(2 * LIMIT))
    refused(answer, 413, "payload_too_large")
    assert await place.state() == before


@EVERY_BODY
async def test_exactly_the_limit_is_not_too_large(scene, route):
    place = await scene(route)
    good = json.dumps(place.body)
    assert (await place.send(good + " " * (LIMIT - len(good)))).status_code in (200, 201, 202)


@EVERY_BODY
async def test_unknown_fields(scene, route):
    place = await scene(route)
    for name in ("surprise", "tenant_id", "__proto__", "", "é", "x" * 300):
        await place.refuses(json.dumps({**place.body, name: 1}), 422, "invalid_input")
    await place.refuses(json.dumps({**place.body, **{f"f{n}": 1 for n in range(2000)}}), 422, "invalid_input")


@EVERY_BODY
async def test_wrong_types(scene, route):
    place = await scene(route)
    before = await place.state()
    for name in place.body:
        if name == "payload":
            continue
        for value in (5, 1.5, [], {}, [[]], {"set": 5}, ["a"], 10**30):
            refused(await place.send(json.dumps({**place.body, name: value})), 422, "invalid_input")
    assert await place.state() == before


@EVERY_BODY
async def test_what_the_database_can_not_hold(scene, route):
    place = await scene(route)
    if route in HOT:
        return
    for text in ("a\\u0000b", "\\ud800", "\\udfff x", "\\ud83d", "\\uDE00\\uD83D"):
        for name in place.body:
            rest = {key: value for key, value in place.body.items() if key != name}
            content = json.dumps(rest)[:-1] + (", " if rest else "") + f'"{name}": "{text}"}}'
            await place.refuses(content, 422, "invalid_characters")
        await place.refuses(json.dumps(place.body)[:-1] + f', "{text}": 1}}', 422, "invalid_characters")


@pytest.mark.parametrize("route", HOT)
@pytest.mark.parametrize("text", ["a\\u0000b", "\\ud800"])
async def test_odd_characters_outside_a_payload(scene, route, text):
    place = await scene(route)
    before = await place.state()
    for content in (
        f'{{"payload": 1, "triggeredBy": "{text}"}}',
        f'{{"payload": 1, "{text}": 1}}',
        f'{{"payload": "{text}", "surprise": 1}}',
    ):
        refused(await place.send(content))
    assert await place.state() == before


@EVERY_BODY
async def test_a_name_given_twice(scene, route):
    place = await scene(route)
    name, value = next(iter(place.body.items()))
    twice = json.dumps(place.body)[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}"
    if route in HOT:  # there the last one counts, as for every reader of its kind
        assert (await place.send('{"payload": 1, "payload": 2}')).status_code in (200, 202)
        return
    await place.refuses(twice, 400, "malformed_body")
    await place.refuses(f'{{"surprise": [{{"a": 1, "a": 2}}], {twice[1:]}', 400, "malformed_body")


@EVERY_BODY
async def test_numbers_and_texts_out_of_bounds(scene, route):
    place = await scene(route)
    before = await place.state()
    for name in place.body:
        if name == "payload":
            continue
        rest = {key: value for key, value in place.body.items() if key != name}
        for text in ("1e999", "9" * 5000, "-" + "9" * 500_000, "NaN", "Infinity", "-Infinity", "1.0e-400"):
            content = json.dumps(rest)[:-1] + (", " if rest else "") + f'"{name}": {text}}}'
            refused(await place.send(content))
        for text in ("y" * 100_000, "\U0001f600" * 50_000):
            refused(await place.send(json.dumps({**place.body, name: text})), 422, "invalid_input")
    assert await place.state() == before


@EVERY_BODY
async def test_another_content_type(scene, route):
    place = await scene(route)
    good = json.dumps(place.body)
    for kind in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "json",
        "application/jsonp",
    ):
        await place.refuses(good, 415, "unsupported_media_type", content_type=kind)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/problem+json", None]
)
async def test_what_counts_as_json(client, kind):
    headers = {} if kind is None else {"content-type": kind}
    made = await client.post(f"{PLATFORM}/tenants", content=b'{"name": "A"}', headers=headers)
    assert made.status_code == 201


@EVERY_BODY
@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "HEAD", "PROPFIND", "X" * 50])
async def test_a_method_that_no_route_has(client, acme, route, method):
    nothing = "01890000-0000-7000-8000-000000000000"
    path = BODIES[route][1].format(tenant=acme.id, webhook=nothing, user=nothing)
    answer = await client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{PLATFORM}/tenants"),
        ("PUT", TENANT),
        ("POST", TENANT),
        ("PATCH", f"{TENANT}/integrations/n8n"),
        ("GET", f"{TENANT}/integrations/n8n"),
        ("PATCH", f"{TENANT}/webhooks"),
        ("DELETE", f"{TENANT}/audit"),
        ("POST", f"{TENANT}/webhooks/analytics/summary"),
        ("PUT", f"{PLATFORM}/api-keys"),
        ("GET", "/api/tenants/{tenant}/webhooks/orders/call"),
        ("PUT", "/api/tenants/{tenant}/webhooks/orders/call"),
        ("GET", "/api/tenants/{tenant}/webhooks/orders/deliveries"),
        ("POST", "/api/tenants/{tenant}/deliveries"),
        ("DELETE", "/api/tenants/{tenant}/deliveries"),
        ("GET", "/api/tenants/{tenant}/deliveries/replays/01890000-0000-7000-8000-000000000000/cancel"),
        ("POST", "/healthz"),
        ("DELETE", "/api/openapi.json"),
    ],
)
async def test_a_method_that_this_route_has_not(client, acme, method, path):
    answer = await client.request(method, path.format(tenant=acme.id), json={})
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


PIECES = [
    *(
        "%00",
        "a%00",
        "%2F",
        "a%2Fb",
        "..%2F..",
        "%2e%2e",
        "%C3%A4",
        "%F0%9F%98%80",
        "%ff",
        "%",
        "%zz",
        "%0a",
        "%20",
        "x" * 300,
    ),
    *("a'b", "a;b", "a%3Fb", "*", "%25", "%ed%a0%80", "null", "0", "-1"),
]
ONE_PARAMETER = [
    ("GET", f"{PLATFORM}/tenants/{{}}"),
    ("PATCH", f"{PLATFORM}/tenants/{{}}"),
    ("GET", f"{PLATFORM}/tenants/{{}}/audit"),
    ("GET", f"{PLATFORM}/tenants/{{}}/webhooks"),
    ("POST", f"{PLATFORM}/tenants/{{}}/integrations/n8n"),
    ("GET", f"{PLATFORM}/tenants/{{}}/webhooks/analytics/summary"),
    ("GET", f"{TENANT}/webhooks/{{{{}}}}"),
    ("PUT", f"{TENANT}/webhooks/{{{{}}}}"),
    ("GET", f"{TENANT}/webhooks/{{{{}}}}/analytics"),
    ("POST", f"{TENANT}/webhooks/{{{{}}}}/signing-secret/rotate"),
    ("POST", f"{TENANT}/integrations/{{{{}}}}"),
    ("PUT", f"{TENANT}/integrations/{{{{}}}}"),
    ("DELETE", f"{TENANT}/integrations/{{{{}}}}"),
    ("POST", f"{TENANT}/integrations/{{{{}}}}/test"),
    *[(method, f"{TENANT}/integrations/{{{{}}}}/rotation") for method in ("GET", "POST", "DELETE")],
    *[("POST", f"{TENANT}/integrations/{{{{}}}}/rotation/{step}") for step in ("rollback", "revoke")],
    ("GET", f"{TENANT}/integrations/{{{{}}}}/rotation/versions"),
    ("DELETE", f"{PLATFORM}/api-keys/{{}}"),
    ("PATCH", f"{PLATFORM}/users/{{}}"),
    ("DELETE", f"{PLATFORM}/users/{{}}"),
    ("DELETE", f"{PLATFORM}/invitations/{{}}"),
    ("POST", f"{PLATFORM}/invitations/{{}}/resend"),
    ("GET", "/api/invitations/{}"),
    ("POST", "/api/invitations/{}"),
    ("POST", "/api/tenants/{}/webhooks/orders/call"),
    ("POST", "/api/tenants/{tenant}/webhooks/{{}}/call"),
    ("POST", "/api/tenants/{}/webhooks/orders/deliveries"),
    ("POST", "/api/tenants/{tenant}/webhooks/{{}}/deliveries"),
    ("GET", "/api/tenants/{}/deliveries"),
    ("POST", "/api/tenants/{}/deliveries/replay"),
    ("GET", "/api/tenants/{tenant}/deliveries/{{}}"),
    ("POST", "/api/tenants/{tenant}/deliveries/{{}}/replay"),
    ("GET", "/api/tenants/{tenant}/deliveries/replays/{{}}"),
    ("POST", "/api/tenants/{tenant}/deliveries/replays/{{}}/cancel"),
    ("POST", f"{TENANT}/webhooks/{{{{}}}}/test"),
]
GOOD_BODY = {"PATCH": {"name": "B"}, "PUT": {}}
OTHER_BODY = {"baseUrl": "https://example.com"}


@pytest.mark.parametrize(("method", "path"), ONE_PARAMETER)
async def test_odd_path_parameters(client, acme, asked, method, path):
    shape = path.replace("{{}}", "\0").replace("{tenant}", acme.id).replace("{}", "\0")
    before = await asked("SELECT count(*) FROM audit_events WHERE outcome = 'success' AND action <> 'audit.listed'")
    for piece in PIECES:
        body = {"payload": 1} if path.endswith(("/call", "s/deliveries")) else GOOD_BODY.get(method, OTHER_BODY)
        answer = await client.request(method, shape.replace("\0", piece), json=None if method == "GET" else body)
        refused(answer)
    assert (
        await asked("SELECT count(*) FROM audit_events WHERE outcome = 'success' AND action <> 'audit.listed'")
        == before
    )


QUERIES = {
    f"{PLATFORM}/tenants": ("limit", "cursor"),
    f"{PLATFORM}/api-keys": ("tenantId", "limit", "cursor"),
    f"{PLATFORM}/users": ("limit", "cursor"),
    f"{PLATFORM}/invitations": ("limit", "cursor"),
    f"{TENANT}/audit": ("limit", "cursor"),
    f"{PLATFORM}/audit": ("limit", "cursor", "tenantId", "action", "outcome"),
    f"{TENANT}/webhooks": ("limit", "cursor"),
    f"{TENANT}/integrations/n8n/rotation/versions": ("limit", "cursor"),
    f"{TENANT}/webhooks/{{webhook}}/analytics": ("limit", "cursor"),
    f"{TENANT}/webhooks/analytics": ("startDate", "endDate", "status", "webhookId", "limit", "cursor"),
    f"{TENANT}/webhooks/analytics/summary": ("startDate", "endDate", "webhookId"),
    f"{TENANT}/webhooks/analytics/series": ("startDate", "endDate", "webhookId", "interval", "timeZone"),
    f"{TENANT}/webhooks/analytics/errors": ("startDate", "endDate", "webhookId"),
    f"{TENANT}/webhooks/analytics/slowest": ("startDate", "endDate", "limit"),
    f"{TENANT}/webhooks/analytics/failing": ("startDate", "endDate", "limit"),
    f"{TENANT}/webhooks/analytics/heatmap": ("startDate", "endDate", "webhookId", "timeZone"),
    f"{PLATFORM}/analytics/summary": ("startDate", "endDate"),
    f"{PLATFORM}/analytics/series": ("startDate", "endDate", "interval", "timeZone"),
    f"{PLATFORM}/analytics/errors": ("startDate", "endDate"),
    f"{PLATFORM}/analytics/heatmap": ("startDate", "endDate", "timeZone"),
    f"{PLATFORM}/analytics/tenants": ("startDate", "endDate", "limit"),
    "/api/tenants/{tenant}/deliveries": ("status", "workflowName", "startDate", "endDate", "limit", "cursor"),
    "/api/tenants/{tenant}/deliveries/replays": ("limit", "cursor"),
}


@pytest.mark.parametrize("path", QUERIES)
async def test_odd_query_parameters(client, acme, n8n, path):
    webhook = await acme.webhook(n8n.url())
    url = path.format(tenant=acme.id, webhook=webhook["id"])
    for name in QUERIES[path]:
        for piece in [*PIECES, "1e999", "9" * 400, "true", "[]", "%F0%28%8C%28", "+", "x" * 3000]:
            if (name, piece) == ("limit", "0") or (name == "tenantId" and piece in ("null", "0", "true", "1e999")):
                continue
            if name in ("startDate", "endDate") and piece in ("0", "-1"):
                continue  # seconds since 1970 are a time
            refused(await client.get(f"{url}?{name}={piece}"))


@pytest.mark.parametrize("piece", ["%00", "%ff", "%ed%a0%80", "x" * 200, "'; DROP TABLE tenants; --", "%25"])
async def test_any_text_may_have_triggered_a_call(client, acme, piece):
    answer = await client.get(f"{acme.path}/webhooks/analytics?triggeredBy={piece}")
    if answer.status_code != 200:
        refused(answer)
        assert piece == "%00"
    else:
        assert answer.json() == {"items": [], "nextCursor": None}


@pytest.mark.parametrize(
    "texts",
    [
        ["calls", "0001-01-01T00:00:00+14:00", "01890000-0000-7000-8000-000000000000"],
        ["calls", "9999-12-31T23:59:59-14:00", "01890000-0000-7000-8000-000000000000"],
        ["calls", "2026-01-01T00:00:00", "01890000-0000-7000-8000-000000000000"],
        ["calls", "2026-01-01T00:00:00Z", "x"],
        ["calls", "2026-01-01T00:00:00Z"],
        ["calls", "a\0", "b"],
        ["calls"],
        [],
    ],
)
async def test_a_forged_cursor(client, acme, texts):
    cursor = secrets.token_urlsafe(3) if not texts else _cursor(texts)
    answer = await client.get(f"{acme.path}/webhooks/analytics", params={"cursor": cursor})
    if answer.status_code != 200:  # a time at the edge of the calendar is a place in the list too
        refused(answer, 422, "invalid_cursor" if answer.json()["code"] == "invalid_cursor" else "invalid_input")
    else:
        assert answer.json()["items"] == []
    for path in (f"{PLATFORM}/tenants", f"{acme.path}/webhooks", f"{acme.path}/audit", f"{PLATFORM}/api-keys"):
        refused(await client.get(path, params={"cursor": cursor}), 422, "invalid_cursor")


@pytest.mark.parametrize(("kind", "path"), [("tenants", f"{PLATFORM}/tenants"), ("webhooks", f"{TENANT}/webhooks")])
async def test_a_cursor_with_a_nul(client, acme, kind, path):
    refused(await client.get(path.format(tenant=acme.id), params={"cursor": _cursor([kind, "a\0b"])}))


def _cursor(texts):
    return encode_cursor(*texts)
