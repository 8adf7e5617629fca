"""What may be written into a webhook: every rule once from either side, and no input that crashes one."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.errors import HookvaultError, InvalidError
from hookvault.ids import NAME_PATTERN
from hookvault.outbound.guard import AddressPolicy
from hookvault.webhooks.edit import (
    EDITABLE,
    auth_type_of,
    check_auth,
    check_fields,
    check_policy,
    check_static_headers,
    check_token,
    check_url,
    kebab_case,
)
from hookvault.webhooks.headers import RESERVED

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TOKEN = "a-token-of-some-length-fit-for-hs256"


def field_of(caught):
    return caught.value.members["errors"][0]["field"]


@pytest.mark.parametrize(
    ("name", "kebab"),
    [
        ("order", "order"),
        ("contactForm", "contact-form"),
        ("ContactForm_new", "contact-form-new"),
        ("HTTPServer", "http-server"),
        ("parseHTTPResponse", "parse-http-response"),
        ("order2Cash", "order2-cash"),
        ("a__b--c", "a-b-c"),
        ("trailing_", "trailing"),
        ("ALLCAPS", "allcaps"),
        ("X", "x"),
    ],
)
def test_kebab_case(name, kebab):
    assert kebab_case(name) == kebab


@given(st.from_regex(NAME_PATTERN.replace("$", r"\Z")))
def test_kebab_case_of_any_name_fits_into_a_path_and_is_its_own(name):
    kebab = kebab_case(name)
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", kebab)
    assert kebab_case(kebab) == kebab
    assert kebab.replace("-", "") == re.sub("[-_]", "", name).lower()


def test_fields_of_a_webhook_are_known():
    check_fields(dict.fromkeys(EDITABLE - {"workflow_name"}))
    for unknown in ("id", "tenant_id", "signing_secret", "key_version", "total_calls", "webhookUrl", "", "x" * 10_000):
        with pytest.raises(InvalidError):
            check_fields({unknown: 1})


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "a/b", "ä", "a\x00"])
def test_a_workflow_name_that_is_none_is_refused(name):
    with pytest.raises(InvalidError) as caught:
        check_fields({"workflow_name": name})
    assert field_of(caught) == "workflowName"


def test_a_description_has_a_limit():
    check_fields({"description": "x" * 2000})
    with pytest.raises(InvalidError):
        check_fields({"description": "x" * 2001})


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        ({}, "none", "none"),
        ({}, "basic", "basic"),
        ({"auth_token": TOKEN}, "none", "bearer"),
        ({"auth_token": TOKEN}, "header", "header"),
        ({"auth_token": TOKEN, "auth_type": "jwt"}, "none", "jwt"),
        ({"auth_type": "none"}, "bearer", "none"),
        ({"auth_type": None}, "bearer", "bearer"),
    ],
)
def test_the_auth_type_that_a_change_leads_to(fields, before, after):
    assert auth_type_of(fields, before) == after


@pytest.mark.parametrize("unknown", ["oauth", "Bearer", "nOne", " none", "x" * 1000])
def test_an_unknown_auth_type_is_refused(unknown):
    with pytest.raises(InvalidError) as caught:
        auth_type_of({"auth_type": unknown}, "none")
    assert field_of(caught) == "authType"


@pytest.mark.parametrize(
    ("auth_type", "config", "token"),
    [
        ("none", {}, None),
        ("bearer", {}, TOKEN),
        ("header", {"headerName": "X-Api-Key"}, TOKEN),
        ("header", {"headerName": "Authorization"}, TOKEN),  # n8n's header auth is used so
        ("basic", {"user": "Jürgen Müller"}, TOKEN),
        ("jwt", {}, TOKEN),
        ("jwt", {"algorithm": "HS256", "claims": {"sub": "x", "roles": ["a"]}}, TOKEN),
    ],
)
def test_an_auth_type_with_what_it_needs(auth_type, config, token):
    check_auth(auth_type, config, token=token, keeps=False)
    check_auth(auth_type, config, token=None, keeps=token is not None)


@pytest.mark.parametrize(
    ("auth_type", "config", "token", "field"),
    [
        ("none", {}, TOKEN, "authToken"),
        ("bearer", {}, None, "authToken"),
        ("header", {}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": "X Y"}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": "X-A\r\nX-B"}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": "Host"}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": "webhook-signature"}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": "X-Hookvault-Tenant"}, TOKEN, "authConfig.headerName"),
        ("header", {"headerName": 7}, TOKEN, "authConfig.headerName"),
        ("basic", {}, TOKEN, "authConfig.user"),
        ("basic", {"user": "a:b"}, TOKEN, "authConfig.user"),
        ("basic", {"user": "a\nb"}, TOKEN, "authConfig.user"),
        ("basic", {"user": ""}, TOKEN, "authConfig.user"),
        ("bearer", {"user": "x"}, TOKEN, "authConfig"),
        ("jwt", {"algorithm": "none"}, TOKEN, "authConfig.algorithm"),
        ("jwt", {"algorithm": "RS256"}, TOKEN, "authConfig.algorithm"),
        ("jwt", {"claims": []}, TOKEN, "authConfig.claims"),
        ("jwt", {"claims": {"iss": 7}}, TOKEN, "authConfig.claims"),
        ("jwt", {"claims": {"a": "x" * 9000}}, TOKEN, "authConfig.claims"),
        ("jwt", {"claims": {"a": "\ud800"}}, TOKEN, "authConfig.claims"),
        ("jwt", {"claims": {"a": {1, 2}}}, TOKEN, "authConfig.claims"),
        ("jwt", {}, "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "authToken"),
    ],
)
def test_an_auth_type_without_it(auth_type, config, token, field):
    with pytest.raises(InvalidError) as caught:
        check_auth(auth_type, config, token=token, keeps=False)
    assert field_of(caught) == field
    assert TOKEN not in caught.value.message


@given(
    st.sampled_from(["none", "bearer", "header", "basic", "jwt"]),
    st.dictionaries(st.text(max_size=12), JSON, max_size=3),
    JSON,
)
def test_any_auth_config_is_taken_or_refused(auth_type, config, value):
    for key in ({}, {"headerName": value}, {"user": value}, {"claims": value}, {"algorithm": value}):
        with contextlib.suppress(InvalidError):
            check_auth(auth_type, {**config, **key}, token=TOKEN, keeps=False)


@pytest.mark.parametrize("token", ["x", "with space inside", "a" * 4096, "!~", "a,b=c;d"])
def test_tokens_that_can_travel(token):
    check_token(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        " ",
        " x",
        "x ",
        "a\nb",
        "a\r\nX-Evil: 1",
        "a\x00",
        "ü",
        "a" * 4097,
        "***",
        "\u2022\u2022\u2022\u2022abcd",
        "\ud800",
    ],
    ids=lambda t: repr(t[:12]),
)
def test_tokens_that_cannot(token):
    with pytest.raises(InvalidError) as caught:
        check_token(token)
    assert len(token) < 9 or token not in caught.value.message


@given(st.text())
def test_a_token_is_printable_ascii_or_refused(token):
    try:
        check_token(token)
    except InvalidError:
        return
    assert token.isascii()
    assert token.isprintable()
    assert token == token.strip()


def test_static_headers_that_can_travel():
    check_static_headers({"X-Api-Key": "value", "X-Gone": None, "accept-language": "de, en;q=0.5"})
    check_static_headers({f"X-{n}": "v" for n in range(20)})


@pytest.mark.parametrize(
    "headers",
    [
        {f"X-{n}": "v" for n in range(21)},
        {"X-A": "1", "x-a": "2"},
        {"": "v"},
        {"X A": "v"},
        {"X-A:": "v"},
        {"X-Ä": "v"},
        {"X" * 65: "v"},
        {"X-A": ""},
        {"X-A": "a\nb"},
        {"X-A": "ü"},
        {"X-A": "***"},
        {"X-A": "x" * 4097},
        *({name.title(): "v"} for name in sorted(RESERVED)),
        {"X-Hookvault-Call": "v"},
    ],
    ids=lambda headers: f"{len(headers)} {next(iter(headers))[:24]}",
)
def test_static_headers_that_cannot(headers):
    with pytest.raises(InvalidError):
        check_static_headers(headers)


def test_a_policy():
    assert check_policy({}) == {}
    assert check_policy({"timeoutMs": None, "maxRetries": 0}) == {"maxRetries": 0}
    whole = {"timeoutMs": 120_000, "maxRetries": 10, "retryOnTimeout": False}
    assert check_policy(whole) == whole


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"timeoutMs": 0}, "policy.timeoutMs"),
        ({"timeoutMs": 120_001}, "policy.timeoutMs"),
        ({"timeoutMs": 1.5}, "policy.timeoutMs"),
        ({"timeoutMs": True}, "policy.timeoutMs"),
        ({"timeoutMs": "5"}, "policy.timeoutMs"),
        ({"maxRetries": -1}, "policy.maxRetries"),
        ({"maxRetries": 11}, "policy.maxRetries"),
        ({"retryOnTimeout": 1}, "policy.retryOnTimeout"),
        ({"color": "red"}, "policy"),
    ],
)
def test_a_policy_out_of_bounds(policy, field):
    with pytest.raises(InvalidError) as caught:
        check_policy(policy)
    assert field_of(caught) == field


@given(
    st.dictionaries(
        st.sampled_from(["timeoutMs", "maxRetries", "retryOnTimeout"]) | st.text(max_size=8), JSON, max_size=4
    )
)
def test_any_policy_is_taken_or_refused(policy):
    try:
        kept = check_policy(policy)
    except InvalidError:
        return
    assert kept == {name: value for name, value in policy.items() if value is not None}


STRICT, OPEN = AddressPolicy(allow_http=False), AddressPolicy(allow_http=True)


@pytest.mark.parametrize("path", ["/webhook/order", "/", "", "/webhook-testing/x", "/webhook-test"])
def test_addresses_that_may_be_called(path):
    check_url(f"https://n8n.example.com{path}", STRICT)
    check_url(f"http://n8n.example.com{path}", OPEN)


@pytest.mark.parametrize("path", ["/webhook-test/order", "/sub/webhook-test/order", "/webhook-test/"])
def test_test_addresses_may_not(path):
    with pytest.raises(InvalidError) as caught:
        check_url(f"https://n8n.example.com{path}", STRICT)
    assert caught.value.code == "invalid_url"
    assert "/webhook/" in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http://n8n.example.com/x",
        "https://u:p@n8n.example.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "ftp://x",
        "x",
        "",
    ],
)
def test_other_addresses_may_not_either(url):
    with pytest.raises(HookvaultError) as caught:
        check_url(url, STRICT)
    assert caught.value.code in ("invalid_url", "address_blocked")


@given(
    st.text()
    | st.text().map(lambda tail: f"https://n8n.example.com/{tail}")
    | st.text().map(lambda host: f"https://{host}/x")
)
def test_any_address_is_taken_or_refused(url):
    try:
        check_url(url, STRICT)
    except HookvaultError as error:
        assert error.code in ("invalid_url", "address_blocked")
