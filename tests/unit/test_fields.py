"""Encryption by field: all that isn't listed as plain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.errors import CipherError, InvalidError, SetupError
from hookvault.vault import (
    decrypt,
    decrypt_fields,
    decrypt_sms_config,
    decrypt_whatsapp_config,
    encrypt,
    encrypt_fields,
    encrypt_sms_config,
    encrypt_whatsapp_config,
)
from hookvault.vault.cipher import is_ciphertext
from hookvault.vault.fields import PLAIN_FIELDS, is_secret

KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
WHATSAPP = {
    "phoneNumberId": "106540352242922",
    "businessAccountId": "102290129340398",
    "accessToken": "EAABcanary",
    "webhookVerifyToken": "verify-canary",
    "appSecret": None,
    "appId": "1234567890",
    "phoneNumber": "+1 555 555 5555",
    "enabled": True,
}
SMS = {
    "twilio": {
        "provider": "twilio",
        "accountSid": "AC-canary",
        "authToken": "auth-canary",
        "apiKeySid": "SK-canary",
        "apiKeySecret": "key-canary",
        "phoneNumber": "+15555555555",
        "messagingServiceSid": "MG1",
        "enabled": False,
    },
    "vonage": {
        "provider": "vonage",
        "apiKey": "key-canary",
        "apiSecret": "secret-canary",
        "signatureSecret": "signature-canary",
        "phoneNumber": "Acme",
    },
    "aws_sns": {
        "provider": "aws_sns",
        "accessKeyId": "AKIA-canary",
        "secretAccessKey": "secret-canary",
        "region": "eu-central-1",
        "senderId": "Acme",
    },
}


def test_what_is_not_listed_as_plain_is_secret():
    assert is_secret("whatsapp", "accessToken")
    assert is_secret("whatsapp", "aFieldOfNextYear")
    assert is_secret("carrier-pigeon", "phoneNumber")
    assert not is_secret("whatsapp", "phoneNumber")
    assert not is_secret("twilio", "messagingServiceSid")
    assert is_secret("twilio", "accountSid")
    assert is_secret("twilio", "region")


def test_the_list_of_plain_fields_cannot_be_changed():
    with pytest.raises(TypeError):
        PLAIN_FIELDS["whatsapp"] = frozenset({"accessToken"})


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.text(max_size=20)), max_size=5),
    st.sets(st.text(max_size=8), max_size=3),
)
def test_a_config_goes_there_and_back(config, plain):
    before = dict(config)
    sealed = encrypt_fields(config, plain, KEY)
    assert config == before
    assert list(sealed) == list(config)
    for name, value in sealed.items():
        assert value == config[name] if name in plain or value is None else is_ciphertext(value)
    assert decrypt_fields(sealed, plain, KEY) == config


def test_what_is_encrypted_already_is_left_as_it_is():
    once = encrypt_whatsapp_config(WHATSAPP, KEY)
    assert encrypt_whatsapp_config(once, KEY) == once
    half = {**WHATSAPP, "accessToken": once["accessToken"]}
    assert encrypt_whatsapp_config(half, KEY)["accessToken"] == once["accessToken"]


@pytest.mark.parametrize("change", [encrypt_fields, decrypt_fields])
def test_a_secret_that_is_not_text_is_refused_by_name(change):
    config = {"token": {"deep": "canary"}, "count": 7, "port": 5, "nothing": None, "flag": True}
    with pytest.raises(InvalidError) as caught:
        change(config, {"port"}, KEY)
    assert [fault["field"] for fault in caught.value.members["errors"]] == ["token", "count", "flag"]
    assert "canary" not in f"{caught.value} {vars(caught.value)}"


def test_a_field_that_does_not_open_is_named():
    sealed = encrypt_whatsapp_config(WHATSAPP, KEY)
    for value, code in (("plain-canary", "malformed_ciphertext"), (encrypt("x", b"k" * 32), "cipher_error")):
        with pytest.raises(CipherError, match=r"^accessToken: ") as caught:
            decrypt_whatsapp_config({**sealed, "accessToken": value}, KEY)
        assert caught.value.code == code
        assert caught.value.members == {"field": "accessToken"}
        assert value not in str(caught.value)


def test_a_lone_surrogate_is_named_by_field():
    with pytest.raises(InvalidError, match=r"^token: ") as caught:
        encrypt_fields({"token": "canary \ud800"}, (), KEY)
    assert caught.value.members["errors"][0]["field"] == "token"
    assert "canary" not in str(caught.value)


def test_a_whatsapp_config_keeps_its_ids_readable():
    sealed = encrypt_whatsapp_config(WHATSAPP, KEY)
    changed = {name for name in WHATSAPP if sealed[name] != WHATSAPP[name]}
    assert changed == {"accessToken", "webhookVerifyToken"}
    assert "canary" not in str(sealed)
    assert decrypt(sealed["accessToken"], KEY) == "EAABcanary"
    assert decrypt_whatsapp_config(sealed, KEY) == WHATSAPP


@pytest.mark.parametrize("config", SMS.values(), ids=SMS.keys())
def test_an_sms_config_is_encrypted_by_its_providers_fields(config):
    before = dict(config)
    sealed = encrypt_sms_config(config, KEY)
    assert config == before
    assert {name for name in config if sealed[name] != config[name]} == {
        name for name, value in config.items() if "canary" in str(value)
    }
    assert decrypt_sms_config(sealed, KEY) == config


def test_an_sms_config_without_a_provider_is_twilios():
    sealed = encrypt_sms_config({"accountSid": "AC1", "messagingServiceSid": "MG1", "region": "x"}, KEY)
    assert is_ciphertext(sealed["accountSid"])
    assert is_ciphertext(sealed["region"])
    assert sealed["messagingServiceSid"] == "MG1"
    assert "provider" not in sealed


@pytest.mark.parametrize("provider", ["carrier-pigeon", "", "n8n", "whatsapp", "Twilio", 7, ["twilio"], {}])
@pytest.mark.parametrize("change", [encrypt_sms_config, decrypt_sms_config])
def test_an_unknown_sms_provider_is_refused(change, provider):
    with pytest.raises(InvalidError, match="twilio, vonage, aws_sns") as caught:
        change({"provider": provider, "authToken": "canary"}, KEY)
    assert caught.value.members["errors"][0]["field"] == "provider"


def test_without_a_key_that_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("ENCRYPTION_KEY", KEY)
    assert decrypt_whatsapp_config(encrypt_whatsapp_config(WHATSAPP)) == WHATSAPP
    assert decrypt_sms_config(encrypt_sms_config(SMS["twilio"])) == SMS["twilio"]
    monkeypatch.delenv("ENCRYPTION_KEY")
    with pytest.raises(SetupError, match="hookvault keys generate"):
        encrypt_whatsapp_config(WHATSAPP)
