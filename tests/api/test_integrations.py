"""WhatsApp, SMS and n8n of a tenant: secrets go in and never come out."""

import pytest
from tenancy import SMS, is_problem, sms, whatsapp

from canary import planted


def n8n_config():
    return {"baseUrl": "https://n8n.example.com/webhook", "apiKey": planted("n8n-api-key")}


CONFIGS = {
    "whatsapp": whatsapp,
    "sms": lambda: sms("twilio"),
    "n8n": n8n_config,
}
KINDS = pytest.mark.parametrize("kind", CONFIGS)


async def stored_text(owner, tenant_id):
    (row,) = await owner("SELECT t::text FROM tenant_integrations t WHERE tenant_id = $1", tenant_id)
    return row["t"]


async def test_whatsapp_shows_plain_fields_and_marks(client, acme, owner):
    config = whatsapp(phoneNumber="+1 555 555 5555")
    made = await client.post(f"{acme.path}/integrations/whatsapp", json=config)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    shown = made.json()
    assert shown.pop("generated").keys() == {"webhookVerifyToken"}
    assert shown["enabled"] is True
    assert (shown["phoneNumberId"], shown["phoneNumber"]) == (config["phoneNumberId"], "+1 555 555 5555")
    for name in ("accessToken", "appSecret", "webhookVerifyToken"):
        assert shown[name].keys() == {"set", "hint", "updatedAt"}
        assert shown[name]["set"] is True
    assert shown["accessToken"]["hint"] == "••••" + config["accessToken"][-4:]
    assert {warning["field"] for warning in shown["warnings"]} == {"accessToken", "appSecret"}

    read = (await client.get(f"{acme.path}/integrations")).json()
    assert read == {"whatsapp": shown | {"warnings": []}, "sms": None, "n8n": None}
    text = await stored_text(owner, acme.id)
    assert config["phoneNumberId"] in text
    assert config["accessToken"] not in text


async def test_a_given_verify_token_is_not_generated(client, acme):
    made = await client.post(
        f"{acme.path}/integrations/whatsapp", json=whatsapp(webhookVerifyToken=planted("verify-token"))
    )
    assert made.status_code == 201
    assert "generated" not in made.json()


@pytest.mark.parametrize("provider", SMS)
async def test_sms_of_every_provider(client, acme, app, provider):
    config = sms(provider)
    made = await client.post(f"{acme.path}/integrations/sms", json=config)
    assert made.status_code == 201, made.text
    shown = (await client.get(f"{acme.path}/integrations")).json()["sms"]
    assert shown["provider"] == provider
    for name, value in SMS[provider]["plain"].items():
        assert shown[name] == value
    for name in SMS[provider]["secrets"]:
        assert shown[name]["hint"] == "••••" + config[name][-4:]
    opened = await app.integrations.open_config(acme.id, "sms")
    assert {name: opened[name].open() for name in SMS[provider]["secrets"]} == {
        name: config[name] for name in SMS[provider]["secrets"]
    }


async def test_another_provider_keeps_nothing_of_the_former(client, acme, app):
    await client.post(f"{acme.path}/integrations/sms", json=sms("twilio"))
    is_problem(await client.put(f"{acme.path}/integrations/sms", json={"provider": "vonage"}), 422, "invalid_input")
    config = sms("vonage")
    changed = await client.put(f"{acme.path}/integrations/sms", json=config)
    assert changed.json()["provider"] == "vonage"
    assert (await app.integrations.open_config(acme.id, "sms")).keys() == config.keys()


@KINDS
async def test_post_twice_put_on_none_and_unknown_kinds(client, acme, kind):
    path = f"{acme.path}/integrations/{kind}"
    is_problem(await client.put(path, json=CONFIGS[kind]()), 404, "integration_not_found")
    assert (await client.post(path, json=CONFIGS[kind]())).status_code == 201
    is_problem(await client.post(path, json=CONFIGS[kind]()), 409, "integration_exists")
    for method in ("POST", "PUT", "DELETE"):
        unknown = await client.request(method, f"{acme.path}/integrations/fax", json={})
        is_problem(unknown, 404, "integration_not_found")


@KINDS
async def test_delete_is_idempotent_and_the_version_goes_on(client, acme, kind):
    path = f"{acme.path}/integrations/{kind}"
    await client.post(path, json=CONFIGS[kind]())
    for _ in range(2):
        gone = await client.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(f"{acme.path}/integrations")).json()[kind] is None
    again = await client.post(path, json=CONFIGS[kind]())
    assert again.json()["version"] == 2  # an If-Match from before can't fit what came after


@KINDS
async def test_if_match(client, acme, kind):
    path = f"{acme.path}/integrations/{kind}"
    await client.post(path, json=CONFIGS[kind]())
    changed = await client.put(path, json={"enabled": False}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["enabled"] is False
    before = await acme.audit()
    for wrong in ('"1"', '"99999999999999"', "x"):
        stale = await client.put(path, json={"enabled": True}, headers={"if-match": wrong})
        is_problem(stale, 412, "version_mismatch")
        is_problem(await client.delete(path, headers={"if-match": wrong}), 412, "version_mismatch")
    assert (await client.get(f"{acme.path}/integrations")).json()[kind]["enabled"] is False
    assert await acme.audit() == before


async def test_absent_keeps_a_string_replaces_null_clears(client, acme, app):
    path = f"{acme.path}/integrations/whatsapp"
    config = whatsapp(phoneNumber="+1 555 555 5555")
    await client.post(path, json=config)
    fresh = planted("new-app-secret")
    changed = await client.put(path, json={"appSecret": fresh, "phoneNumber": None})
    assert changed.json()["phoneNumber"] is None
    opened = await app.integrations.open_config(acme.id, "whatsapp")
    assert opened["appSecret"].open() == fresh
    assert opened["accessToken"].open() == config["accessToken"]
    cleared = await client.put(path, json={"appSecret": None})
    assert cleared.json()["appSecret"] == {"set": False, "hint": None, "updatedAt": None}
    is_problem(await client.put(path, json={"accessToken": None}), 422, "invalid_input")


@KINDS
async def test_what_was_read_can_be_sent_back_as_it_is(client, acme, app, kind):
    path = f"{acme.path}/integrations/{kind}"
    await client.post(path, json=CONFIGS[kind]())
    before = await app.integrations.open_config(acme.id, kind)
    shown = (await client.get(f"{acme.path}/integrations")).json()[kind]
    sent_back = await client.put(path, json=shown)
    assert sent_back.status_code == 200, sent_back.text
    after = await app.integrations.open_config(acme.id, kind)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == value if isinstance(value, str) else after[name].same_as(value)


@pytest.mark.parametrize("mask", ["••••3f9c", "sk_live_***xyz789", "***", "[REDACTED]", "EAAB…xyz"])
async def test_a_mask_is_refused_in_every_place_of_a_secret(client, acme, app, mask):
    for kind, name in (("whatsapp", "accessToken"), ("sms", "authToken"), ("n8n", "apiKey")):
        path = f"{acme.path}/integrations/{kind}"
        is_problem(await client.post(path, json=CONFIGS[kind]() | {name: mask}), 422, "mask_submitted")
        assert (await client.post(path, json=CONFIGS[kind]())).status_code == 201
        before = await app.integrations.open_config(acme.id, kind)
        is_problem(await client.put(path, json={name: mask}), 422, "mask_submitted")
        assert (await app.integrations.open_config(acme.id, kind))[name].same_as(before[name])


async def test_a_ciphertext_is_refused(client, acme):
    sealed = f"{'a1' * 12}:{'b2' * 16}:{'c3' * 20}"
    refused = await client.post(f"{acme.path}/integrations/n8n", json=n8n_config() | {"apiKey": sealed})
    is_problem(refused, 422, "ciphertext_submitted")


@pytest.mark.parametrize(
    ("kind", "changed", "asked"),
    [
        ("whatsapp", {"phoneNumberId": "206540352242922"}, ["accessToken"]),
        ("n8n", {"baseUrl": "https://evil.example.com"}, ["apiKey"]),
        ("sms", {"accountSid": planted("other-account")}, ["authToken", "apiKeySid", "apiKeySecret"]),
    ],
)
async def test_a_new_destination_asks_for_the_secrets_that_would_go_there(client, acme, kind, changed, asked):
    path = f"{acme.path}/integrations/{kind}"
    await client.post(path, json=CONFIGS[kind]())
    refused = is_problem(await client.put(path, json=changed), 422, "secrets_required")
    assert [error["field"] for error in refused["errors"]] == asked
    again = await client.put(path, json=changed | {name: planted(f"again-{name}") for name in asked})
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("whatsapp", {}, "phoneNumberId"),
        ("whatsapp", {"phoneNumberId": 5}, "phoneNumberId"),
        ("whatsapp", whatsapp() | {"surprise": "x"}, "surprise"),
        ("whatsapp", whatsapp() | {"enabled": "yes"}, "enabled"),
        ("whatsapp", whatsapp() | {"accessToken": {"a": 1}}, "accessToken"),
        ("whatsapp", whatsapp() | {"accessToken": planted("with\ttab")}, "accessToken"),
        ("whatsapp", whatsapp() | {"accessToken": planted("long") * 2000}, "accessToken"),
        ("sms", {"provider": "carrier-pigeon"}, "provider"),
        ("sms", {"provider": ["twilio"]}, "provider"),
        ("sms", {"provider": {}}, "provider"),
        ("sms", sms("twilio") | {"phoneNumber": None}, "phoneNumber"),
        ("sms", sms("aws_sns") | {"phoneNumber": "+15555555555"}, "phoneNumber"),
        ("n8n", {"baseUrl": "ftp://example.com"}, "baseUrl"),
        ("n8n", {"baseUrl": "https://user:password@example.com"}, "baseUrl"),
        ("n8n", {"apiKey": planted("no-base-url")}, "baseUrl"),
    ],
)
async def test_a_fault_names_its_field_and_never_a_value(client, acme, kind, body, field):
    before = await acme.audit()
    refused = await client.post(f"{acme.path}/integrations/{kind}", json=body)
    problem = is_problem(refused, 422, "invalid_input")
    assert field in [error["field"] for error in problem["errors"]]
    assert (await client.get(f"{acme.path}/integrations")).json()[kind] is None
    assert await acme.audit() == before


async def test_audit_names_changed_fields_and_nothing_else(client, acme):
    await client.post(f"{acme.path}/integrations/n8n", json=n8n_config())
    await client.put(f"{acme.path}/integrations/n8n", json={"apiKey": planted("rotated")})
    updated, created, *_ = await acme.audit()
    assert updated["detail"]["changed"] == ["apiKey"]
    assert (updated["action"], updated["targetType"], updated["targetId"]) == (
        "integration.updated",
        "integration",
        "n8n",
    )
    assert created["detail"]["changed"] == ["apiKey", "baseUrl"]
