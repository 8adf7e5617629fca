"""Rotation of an integration's secrets: the whole way for every provider, what is refused, and what is left at every end."""

import asyncio
import json
import secrets
from datetime import timedelta

import pytest

from canary import planted
from hookvault.clock import now
from hookvault.errors import ConflictError, HookvaultError, InvalidError, NotFoundError, PreconditionError
from hookvault.vault.cipher import is_ciphertext
from hookvault.wiring import build
from houses import CASES, Houses
from n8n import Answer

EVERY = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
async def houses():
    async with Houses() as opened:
        yield opened


@pytest.fixture(autouse=True)
def as_usual(houses):
    yield
    houses.whole = None


@pytest.fixture(scope="module")
async def app(settings, houses):
    """The services, with the providers on loopback."""
    built = await build(settings.model_copy(update={"provider_base_urls": houses.base_urls}))
    yield built
    await built.close()


class Place:
    """One integration of a tenant of this test's own."""

    def __init__(self, app, houses, owner, tenant_id, name):
        self.kind, _, self.new = CASES[name]
        self.id, self.owner, self.houses, self.name = tenant_id, owner, houses, name
        self.first = houses.config(name)
        self.app, self.rotations = app, app.rotations

    async def configured(self):
        await self.app.integrations.configure(self.id, self.kind, self.first, create=True)
        return self

    def do(self, command, *values, **named):
        return getattr(self.rotations, command)(self.id, self.kind, *values, **named)

    def put(self, body):
        return self.app.integrations.configure(self.id, self.kind, body, create=False)

    async def staged(self, **more):
        """Stages new secrets that the provider knows, tested; the secrets."""
        new = self.new()
        self.houses.take(self.first | new)
        await self.do("stage", new, **more)
        assert (await self.do("test")).ok
        return new

    async def in_use(self):
        """What calls use, opened."""
        config = await self.app.integrations.open_config(self.id, self.kind)
        return {name: value if isinstance(value, str) else value.open() for name, value in config.items()}

    async def both(self):
        """The versions in force, opened."""
        found = await self.do("open_versions")
        return [
            None if side is None else {name: value.open() for name, value in side.items()}
            for side in (found["current"], found["previous"])
        ]

    async def rows(self):
        """The versions as they lie in the database: number -> (state, number of sealed secrets)."""
        rows = await self.owner(
            "SELECT * FROM credential_versions WHERE tenant_id = $1 AND kind = $2 ORDER BY number", self.id, self.kind
        )
        for row in rows:
            assert all(map(is_ciphertext, json.loads(row["secrets"]).values()))
        return {row["number"]: (row["state"], len(json.loads(row["secrets"]))) for row in rows}

    async def events(self):
        """What the audit log has of credentials, oldest first: (action, version, the rest)."""
        page = await self.app.audit.list_events(self.id, limit=200)
        found = []
        for event in reversed(page.items):
            if event.action.startswith("credential."):
                detail = dict(event.detail)
                fields = detail.pop("fields")
                assert set(fields.values()) <= {None} | {hint for hint in fields.values() if len(hint) == 8}
                found.append((event.action.partition(".")[2], detail.pop("version"), detail))
        return found


@pytest.fixture
def make(app, houses, owner, tenant):
    async def made(name="twilio"):
        return await Place(app, houses, owner, tenant.id, name).configured()

    return made


def secret_of(config, place):
    names = {"accessToken", "webhookVerifyToken", "appSecret", "accountSid", "authToken", "apiKey", "apiSecret"}
    return {name: value for name, value in config.items() if name in names | {"accessKeyId", "secretAccessKey"}}


@EVERY
async def test_the_whole_way(make, name):
    place = await make(name)
    first, new = place.first, place.new()
    status = await place.do("status")
    assert (status.current.number, status.current.state, status.staged, status.previous) == (1, "current", None, None)
    assert await place.rows() == {}
    assert (await place.do("test", "current")).code == "ok"

    staged = await place.do("stage", new)
    assert (staged.staged.number, staged.staged.secrets.keys()) == (2, new.keys())
    assert await place.in_use() == first
    refused = await place.do("test")
    assert (refused.ok, refused.code) == (False, "auth_failed")
    with pytest.raises(ConflictError, match="auth_failed") as error:
        await place.do("switch")
    assert error.value.code == "untested"

    place.houses.take(first | new)
    assert (await place.do("test")).code == "ok"
    before = staged.version
    switched = await place.do("switch", grace_s=3600)
    assert switched.version == before + 1
    assert (switched.current.number, switched.previous.number, switched.staged) == (2, 1, None)
    assert timedelta(seconds=3590) < switched.previous.grace_until - now() <= timedelta(seconds=3600)
    assert await place.in_use() == first | new
    assert await place.both() == [secret_of(first | new, place), secret_of(first, place)]
    assert await place.rows() == {1: ("previous", len(secret_of(first, place))), 2: ("current", 0)}
    for which in ("current", "previous"):
        assert (await place.do("test", which)).code == "ok"

    rolled = await place.do("rollback")
    assert (rolled.current.number, rolled.previous) == (3, None)
    assert await place.in_use() == first
    assert await place.both() == [secret_of(first, place), None]
    assert await place.rows() == {1: ("revoked", 0), 2: ("revoked", 0), 3: ("current", 0)}
    history = (await place.do("list_versions")).items
    assert [version.number for version in history] == [3, 2, 1]
    assert [info.set for version in history for info in version.secrets.values()].count(True) == len(
        secret_of(first, place)
    )
    assert history[1].secrets.keys() == secret_of(first, place).keys()
    assert "kAnArIe" not in repr((history, rolled, switched, staged, refused))


async def test_every_step_is_in_the_audit_log(make):
    place = await make()
    await place.staged()
    await place.do("switch", grace_s=60)
    await place.do("revoke")
    await place.do("stage", place.new())
    await place.do("test")
    await place.do("stage", place.new(), replace_staged=True)
    await place.do("discard")
    await place.staged()
    await place.do("switch")
    await place.do("rollback")
    await place.do("stage", place.new())
    await place.do("switch", force=True, grace_s=0)
    assert await place.events() == [
        ("staged", 2, {}),
        ("tested", 2, {"code": "ok"}),
        ("switched", 2, {"former": 1, "graceSeconds": 60}),
        ("revoked", 1, {"reason": "asked"}),
        ("staged", 3, {}),
        ("tested", 3, {"code": "auth_failed"}),
        ("discarded", 3, {"reason": "replaced"}),
        ("staged", 4, {}),
        ("discarded", 4, {"reason": "asked"}),
        ("staged", 5, {}),
        ("tested", 5, {"code": "ok"}),
        ("switched", 5, {"former": 2, "graceSeconds": 86400}),
        ("revoked", 5, {"reason": "rolled_back"}),
        ("rolled_back", 6, {"of": 2, "instead": 5}),
        ("staged", 7, {}),
        ("revoked", 6, {"reason": "replaced"}),
        ("switched", 7, {"former": 6, "graceSeconds": 0, "forced": True}),
    ]
    page = await place.app.audit.list_events(place.id, limit=200)
    assert {event.outcome for event in page.items if event.detail.get("code") == "auth_failed"} == {"failed"}


REFUSED = [
    ("twilio", {}, "invalid_input"),
    ("twilio", {"surprise": "x"}, "invalid_input"),
    ("twilio", {"authToken": None}, "invalid_input"),
    ("twilio", {"authToken": 5}, "invalid_input"),
    ("twilio", {"authToken": ""}, "invalid_input"),
    ("twilio", {"authToken": "with\nbreak"}, "invalid_input"),
    ("twilio", {"authToken": "y" * 5000}, "invalid_input"),
    ("twilio", {"authToken": "••••3f9c"}, "mask_submitted"),
    ("twilio", {"authToken": f"{'a1' * 12}:{'b2' * 16}:{'c3' * 20}"}, "ciphertext_submitted"),
    ("twilio", {"authToken": "another-token", "phoneNumber": "+15555555556"}, "not_a_secret"),
    ("twilio", {"authToken": "another-token", "enabled": False}, "not_a_secret"),
    ("twilio", {"authToken": "another-token", "provider": "vonage"}, "destination_changed"),
    ("twilio", {"authToken": "another-token", "accountSid": "another-account"}, "destination_changed"),
    ("vonage", {"apiKey": "12345678", "apiSecret": "another-secret"}, "destination_changed"),
    ("whatsapp", {"accessToken": "another-token", "phoneNumberId": "2"}, "destination_changed"),
    ("whatsapp", {"accessToken": "another-token", "businessAccountId": "2"}, "destination_changed"),
    ("n8n", {"apiKey": "another-key", "baseUrl": "https://evil.example.com"}, "destination_changed"),
    ("aws_sns", {"secretAccessKey": "another", "region": "us-east-1"}, "destination_changed"),
    ("aws_sns", {"accessKeyId": "another-id"}, "secrets_required"),
]


@pytest.mark.parametrize(("name", "body", "code"), REFUSED)
async def test_what_can_not_be_staged(make, name, body, code):
    place = await make(name)
    with pytest.raises(InvalidError) as error:
        await place.do("stage", body)
    assert error.value.code == code
    assert await place.rows() == {}
    assert await place.events() == []


async def test_the_secrets_in_use_are_no_new_ones(make):
    place = await make()
    with pytest.raises(InvalidError) as error:
        await place.do("stage", {"authToken": place.first["authToken"], "accountSid": place.first["accountSid"]})
    assert error.value.code == "unchanged"
    shown = {"authToken": {"set": True, "hint": "••••abcd"}, "phoneNumber": place.first["phoneNumber"], "version": 1}
    staged = await place.do("stage", shown | {"apiKeySid": planted("sk"), "apiKeySecret": planted("sks")})
    assert staged.staged.secrets.keys() == {"apiKeySid", "apiKeySecret"}  # what was read may be sent along


async def test_steps_out_of_order(make, tenant, app):
    with pytest.raises(NotFoundError) as error:
        await app.rotations.status(tenant.id, "sms")
    assert error.value.code == "integration_not_found"
    for command, values in (("stage", ({},)), ("switch", ()), ("test", ()), ("rollback", ()), ("revoke", ())):
        for tenant_id, code in ((tenant.id, "integration_not_found"), ("nobody", "tenant_not_found")):
            with pytest.raises(NotFoundError) as error:
                await getattr(app.rotations, command)(tenant_id, "sms", *values)
            assert error.value.code == code
    place = await make()
    for command, values, code in (
        ("switch", (), "nothing_staged"),
        ("test", ("staged",), "nothing_staged"),
        ("test", ("previous",), "no_previous"),
        ("rollback", (), "no_previous"),
        ("revoke", (), "no_previous"),
    ):
        with pytest.raises(ConflictError) as error:
            await place.do(command, *values)
        assert error.value.code == code
    await place.do("discard")  # idempotent
    await place.do("stage", place.new())
    with pytest.raises(ConflictError) as error:
        await place.do("stage", place.new())
    assert error.value.code == "rotation_in_progress"
    with pytest.raises(ConflictError) as error:
        await place.do("switch")
    assert error.value.code == "untested"
    for grace in (-1, 30 * 86_400 + 1):
        with pytest.raises(InvalidError):
            await place.do("switch", grace_s=grace, force=True)
    for command, named in (("switch", {"force": True}), ("stage", {"replace_staged": True}), ("discard", {})):
        with pytest.raises(PreconditionError):
            await place.do(command, *([place.new()] if command == "stage" else []), if_version=7, **named)
    assert [event[0] for event in await place.events()] == ["staged"]


async def test_a_switch_ends_an_earlier_grace(make):
    place = await make()
    second = await place.staged()
    await place.do("switch")
    await place.staged()
    await place.do("switch")
    assert await place.rows() == {1: ("revoked", 0), 2: ("previous", 2), 3: ("current", 0)}
    assert ("revoked", 1, {"reason": "superseded"}) in await place.events()
    assert (await place.both())[1]["authToken"] == second["authToken"]


async def test_the_end_of_the_grace(make):
    place, other = await make(), await make("n8n")
    for one in (place, other):
        await one.staged()
        await one.do("switch", grace_s=3600)
    await place.rotations.end_grace()
    assert (await place.rows())[1][0] == "previous"
    late = "UPDATE credential_versions SET grace_until = now() - interval '1 second' WHERE tenant_id = $1 AND kind = 'sms' "
    await place.owner(late + "AND state = 'previous'", place.id)
    assert (await place.both())[1] is None  # at once, whenever the loop comes by
    with pytest.raises(ConflictError) as error:
        await place.do("rollback")
    assert error.value.code == "grace_ended"
    await asyncio.gather(*[place.rotations.end_grace() for _ in range(3)])
    assert (await place.rows())[1] == ("revoked", 0)
    assert (await other.rows())[1] == ("previous", 1)
    assert [event for event in await place.events() if event[2] == {"reason": "grace_ended"}] == [
        ("revoked", 1, {"reason": "grace_ended"})
    ]
    page = await place.app.audit.list_events(place.id, limit=1)
    assert (page.items[0].actor_type, page.items[0].actor_id) == ("system", "hookvault")
    assert any(loop._name == "grace of credentials" for loop in place.app.loops)


async def test_a_put_of_a_secret_makes_a_version_of_its_own(make):
    place = await make()
    await place.put({"authToken": planted("before")})
    assert await place.rows() == {}  # nothing was ever rotated here
    await place.put({"authToken": place.first["authToken"]})
    await place.staged()
    direct = planted("direct")
    await place.put({"authToken": direct})
    assert await place.rows() == {1: ("revoked", 0), 2: ("staged", 1), 3: ("current", 0)}
    assert ("revoked", 1, {"reason": "replaced"}) in await place.events()
    with pytest.raises(ConflictError, match="not tested as it is now") as error:
        await place.do("switch")
    assert error.value.code == "untested"
    await place.do("test")
    await place.put({"phoneNumber": "+15555555550"})
    assert (await place.rows())[3] == ("current", 0)
    with pytest.raises(ConflictError):
        await place.do("switch")
    await place.do("test")
    await place.do("switch")
    assert (await place.both())[1]["authToken"] == direct


async def test_a_put_of_another_destination_ends_all_other_versions(make):
    place = await make()
    await place.staged()
    await place.do("switch")
    await place.do("stage", place.new())
    again = {"accountSid": planted("other"), "authToken": planted("other-token")}
    await place.put(again)
    assert await place.rows() == {1: ("revoked", 0), 2: ("revoked", 0), 3: ("discarded", 0), 4: ("current", 0)}
    with pytest.raises(ConflictError):
        await place.do("rollback")
    reasons = [event[2].get("reason") for event in await place.events()]
    assert reasons[-3:] == ["destination_changed", "destination_changed", "replaced"]


async def test_another_sms_provider_ends_all_other_versions(make, houses):
    place = await make()
    await place.staged()
    await place.do("switch")
    await place.do("stage", place.new())
    await place.put(houses.config("vonage"))
    assert {state for state, _ in (await place.rows()).values()} == {"revoked", "discarded", "current"}
    assert (await place.do("status")).current.provider == "vonage"


@pytest.mark.parametrize("what", ["one", "all"])
async def test_a_removed_integration_leaves_no_secret_of_any_version(make, app, tenant, what):
    place, other = await make(), await make("n8n")
    for one in (place, other):
        await one.staged()
        await one.do("switch")
        await one.do("stage", one.new())
    if what == "one":
        await app.integrations.remove(tenant.id, "sms")
        assert (await other.rows())[1] == ("previous", 1)
    else:
        await app.integrations.delete_tenant_integration(tenant.id)
        assert {state for state, _ in (await other.rows()).values()} == {"revoked", "discarded"}
    assert await place.rows() == {1: ("revoked", 0), 2: ("revoked", 0), 3: ("discarded", 0)}
    await app.integrations.configure(tenant.id, "sms", place.first, create=True)
    assert (await place.do("status")).current.number == 4
    assert (await place.do("stage", place.new())).staged.number == 5


STEPS = {"credential.switched": "switch", "credential.rolled_back": "rollback", "credential.staged": "stage"}


@pytest.mark.parametrize("action", STEPS)
async def test_what_fails_on_the_way_changes_nothing(make, owner, action):
    """The audit event is the last that is written: when even that fails, all before it is undone."""
    place = await make()
    await place.staged()
    if action == "credential.rolled_back":
        await place.do("switch")
    stored = "SELECT t::text FROM tenant_integrations t WHERE tenant_id = $1"
    before = (await place.rows(), await place.in_use(), await owner(stored, place.id), await place.events())
    name = f"refuse_{secrets.token_hex(4)}"
    await owner(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
    await owner(
        f"CREATE TRIGGER {name} BEFORE INSERT ON audit_events FOR EACH ROW "
        f"WHEN (NEW.action = '{action}' AND NEW.tenant_id = '{place.id}') EXECUTE FUNCTION {name}()"
    )
    try:
        values = ([place.new()], {"replace_staged": True}) if action == "credential.staged" else ([], {})
        with pytest.raises(Exception, match="no"):
            await place.do(STEPS[action], *values[0], **values[1])
    finally:
        await owner(f"DROP FUNCTION {name} CASCADE")
    assert (await place.rows(), await place.in_use(), await owner(stored, place.id), await place.events()) == before


async def test_many_admins_at_once_leave_one_current_version(make, app):
    place = await make()
    await place.staged()
    known = {place.first["authToken"]}

    def fresh():
        made = planted("at-once")
        known.add(made)
        return {"authToken": made}

    for _ in range(6):
        work = [
            place.do("stage", fresh(), replace_staged=True),
            place.do("switch", force=True),
            place.put(fresh()),
            place.do("stage", fresh(), replace_staged=True),
            place.do("switch", force=True),
            place.do("rollback"),
            place.do("revoke"),
        ]
        for done in await asyncio.gather(*work, return_exceptions=True):
            assert not isinstance(done, BaseException) or isinstance(done, HookvaultError), repr(done)
            assert getattr(done, "status", 0) < 500 or done.code == "database_locked"
        states = [state for state, _ in (await place.rows()).values()]
        assert states.count("current") == 1
        assert max(states.count("staged"), states.count("previous")) <= 1
        for state, sealed in (await place.rows()).values():
            assert (sealed > 0) == (state in ("staged", "previous"))
        current, previous = await place.both()
        assert current["authToken"] == (await place.in_use())["authToken"]
        hint = (await place.do("status")).current.secrets["authToken"].hint
        assert current["authToken"].endswith(hint)
        assert previous is None or previous["accountSid"] == current["accountSid"]


async def test_a_test_that_was_overtaken_keeps_nothing(make, houses):
    place = await make()
    await place.do("stage", place.new())
    go = asyncio.Event()
    houses.whole = Answer(200, b'{"sid":"x"}', when=go)
    for overtaking in (place.put({"phoneNumber": "+15555555551"}), place.do("stage", place.new(), replace_staged=True)):
        seen = len(houses.seen)
        go.clear()
        testing = asyncio.create_task(place.do("test"))
        while len(houses.seen) == seen:
            await asyncio.sleep(0.005)
        await overtaking  # no transaction of the test is open: nothing waits for the provider
        go.set()
        with pytest.raises(ConflictError) as error:
            await testing
        assert error.value.code == "changed_meanwhile"
    assert (await place.do("status")).staged.test_code is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(401, b"{}"), "auth_failed"),
        (Answer(403, b"{}"), "scope_missing"),
        (Answer(404, b"{}"), "wrong_account"),
        (Answer(429, b"{}"), "rate_limited"),
        (Answer(503, b"<html>"), "unreachable"),
        (Answer(302, b"", headers=(("location", "http://127.0.0.1:1/"),)), "unexpected_answer"),
        (Answer(200, b'{"sid":'), "unexpected_answer"),
    ],
)
async def test_what_a_test_says(make, houses, owner, answer, code):
    place = await make()
    await place.do("stage", place.new())
    houses.whole = answer
    result = await place.do("test")
    assert (result.ok, result.code) == (False, code)
    status = await place.do("status")
    assert (status.staged.test_code, status.staged.tested_at) == (code, result.checked_at)


async def test_a_provider_that_can_not_be_reached(settings, owner, tenant, houses):
    for url, told in (("http://127.0.0.1:1", "127.0.0.1"), ("http://169.254.169.254", "blocked")):
        built = await build(settings.model_copy(update={"provider_base_urls": {"twilio": url}}))
        try:
            place = Place(built, houses, owner, tenant.id, "twilio")
            if told == "127.0.0.1":
                await place.configured()
            result = await place.do("test", "current")
            assert result.code == "unreachable"
            assert told in result.message
        finally:
            await built.close()


async def test_a_test_names_what_it_can_not_prove(make):
    place = await make("whatsapp")
    result = await place.do("test", "current")
    assert result.message == "WhatsApp accepts accessToken. No call can prove webhookVerifyToken."


async def test_twilio_s_api_key_is_proved_too(make):
    place = await make()
    key = {"apiKeySid": planted("sk"), "apiKeySecret": planted("sks")}
    await place.do("stage", key)
    assert (await place.do("test")).code == "auth_failed"
    place.houses.take(place.first | key)
    assert (await place.do("test")).code == "ok"
    await place.do("switch")
    assert (await place.do("rollback")).current.secrets.keys() == {"accountSid", "authToken"}
    assert await place.in_use() == place.first


async def test_the_n8n_key_goes_to_the_origin_with_it_alone(make, houses):
    place = await make("n8n")
    await place.do("test", "current")
    assert houses.last.path == "/api/v1/workflows?limit=1&excludePinnedData=true"
    assert houses.last.headers["x-n8n-api-key"] == place.first["apiKey"]
    assert "authorization" not in houses.last.headers


async def test_an_n8n_without_a_key_can_not_be_tested_and_gets_one_by_rotation(make, app):
    place = await make("n8n")
    await place.put({"apiKey": None})
    with pytest.raises(InvalidError, match="apiKey is not set"):
        await place.do("test", "current")
    await place.staged()
    await place.do("switch")
    assert "apiKey" in await place.in_use()
    await place.do("rollback")
    assert "apiKey" not in await place.in_use()


async def test_versions_under_different_data_keys(make, app, owner):
    """Every row names its own key; a switch brings what it touches to the newest one."""
    place = await make()
    new = await place.staged()
    await owner("UPDATE data_keys SET state = 'decrypt_only' WHERE tenant_id = $1", place.id)
    async with app.database.system() as tx:
        await app.vault.add_key(tx, place.id)
    assert (await place.do("test")).ok
    await place.do("switch")
    keys = await owner("SELECT number, key_version FROM credential_versions WHERE tenant_id = $1 ORDER BY 1", place.id)
    assert [tuple(row) for row in keys] == [(1, 2), (2, 2)]
    assert await place.in_use() == place.first | new
    assert (await place.both())[1] == secret_of(place.first, place)
    await place.do("rollback")
    assert await place.in_use() == place.first


async def test_a_version_opens_in_its_own_place_only(make, owner):
    place = await make()
    await place.staged()
    await place.do("switch")
    swap = (
        "UPDATE credential_versions SET secrets = jsonb_build_object('accountSid', secrets->>'authToken', "
        "'authToken', secrets->>'accountSid') WHERE tenant_id = $1 AND state = 'previous'"
    )
    await owner(swap, place.id)
    with pytest.raises(HookvaultError) as error:
        await place.do("open_versions")
    assert error.value.code == "cipher_error"


async def test_pages_of_versions(make):
    place = await make()
    for _ in range(4):
        await place.do("stage", place.new(), replace_staged=True)
    seen, cursor = [], None
    while True:
        page = await place.do("list_versions", limit=2, cursor=cursor)
        seen += [version.number for version in page.items]
        if not (cursor := page.next_cursor):
            break
    assert seen == [5, 4, 3, 2, 1]


async def test_secrets_whose_key_is_gone_are_given_again_before_anything_is_rotated(make, owner):
    place = await make()
    await place.staged()
    await place.do("switch")
    await place.do("stage", place.new())
    lost = '{"accountSid": "", "authToken": ""}'
    lose = (
        f"UPDATE tenant_integrations SET sms_config = sms_config || '{lost}' WHERE tenant_id = $1",
        f"UPDATE credential_versions SET secrets = '{lost}' WHERE tenant_id = $1 AND state = 'staged'",
    )
    for statement in lose:
        await owner(statement, place.id)
    assert (await place.do("status")).staged.secrets["authToken"].needs_reentry is True
    calls = [("test", ["current"]), ("switch", []), ("stage", [place.new()]), ("open_versions", [])]
    for command, values in calls:
        with pytest.raises(InvalidError) as error:
            await place.do(command, *values, **({"force": True} if command == "switch" else {}))
        assert error.value.code == "secrets_required"
    await place.do("discard")
    assert (await place.do("revoke")).previous is None
    await place.put({"accountSid": place.first["accountSid"], "authToken": place.first["authToken"]})
    assert await place.in_use() == place.first
