"""A receiver that echoes a webhook's secret does not get it into a record, in whatever usual form."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.vault.secret import Secret
from hookvault.webhooks.echo import Redactor

TOKEN = 'tok&en<9>"x/y_Zz12+é'
ASCII = TOKEN.encode("ascii", "ignore").decode()
FORMS = {
    "raw": lambda t: t,
    "JSON": lambda t: json.dumps({"a": t}, ensure_ascii=False),
    "JSON in ASCII": lambda t: json.dumps({"a": t}),
    "JSON as Go writes it": lambda t: json.dumps({"a": t}).replace("&", "\\u0026").replace("<", "\\u003c"),
    "JSON, all escaped": lambda t: '"' + "".join(f"\\u{ord(c):04x}" for c in t) + '"',
    "JSON in JSON": lambda t: json.dumps({"a": json.dumps({"b": t})}),
    "HTML": html.escape,
    "percent": lambda t: quote(t, safe=""),
    "percent, lower case": lambda t: "".join(f"%{byte:02x}" for byte in t.encode()),
    "hex": lambda t: t.encode().hex(),
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64 in a basic credential": lambda t: base64.b64encode(b"someone:" + t.encode()).decode(),
    "base64url, no padding": lambda t: base64.urlsafe_b64encode(b"xy" + t.encode() + b"zz").decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("token", [TOKEN, ASCII, "sk_live_4eC39HqLyjWDarjtT1zdp7dc"], ids=["mixed", "ASCII", "plain"])
def test_a_secret_does_not_come_back(form, token):
    echoed = f"before {form(token)} after".encode()
    clean = Redactor([Secret(token)]).clean(echoed)
    assert b"***" in clean
    for other in FORMS.values():
        assert other(token).encode() not in clean


def test_a_secret_cut_off_at_the_limit_does_not_come_back():
    token = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
    for kept in range(6, len(token)):
        clean = Redactor([Secret(token)]).clean(b"x" * 50 + token[:kept].encode(), truncated=True)
        assert clean == b"x" * 50 + b"***"


@given(st.binary(max_size=400))
def test_what_holds_no_secret_stays_as_it_is(data):
    assert Redactor([Secret("sk_live_4eC39HqLyjWDarjtT1zdp7dc")]).clean(data) == data


def test_the_redactor_shows_nothing():
    assert "sk_live" not in repr(Redactor([Secret("sk_live_4eC39HqLyjWDarjtT1zdp7dc")]))
