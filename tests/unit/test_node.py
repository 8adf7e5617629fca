"""What Node.js services stored with `crypto`, and what we store, is the same form: read in both directions, by real Node."""

import random

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from hookvault.vault import (
    decrypt,
    decrypt_sms_config,
    decrypt_whatsapp_config,
    encrypt,
    encrypt_sms_config,
    encrypt_whatsapp_config,
)
from node import needs_node, opened_in_node, sealed_in_node

pytestmark = [needs_node, pytest.mark.slow]
KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
# Lists of texts, so that one process answers for many of them.
BATCHES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), min_size=30, max_size=30)
FEW = settings(deadline=None, max_examples=5)
WHATSAPP = {
    "phoneNumberId": "106540352242922",
    "businessAccountId": "102290129340398",
    "accessToken": "EAAB" + "x1Y2" * 40,
    "webhookVerifyToken": "Grüße 東京 🔑",
    "phoneNumber": "+1 555 555 5555",
    "appSecret": None,
}
SMS = {
    "twilio": {"accountSid": "AC" + "0a" * 16, "authToken": "1b" * 16, "phoneNumber": "+15555555555"},
    "vonage": {"apiKey": "abcd1234", "apiSecret": "Zażółć", "phoneNumber": "+15555555555"},
    "aws_sns": {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "a/b+c=" * 6, "region": "eu-central-1"},
}


@pytest.mark.parametrize("iv_bytes", [12, 16])
@FEW
@given(BATCHES)
def test_any_text_that_node_encrypts_opens_here(iv_bytes, texts):
    sealed = sealed_in_node(texts, KEY, ivBytes=iv_bytes)
    assert [decrypt(text, KEY) for text in sealed] == texts


@FEW
@given(BATCHES)
def test_any_text_that_is_encrypted_here_opens_in_node(texts):
    assert opened_in_node([encrypt(text, KEY) for text in texts], KEY) == texts


@pytest.mark.parametrize("text", ["", "🔑" * 250_000, "x" * 1_048_576], ids=["empty", "a million bytes", "1 MiB"])
def test_the_shortest_and_the_longest(text):
    for iv_bytes in (12, 16):
        [sealed] = sealed_in_node([text], KEY, ivBytes=iv_bytes)
        assert decrypt(sealed, KEY) == text
    assert opened_in_node([encrypt(text, KEY)], KEY) == [text]


def configs():
    yield WHATSAPP, encrypt_whatsapp_config, decrypt_whatsapp_config, {"accessToken", "webhookVerifyToken"}
    for provider, config in SMS.items():
        secret = set(config) - {"phoneNumber", "region"}
        yield {"provider": provider, **config}, encrypt_sms_config, decrypt_sms_config, secret


@pytest.mark.parametrize("case", list(configs()), ids=["whatsapp", *SMS])
def test_whole_configurations_go_both_ways(case):
    config, encrypt_config, decrypt_config, secret = case
    names = sorted(secret)
    here = encrypt_config(config, KEY)
    assert {name for name in config if here[name] != config[name]} == secret
    assert opened_in_node([here[name] for name in names], KEY) == [config[name] for name in names]
    there = config | dict(zip(names, sealed_in_node([config[name] for name in names], KEY), strict=True))
    assert decrypt_config(there, KEY) == config


def test_node_refuses_what_was_altered_or_sealed_under_another_key():
    sealed = encrypt("text", KEY)
    draw = random.Random(7)
    altered = []
    for _ in range(60):
        at = draw.choice([place for place, character in enumerate(sealed) if character != ":"])
        other = draw.choice([digit for digit in "0123456789abcdef" if digit != sealed[at]])
        altered.append(sealed[:at] + other + sealed[at + 1 :])
    assert opened_in_node(altered, KEY) == [None] * 60
    assert opened_in_node([sealed], "0" * 63 + "1") == [None]
    assert opened_in_node([sealed], KEY) == ["text"]


def test_the_batches_are_of_all_kinds_of_text():
    """That hypothesis does draw them is what the tests above rest on."""
    assert find(BATCHES, lambda texts: any(ord(c) > 0xFFFF for text in texts for c in text))
    assert find(BATCHES, lambda texts: "" in texts)
