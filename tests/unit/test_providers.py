"""What every provider's configuration must hold to, and what is particular to each."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.errors import InvalidError
from hookvault.providers.base import clean_phone
from hookvault.providers.registry import ALL, N8N, SMS, WHATSAPP, secret_fields, sms_provider
from hookvault.vault.fields import COMMON_PLAIN, PLAIN_FIELDS, SMS_KINDS, is_secret

HEX32 = "0123456789abcdef0123456789abcdef"
USUAL = {
    "whatsapp": {
        "phoneNumberId": "106540352242922",
        "businessAccountId": "102290129340398",
        "accessToken": "EAA" + "aB3" * 30,
        "webhookVerifyToken": HEX32,
        "appSecret": HEX32,
        "appId": "1234567890123",
        "phoneNumber": "+1 (555) 555-5555",
    },
    "twilio": {
        "accountSid": "AC" + HEX32,
        "authToken": HEX32,
        "apiKeySid": "SK" + HEX32,
        "apiKeySecret": "aB3d" * 8,
        "phoneNumber": "+15555555555",
        "messagingServiceSid": "MG" + HEX32,
    },
    "vonage": {
        "apiKey": "abcd1234",
        "apiSecret": "aB3dEf6hIj9k",
        "signatureSecret": HEX32,
        "phoneNumber": "15555555555",
    },
    "aws_sns": {
        "accessKeyId": "AKIA0123456789ABCDEF",
        "secretAccessKey": "aB3/" * 10,
        "region": "us-gov-west-1",
        "senderId": "Acme1",
    },
    "n8n": {"baseUrl": "https://n8n.example.com/webhook", "apiKey": "eyJh.eyJp.c2ln"},
}
every_provider = pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.kind)
every_field = pytest.mark.parametrize(
    ("provider", "field"),
    [(provider, field) for provider in ALL for field in provider.fields],
    ids=lambda item: getattr(item, "kind", None) or item.name,
)


def faults_of(provider, config, **options):
    with pytest.raises(InvalidError) as caught:
        provider.check(config, **options)
    assert caught.value.code == "invalid_input"
    assert caught.value.status == 422
    faults = caught.value.members["errors"]
    for fault in faults:
        assert set(fault) == {"field", "message"}
        assert fault["message"] in str(caught.value)
    return {fault["field"]: fault["message"] for fault in faults}


def outcome(provider, config):
    try:
        return provider.check(config), None
    except InvalidError as error:
        return None, error


@every_provider
def test_a_usual_config_passes_without_a_warning(provider):
    checked = provider.check(USUAL[provider.kind])
    assert str(checked) == "Checked(warnings=[])"
    assert checked.config == USUAL[provider.kind]
    assert checked.warnings == []


@every_provider
def test_field_names_are_unique_and_camel_case(provider):
    names = [field.name for field in provider.fields]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+[A-Za-z0-9]*", name) for name in names)
    assert all(name in names for group in provider.one_of + provider.together for name in group)
    assert not COMMON_PLAIN & set(names)


@every_field
def test_secrecy_is_what_the_vault_says(provider, field):
    assert field.secret == is_secret(provider.kind, field.name)


@every_provider
def test_the_vault_lists_no_plain_field_that_the_provider_has_not(provider):
    names = {field.name for field in provider.fields}
    assert PLAIN_FIELDS[provider.kind] - COMMON_PLAIN <= names


def test_the_vault_knows_exactly_these_providers():
    assert set(PLAIN_FIELDS) == {provider.kind for provider in ALL}
    assert tuple(SMS) == SMS_KINDS


@every_field
def test_each_field_with_a_usual_shape_says_what_to_look_for(provider, field):
    assert field.label
    assert bool(field.hint) or field.pattern is None
    assert field.pattern is None or (field.pattern.startswith("^") and field.pattern.endswith("$"))


@every_provider
def test_an_unknown_field_is_refused(provider):
    faults = faults_of(provider, {**USUAL[provider.kind], "acessToken": "canary"})
    assert faults.keys() == {"acessToken"}
    assert "canary" not in faults["acessToken"]
    assert provider.fields[0].name in faults["acessToken"]


@every_provider
def test_all_missing_fields_are_listed_at_once(provider):
    required = {field.name for field in provider.fields if field.required}
    faults = faults_of(provider, {})
    assert faults.keys() == required | {group[0] for group in provider.one_of}
    assert faults_of(provider, dict.fromkeys(field.name for field in provider.fields)).keys() == faults.keys()


@every_provider
def test_an_empty_required_field_is_refused_and_an_empty_optional_one_left_out(provider):
    blank = {field.name: " \t " for field in provider.fields}
    faults = faults_of(provider, blank)
    assert faults.keys() == faults_of(provider, {}).keys()
    for field in provider.fields:
        if not field.required and not any(field.name in group for group in provider.one_of):
            checked = provider.check({**USUAL[provider.kind], field.name: "  "})
            assert field.name not in checked.config


@every_provider
def test_faults_of_all_kinds_are_listed_together(provider):
    required = [field.name for field in provider.fields if field.required]
    config = {**USUAL[provider.kind], required[0]: 7, "unknown": "x"}
    for name in required[1:]:
        del config[name]
    assert faults_of(provider, config).keys() == {"unknown", *required}


@every_provider
def test_surrounding_white_space_is_trimmed(provider):
    padded = {name: f" \ufeff\t{value}\u200b\r\n" for name, value in USUAL[provider.kind].items()}
    assert provider.check(padded).config == USUAL[provider.kind]


@every_provider
def test_the_given_config_is_not_changed(provider):
    config = {name: f" {value} " for name, value in USUAL[provider.kind].items()}
    before = dict(config)
    provider.check(config)
    assert config == before


@every_field
@pytest.mark.parametrize(
    "bad",
    [
        "canary\x00",
        "can\x00ary",
        "can\nary",
        "can\tary",
        "can\x1bary",
        "can\x7fary",
        "can\x85ary",
        "can\u2028ary",
        "canary\ud800",
    ],
    ids=ascii,
)
def test_control_characters_and_broken_unicode_are_refused(provider, field, bad):
    value = ("https://" if field.value_kind == "url" else "") + bad
    faults = faults_of(provider, {**USUAL[provider.kind], field.name: value})
    assert faults.keys() == {field.name}
    assert "ary" not in faults[field.name]


@every_field
def test_an_over_long_value_is_refused_without_showing_it(provider, field):
    value = {"url": "https://n8n.example/", "phone": "+1"}.get(field.value_kind, "") + "1" * (field.max_length + 1)
    faults = faults_of(provider, {**USUAL[provider.kind], field.name: value})
    assert faults.keys() == {field.name}
    assert f"at most {field.max_length}" in faults[field.name]
    assert "1111" not in faults[field.name]
    longest = value[: field.max_length]
    if field.value_kind == "label":
        longest = "a" * field.max_length
    assert provider.check({**USUAL[provider.kind], field.name: longest}).config[field.name] == longest


@every_field
@pytest.mark.parametrize("value", [7, 1.5, True, ["canary"], {"deep": "canary"}, b"canary"], ids=repr)
def test_what_is_not_text_is_refused(provider, field, value):
    assert faults_of(provider, {**USUAL[provider.kind], field.name: value}) == {field.name: "must be text"}


@every_field
def test_an_unusual_shape_only_warns(provider, field):
    value = {"url": "https://127.0.0.1:5678", "label": "Moon-Base"}.get(field.value_kind, "canary is not usual!")
    checked = provider.check({**USUAL[provider.kind], field.name: value})
    assert checked.config[field.name] == value
    expected = [] if field.pattern is None or provider.kind + field.name == "vonageapiSecret" else [field.name]
    assert [warning["field"] for warning in checked.warnings] == expected
    assert "canary" not in str(checked.warnings)


@every_provider
@settings(deadline=None)
@given(data=st.data())
def test_a_check_gives_a_config_or_a_list_of_faults_and_never_shows_a_value(provider, data):
    names = st.one_of(st.sampled_from([field.name for field in provider.fields]), st.text(max_size=5))
    values = st.one_of(st.none(), st.integers(), st.text(st.characters(), max_size=12).map("canary{}".format))
    config = {**USUAL[provider.kind], **data.draw(st.dictionaries(names, values, max_size=4))}
    checked, error = outcome(provider, config)
    if error is None:
        assert all(isinstance(value, str) and value == value.strip() for value in checked.config.values())
        assert "canary" not in repr(checked)
    else:
        assert error.members["errors"]
        told = f"{error} {error.members}".encode()  # with a lone surrogate in it this would fail
        assert b"canary" not in told


@every_provider
def test_stored_fields_count_as_set_where_the_config_does_not_mention_them(provider):
    stored = set(USUAL[provider.kind])
    assert provider.check({}, stored=stored).config == {}
    required = next(field.name for field in provider.fields if field.required)
    assert faults_of(provider, {required: None}, stored=stored) == {required: "is required"}
    assert faults_of(provider, {required: " "}, stored=stored) == {required: "must not be empty"}


@every_provider
def test_thousands_of_unknown_fields_get_a_short_answer(provider):
    faults = faults_of(provider, {**USUAL[provider.kind], **{f"f{number}": 1 for number in range(5000)}})
    assert len(faults) == 21
    assert faults[""] == "4980 further fields are unknown too"


@every_provider
def test_names_of_unknown_fields_are_told_in_a_form_that_can_always_be_printed(provider):
    faults = faults_of(provider, {**USUAL[provider.kind], "\ud800\x1b[31m" + "n" * 500: "x"})
    [name] = faults
    assert name == "??[31m" + "n" * 58


@every_provider
def test_a_long_hostile_value_is_told_in_linear_time(provider):
    began = time.monotonic()
    for value in (
        " \u200b" * 500_000 + "x" + "\u200b " * 500_000,
        "a-" * 2000,
        "a" * 4000 + "!",
        "+" * 1_000_000,
    ):
        for field in provider.fields:
            _, error = outcome(provider, {**USUAL[provider.kind], field.name: value})
            assert len(str(error)) < 1000
    assert time.monotonic() - began < 10


def test_twilio_needs_a_number_or_a_messaging_service():
    base = {"accountSid": "AC" + HEX32, "authToken": HEX32}
    assert SMS["twilio"].check({**base, "phoneNumber": "+15555555555"}).warnings == []
    assert SMS["twilio"].check({**base, "messagingServiceSid": "MG" + HEX32}).warnings == []
    faults = faults_of(SMS["twilio"], base)
    assert faults == {"phoneNumber": "at least one of phoneNumber and messagingServiceSid is required"}


def test_half_an_api_key_of_twilio_warns():
    config = {name: value for name, value in USUAL["twilio"].items() if name != "apiKeySecret"}
    [warning] = SMS["twilio"].check(config).warnings
    assert warning["field"] == "apiKeySecret"
    assert SMS["twilio"].check(config, stored={"apiKeySecret"}).warnings == []


def test_a_whatsapp_config_may_lack_what_is_generated_or_optional():
    config = {name: USUAL["whatsapp"][name] for name in ("phoneNumberId", "businessAccountId", "accessToken")}
    checked = WHATSAPP.check(config)
    assert checked.config == config
    assert [warning["field"] for warning in checked.warnings] == ["appSecret", "phoneNumber"]
    assert [field.name for field in WHATSAPP.fields if field.generated] == ["webhookVerifyToken"]


@pytest.mark.parametrize(
    "typed", ["+1 555 555-5555", "+1 (555) 555.5555", "+1\u00a0555\u2011555\u20115555", "+15555555555"]
)
def test_a_phone_number_is_kept_as_typed(typed):
    checked = WHATSAPP.check({**USUAL["whatsapp"], "phoneNumber": typed})
    assert checked.config["phoneNumber"] == typed
    assert checked.warnings == []
    assert clean_phone(typed) == "+15555555555"


@pytest.mark.parametrize("typed", ["555 5555", "0049 30 123456", "+0 30 123456", "call me", "+1 555 555 5555 ext 7"])
def test_a_phone_number_without_country_code_warns(typed):
    [warning] = WHATSAPP.check({**USUAL["whatsapp"], "phoneNumber": typed}).warnings
    assert warning["field"] == "phoneNumber"


@pytest.mark.parametrize("sender", ["15555555555", "+1 555 555 5555", "Acme", "Acme1234567"])
def test_vonage_takes_numbers_with_and_without_plus_and_names(sender):
    assert SMS["vonage"].check({**USUAL["vonage"], "phoneNumber": sender}).warnings == []


@pytest.mark.parametrize(
    "region", ["evil.example/", "eu-central-1.evil.example", "eu-central-1#", "a b", "-a", "a@b", "a:1"]
)
def test_a_region_that_would_lead_to_another_host_is_refused(region):
    assert faults_of(SMS["aws_sns"], {**USUAL["aws_sns"], "region": region}).keys() == {"region"}


@pytest.mark.parametrize(
    "url",
    [
        "https://n8n.example.com",
        "http://127.0.0.1:5678/webhook/",
        "https://{tenantId}.n8n.example.com/webhook",
        "https://n8n.example.com/{slug}/hooks",
        "https://[2001:db8::1]:5678/webhook",
        "https://bücher.example/webhook",
    ],
)
def test_a_base_url_of_n8n(url):
    checked = N8N.check({"baseUrl": url})
    assert checked.config == {"baseUrl": url}
    assert checked.warnings == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("n8n.example.com", "full URL"),
        ("//n8n.example.com", "full URL"),
        ("ftp://n8n.example.com", "full URL"),
        ("javascript:alert(1)", "full URL"),
        ("https://", "full URL"),
        ("https://user:canary@n8n.example.com", "user name"),
        ("https://@n8n.example.com", "user name"),
        ("https://n8n.example.com/?key=canary", "query"),
        ("https://n8n.example.com/#canary", "query"),
        ("https://[::1", "not a valid URL"),
        ("https://n8n.example.com:99999", "not a valid URL"),
        ("https://n8n.example.com:port", "not a valid URL"),
        ("https://n8n example.com", "spaces"),
        ("https://n8n.example.com\\@evil.example", ""),
    ],
)
def test_an_address_that_cannot_be_a_base_url_is_refused(url, message):
    faults = faults_of(N8N, {"baseUrl": url})
    assert message in faults["baseUrl"]
    assert "canary" not in faults["baseUrl"]


def test_sms_providers_are_found_by_name():
    assert {name: sms_provider(name).kind for name in SMS} == {
        "twilio": "twilio",
        "vonage": "vonage",
        "aws_sns": "aws_sns",
    }
    for name in ("", "Twilio", "n8n", "whatsapp", None, ["twilio"]):
        with pytest.raises(InvalidError, match="twilio, vonage, aws_sns"):
            sms_provider(name)


def test_the_secret_fields_are_those_of_the_contract():
    assert secret_fields() == {
        ("whatsapp", "accessToken"),
        ("whatsapp", "webhookVerifyToken"),
        ("whatsapp", "appSecret"),
        ("twilio", "accountSid"),
        ("twilio", "authToken"),
        ("twilio", "apiKeySid"),
        ("twilio", "apiKeySecret"),
        ("vonage", "apiKey"),
        ("vonage", "apiSecret"),
        ("vonage", "signatureSecret"),
        ("aws_sns", "accessKeyId"),
        ("aws_sns", "secretAccessKey"),
        ("n8n", "apiKey"),
    }
