"""What masks show, and that a mask sent back is told from a secret."""

import base64
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.vault import encrypt, mask_long_token, mask_sms_config, mask_token, mask_whatsapp_config
from hookvault.vault.mask import hint_of, looks_masked, masked_hint

KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
ALPHABET = string.ascii_letters + string.digits
SEEDS = st.integers(min_value=0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("sk_live_abc123xyz789", "sk_live_***xyz789"),
        ("abcdefgh-0123456789-ABCDEF", "abcdefgh***ABCDEF"),
        ("0123456789abcdef789", "***f789"),
        ("0123456789ab6789", "***6789"),
        ("0123456789ab678", "***"),
        ("short", "***"),
        ("", "***"),
    ],
)
def test_mask_token(value, shown):
    assert mask_token(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("EAABwzLixn" + "m" * 24 + "tail99", "EAABwzLixn***tail99"),
        ("a" * 10 + "b" * 23 + "c" * 6, "a" * 8 + "***" + "c" * 6),
        ("0123456789ab6789", "***6789"),
        ("short", "***"),
    ],
)
def test_mask_long_token(value, shown):
    assert mask_long_token(value) == shown


@settings(deadline=None)
@given(st.text(alphabet=ALPHABET, max_size=120))
def test_a_mask_shows_never_more_than_it_says(value):
    for mask, most in ((mask_token(value), 14), (mask_long_token(value), 16)):
        before, after = mask.split("***")
        assert value.startswith(before)
        assert value.endswith(after)
        assert len(before + after) <= most
        assert len(before + after) <= len(value) * 0.7
        assert not before + after or len(value) >= 16


def test_hints():
    assert hint_of("0123456789ab3f9c") == "3f9c"
    assert hint_of("0123456789a3f9c") is None
    assert masked_hint("3f9c") == "••••3f9c"
    assert masked_hint(None) is None


@pytest.mark.parametrize(
    "value",
    [
        "••••3f9c",
        "••••••••1f3c",
        "•",
        "●●●●",
        "***",
        "**",
        "*",
        "****************",
        "sk_live_***xyz789",
        "ab**cd",
        "***6789",
        "Bearer ***",
        "REDACTED",
        "redacted",
        "[REDACTED]",
        "[redacted]",
        "Bearer [REDACTED]",
        "<redacted>",
        "<hidden>",
        "(hidden)",
        "<masked>",
        "[Filtered]",
        "__n8n_BLANK_VALUE_e5362baf-c777-4d57-a609-6eaf1f9e87f6",
        "__BLANK__",
        "xxxxxxxx",
        "XXXX",
        "########",
        "--------",
        "________",
        "…1f3c",
        "...1f3c",
        "EAAB…9f",
        "EAAB...9f",
        "  ***  ",
        "\t••••3f9c\n",
        "\u2217\u2217\u2217",
        "\uff0a\uff0a\uff0a",
        "····",
        "XXXXXXXXXXXX4Kd8",
        "xxxx4Kd8xxxx",
        "XXXX-XXXX-XXXX",
        "#### 4Kd8",
        "4Kd8--------",
        "○○○○○○",
        "◼◼◼◼4Kd8",
        "✱✱✱✱✱✱4Kd8",
        "⋅⋅⋅⋅4Kd8",
        "・・・・4Kd8",
        "&bull;&bull;&bull;&bull;4Kd8",
        "%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A24Kd8",
        "â€¢â€¢â€¢â€¢4Kd8",
        "set",
    ],
)
def test_masks_are_recognised(value):
    assert looks_masked(value)


@settings(deadline=None)
@given(st.text(alphabet=ALPHABET + "_-.", min_size=0, max_size=120))
def test_every_mask_of_ours_is_recognised(value):
    assert looks_masked(mask_token(value))
    assert looks_masked(mask_long_token(value))
    hint = hint_of(value)
    assert hint is None or looks_masked(masked_hint(hint))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a*b",
        "P*ssw0rd*1",
        "correct horse battery staple",
        "x",
        "xxx",
        "max-xxl-box",
        "hidden",
        "my-secret-token",
        "secret",
        "eyJhbGciOiJkaXIifQ..aXY.Y3Q.dGFn",
        "col·legi",
        "https://n8n.example/webhook",
        "a-b--c---d",
        "__init__",
        "__PRIVATE__",
        "AC0123456789abcdef0123456789abcdef",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ],
)
def test_what_may_be_a_secret_is_no_mask(value):
    assert not looks_masked(value)


def chosen(seed, alphabet, length):
    return "".join(random.Random(seed).choices(alphabet, k=length))


@settings(deadline=None)
@given(SEEDS, st.integers(min_value=8, max_value=256))
def test_random_tokens_of_usual_alphabets_are_no_masks(seed, length):
    raw = random.Random(seed).randbytes(length)
    jwt = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (raw, raw[::-1], raw[::2]))
    tokens = [
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b32encode(raw).decode(),
        jwt,
        chosen(seed, ALPHABET, length),
        "EAA" + chosen(seed, ALPHABET, length),
        "sk_live_" + chosen(seed, ALPHABET, length),
        "n8n_api_" + raw.hex(),
        "SG." + chosen(seed, ALPHABET + "_-", 22) + "." + chosen(seed, ALPHABET + "_-", 43),
    ]
    assert [token for token in tokens if looks_masked(token)] == []


@settings(deadline=None)
@given(SEEDS, st.integers(min_value=8, max_value=64))
def test_random_passwords_with_single_stars_are_no_masks(seed, length):
    letters = chosen(seed, ALPHABET + "!$%&*+-/=?@_~", length)
    password = letters.replace("**", "*a").replace("**", "*a")
    assert not looks_masked(password)


def test_a_whatsapp_config_is_masked():
    config = {
        "phoneNumberId": "106540352242922",
        "businessAccountId": "102290129340398",
        "accessToken": "EAABwzLixn" + "m" * 60 + "tail99",
        "webhookVerifyToken": "0123456789abcdef0123456789abcdef",
        "appSecret": encrypt("0123456789abcdef0123456789abcdef", KEY),
        "appId": "1234567890",
        "phoneNumber": "+1 555 555 5555",
        "enabled": True,
        "twoStepPin": "123456",
        "nested": {"accessToken": "in the clear"},
        "webhookUrl": None,
    }
    before = dict(config)
    assert mask_whatsapp_config(config) == {
        "phoneNumberId": "106540352242922",
        "businessAccountId": "102290129340398",
        "accessToken": "EAABwzLixn***tail99",
        "webhookVerifyToken": "01234567***abcdef",
        "appSecret": "***",
        "appId": "1234567890",
        "phoneNumber": "+1 555 555 5555",
        "enabled": True,
        "twoStepPin": "***",
        "nested": "***",
        "webhookUrl": None,
    }
    assert config == before


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            {"provider": "twilio", "accountSid": "AC" + "0" * 26 + "abcdef", "phoneNumber": "+15555555555"},
            {"provider": "twilio", "accountSid": "AC000000***abcdef", "phoneNumber": "+15555555555"},
        ),
        (
            {"authToken": "short", "messagingServiceSid": "MG1"},
            {"authToken": "***", "messagingServiceSid": "MG1"},
        ),
        (
            {"provider": "vonage", "apiKey": "abcd1234", "phoneNumber": "Acme"},
            {"provider": "vonage", "apiKey": "***", "phoneNumber": "Acme"},
        ),
        (
            {"provider": "aws_sns", "accessKeyId": "AKIA0123456789ABCDEF", "region": "eu-central-1"},
            {"provider": "aws_sns", "accessKeyId": "AKIA0123***ABCDEF", "region": "eu-central-1"},
        ),
        (
            {"provider": "carrier-pigeon", "phoneNumber": "+15555555555", "enabled": False},
            {"provider": "carrier-pigeon", "phoneNumber": "***", "enabled": False},
        ),
        ({"provider": ["twilio"], "phoneNumber": "+15555555555"}, {"provider": "***", "phoneNumber": "***"}),
        (
            {"provider": "vonage", "phoneNumber": {"deep": "secret"}},
            {"provider": "vonage", "phoneNumber": "***"},
        ),
    ],
)
def test_an_sms_config_is_masked_by_its_providers_fields(config, shown):
    assert mask_sms_config(config) == shown
