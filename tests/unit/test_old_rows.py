"""From the former system's rows to what our services take, however they are spelled."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.custody.intake.mapping import read_integrations, read_tenant, read_webhook
from hookvault.custody.intake.model import plain_name
from hookvault.custody.intake.unseal import Opener
from hookvault.vault import Secret, encrypt
from hookvault.webhooks.model import Counters

KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
TOKEN = "EAAB" + "x1Y2" * 12


def row(**values):
    """A row as the source gives it."""
    return {plain_name(name): value for name, value in values.items()}


def shown(value):
    """A value out of its box."""
    if isinstance(value, dict):
        return {name: shown(inner) for name, inner in value.items()}
    return value.open() if isinstance(value, Secret) else value


def integrations(**values):
    return {old.kind: old for old in read_integrations(row(**values), Opener(Secret(KEY)))}


def webhook(**values):
    return read_webhook(row(tenant_id="acme", **{"workflow_name": "order", **values}), Opener(Secret(KEY)))


def remarks(old):
    return [(remark.field, remark.result, remark.reason) for remark in old.remarks]


def config(**members):
    return json.dumps({"phoneNumberId": "1", "businessAccountId": "2", "accessToken": encrypt(TOKEN, KEY)} | members)


# -- tenants


@pytest.mark.parametrize(
    ("values", "status", "known"),
    [
        ({}, "active", True),
        ({"status": "active"}, "active", True),
        ({"status": "ACTIVE"}, "active", True),
        ({"status": None}, "active", True),
        ({"status": "suspended"}, "suspended", True),
        ({"status": "Inactive"}, "suspended", True),
        ({"is_active": "true"}, "active", True),
        ({"is_active": "false"}, "suspended", True),
        ({"isActive": None}, "suspended", True),
        ({"status": "on the moon"}, "suspended", False),
    ],
)
def test_who_was_not_active_is_suspended(values, status, known):
    old = read_tenant(row(id="acme", name="Acme", **values))
    assert old.status == status
    assert remarks(old) == ([] if known else [("status", "noted", "status_unknown")])


def test_a_tenant_s_name_and_slug_are_made_to_fit():
    old = read_tenant(row(id=" acme ", name="A\tcme\n" + "x" * 300, slug="not a slug"))
    assert (old.id, old.name, old.slug) == ("acme", "Acme" + "x" * 196, None)
    assert remarks(old) == [("name", "noted", "name_changed"), ("slug", "noted", "slug_unusable")]
    assert read_tenant(row(id="acme", name=None)).name == "acme"
    assert read_tenant(row(id="acme", deleted_at="2024-01-01")).deleted


# -- integrations


def test_what_is_not_set_is_no_integration():
    assert integrations(tenant_id="acme") == {}
    empty = {"n8n_base_url": "", "n8n_api_key": None, "whatsapp_config": "{}", "sms_config": "null"}
    assert integrations(tenant_id="acme", whatsapp_enabled="true", **empty) == {}
    assert integrations(tenant_id="acme", whatsapp_config="", sms_config="  ") == {}


@pytest.mark.parametrize("spell", [str, str.upper, lambda name: name.replace("_", "")])
def test_columns_are_known_in_every_spelling(spell):
    values = {"n8n_base_url": "https://n8n.example.com", "n8n_api_key": encrypt("the key", KEY), "n8n_enabled": "f"}
    found = integrations(**{spell(name): value for name, value in values.items()})["n8n"]
    assert shown(found.body) == {"baseUrl": "https://n8n.example.com", "apiKey": "the key", "enabled": False}
    assert found.remarks == []


@pytest.mark.parametrize(
    "text",
    [
        config(),
        json.dumps(config()),
        encrypt(config(), KEY),
        json.dumps(encrypt(config(), KEY)),
        json.dumps({"phone_number_id": 1, "business_account_id": "2", "access_token": encrypt(TOKEN, KEY).upper()}),
        json.dumps({"phoneNumberId": encrypt("1", KEY), "businessAccountId": "2", "accessToken": encrypt(TOKEN, KEY)}),
    ],
    ids=["jsonb", "a JSON string", "encrypted", "an encrypted JSON string", "snake case and numbers", "all encrypted"],
)
def test_a_configuration_is_read_however_it_was_stored(text):
    found = integrations(whatsapp_config=text, whatsapp_enabled="true")["whatsapp"]
    expected = {"phoneNumberId": "1", "businessAccountId": "2", "accessToken": TOKEN, "enabled": True}
    assert shown(found.body) == expected
    assert found.remarks == []


@pytest.mark.parametrize(
    ("columns", "inner", "enabled"),
    [
        ({}, {}, True),
        ({}, {"enabled": False}, False),
        ({"whatsapp_enabled": "t"}, {"enabled": False}, True),
        ({"whatsapp_enabled": "0"}, {}, False),
        ({"whatsapp_enabled": None}, {}, False),
    ],
)
def test_the_column_says_whether_it_is_on(columns, inner, enabled):
    found = integrations(whatsapp_config=config(**inner), **columns)["whatsapp"]
    assert found.body["enabled"] is enabled


def test_members_that_can_not_be_taken_leave_a_remark_and_no_value():
    text = config(appSecret="in the clear", webhookVerifyToken="***", surprise="x", access_token="other", appId=None)
    found = integrations(whatsapp_config=text)["whatsapp"]
    assert remarks(found) == [
        ("appSecret", "noted", "plaintext"),
        ("webhookVerifyToken", "left_out", "mask"),
        ("surprise", "left_out", "unknown_field"),
        ("access_token", "left_out", "twice"),
    ]
    assert shown(found.body)["accessToken"] == TOKEN
    assert shown(found.body)["appSecret"] == "in the clear"
    assert "webhookVerifyToken" not in found.body


@pytest.mark.parametrize("secret", [["x"], {"a": "b"}, True])
def test_a_secret_that_is_no_text_is_left_out(secret):
    found = integrations(whatsapp_config=config(appSecret=secret))["whatsapp"]
    assert remarks(found) == [("appSecret", "left_out", "not_text")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not_json"),
        ("***", "not_json"),
        ("[1]", "not_an_object"),
        ("7", "not_an_object"),
        (encrypt(config(), "0" * 63 + "1"), "wrong_key"),
        (encrypt(config(), KEY)[:-1], "malformed"),
        ("[" * 100_000, "not_json"),
    ],
    ids=range(7),
)
def test_a_configuration_that_can_not_be_read_has_a_reason(text, reason):
    found = integrations(whatsapp_config=text)["whatsapp"]
    assert (found.lacking, found.body) == (reason, {})


@pytest.mark.parametrize(
    ("named", "column", "provider"),
    [
        (None, None, "twilio"),
        ("twilio", None, "twilio"),
        ("Vonage", None, "vonage"),
        ("aws-sns", None, "aws_sns"),
        ("awsSns", None, "aws_sns"),
        (None, "vonage", "vonage"),
    ],
)
def test_sms_providers_are_known_in_every_spelling(named, column, provider):
    text = json.dumps({"phoneNumber": "+15555555555", **({"provider": named} if named else {})})
    assert integrations(sms_config=text, sms_provider=column)["sms"].body["provider"] == provider


def test_an_unknown_sms_provider_is_not_guessed():
    found = integrations(sms_config='{"provider": "carrier-pigeon"}')["sms"]
    assert found.lacking == "unknown_provider"


# -- webhooks


def test_a_webhook_is_read_whole():
    old = webhook(
        webhook_url=" https://n8n.example.com/webhook/order ",
        description="Orders",
        is_active="false",
        auth_type="bearer",
        auth_token=encrypt("the token", KEY),
        static_headers=json.dumps({"X-One": encrypt("one", KEY), "X-Two": "two"}),
        total_calls="12",
        successful_calls="9",
        failed_calls="3",
        last_called_at="2024-05-01 12:00:00.5+02",
    )
    assert shown(old.fields) == {
        "webhook_url": "https://n8n.example.com/webhook/order",
        "description": "Orders",
        "is_active": False,
        "auth_type": "bearer",
        "auth_config": {},
        "auth_token": "the token",
        "static_headers": {"X-One": "one", "X-Two": "two"},
    }
    assert old.counters == Counters(12, 9, 3, datetime(2024, 5, 1, 10, 0, 0, 500_000, UTC))
    assert remarks(old) == [("staticHeaders.X-Two", "noted", "plaintext")]


@pytest.mark.parametrize(
    ("stated", "members", "token", "expected"),
    [
        (None, None, None, ("none", None, None)),
        ("none", None, None, ("none", None, None)),
        (None, None, "t", ("bearer", {}, "t")),
        ("Bearer", None, "t", ("bearer", {}, "t")),
        ("bearer_token", None, "t", ("bearer", {}, "t")),
        ("headerAuth", {"header_name": "X-Key"}, "t", ("header", {"headerName": "X-Key"}, "t")),
        ("header", {"name": "X-Key", "value": "v"}, None, ("header", {"headerName": "X-Key"}, "v")),
        ("api_key", {"headerName": "X-Key"}, "t", ("header", {"headerName": "X-Key"}, "t")),
        ("basicAuth", {"username": "ann", "password": "p"}, None, ("basic", {"user": "ann"}, "p")),
        ("jwt", {"claims": {"iss": "x"}, "secret": "s"}, None, ("jwt", {"claims": {"iss": "x"}}, "s")),
        ("bearer", {"username": "ann"}, "t", ("bearer", {}, "t")),
        ("oauth2", None, "t", ("oauth2", {}, "t")),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_auth_is_known_in_every_spelling(stated, members, token, expected, sealed):
    if sealed:
        token = token and encrypt(token, KEY)
        members = members and {
            name: encrypt(value, KEY) if name in ("value", "password", "secret") else value
            for name, value in members.items()
        }
    old = webhook(auth_type=stated, auth_config=members and json.dumps(members), auth_token=token)
    fields = shown(old.fields)
    assert (fields["auth_type"], fields.get("auth_config"), fields.get("auth_token")) == expected


def test_a_token_that_does_not_open_still_says_that_there_was_auth():
    old = webhook(auth_token=encrypt("t", "0" * 63 + "1"))
    assert (old.fields["auth_type"], "auth_token" in old.fields) == ("bearer", False)
    assert remarks(old) == [("authToken", "left_out", "wrong_key")]


def test_a_token_that_was_not_used_is_told_and_not_taken():
    old = webhook(auth_type="none", auth_token=encrypt("t", KEY))
    assert remarks(old) == [("authToken", "noted", "unused")]
    assert "auth_token" not in old.fields


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Counters()),
        ({"total_calls": None, "successful_calls": "2", "failed_calls": "1"}, Counters(3, 2, 1)),
        ({"total_calls": "-4", "successful_calls": "many"}, Counters()),
        ({"total_calls": "9" * 19}, Counters(2**62)),
        ({"totalCalls": "5", "last_called_at": "infinity"}, Counters(5)),
        ({"last_called_at": "2024-05-01 12:00:00"}, Counters(last_called_at=datetime(2024, 5, 1, 12, tzinfo=UTC))),
        ({"last_called_at": "2024-05-01"}, Counters(last_called_at=datetime(2024, 5, 1, tzinfo=UTC))),
    ],
)
def test_counters_are_taken_over_where_they_can_be(values, expected):
    assert webhook(**values).counters == expected


def test_a_deleted_webhook_is_not_opened():
    old = webhook(deleted_at="2024-01-01", auth_token="nonsense:nonsense")
    assert (old.deleted, old.fields, old.remarks) == (True, {}, [])


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "id",
                "tenantid",
                "name",
                "slug",
                "status",
                "whatsappconfig",
                "smsconfig",
                "n8napikey",
                "n8nbaseurl",
                "workflowname",
                "authconfig",
                "authtype",
                "authtoken",
                "headers",
                "totalcalls",
                "lastcalledat",
            ]
        ),
        st.one_of(
            st.none(),
            st.text(),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=8,
            ).map(json.dumps),
        ),
    )
)
def test_no_row_breaks_the_reading(values):
    read_tenant(values)
    read_integrations(values, Opener(Secret(KEY)))
    read_webhook(values, Opener(Secret(KEY)))
