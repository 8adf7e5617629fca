"""What is shown of a secret can be sent back and changes nothing; a mask is refused in every form and every place."""

import pytest
from tenancy import is_problem

from canary import planted
from hookvault.providers.registry import ALL, SMS
from hookvault.vault import mask_long_token, mask_token

URL = "https://n8n.example.com/webhook/order"
PLAIN = {"phoneNumber": "+15555555555", "region": "eu-central-1", "baseUrl": "https://n8n.example.com/webhook"}
EVERY = pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.kind)
SECRETS = [(provider, field.name) for provider in ALL for field in provider.fields if field.secret]
FORMS = [
    "••••3f9c",
    "••••••••",
    "***",
    "sk_live_***xyz789",
    "**********",
    "*",
    "[REDACTED]",
    "REDACTED",
    "<hidden>",
    "(masked)",
    "EAAB…xyz",
    "EAAB...xyz",
    "xxxxxxxx",
    "__n8n_BLANK_VALUE_e5362baf-c777-4d57-a609-6eaf1f9e87f6",
    "  ***  ",
]


def config(provider):
    """Every field that a provider has; its secrets planted."""
    fields = {
        field.name: planted(field.name) if field.secret else PLAIN.get(field.name, "12345") for field in provider.fields
    }
    return ({"provider": provider.kind} if provider.kind in SMS else {}) | fields


def path_of(acme, provider):
    kind = "sms" if provider.kind in SMS else provider.kind
    return f"{acme.path}/integrations/{kind}", kind


async def opened(app, acme, kind):
    values = await app.integrations.open_config(acme.id, kind)
    return {name: value if isinstance(value, str) else value.open() for name, value in values.items()}


@EVERY
async def test_an_integration_sent_back_as_it_was_shown_is_the_same(client, acme, app, provider):
    path, kind = path_of(acme, provider)
    body = config(provider) | {"enabled": False}
    assert (await client.post(path, json=body)).status_code == 201
    before = (await client.get(f"{acme.path}/integrations")).json()[kind]
    sent_back = await client.put(path, json=before)
    assert sent_back.status_code == 200, sent_back.text
    after = (await client.get(f"{acme.path}/integrations")).json()[kind]
    moving = ("version", "updatedAt")
    assert {name: value for name, value in after.items() if name not in moving} == {
        name: value for name, value in before.items() if name not in moving
    }
    assert await opened(app, acme, kind) == {name: value for name, value in body.items() if name != "enabled"}


@pytest.mark.parametrize(("provider", "name"), SECRETS, ids=[f"{provider.kind}-{name}" for provider, name in SECRETS])
async def test_a_mask_is_refused_in_the_place_of_every_secret(client, acme, app, provider, name):
    path, kind = path_of(acme, provider)
    body = config(provider)
    assert (await client.post(path, json=body)).status_code == 201
    shown = (await client.get(f"{acme.path}/integrations")).json()[kind][name]
    ours = [f"••••{shown['hint'].strip('•')}", shown["hint"], mask_token(body[name]), mask_long_token(body[name] * 2)]
    assert shown["hint"].startswith("•")
    for mask in [*FORMS, *ours]:
        is_problem(await client.put(path, json={name: mask}), 422, "mask_submitted")
    assert await opened(app, acme, kind) == body


@pytest.mark.parametrize("secret", ["authToken", "staticHeaders"])
async def test_a_mask_is_refused_in_the_place_of_a_webhook_s_secret(client, acme, app, secret):
    token, header = planted("token"), planted("header")
    webhook = await acme.webhook(URL, authToken=token, staticHeaders={"x-one": header})
    path = f"{acme.path}/webhooks/{webhook['id']}"
    shown = (await client.get(path)).json()
    ours = [shown["authToken"]["hint"], shown["staticHeaders"]["x-one"]["hint"], mask_token(token)]
    for mask in [*FORMS, *ours]:
        body = {"authToken": mask} if secret == "authToken" else {"staticHeaders": {"x-one": mask}}
        is_problem(await client.put(path, json=body), 422, "mask_submitted")
    endpoint = await app.webhooks._endpoints.find(acme.id, webhook["workflowName"])
    assert (endpoint.auth_token.open(), dict(endpoint.static_headers)["x-one"].open()) == (token, header)


@EVERY
async def test_an_over_long_secret_and_an_unknown_field_are_refused_by_name(client, acme, provider):
    path, kind = path_of(acme, provider)
    for field in provider.fields:
        longer = PLAIN["baseUrl"] * (field.name == "baseUrl") + "y" * 20_000
        problem = is_problem(
            await client.post(path, json=config(provider) | {field.name: longer}), 422, "invalid_input"
        )
        assert [error["field"] for error in problem["errors"]] == [field.name]
        assert "yyyyyyyy" not in problem["detail"]
    problem = is_problem(await client.post(path, json=config(provider) | {"novel": "x"}), 422, "invalid_input")
    assert [error["field"] for error in problem["errors"]] == ["novel"]
    assert (await client.get(f"{acme.path}/integrations")).json()[kind] is None
