"""Integrations: sealed on the way in, bound to their place, changed field by field, never moved with a stored secret."""

import asyncio
import json

import pytest

from canary import planted
from hookvault.errors import CipherError, ConflictError, InvalidError, NotFoundError, PreconditionError
from hookvault.vault import encrypt, encrypt_sms_config, encrypt_whatsapp_config
from hookvault.vault.cipher import is_ciphertext

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
OTHER_KEY = "c0de" * 16


def whatsapp(**fields):
    return {
        "phoneNumberId": "106540352242922",
        "businessAccountId": "102290129340398",
        "accessToken": planted("whatsapp"),
        **fields,
    }


def twilio(**fields):
    return {
        "provider": "twilio",
        "accountSid": planted("sid"),
        "authToken": planted("auth"),
        "phoneNumber": "+15555555555",
    } | fields


def vonage(**fields):
    return {
        "provider": "vonage",
        "apiKey": planted("key"),
        "apiSecret": planted("secret"),
        "phoneNumber": "4915112345",
    } | fields


def sns(**fields):
    own = {"accessKeyId": planted("id"), "secretAccessKey": planted("secret"), "region": "eu-central-1"}
    return {"provider": "aws_sns"} | own | fields


def n8n(**fields):
    return {"baseUrl": "https://n8n.example.com/webhook", "apiKey": planted("n8n")} | fields


BODIES = {
    "whatsapp": (whatsapp, {"accessToken", "webhookVerifyToken"}),
    "twilio": (twilio, {"accountSid", "authToken"}),
    "vonage": (vonage, {"apiKey", "apiSecret"}),
    "aws_sns": (sns, {"accessKeyId", "secretAccessKey"}),
    "n8n": (n8n, {"apiKey"}),
}


def kind_of(name):
    return name if name in ("whatsapp", "n8n") else "sms"


async def stored(owner, tenant, kind):
    """The configuration as it lies in the database."""
    row = (await owner("SELECT * FROM tenant_integrations WHERE tenant_id = $1", tenant.id))[0]
    if kind == "n8n":
        return {"baseUrl": row["n8n_base_url"], "apiKey": row["n8n_api_key"]}
    return json.loads(row[f"{kind}_config"])


async def opened(app, tenant, kind):
    values = await app.integrations.open_config(tenant.id, kind)
    return {name: value if isinstance(value, str) else value.open() for name, value in values.items()}


@pytest.mark.parametrize("name", BODIES)
async def test_secrets_are_stored_sealed_and_the_rest_readable(app, owner, tenant, name):
    make, secret = BODIES[name]
    body, kind = make(), kind_of(name)
    shown = await app.integrations.configure(tenant.id, kind, body, create=True)
    kept = await stored(owner, tenant, kind)
    for field, value in kept.items():
        assert is_ciphertext(value) == (field in secret), field
        assert field in secret or value == body[field]
    assert set(body) <= set(kept) == set(body) | secret
    assert (await opened(app, tenant, kind)) == body | {
        field: value for field, value in (await opened(app, tenant, kind)).items() if field not in body
    }
    for field in secret & set(body):
        assert (shown.secrets[field].set, shown.secrets[field].hint) == (True, body[field][-4:])
        assert field not in shown.values
    assert "kAnArIe" not in repr(shown)


@pytest.mark.parametrize("form", ["plain", "encrypted", "encrypted twice"])
async def test_create_takes_plain_values_and_encrypted_ones(app, owner, tenant, form):
    """What `encrypt_whatsapp_config` made under the same key is opened and sealed anew at once."""
    plain = {"whatsapp_config": whatsapp(), "sms_config": twilio(apiKeySid=planted("sk"), apiKeySecret=planted("sks"))}
    given = dict(plain)
    for _ in range({"plain": 0, "encrypted": 1, "encrypted twice": 2}[form]):
        given["whatsapp_config"] = encrypt_whatsapp_config(given["whatsapp_config"], KEY)
        given["sms_config"] = encrypt_sms_config(given["sms_config"], KEY)
    made = await app.integrations.create_tenant_integration(
        tenant.id, **given, n8n_base_url="https://n8n.example.com", n8n_api_key=planted("n8n")
    )
    assert made == await app.integrations.get_tenant_integration(tenant.id)
    for kind in ("whatsapp", "sms"):
        config = plain[f"{kind}_config"]
        assert {name: (await opened(app, tenant, kind))[name] for name in config} == config
        kept = await stored(owner, tenant, kind)
        assert not set(kept.values()) & {value for value in given[f"{kind}_config"].values() if is_ciphertext(value)}
        shown = getattr(made, kind)
        assert all(mark.hint == config[name][-4:] for name, mark in shown.secrets.items() if name in config)


async def test_values_encrypted_under_another_key_are_refused(app, owner, tenant):
    with pytest.raises(CipherError) as caught:
        await app.integrations.create_tenant_integration(
            tenant.id, whatsapp_config=encrypt_whatsapp_config(whatsapp(), OTHER_KEY)
        )
    assert "kAnArIe" not in caught.value.message
    assert await owner("SELECT FROM tenant_integrations WHERE tenant_id = $1", tenant.id) == []


async def test_the_api_takes_no_encrypted_values(app, tenant):
    with pytest.raises(InvalidError) as caught:
        await app.integrations.configure(tenant.id, "n8n", n8n(apiKey=encrypt("x", KEY)), create=True)
    assert caught.value.code == "ciphertext_submitted"


async def swap(owner, one, other):
    """Exchanges two stored secrets, each named as (tenant, column, JSON field or None)."""

    def at(column, name):
        return f"{column} ->> '{name}'" if name else column

    found = []
    for tenant, column, name in (one, other):
        found.append(
            (await owner(f"SELECT {at(column, name)} FROM tenant_integrations WHERE tenant_id = $1", tenant.id))[0][0]
        )
    assert found[0] != found[1]
    for (tenant, column, name), value in zip((other, one), found, strict=True):
        new = f"jsonb_set({column}, '{{{name}}}', to_jsonb($2::text))" if name else "$2::text"
        await owner(f"UPDATE tenant_integrations SET {column} = {new} WHERE tenant_id = $1", tenant.id, value)


@pytest.mark.parametrize("move", ["field", "column", "tenant"])
async def test_a_ciphertext_opens_in_its_own_place_only(app, owner, tenant, move):
    """Swapped by somebody who can write to the database, and has no key."""
    other = await app.tenants.create_tenant("Other")
    for each in (tenant, other):
        await app.integrations.create_tenant_integration(
            each.id,
            whatsapp_config=whatsapp(appSecret=planted("app")),
            n8n_base_url="https://x.example",
            n8n_api_key=planted("n"),
        )
    here = (tenant, "whatsapp_config", "accessToken")
    there = {
        "field": (tenant, "whatsapp_config", "appSecret"),
        "column": (tenant, "n8n_api_key", None),
        "tenant": (other, "whatsapp_config", "accessToken"),
    }[move]
    await opened(app, tenant, "whatsapp")
    await swap(owner, here, there)
    for each, column, _ in (here, there):
        with pytest.raises(CipherError) as caught:
            await app.integrations.open_config(each.id, column.split("_")[0])
        assert caught.value.code == "cipher_error"
    await swap(owner, here, there)  # back in their places they open
    await opened(app, tenant, "whatsapp")


async def test_a_whole_row_s_key_version_counts_too(app, owner, tenant):
    await app.integrations.configure(tenant.id, "n8n", n8n(), create=True)
    await owner("UPDATE tenant_integrations SET key_version = 2 WHERE tenant_id = $1", tenant.id)
    with pytest.raises(CipherError, match="no data key"):
        await app.integrations.open_config(tenant.id, "n8n")


async def test_a_stored_version_0_is_never_opened(app, owner, tenant):
    """It is bound to no place: somebody could have put it there."""
    await app.integrations.configure(tenant.id, "n8n", n8n(), create=True)
    value = encrypt(planted("planted-by-hand"), KEY)
    for version in (0, 1):
        await owner(
            "UPDATE tenant_integrations SET n8n_api_key = $2, key_version = $3 WHERE tenant_id = $1",
            tenant.id,
            value,
            version,
        )
        with pytest.raises(CipherError):
            await app.integrations.open_config(tenant.id, "n8n")


async def test_an_absent_field_keeps_a_string_replaces_null_clears(app, tenant):
    first = whatsapp(appSecret=planted("app"), appId="1234567890", phoneNumber="+15555555555")
    made = await app.integrations.configure(tenant.id, "whatsapp", first, create=True)
    before = await opened(app, tenant, "whatsapp")
    token = planted("new")
    changed = await app.integrations.configure(
        tenant.id, "whatsapp", {"accessToken": token, "appSecret": None, "appId": None, "enabled": False}, create=False
    )
    after = await opened(app, tenant, "whatsapp")
    assert after == {k: v for k, v in before.items() if k not in ("appSecret", "appId")} | {"accessToken": token}
    assert (changed.enabled, changed.version) == (False, made.version + 1)
    assert (changed.secrets["appSecret"].set, changed.values["appId"]) == (False, None)
    assert changed.secrets["accessToken"].hint == token[-4:]
    assert changed.secrets["webhookVerifyToken"] == made.secrets["webhookVerifyToken"]  # its age too
    again = await app.integrations.configure(tenant.id, "whatsapp", {"enabled": True}, create=False)
    assert await opened(app, tenant, "whatsapp") == after
    assert again.enabled


async def test_a_required_field_cannot_be_cleared(app, tenant):
    await app.integrations.configure(tenant.id, "whatsapp", whatsapp(), create=True)
    for name in ("accessToken", "phoneNumberId"):
        with pytest.raises(InvalidError) as caught:
            await app.integrations.configure(tenant.id, "whatsapp", {name: None}, create=False)
        assert [fault["field"] for fault in caught.value.members["errors"]] == [name]


async def test_what_was_shown_of_a_secret_may_be_sent_back(app, tenant):
    await app.integrations.configure(tenant.id, "n8n", n8n(), create=True)
    before = await opened(app, tenant, "n8n")
    shown = {"set": True, "hint": "\u2022\u2022\u2022\u2022abcd", "updatedAt": "2026-01-01T00:00:00.000Z"}
    await app.integrations.configure(tenant.id, "n8n", {"apiKey": shown, "enabled": True}, create=False)
    assert await opened(app, tenant, "n8n") == before


MASKS = [
    "***",
    "sk_live_***xyz789",
    "\u2022\u2022\u2022\u20223f9c",
    "\u2022\u2022\u2022\u2022",
    "*****",
    "EAABwz...xyz",
    "abc\u2026",
    "[REDACTED]",
    "xxxxxxxx",
]


@pytest.mark.parametrize("mask", MASKS)
async def test_a_mask_is_never_stored_over_a_secret(app, tenant, mask):
    await app.integrations.configure(tenant.id, "n8n", n8n(), create=True)
    before = await opened(app, tenant, "n8n")
    for change in (
        lambda: app.integrations.configure(tenant.id, "n8n", {"apiKey": mask}, create=False),
        lambda: app.integrations.configure(tenant.id, "whatsapp", whatsapp(accessToken=mask), create=True),
        lambda: app.integrations.update_tenant_integration(tenant.id, n8n_api_key=mask),
    ):
        with pytest.raises(InvalidError) as caught:
            await change()
        assert caught.value.code == "mask_submitted"
    assert await opened(app, tenant, "n8n") == before


# What each provider's secrets are for, changed without them: (body, change, what must be given again with it)
MOVES = {
    "whatsapp number": ("whatsapp", {"phoneNumberId": "999999999999"}, {"accessToken"}),
    "whatsapp account": ("whatsapp", {"businessAccountId": "999999999999"}, {"accessToken"}),
    "twilio account": ("twilio", {"accountSid": "ACother"}, {"authToken"}),
    "vonage account": ("vonage", {"apiKey": "abcdef99"}, {"apiSecret"}),
    "sns region": ("aws_sns", {"region": "us-east-1"}, {"accessKeyId", "secretAccessKey"}),
    "sns key": ("aws_sns", {"accessKeyId": "AKIAOTHER"}, {"secretAccessKey"}),
    "n8n address": ("n8n", {"baseUrl": "https://other.example.com"}, {"apiKey"}),
}


@pytest.mark.parametrize("move", MOVES)
async def test_a_stored_secret_does_not_follow_to_another_place(app, tenant, move):
    name, change, wanted = MOVES[move]
    make, kind = BODIES[name][0], kind_of(name)
    body = make()
    await app.integrations.configure(tenant.id, kind, body, create=True)
    before = await opened(app, tenant, kind)
    partly = {field: body[field] for field in sorted(wanted)[1:]}
    for attempt in (change, change | partly):
        with pytest.raises(InvalidError) as caught:
            await app.integrations.configure(tenant.id, kind, attempt, create=False)
        assert caught.value.code == "secrets_required"
        assert {fault["field"] for fault in caught.value.members["errors"]} == wanted - (set(attempt) - set(change))
        assert await opened(app, tenant, kind) == before
    await app.integrations.configure(tenant.id, kind, change | {field: body[field] for field in wanted}, create=False)
    assert await opened(app, tenant, kind) == before | change


@pytest.mark.parametrize("name", BODIES)
async def test_the_same_place_again_is_no_move(app, tenant, name):
    make, _ = BODIES[name]
    body, kind = make(), kind_of(name)
    await app.integrations.configure(tenant.id, kind, body, create=True)
    places = {"phoneNumberId", "businessAccountId", "accountSid", "apiKey", "region", "accessKeyId", "baseUrl"}
    same = {field: f" {body[field]} " for field in places & set(body) if name != "n8n" or field == "baseUrl"}
    await app.integrations.configure(tenant.id, kind, same, create=False)


async def test_another_sms_provider_takes_nothing_of_the_last_one_along(app, owner, tenant):
    await app.integrations.configure(tenant.id, "sms", twilio(), create=True)
    with pytest.raises(InvalidError):  # its number would fit, and isn't taken over
        await app.integrations.configure(
            tenant.id, "sms", {k: v for k, v in vonage().items() if k != "phoneNumber"}, create=False
        )
    body = vonage()
    changed = await app.integrations.configure(tenant.id, "sms", body, create=False)
    assert await opened(app, tenant, "sms") == body
    assert set(await stored(owner, tenant, "sms")) == set(body)
    assert set(changed.secrets) == {"apiKey", "apiSecret", "signatureSecret"}
    assert changed.version == 2
    hints = (await owner("SELECT secret_hints FROM tenant_integrations WHERE tenant_id = $1", tenant.id))[0][0]
    assert set(json.loads(hints)["sms"]) == {"apiKey", "apiSecret"}


async def test_sms_is_twilio_where_no_provider_is_named(app, tenant):
    body = twilio()
    del body["provider"]
    made = await app.integrations.configure(tenant.id, "sms", body, create=True)
    assert made.values["provider"] == "twilio"


async def test_a_verify_token_is_made_once_and_shown_once(app, tenant):
    made = await app.integrations.configure(tenant.id, "whatsapp", whatsapp(), create=True)
    token = made.generated["webhookVerifyToken"]
    assert len(token) == 32
    assert token not in repr(made)
    assert (await opened(app, tenant, "whatsapp"))["webhookVerifyToken"] == token
    changed = await app.integrations.configure(tenant.id, "whatsapp", {"appId": "12345678901"}, create=False)
    assert changed.generated == {}
    assert (await opened(app, tenant, "whatsapp"))["webhookVerifyToken"] == token
    own = planted("verify")
    await app.integrations.configure(tenant.id, "whatsapp", {"webhookVerifyToken": own}, create=False)
    assert (await opened(app, tenant, "whatsapp"))["webhookVerifyToken"] == own
    other = await app.tenants.create_tenant("Other")
    assert (
        await app.integrations.configure(other.id, "whatsapp", whatsapp(webhookVerifyToken=own), create=True)
    ).generated == {}


async def test_unusual_shapes_warn_and_are_stored(app, tenant):
    made = await app.integrations.configure(tenant.id, "whatsapp", whatsapp(phoneNumberId="+1 555"), create=True)
    assert {warning["field"] for warning in made.warnings} >= {"phoneNumberId", "accessToken", "appSecret"}
    assert "kAnArIe" not in str(made.warnings)


async def test_all_faults_are_told_at_once(app, owner, tenant):
    with pytest.raises(InvalidError) as caught:
        await app.integrations.configure(tenant.id, "whatsapp", {"appId": "x\ny", "color": "red"}, create=True)
    fields = {fault["field"] for fault in caught.value.members["errors"]}
    assert fields >= {"appId", "color", "phoneNumberId", "businessAccountId", "accessToken"}
    assert await owner("SELECT FROM tenant_integrations WHERE tenant_id = $1", tenant.id) == []


@pytest.mark.parametrize("value", [7, True, ["x"], {"a": 1}], ids=repr)
async def test_a_value_that_is_no_text_is_refused(app, tenant, value):
    with pytest.raises(InvalidError):
        await app.integrations.configure(tenant.id, "n8n", n8n(apiKey=value), create=True)


async def test_of_several_configurations_all_or_none_are_stored(app, owner, tenant):
    with pytest.raises(InvalidError):
        await app.integrations.create_tenant_integration(
            tenant.id, whatsapp_config=whatsapp(), sms_config={"provider": "pigeon"}
        )
    assert await owner("SELECT FROM tenant_integrations WHERE tenant_id = $1", tenant.id) == []
    await app.integrations.create_tenant_integration(tenant.id, whatsapp_config=whatsapp())
    before = await stored(owner, tenant, "whatsapp")
    with pytest.raises(InvalidError):
        await app.integrations.update_tenant_integration(
            tenant.id, whatsapp_config={"appId": "12345678901"}, sms_config=twilio(authToken="***")
        )
    assert await stored(owner, tenant, "whatsapp") == before


async def test_create_get_update_delete(app, tenant):
    assert await app.integrations.get_tenant_integration(tenant.id) is None
    with pytest.raises(NotFoundError) as caught:
        await app.integrations.update_tenant_integration(tenant.id, n8n_base_url="https://x.example")
    assert caught.value.code == "integration_not_found"
    made = await app.integrations.create_tenant_integration(tenant.id, sms_config=twilio())
    assert (made.whatsapp, made.n8n, made.sms.kind) == (None, None, "sms")
    with pytest.raises(ConflictError) as caught:
        await app.integrations.create_tenant_integration(tenant.id, whatsapp_config=whatsapp())
    assert caught.value.code == "integration_exists"
    changed = await app.integrations.update_tenant_integration(
        tenant.id, n8n_base_url="https://x.example", sms_config={"enabled": False}
    )
    assert (changed.n8n.values["baseUrl"], changed.sms.enabled) == ("https://x.example", False)
    assert changed == await app.integrations.get_tenant_integration(tenant.id)
    await app.integrations.delete_tenant_integration(tenant.id)
    await app.integrations.delete_tenant_integration(tenant.id)
    assert await app.integrations.get_tenant_integration(tenant.id) is None
    with pytest.raises(NotFoundError):
        await app.integrations.open_config(tenant.id, "sms")


async def test_one_integration_removed_leaves_the_others(app, tenant):
    await app.integrations.create_tenant_integration(tenant.id, sms_config=twilio(), whatsapp_config=whatsapp())
    before = await opened(app, tenant, "sms")
    await app.integrations.remove(tenant.id, "whatsapp")
    await app.integrations.remove(tenant.id, "whatsapp")
    assert (await app.integrations.get_tenant_integration(tenant.id)).whatsapp is None
    assert await opened(app, tenant, "sms") == before
    with pytest.raises(NotFoundError):
        await app.integrations.configure(tenant.id, "whatsapp", {"enabled": True}, create=False)
    again = await app.integrations.configure(tenant.id, "whatsapp", whatsapp(), create=True)
    assert again.version == 2  # an old If-Match can't fit the new one


async def test_a_version_guards_a_change(app, tenant):
    made = await app.integrations.configure(tenant.id, "n8n", n8n(), create=True)
    await app.integrations.configure(tenant.id, "n8n", {"enabled": False}, create=False, if_version=made.version)
    with pytest.raises(PreconditionError):
        await app.integrations.configure(tenant.id, "n8n", {"enabled": True}, create=False, if_version=made.version)
    assert not (await app.integrations.get_tenant_integration(tenant.id)).n8n.enabled


async def test_two_admins_at_once_lose_nothing_of_each_other(app, tenant):
    """Different integrations of a tenant that has none yet: they share one row."""
    await asyncio.gather(
        app.integrations.configure(tenant.id, "n8n", n8n(), create=True),
        app.integrations.configure(tenant.id, "sms", sns(), create=True),
        app.integrations.configure(tenant.id, "whatsapp", whatsapp(), create=True),
    )
    row = await app.integrations.get_tenant_integration(tenant.id)
    assert row.n8n
    assert row.sms
    assert row.whatsapp
    for kind in ("n8n", "sms", "whatsapp"):
        await opened(app, tenant, kind)
    ended = await asyncio.gather(
        *[
            app.integrations.configure(tenant.id, "n8n", {"enabled": False}, create=False, if_version=1)
            for _ in range(4)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(end, PreconditionError) for end in ended) == 3


async def test_a_change_brings_a_row_to_the_active_data_key(app, owner, tenant):
    """As after a rekey that hasn't come to this row yet: one row names one key for all it holds."""
    await app.integrations.create_tenant_integration(tenant.id, sms_config=twilio(), whatsapp_config=whatsapp())
    before = {kind: await opened(app, tenant, kind) for kind in ("sms", "whatsapp")}
    await owner("UPDATE data_keys SET state = 'decrypt_only' WHERE tenant_id = $1", tenant.id)
    async with app.database.system() as tx:
        await app.vault.add_key(tx, tenant.id)
    assert {kind: await opened(app, tenant, kind) for kind in before} == before
    sealed = await stored(owner, tenant, "sms")
    await app.integrations.configure(tenant.id, "whatsapp", {"enabled": False}, create=False)
    row = (await owner("SELECT key_version FROM tenant_integrations WHERE tenant_id = $1", tenant.id))[0]
    assert row["key_version"] == 2
    assert (await stored(owner, tenant, "sms"))["authToken"] != sealed["authToken"]
    await owner("UPDATE data_keys SET state = 'destroyed' WHERE tenant_id = $1 AND version = 1", tenant.id)
    assert {kind: await opened(app, tenant, kind) for kind in before} == before


async def test_reading_needs_no_key(app, owner, tenant):
    await app.integrations.create_tenant_integration(tenant.id, sms_config=twilio())
    await owner("DELETE FROM data_keys WHERE tenant_id = $1", tenant.id)
    assert (await app.integrations.get_tenant_integration(tenant.id)).sms.secrets["authToken"].set
    with pytest.raises(CipherError):
        await app.integrations.open_config(tenant.id, "sms")
    with pytest.raises(CipherError):
        await app.integrations.configure(tenant.id, "sms", {"enabled": False}, create=False)
