"""The pages of a tenant's integrations and of rotating their secrets, with the providers on loopback."""

import re
import secrets

import pytest

from canary import CANARY, planted
from entrance import make_quick
from hookvault.admin.site import create_site
from hookvault.wiring import build
from houses import CASES, Houses
from seen import SCRIPTED, words


@pytest.fixture(scope="module")
async def houses():
    async with Houses() as opened:
        yield opened


@pytest.fixture(scope="module")
async def app(settings, houses):
    """The services, with the providers on loopback."""
    built = await build(settings.model_copy(update={"provider_base_urls": houses.base_urls}))
    yield built
    await built.close()


@pytest.fixture(scope="module")
def site(app):
    make_quick(app)
    return create_site(app)


@pytest.fixture
async def acme(app):
    return await app.tenants.create_tenant("Acme", tenant_id=f"t-{secrets.token_hex(5)}")


@pytest.fixture
def connected(app, acme, houses):
    """Connects a tenant to a provider; gives what it was connected with, and the address of its pages."""

    async def connect(name="twilio"):
        config, kind = houses.config(name), CASES[name][0]
        await app.integrations.configure(acme.id, kind, config, create=True)
        return config, f"/tenants/{acme.id}/integrations/{kind}"

    return connect


async def stored(app, acme, kind):
    return getattr(await app.integrations.get_tenant_integration(acme.id), kind)


def wrong(answer, name):
    """What a form says is wrong with a field."""
    found = re.search(rf'<p class="field-error" id="h-{re.escape(name)}">.*?<span>(.*?)</span>', answer.text, re.DOTALL)
    return found and found[1]


def value_of(answer, name):
    found = re.search(rf'name="{re.escape(name)}"[^>]*? value="([^"]*)"', answer.text)
    return found and found[1]


def typed(config):
    return {name: value for name, value in config.items() if value is not None}


async def test_three_cards_that_can_be_connected(owner_page, acme):
    page = await owner_page.get(f"/tenants/{acme.id}/integrations?q=ab&status=failing&other=1")
    for name in ("Connect WhatsApp", "Connect SMS", "Connect n8n"):
        assert name in words(page)
    assert f'hx-get="/tenants/{acme.id}/webhooks?q=ab&amp;status=failing"' in page.text
    assert words(page).count("Not set") == 3


@pytest.mark.parametrize("name", ["twilio", "vonage", "aws_sns", "n8n"])
async def test_connecting_shows_each_error_at_its_field_and_keeps_what_was_typed(app, owner_page, acme, houses, name):
    config, kind = houses.config(name), CASES[name][0]
    url = f"/tenants/{acme.id}/integrations/{kind}/edit"
    form = await owner_page.get(url, params={"provider": name}, headers=SCRIPTED)
    assert set(typed(config)) - {"provider"} <= set(re.findall(r'name="(\w+)"', form.text))
    required = {"n8n": "baseUrl", "twilio": "authToken", "vonage": "apiSecret", "aws_sns": "secretAccessKey"}[name]
    without = {field: value for field, value in typed(config).items() if field != required}
    refused = await owner_page.post(url, data={**without, "do": "save"}, headers=SCRIPTED)
    assert refused.status_code == 422
    assert wrong(refused, required).endswith(" is required.")
    plain = {"n8n": None, "twilio": "phoneNumber", "vonage": "phoneNumber", "aws_sns": "region"}[name]
    assert plain is None or value_of(refused, plain) == config[plain]
    done = await owner_page.post(url, data={**typed(config), "do": "save"}, headers=SCRIPTED)
    assert done.headers["hx-redirect"] == f"/tenants/{acme.id}/integrations"
    page = await owner_page.get(f"/tenants/{acme.id}/integrations")
    assert "Connected" in words(page)
    for field in app_secrets(await stored(app, acme, kind)):
        assert f"••••{config[field][-4:]}" in page.text
        assert config[field] not in page.text


def app_secrets(integration):
    return [name for name, secret in integration.secrets.items() if secret.set]


async def test_another_provider_has_other_fields_and_nothing_typed_goes_along(owner_page, acme):
    base = f"/tenants/{acme.id}/integrations/sms"
    form = await owner_page.get(f"{base}/edit", headers=SCRIPTED)
    assert 'name="accountSid"' in form.text
    assert re.search(rf'<select id="f-provider"[^>]*hx-get="{base}/fields"', form.text)
    assert "hx-include" not in form.text  # else secrets would stand in an address
    other = await owner_page.get(f"{base}/fields?provider=aws_sns", headers=SCRIPTED)
    assert 'name="region"' in other.text
    assert 'name="accountSid"' not in other.text
    assert "IAM, Users" in words(other)


async def test_a_verify_token_is_made_and_shown_once(app, owner_page, acme, houses):
    config = {name: value for name, value in houses.config("whatsapp").items() if name != "webhookVerifyToken"}
    url = f"/tenants/{acme.id}/integrations/whatsapp/edit"
    made = await owner_page.post(url, data={**config, "do": "save"}, headers=SCRIPTED)
    (token,) = re.findall(r"<code>([0-9a-f]{32})</code>", made.text)
    assert f"/hooks/{acme.id}/whatsapp" in made.text
    assert "does not receive messages yet" in words(made)
    CANARY.responses = [seen for seen in CANARY.responses if token not in seen[1]]  # the one answer that may hold it
    CANARY.made(token)
    page = await owner_page.get(f"/tenants/{acme.id}/integrations")
    assert token not in page.text
    assert f"••••{token[-4:]}" in page.text
    assert "Without the phone number people can&#39;t see which number this is." in page.text


async def test_an_empty_secret_stays_and_an_empty_field_goes(app, owner_page, acme, connected):
    config, base = await connected("twilio")
    sent = {
        "provider": "twilio",
        "phoneNumber": "",
        "messagingServiceSid": "MG" + "a" * 32,
        "version": "1",
        "do": "save",
    }
    assert (await owner_page.post(f"{base}/edit", data=sent)).status_code == 303
    now = await stored(app, acme, "sms")
    assert (now.values["phoneNumber"], now.values["messagingServiceSid"]) == (None, "MG" + "a" * 32)
    opened = await app.integrations.open_config(acme.id, "sms")
    assert opened["authToken"].open() == config["authToken"]
    both_gone = await owner_page.post(
        f"{base}/edit", data=sent | {"messagingServiceSid": "", "version": "2"}, headers=SCRIPTED
    )
    assert "At least one of" in wrong(both_gone, "phoneNumber")


async def test_a_new_address_asks_for_the_secret_at_its_field(app, owner_page, acme, connected):
    config, base = await connected("n8n")
    sent = {"baseUrl": "https://elsewhere.example.com/webhook", "apiKey": "", "version": "1"}
    for do in ("save", "test"):
        refused = await owner_page.post(f"{base}/edit", data={**sent, "do": do}, headers=SCRIPTED)
        assert refused.status_code == 422
        assert wrong(refused, "apiKey") == "API key must be given again."
        assert value_of(refused, "baseUrl") == sent["baseUrl"]
    assert (await stored(app, acme, "n8n")).values["baseUrl"] == config["baseUrl"]
    saved = await owner_page.post(f"{base}/edit", data={**sent, "apiKey": planted("n8n-new"), "do": "save"})
    assert saved.status_code == 303
    assert (await stored(app, acme, "n8n")).values["baseUrl"] == sent["baseUrl"]


async def test_after_a_new_base_url_it_is_said_which_webhooks_keep_their_address(app, owner_page, acme, connected):
    config, base = await connected("n8n")
    await app.webhooks.create_n8n_webhook(acme.id, "derived-one")
    await app.webhooks.create_n8n_webhook(acme.id, "own-one", webhook_url="https://other.example.com/webhook/x")
    sent = {"apiKey": planted("n8n-new"), "do": "save"}
    same = await owner_page.post(f"{base}/edit", data={**sent, "baseUrl": config["baseUrl"], "version": "1"})
    assert same.status_code == 303
    assert "old address" not in words(await owner_page.get(f"/tenants/{acme.id}/integrations"))
    moved = {"baseUrl": "https://elsewhere.example.com/webhook", "version": "2"}
    saved = await owner_page.post(f"{base}/edit", data=sent | moved)
    assert saved.status_code == 303
    said = words(await owner_page.get(f"/tenants/{acme.id}/integrations"))
    assert "n8n is saved. 1 webhook keeps its old address: give each its new one below." in said


async def test_the_second_of_two_admins_is_told_and_keeps_what_was_typed(app, owner_page, acme, connected):
    _, base = await connected("twilio")
    await app.integrations.configure(acme.id, "sms", {"phoneNumber": "+15550001111"}, create=False)
    sent = {"provider": "twilio", "phoneNumber": "+15552223333", "version": "1", "do": "save"}
    refused = await owner_page.post(f"{base}/edit", data=sent, headers=SCRIPTED)
    assert refused.status_code == 412
    assert "Another admin changed this integration meanwhile" in words(refused)
    assert value_of(refused, "phoneNumber") == "+15552223333"
    assert (await stored(app, acme, "sms")).values["phoneNumber"] == "+15550001111"
    again = await owner_page.post(f"{base}/edit", data=sent | {"version": value_of(refused, "version")})
    assert again.status_code == 303
    assert (await stored(app, acme, "sms")).values["phoneNumber"] == "+15552223333"


async def test_one_secret_is_replaced_and_those_that_go_with_it_are_asked_for(app, owner_page, acme, connected):
    _, base = await connected("twilio")
    url = f"{base}/secrets/authToken"
    assert wrong(await owner_page.get(url, headers=SCRIPTED), "authToken") is None
    empty = await owner_page.post(url, data={"authToken": ""}, headers=SCRIPTED)
    assert (empty.status_code, "Enter the new secret." in words(empty)) == (422, True)
    masked = await owner_page.post(url, data={"authToken": "••••3f9c"}, headers=SCRIPTED)
    assert masked.status_code == 422
    assert "holds a mask" in words(masked)
    new = planted("tw-token-2")
    assert (await owner_page.post(url, data={"authToken": new})).status_code == 303
    assert (await app.integrations.open_config(acme.id, "sms"))["authToken"].open() == new
    other = planted("tw-sid-2")
    asked = await owner_page.post(f"{base}/secrets/accountSid", data={"accountSid": other}, headers=SCRIPTED)
    assert wrong(asked, "authToken") == "Auth token must be given again."
    assert 'name="also" value="authToken"' in asked.text
    sent = {"accountSid": other, "also": "authToken", "authToken": new}
    assert (await owner_page.post(f"{base}/secrets/accountSid", data=sent)).status_code == 303
    for nothing in ("phoneNumber", "password"):
        assert (await owner_page.get(f"{base}/secrets/{nothing}")).status_code == 404


async def test_a_test_shows_in_the_card_until_something_is_changed(app, owner_page, acme, connected, houses):
    config, base = await connected("twilio")
    card = await owner_page.post(f"{base}/test", headers=SCRIPTED)
    assert card.status_code == 200
    assert card.text.lstrip().startswith("{#") is False
    assert "<html" not in card.text
    assert re.search(r"Verified .* ago|Verified just now", words(card))
    assert re.search(
        r"Verified \S+( \S+)? ?(ago|now) · \d+ ms", words(await owner_page.get(f"/tenants/{acme.id}/integrations"))
    )
    houses.logins.discard((config["accountSid"], config["authToken"]))
    failed = words(await owner_page.post(f"{base}/test", headers=SCRIPTED))
    assert "Test failed" in failed
    assert "Twilio refuses the credentials" in failed
    attention = words(await owner_page.get(f"/tenants/{acme.id}/figures"))
    assert "The last test of SMS failed" in attention
    await app.integrations.configure(acme.id, "sms", {"phoneNumber": "+15550001111"}, create=False)
    assert "Not tested yet" in words(await owner_page.get(f"/tenants/{acme.id}/integrations"))
    await app.integrations.configure(acme.id, "n8n", {"baseUrl": "https://n8n.example.com/w"}, create=True)
    nothing = await owner_page.post(f"/tenants/{acme.id}/integrations/n8n/test", headers=SCRIPTED)
    assert "There is nothing to test" in words(nothing)


async def test_a_kept_test_survives_a_change_of_another_integration(app, acme, connected):
    await connected("twilio")
    await app.integration_trials.test(acme.id, "sms")
    await app.integrations.configure(acme.id, "n8n", {"baseUrl": "https://n8n.example.com/w"}, create=True)
    kept = (await stored(app, acme, "sms")).last_test
    assert (kept.ok, kept.code) == (True, "ok")
    await app.integration_trials.test(acme.id, "sms", {"phoneNumber": "+15550001111"})  # of changes nothing is kept
    assert (await stored(app, acme, "sms")).last_test == kept
    await app.integrations.configure(acme.id, "sms", {"enabled": False}, create=False)
    assert (await stored(app, acme, "sms")).last_test == kept
    await app.integrations.configure(acme.id, "sms", {"phoneNumber": "+15550001111"}, create=False)
    assert (await stored(app, acme, "sms")).last_test is None


async def test_trying_before_saving_saves_nothing(app, owner_page, acme, houses):
    config = houses.config("vonage")
    url = f"/tenants/{acme.id}/integrations/sms/edit"
    tried = await owner_page.post(url, data={**config, "do": "test"}, headers=SCRIPTED)
    assert tried.status_code == 200
    assert "Vonage accepts apiKey, apiSecret. Nothing is saved yet." in words(tried)
    assert value_of(tried, "phoneNumber") == config["phoneNumber"]
    assert " data-failed" in tried.text  # so that the browser puts the secrets back
    assert await app.integrations.get_tenant_integration(acme.id) is None
    bad = await owner_page.post(url, data={**config, "apiSecret": planted("wrong"), "do": "test"}, headers=SCRIPTED)
    assert "Vonage refuses the credentials" in words(bad)


async def test_switched_off_and_on_and_removed(app, owner_page, acme, connected):
    _, base = await connected("n8n")
    off = await owner_page.post(f"{base}/enabled", data={"enabled": "false"}, headers=SCRIPTED)
    assert 'aria-checked="false"' in off.text
    assert "Disabled" in words(off)
    assert (await stored(app, acme, "n8n")).enabled is False
    on = await owner_page.post(f"{base}/enabled", data={"enabled": "true"}, headers=SCRIPTED)
    assert 'aria-checked="true"' in on.text
    refused = await owner_page.post(f"{base}/remove", data={"confirm": "sms"}, headers=SCRIPTED)
    assert (refused.status_code, "Type n8n to confirm." in words(refused)) == (422, True)
    assert (await owner_page.post(f"{base}/remove", data={"confirm": "n8n"})).status_code == 303
    assert await stored(app, acme, "n8n") is None


async def test_a_viewer_and_another_site_change_nothing(app, visitor, owner_page, acme, connected):
    config, base = await connected("twilio")
    viewer = await visitor("viewer")
    page = await viewer.get(f"/tenants/{acme.id}/integrations")
    for word in ("Replace", "Edit", "Remove", "Connect WhatsApp"):
        assert word not in words(page)
    assert "hx-post" not in page.text
    rotation = await viewer.get(f"{base}/rotation")
    assert "hx-post" not in rotation.text
    posts = {
        "edit": {"provider": "twilio", "phoneNumber": "+1", "do": "save"},
        "secrets/authToken": {"authToken": planted("x")},
        "test": {},
        "enabled": {"enabled": "false"},
        "remove": {"confirm": "sms"},
        "rotation/stage": {"authToken": planted("x")},
        "rotation/test": {"which": "current"},
        "rotation/switch": {"graceSeconds": "60"},
        "rotation/rollback": {"version": "1"},
        "rotation/revoke": {"version": "1"},
        "rotation/discard": {"version": "1"},
    }
    for path, data in posts.items():
        for headers in ({}, SCRIPTED):
            answer = await viewer.post(f"{base}/{path}", data=data or {"x": "y"}, headers=headers)
            assert answer.status_code == 403, path
        foreign = {"origin": "https://evil.example"}
        assert (await owner_page.post(f"{base}/{path}", data=data or {"x": "y"}, headers=foreign)).status_code == 403
    now = await stored(app, acme, "sms")
    assert (now.version, now.enabled) == (1, True)
    assert (await app.integrations.open_config(acme.id, "sms"))["authToken"].open() == config["authToken"]


async def test_a_whole_rotation(app, owner_page, acme, connected, houses):
    config, base = await connected("twilio")
    rotation = f"{base}/rotation"
    assert "Stage new secrets" in words(await owner_page.get(rotation))
    new = {"authToken": planted("tw-token-new")}
    nothing = await owner_page.post(f"{rotation}/stage", data={"authToken": "", "version": "1"}, headers=SCRIPTED)
    assert nothing.status_code == 422
    moved = await owner_page.post(
        f"{rotation}/stage", data={"accountSid": planted("sid"), "version": "1"}, headers=SCRIPTED
    )
    assert "says where the secrets go" in wrong(moved, "accountSid")
    staged = await owner_page.post(f"{rotation}/stage", data=new | {"version": "1"}, headers=SCRIPTED)
    assert staged.headers["hx-redirect"] == rotation
    twice = await owner_page.post(
        f"{rotation}/stage", data={"authToken": planted("y"), "version": "1"}, headers=SCRIPTED
    )
    assert (twice.status_code, "is staged already" in words(twice)) == (409, True)
    assert "New secrets staged" in words(await owner_page.get(f"/tenants/{acme.id}/integrations"))
    assert "New secrets of SMS wait" in words(await owner_page.get(f"/tenants/{acme.id}/figures"))

    switch = {"graceSeconds": "3600", "version": "1"}
    refused = await owner_page.post(f"{rotation}/switch", data=switch, headers=SCRIPTED)
    assert "was not tested as it is now" in words(refused)
    failed = await owner_page.post(f"{rotation}/test", data={"which": "staged"}, headers=SCRIPTED)
    assert "<html" not in failed.text
    assert "Twilio refuses the credentials" in words(failed)
    houses.take(config | new)
    assert "Twilio took them" in words(
        await owner_page.post(f"{rotation}/test", data={"which": "staged"}, headers=SCRIPTED)
    )
    switched = await owner_page.post(f"{rotation}/switch", data=switch, headers=SCRIPTED)
    assert "every call uses the new secrets now" in words(switched)
    assert "Version 1 is known until" in words(switched)
    assert re.search(r"it ends in \d+ min", words(switched))
    assert (await app.integrations.open_config(acme.id, "sms"))["authToken"].open() == new["authToken"]

    back = await owner_page.post(f"{rotation}/rollback", data={"version": "2"}, headers=SCRIPTED)
    assert back.headers["hx-redirect"] == rotation
    assert (await app.integrations.open_config(acme.id, "sms"))["authToken"].open() == config["authToken"]
    again = await owner_page.post(f"{rotation}/revoke", data={"version": "3"}, headers=SCRIPTED)
    assert (again.status_code, "There are no previous secrets" in words(again)) == (409, True)
    await owner_page.post(f"{rotation}/stage", data={"authToken": planted("z"), "version": "3"})
    stale = await owner_page.post(f"{rotation}/discard", data={"version": "1"}, headers=SCRIPTED)
    assert stale.status_code == 412
    assert (await owner_page.post(f"{rotation}/discard", data={"version": "3"})).status_code == 303
    history = words(await owner_page.get(rotation))
    for state in ("Current", "Revoked", "Discarded"):
        assert state in history


async def test_what_a_tenant_calls_itself_and_stores_is_shown_as_text(app, owner_page, acme):
    evil = "<script>alert(1)</script>"
    await app.tenants.update_tenant(acme.id, {"name": evil})
    config = {"provider": "vonage", "apiKey": planted("k"), "apiSecret": planted("s"), "phoneNumber": "<b>x</b>"}
    await app.integrations.configure(acme.id, "sms", config, create=True)
    for path in ("", "/sms/edit", "/sms/remove", "/sms/rotation", "/sms/secrets/apiKey"):
        page = await owner_page.get(f"/tenants/{acme.id}/integrations{path}")
        assert evil not in page.text
        assert "<b>x" not in page.text


async def test_an_unknown_kind_is_no_page(owner_page, acme):
    for path in ("fax/edit", "fax/rotation", "sms/rotation", "sms/secrets/authToken"):
        assert (await owner_page.get(f"/tenants/{acme.id}/integrations/{path}")).status_code == 404
