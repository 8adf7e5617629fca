"""Webhooks: addresses derived and refused, secrets sealed in their place, names freed, counters read as part of them."""

import asyncio
import json
from uuid import uuid4

import pytest

from canary import planted
from hookvault.errors import (
    CipherError,
    ConflictError,
    HookvaultError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    TooLargeError,
    UnavailableError,
)
from hookvault.vault import encrypt
from hookvault.vault.cipher import is_ciphertext
from hookvault.webhooks.model import CallRequest, Policy
from hookvault.webhooks.signing import signing_key
from hookvault.wiring import build
from n8n import Answer, N8n

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
URL = "https://n8n.example.com/webhook/order"


@pytest.fixture
async def webhook(app, tenant):
    return await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)


@pytest.fixture
async def n8n():
    async with N8n() as receiver:
        yield receiver


@pytest.fixture
def endpoint(app):
    """A webhook as a call finds it: address parsed, secrets opened."""

    async def find(tenant_id, name="order"):
        app.webhooks.forget(tenant_id)
        return await app.webhooks._endpoints.find(tenant_id, name)

    return find


async def row_of(owner, webhook):
    return (await owner("SELECT * FROM n8n_webhooks WHERE tenant_id = $1 AND id = $2", webhook.tenant_id, webhook.id))[
        0
    ]


async def test_a_webhook_is_made_with_defaults_and_a_secret_shown_once(app, owner, tenant):
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)
    secret = made.new_signing_secret
    assert len(signing_key(secret)) == 32
    assert made.signing_secret.hint == secret.open()[-4:]
    read = await app.webhooks.get_n8n_webhook(tenant.id, made.id)
    assert read.new_signing_secret is None
    assert read == await app.webhooks.get_n8n_webhook_by_name(tenant.id, "order")
    assert (read.auth_type, read.is_active, read.description, read.config_version) == ("none", True, "", 1)
    assert (read.total_calls, read.successful_calls, read.failed_calls, read.last_called_at) == (0, 0, 0, None)
    assert read.policy == Policy()
    row = await row_of(owner, made)
    assert is_ciphertext(row["signing_secret"])
    assert secret.open() not in str(dict(row))
    assert secret.open() not in repr(made)


async def test_every_secret_is_stored_sealed_and_opens_for_a_call(app, owner, tenant, endpoint):
    token, header = planted("token"), planted("header")
    made = await app.webhooks.create_n8n_webhook(
        tenant.id, "order", webhook_url=URL, auth_token=token, static_headers={"X-Api-Key": header, "X-Short": "short"}
    )
    assert made.auth_type == "bearer"  # a token given alone
    assert made.auth_token.hint == token[-4:]
    assert (made.static_headers["X-Api-Key"].hint, made.static_headers["X-Short"].hint) == (header[-4:], None)
    row = await row_of(owner, made)
    assert is_ciphertext(row["auth_token"])
    assert all(is_ciphertext(value) for value in json.loads(row["static_headers"]).values())
    found = await endpoint(tenant.id)
    assert found.auth_token.same_as(token)
    assert {name: value.open() for name, value in found.static_headers} == {"X-Api-Key": header, "X-Short": "short"}
    assert found.signing_secret.same_as(made.new_signing_secret)
    assert "kAnArIe" not in repr(made) + repr(found)


async def swap(owner, one, other):
    """Exchanges two stored secrets, each (webhook, expression to read, assignment of $3)."""
    found = []
    for webhook, read, _ in (one, other):
        found.append((await owner(f"SELECT {read} FROM n8n_webhooks WHERE id = $1", webhook.id))[0][0])
    assert found[0] != found[1]
    for (webhook, _, write), value in zip((other, one), found, strict=True):
        await owner(
            f"UPDATE n8n_webhooks SET {write} WHERE tenant_id = $1 AND id = $2", webhook.tenant_id, webhook.id, value
        )


TOKEN = ("auth_token", "auth_token = $3")
SIGNING = ("signing_secret", "signing_secret = $3")
HEADER = ("static_headers ->> 'X-Key'", "static_headers = jsonb_set(static_headers, '{X-Key}', to_jsonb($3::text))")


@pytest.mark.parametrize("move", ["row", "tenant", "field", "header"])
async def test_a_ciphertext_opens_in_its_own_place_only(app, owner, tenant, endpoint, move):
    other_tenant = await app.tenants.create_tenant("Other")
    made = {}
    for owner_id, name in ((tenant.id, "order"), (tenant.id, "invoice"), (other_tenant.id, "order")):
        made[owner_id, name] = await app.webhooks.create_n8n_webhook(
            owner_id, name, webhook_url=URL, auth_token=planted("token"), static_headers={"X-Key": planted("header")}
        )
        await endpoint(owner_id, name)
    here = made[tenant.id, "order"]
    there = {
        "row": (made[tenant.id, "invoice"], *TOKEN),
        "tenant": (made[other_tenant.id, "order"], *TOKEN),
        "field": (here, *SIGNING),
        "header": (here, *HEADER),
    }[move]
    await swap(owner, (here, *TOKEN), there)
    for webhook in {here.id: here, there[0].id: there[0]}.values():
        with pytest.raises(CipherError) as caught:
            await endpoint(webhook.tenant_id, webhook.workflow_name)
        assert caught.value.code == "cipher_error"
    await swap(owner, (here, *TOKEN), there)
    await endpoint(tenant.id)


async def test_a_header_s_secret_does_not_open_under_another_header_s_name(app, owner, tenant, endpoint):
    made = await app.webhooks.create_n8n_webhook(
        tenant.id, "order", webhook_url=URL, static_headers={"X-Key": planted("h")}
    )
    await owner(
        "UPDATE n8n_webhooks SET static_headers = jsonb_build_object('X-Log', static_headers -> 'X-Key') WHERE id = $1",
        made.id,
    )
    with pytest.raises(CipherError):
        await endpoint(tenant.id)


async def test_a_stored_version_0_is_never_opened(app, owner, tenant, webhook, endpoint):
    for version in (0, 1):
        await owner(
            "UPDATE n8n_webhooks SET auth_type = 'bearer', auth_token = $2, key_version = $3 WHERE id = $1",
            webhook.id,
            encrypt(planted("by-hand"), KEY),
            version,
        )
        with pytest.raises(CipherError):
            await endpoint(tenant.id)


async def test_encrypted_values_and_masks_are_refused(app, tenant, webhook):
    for value, code in (
        (encrypt("x", KEY), "ciphertext_submitted"),
        ("***", "mask_submitted"),
        ("\u2022\u2022\u2022\u2022ab12", "mask_submitted"),
    ):
        for fields in ({"auth_token": value}, {"static_headers": {"X-Key": value}}):
            for attempt in (
                lambda fields=fields: app.webhooks.update_n8n_webhook(tenant.id, webhook.id, fields),
                lambda fields=fields: app.webhooks.create_n8n_webhook(tenant.id, "new", webhook_url=URL, **fields),
            ):
                with pytest.raises(InvalidError) as caught:
                    await attempt()
                assert caught.value.code == code
    assert await app.webhooks.get_n8n_webhook(tenant.id, webhook.id) == await app.webhooks.get_n8n_webhook_by_name(
        tenant.id, "order"
    )


@pytest.mark.parametrize(
    ("base", "name", "url"),
    [
        ("https://n8n.example.com/webhook", "order", "https://n8n.example.com/webhook/{id}/order"),
        (
            "https://n8n.example.com/webhook/",
            "ContactForm_new",
            "https://n8n.example.com/webhook/{id}/contact-form-new",
        ),
        ("https://n8n.example.com", "HTTPServer2", "https://n8n.example.com/{id}/http-server2"),
        ("https://{tenantId}.n8n.example.com/webhook", "order", "https://{id}.n8n.example.com/webhook/order"),
        ("https://n8n.example.com/{slug}/webhook", "order", "https://n8n.example.com/{slug}/webhook/order"),
        ("https://n8n.example.com/{slug}/{tenantId}", "a_b", "https://n8n.example.com/{slug}/{id}/a-b"),
    ],
)
async def test_an_address_is_derived_from_the_n8n_base_url(app, base, name, url):
    uid = uuid4().hex[:8]
    tenant = await app.tenants.create_tenant("T", tenant_id=f"t-{uid}", slug=f"s-{uid}")
    await app.integrations.configure(tenant.id, "n8n", {"baseUrl": base}, create=True)
    made = await app.webhooks.create_n8n_webhook(tenant.id, name)
    assert made.webhook_url == url.replace("{id}", tenant.id).replace("{slug}", tenant.slug)


async def test_without_n8n_an_address_must_be_given(app, tenant):
    with pytest.raises(InvalidError) as caught:
        await app.webhooks.create_n8n_webhook(tenant.id, "order")
    assert caught.value.members["errors"][0]["field"] == "webhookUrl"
    await app.integrations.configure(tenant.id, "n8n", {"baseUrl": "https://x.example", "enabled": False}, create=True)
    with pytest.raises(InvalidError):
        await app.webhooks.create_n8n_webhook(tenant.id, "order")


async def test_an_address_can_be_derived_anew(app, tenant, webhook):
    await app.integrations.configure(tenant.id, "n8n", {"baseUrl": "https://x.example/w"}, create=True)
    changed = await app.webhooks.update_n8n_webhook(
        tenant.id, webhook.id, {"webhook_url": None, "workflow_name": "newName"}
    )
    assert changed.webhook_url == f"https://x.example/w/{tenant.id}/new-name"


@pytest.mark.parametrize(
    "url",
    [
        "https://n8n.example.com/webhook-test/order",
        "https://n8n.example.com/sub/webhook-test/order",
        "https://user:pw@n8n.example.com/webhook/order",
        "https://user@n8n.example.com/webhook/order",
        "ftp://n8n.example.com/x",
        "n8n.example.com/x",
        "https://",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://n8n.example.com/a b",
        "https://n8n.example.com/\x00",
        "",
    ],
)
async def test_addresses_that_are_never_called_are_never_stored(app, tenant, webhook, url):
    for attempt in (
        lambda: app.webhooks.create_n8n_webhook(tenant.id, "other", webhook_url=url),
        lambda: app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"webhook_url": url}),
    ):
        with pytest.raises(HookvaultError) as caught:
            await attempt()
        assert caught.value.code in ("invalid_url", "address_blocked")
        assert caught.value.status == 422
    assert (await app.webhooks.get_n8n_webhook(tenant.id, webhook.id)).webhook_url == URL


async def test_an_absent_field_keeps_a_value_replaces_null_clears(app, tenant, endpoint):
    made = await app.webhooks.create_n8n_webhook(
        tenant.id,
        "order",
        webhook_url=URL,
        description="first",
        auth_type="basic",
        auth_config={"user": "me"},
        auth_token=planted("password"),
        static_headers={"X-A": planted("a"), "X-B": planted("b")},
        policy={"timeoutMs": 5000, "maxRetries": 2},
    )
    before = await endpoint(tenant.id)
    token = planted("new-b")
    changed = await app.webhooks.update_n8n_webhook(
        tenant.id,
        made.id,
        {"description": "second", "static_headers": {"x-b": token, "X-A": None}, "policy": {"timeoutMs": None}},
    )
    after = await endpoint(tenant.id)
    assert (changed.description, changed.webhook_url, changed.auth_type) == ("second", URL, "basic")
    assert changed.policy == Policy(max_retries=2)
    assert after.auth_token.same_as(before.auth_token)
    assert after.signing_secret.same_as(made.new_signing_secret)
    assert [(name, value.open()) for name, value in after.static_headers] == [("x-b", token)]
    cleared = await app.webhooks.update_n8n_webhook(
        tenant.id,
        made.id,
        {"description": None, "static_headers": None, "policy": None, "auth_type": "none", "is_active": False},
    )
    assert (cleared.description, cleared.static_headers, cleared.policy, cleared.is_active) == ("", {}, Policy(), False)
    assert (cleared.auth_type, cleared.auth_config, cleared.auth_token.set) == ("none", {}, False)
    assert cleared.config_version == 3


MOVES = {
    "auth token": ({"auth_token": "{t}"}, ["authToken"]),
    "static headers": ({"static_headers": {"X-A": "{t}", "X-B": "{t}"}}, ["staticHeaders.X-A", "staticHeaders.X-B"]),
    "both": ({"auth_token": "{t}", "static_headers": {"X-A": "{t}"}}, ["authToken", "staticHeaders.X-A"]),
}


def filled(fields):
    return json.loads(json.dumps(fields).replace("{t}", planted("secret")))


@pytest.mark.parametrize("what", MOVES)
async def test_a_stored_secret_does_not_follow_to_another_address(app, tenant, what, endpoint):
    fields, wanted = MOVES[what]
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL, **filled(fields))
    elsewhere = {"webhook_url": "https://evil.example.com/x"}
    for attempt in (elsewhere, {**elsewhere, "workflow_name": "x"}, {**elsewhere, "static_headers": {}}):
        with pytest.raises(InvalidError) as caught:
            await app.webhooks.update_n8n_webhook(tenant.id, made.id, attempt)
        assert caught.value.code == "secrets_required"
        assert [fault["field"] for fault in caught.value.members["errors"]] == wanted
    assert (await endpoint(tenant.id)).url == URL
    await app.webhooks.update_n8n_webhook(tenant.id, made.id, {"webhook_url": URL})  # the same one is no move
    assert (
        await app.webhooks.update_n8n_webhook(tenant.id, made.id, elsewhere | filled(fields))
    ).webhook_url == elsewhere["webhook_url"]


async def test_a_secret_given_up_may_stay_behind(app, tenant):
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL, **filled(MOVES["both"][0]))
    gone = {"webhook_url": "https://other.example.com/x", "auth_type": "none", "static_headers": None}
    moved = await app.webhooks.update_n8n_webhook(tenant.id, made.id, gone)
    assert (moved.auth_token.set, moved.static_headers) == (False, {})


async def test_a_plain_webhook_may_move(app, tenant, webhook):
    moved = await app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"webhook_url": "https://other.example.com/x"})
    assert moved.webhook_url == "https://other.example.com/x"


async def test_names_are_unique_and_free_again_at_once(app, tenant, webhook):
    other = await app.webhooks.create_n8n_webhook(tenant.id, "other", webhook_url=URL)
    for attempt in (
        lambda: app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL),
        lambda: app.webhooks.update_n8n_webhook(tenant.id, other.id, {"workflow_name": "order"}),
    ):
        with pytest.raises(ConflictError) as caught:
            await attempt()
        assert caught.value.code == "webhook_exists"
    await app.webhooks.delete_n8n_webhook(tenant.id, webhook.id)
    again = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL)
    assert again.id != webhook.id
    assert again.total_calls == 0
    elsewhere = await app.tenants.create_tenant("Other")
    await app.webhooks.create_n8n_webhook(elsewhere.id, "order", webhook_url=URL)


async def test_of_two_at_once_one_is_made(app, tenant):
    ended = await asyncio.gather(
        *[app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL) for _ in range(5)],
        return_exceptions=True,
    )
    assert sum(isinstance(end, ConflictError) for end in ended) == 4


async def test_a_deleted_webhook_leaves_its_history_and_no_secret(app, owner, tenant, n8n):
    made = await app.webhooks.create_n8n_webhook(
        tenant.id, "order", webhook_url=n8n.url(), auth_token=planted("token"), static_headers={"X-A": planted("a")}
    )
    result = await app.webhooks.call_webhook(tenant.id, "order", {"a": 1})
    await app.webhooks.delete_n8n_webhook(tenant.id, made.id)
    await app.webhooks.delete_n8n_webhook(tenant.id, made.id)
    for ask in (
        app.webhooks.get_n8n_webhook(tenant.id, made.id),
        app.webhooks.get_n8n_webhook_by_name(tenant.id, "order"),
        app.webhooks.call_webhook(tenant.id, "order", {}),
        app.webhooks.update_n8n_webhook(tenant.id, made.id, {}),
        app.webhooks.increment_webhook_stats(tenant.id, made.id, success=True),
    ):
        with pytest.raises(NotFoundError) as caught:
            await ask
        assert caught.value.code == "webhook_not_found"
    assert await app.webhooks.get_n8n_webhooks_by_tenant(tenant.id) == []
    (call,) = await app.analytics.get_webhook_analytics(tenant.id, made.id)
    assert (call.id, call.workflow_name) == (result.call_id, "order")
    row = await row_of(owner, made)
    assert (row["auth_token"], row["signing_secret"], json.loads(row["static_headers"])) == (None, None, {})
    assert json.loads(row["secret_hints"]) == {}


async def test_all_and_the_active_ones(app, tenant):
    for n, name in enumerate(["c", "a", "b", "B", "d"]):
        await app.webhooks.create_n8n_webhook(tenant.id, name, webhook_url=URL, is_active=n % 2 == 0)
    everything = [webhook.workflow_name for webhook in await app.webhooks.get_n8n_webhooks_by_tenant(tenant.id)]
    assert sorted(everything) == ["B", "a", "b", "c", "d"]
    active = [webhook.workflow_name for webhook in await app.webhooks.get_active_n8n_webhooks(tenant.id)]
    assert active == [name for name in everything if name in ("c", "b", "d")]
    for limit in (1, 2, 5, 50):
        found, cursor = [], None
        while True:
            page = await app.webhooks.list_webhooks(tenant.id, limit=limit, cursor=cursor)
            found += [webhook.workflow_name for webhook in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == everything
    for cursor in ("x", "", "\ud800"):
        if cursor:
            with pytest.raises(InvalidError):
                await app.webhooks.list_webhooks(tenant.id, cursor=cursor)


async def test_a_version_guards_a_change(app, tenant, webhook):
    changed = await app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"description": "x"}, if_version=1)
    assert changed.config_version == 2
    with pytest.raises(PreconditionError):
        await app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"description": "y"}, if_version=1)
    ended = await asyncio.gather(
        *[
            app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"description": str(n)}, if_version=2)
            for n in range(4)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(end, PreconditionError) for end in ended) == 3


async def test_a_signing_secret_is_replaced_and_shown_once(app, tenant, webhook, endpoint):
    rotated = await app.webhooks.rotate_signing_secret(tenant.id, webhook.id)
    assert not rotated.new_signing_secret.same_as(webhook.new_signing_secret)
    assert rotated.config_version == 2
    assert (await endpoint(tenant.id)).signing_secret.same_as(rotated.new_signing_secret)
    assert (await app.webhooks.get_n8n_webhook(tenant.id, webhook.id)).new_signing_secret is None


async def test_a_change_brings_a_webhook_to_the_active_data_key(app, owner, tenant, endpoint):
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL, **filled(MOVES["both"][0]))
    before = await endpoint(tenant.id)
    await owner("UPDATE data_keys SET state = 'decrypt_only' WHERE tenant_id = $1", tenant.id)
    async with app.database.system() as tx:
        await app.vault.add_key(tx, tenant.id)
    assert (await endpoint(tenant.id)).auth_token.same_as(before.auth_token)
    await app.webhooks.update_n8n_webhook(tenant.id, made.id, {"description": "x"})
    assert (await row_of(owner, made))["key_version"] == 2
    await owner("UPDATE data_keys SET state = 'destroyed' WHERE tenant_id = $1 AND version = 1", tenant.id)
    after = await endpoint(tenant.id)
    assert after.auth_token.same_as(before.auth_token)
    assert after.signing_secret.same_as(before.signing_secret)
    assert [value.open() for _, value in after.static_headers] == [value.open() for _, value in before.static_headers]


async def test_statistics_are_counted_for_calls_made_elsewhere(app, tenant, webhook):
    for success in (True, False, True):
        await app.webhooks.increment_webhook_stats(tenant.id, webhook.id, success=success)
    read = await app.webhooks.get_n8n_webhook(tenant.id, webhook.id)
    assert (read.total_calls, read.successful_calls, read.failed_calls) == (3, 2, 1)
    assert read.last_called_at is not None
    with pytest.raises(NotFoundError):
        await app.webhooks.increment_webhook_stats(tenant.id, uuid4(), success=True)


async def test_an_inactive_webhook_and_a_suspended_tenant_are_not_called(app, tenant, n8n):
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url(), is_active=False)
    for code, change in (
        ("webhook_inactive", lambda: app.tenants.update_tenant(tenant.id, {"status": "suspended"})),
        ("tenant_suspended", lambda: app.webhooks.update_n8n_webhook(tenant.id, made.id, {"is_active": True})),
        ("tenant_suspended", lambda: app.tenants.update_tenant(tenant.id, {"status": "active"})),
    ):
        with pytest.raises(ConflictError) as caught:
            await app.webhooks.call_webhook(tenant.id, "order", {})
        assert caught.value.code == code
        await change()
        app.webhooks.forget(tenant.id)
    assert (await app.webhooks.call_webhook(tenant.id, "order", {})).success
    assert len(n8n.seen) == 1


async def test_what_a_receiver_answers_is_kept_whatever_it_is(app, tenant, n8n):
    """jsonb can't hold all of it: replaced by U+FFFD or kept as text, and marked."""
    answers = {
        "nul": (rb'{"a":"x\u0000y"}', {"a": "x\ufffdy"}, True),
        "surrogate": (rb'["\ud800"]', ["\ufffd"], True),
        "number": (b'{"n":1e200000}', '{"n":1e200000}', False),
        "text": (b"<h1>\x00</h1>", "<h1>\ufffd</h1>", True),
        "plain": (b'{"ok":true}', {"ok": True}, False),
        "empty": (b"", None, False),
    }
    for name, (body, _, _) in answers.items():
        n8n.answers[f"/{name}"] = Answer(body=body)
        await app.webhooks.create_n8n_webhook(tenant.id, name, webhook_url=n8n.url(f"/{name}"))
        assert (await app.webhooks.call_webhook(tenant.id, name, {"b": 1})).success
    kept = {call.workflow_name: call for call in await app.analytics.get_webhook_analytics_by_tenant(tenant.id)}
    for name, (_, value, altered) in answers.items():
        assert (kept[name].response_body, kept[name].altered) == (value, altered)


async def test_a_payload_is_sent_as_it_is_and_kept_as_it_can_be(app, tenant, n8n):
    await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url())
    result = await app.webhooks.call(tenant.id, "order", CallRequest(rb'{ "a":"x\u0000","b":"\udc00" }'))
    call = await app.analytics.get_call(tenant.id, result.call_id)
    assert n8n.last.body == rb'{ "a":"x\u0000","b":"\udc00" }'
    assert (call.request_payload, call.altered) == ({"a": "x\ufffd", "b": "\ufffd"}, True)


@pytest.mark.parametrize(
    "number", ["1e131000", "1e400", "-1e-400", "1" * 5000, "1" * 140_000, "1e200000", "0.1e-20000"]
)
async def test_numbers_beyond_a_double_are_kept_and_read(app, tenant, n8n, number):
    await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url())
    request = CallRequest(b'{"n":' + number.encode() + b"}")
    result = await app.webhooks.call(tenant.id, "order", request)
    assert result.success
    call = await app.analytics.get_call(tenant.id, result.call_id)
    assert call.request_payload is not None
    assert n8n.last.body == request.payload
    assert isinstance(call.request_payload, str) == call.altered


async def test_odd_triggers_and_metadata_are_recorded_or_refused_before_the_call(app, tenant, n8n):
    await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url())
    for fields in (
        {"triggered_by": "a\x00"},
        {"metadata": {"a": "\x00"}},
        {"metadata": {"n": 2**80}},
        {"triggered_by": "x" * 5000},
    ):
        before = len(n8n.seen)
        try:
            result = await app.webhooks.call_webhook(tenant.id, "order", {}, **fields)
        except InvalidError:
            assert len(n8n.seen) == before
        else:
            assert await app.analytics.get_call(tenant.id, result.call_id)


@pytest.mark.parametrize(
    ("payload", "code"),
    [(float("nan"), "invalid_payload"), ({1, 2}, "invalid_payload"), ("x" * 2_000_000, "payload_too_large")],
    ids=["nan", "set", "long"],
)
async def test_a_payload_that_cannot_be_sent_is_refused(app, tenant, webhook, payload, code):
    with pytest.raises((InvalidError, TooLargeError)) as caught:
        await app.webhooks.call_webhook(tenant.id, "order", payload)
    assert caught.value.code == code


async def test_a_payload_nested_too_deep_is_refused(app, tenant, webhook):
    deep = []
    for _ in range(64):
        deep = [deep]
    with pytest.raises(TooLargeError) as caught:
        await app.webhooks.call_webhook(tenant.id, "order", deep)
    assert caught.value.code == "too_deep"


async def test_200_calls_at_once_are_all_counted(app, owner, tenant, n8n):
    made = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url())
    n8n.answers["/webhook/fails"] = Answer(500)
    await app.webhooks.create_n8n_webhook(tenant.id, "fails", webhook_url=n8n.url("/webhook/fails"))
    calls = [app.webhooks.call_webhook(tenant.id, ("order", "fails")[n % 2], {"n": n}) for n in range(200)]
    results = await asyncio.wait_for(asyncio.gather(*calls), 60)
    assert sum(result.success for result in results) == 100
    for webhook in await app.webhooks.get_n8n_webhooks_by_tenant(tenant.id):
        wanted = (100, 100, 0) if webhook.id == made.id else (100, 0, 100)
        assert (webhook.total_calls, webhook.successful_calls, webhook.failed_calls) == wanted
        assert len(await app.analytics.get_webhook_analytics(tenant.id, webhook.id, limit=1000)) == 100
    assert app.gate.in_flight == 0


async def test_retries_share_one_budget_and_are_all_recorded(app, tenant, n8n):
    n8n.answers["/webhook/busy"] = Answer(503)
    await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=n8n.url("/webhook/busy"))
    result = await app.webhooks.call_webhook_with_retry(tenant.id, "order", {}, max_retries=2)
    assert (result.success, result.attempts, result.error_code) == (False, 3, "http_503")
    calls = await app.analytics.get_webhook_analytics_by_tenant(tenant.id)
    assert sorted(call.attempt for call in calls) == [1, 2, 3]
    assert {call.retry_of for call in calls} == {None, result.call_id}
    assert {seen.headers["webhook-id"] for seen in n8n.seen} == {str(result.call_id)}


async def test_a_closed_app_records_the_calls_that_were_under_way(make_database, tmp_path, settings, n8n):
    """The last calls before a shutdown are answered after their commit, too."""
    url = await make_database()
    app = await build(settings.model_copy(update={"database_url": type(settings.encryption_key)(url)}))
    await app.start()
    await app.tenants.create_tenant("Acme", tenant_id="acme")
    await app.webhooks.create_n8n_webhook("acme", "order", webhook_url=n8n.url())
    calls = [asyncio.create_task(app.webhooks.call_webhook("acme", "order", {"n": n})) for n in range(30)]
    while len(n8n.seen) < 30:
        await asyncio.sleep(0.005)
    await app.close()
    ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert all(isinstance(end, UnavailableError) or end.success for end in ended)
