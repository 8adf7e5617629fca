"""A Secret shows itself nowhere, and comes out only where `open()` is written."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import msgspec
import pydantic
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.vault import Secret

CANARY = "canary-2718281828"


@dataclasses.dataclass
class Holder:
    token: Secret
    name: str = "acme"


class Model(pydantic.BaseModel):
    token: Secret


@settings(deadline=None)
@given(st.text())
def test_open_gives_the_text_back(text):
    assert Secret(text).open() == text


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        lambda secret: f"{secret}",
        lambda secret: f"{secret!r}",
        lambda secret: f"{secret!s:>3}",
        lambda secret: f"{secret:>3}",
        lambda secret: "%s" % secret,  # noqa: UP031 - this form is tested
        lambda secret: "%r" % secret,  # noqa: UP031 - this form is tested
        "{}".format,
        lambda secret: json.dumps(secret, default=str).strip('"'),
        lambda secret: json.dumps(secret, default=repr).strip('"'),
    ],
)
def test_every_way_to_print_it_shows_stars(show):
    assert show(Secret(CANARY)) == "***"


def test_containers_show_stars():
    secret = Secret(CANARY)
    for holder in ([secret], {"token": secret}, (secret,), Holder(secret), {secret}, Exception(secret)):
        assert CANARY not in f"{holder!r} {holder}"
        assert "***" in repr(holder)


def test_it_has_no_dictionary_and_its_state_is_not_given_out():
    secret = Secret(CANARY)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        secret.__getstate__()
    with pytest.raises(AttributeError):
        secret.note = "no further attributes"


@pytest.mark.parametrize(
    "take",
    [
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        msgspec.msgpack.encode,
        list,
        len,
        *[lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)],
        lambda secret: copy.deepcopy({"config": {"token": secret}}),
        lambda secret: dataclasses.asdict(Holder(secret)),
        lambda secret: json.dumps({"token": secret}),
        lambda secret: secret + "",
        lambda secret: ", ".join([secret, "name"]),  # noqa: FLY002 - this form is tested
    ],
)
def test_it_is_not_copied_pickled_or_encoded_by_accident(take):
    with pytest.raises(TypeError) as caught:
        take(Secret(CANARY))
    assert CANARY not in str(caught.value)


def test_two_boxes_are_equal_only_if_they_are_the_same_box():
    one, other = Secret(CANARY), Secret(CANARY)
    assert one == one  # noqa: PLR0124 - identity is the point
    assert one != other
    assert one != CANARY
    assert len({one, other}) == 2


@settings(deadline=None)
@given(st.text(st.characters()), st.text(st.characters()))
def test_same_as_compares_the_contents(one, other):
    assert Secret(one).same_as(Secret(other)) == (one == other)
    assert Secret(one).same_as(other) == (one == other)
    assert Secret(one).same_as(one)


def test_same_as_takes_texts_that_are_not_valid_unicode():
    assert Secret("\ud800").same_as("\ud800")
    assert not Secret("\ud800").same_as("?")


@pytest.mark.parametrize("value", [None, 7, b"bytes", Secret("boxed")])
def test_only_text_is_boxed(value):
    with pytest.raises(TypeError, match="holds text"):
        Secret(value)


def test_logging_shows_stars(caplog):
    secret = Secret(CANARY)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("token %s %r of %s", secret, secret, {"token": secret})
    assert "token *** *** of {'token': ***}" in caplog.text
    assert CANARY not in caplog.text


def test_structured_logging_shows_stars():
    line = structlog.processors.JSONRenderer()(None, "info", {"event": "saved", "token": Secret(CANARY)})
    assert json.loads(line)["token"] == "***"


def test_a_traceback_with_local_variables_shows_stars():
    def fail(holder):
        secret = holder.token
        raise ValueError(f"no good: {secret}")

    with pytest.raises(ValueError, match=r"no good: \*\*\*") as caught:
        fail(Holder(Secret(CANARY)))
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "Holder(token=***" in told
    # the test's own name for the text is a module variable, so it is not among the locals
    assert CANARY not in told


def test_pydantic_boxes_a_string_and_writes_stars():
    for model in (
        Model(token=Secret(CANARY)),
        Model(token=CANARY),
        Model.model_validate_json(json.dumps({"token": CANARY})),
    ):
        assert model.token.open() == CANARY
        assert CANARY not in f"{model!r} {model}"
        assert json.loads(model.model_dump_json()) == {"token": "***"}
        assert model.model_dump(mode="json") == {"token": "***"}


def test_a_pydantic_dump_to_python_keeps_the_box_so_that_no_mask_is_stored():
    secret = Secret(CANARY)
    assert Model(token=secret).model_dump()["token"] is secret


def test_pydantic_refuses_what_is_not_text():
    for value in (7, None, ["x"], b"bytes"):
        with pytest.raises(pydantic.ValidationError):
            Model(token=value)


def test_the_json_schema_tells_that_it_is_written_and_never_read():
    schema = Model.model_json_schema()["properties"]["token"]
    assert schema["type"] == "string"
    assert schema["format"] == "password"
    assert schema["writeOnly"] is True
