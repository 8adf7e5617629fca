"""JSON on its way through: no bytes crash it, none take long, and what comes out PostgreSQL's jsonb can hold."""

import contextlib
import json
import time

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hookvault.db.codec import decode_json
from hookvault.errors import InvalidError, TooLargeError
from hookvault.webhooks.payload import check_depth, encode_payload, response_json, storable

LONE = "\ud800"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
# Pieces that matter, in any order: much of it is nearly JSON.
PIECES = st.sampled_from(
    [
        b'"',
        b"\\",
        b"\\\\",
        b'\\"',
        b"\\u0000",
        b"\\ud83d",
        b"\\ude00",
        b"\\uDC00",
        b"u0000",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b",",
        b"1",
        b"1e999",
        b"-0",
        b"9" * 30,
        b"null",
        b" ",
        b"a",
        "é".encode(),
        b"NaN",
    ]
)
BODIES = (
    st.binary(max_size=300) | st.lists(PIECES, max_size=30).map(b"".join) | VALUES.map(lambda v: json.dumps(v).encode())
)
REPLACED = str.maketrans({chr(code): "\ufffd" for code in (0, *range(0xD800, 0xE000))})


def cleaned(value):
    """The value with every NUL and lone surrogate replaced, key by key, by hand."""
    if isinstance(value, str):
        return value.translate(REPLACED)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {cleaned(name): cleaned(item) for name, item in value.items()}
    return value


ANY_TEXT = st.lists(
    st.characters(exclude_categories=[]) | st.sampled_from(["\x00", LONE, "\udfff", "\\", "u0000", "ud800", '"'])
).map("".join)
ANY_VALUES = st.recursive(
    st.none() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
)


@given(ANY_VALUES)
def test_what_jsonb_cannot_hold_is_replaced_and_nothing_else(value):
    data = json.dumps(value).encode()
    stored, altered = storable(data)
    assert json.loads(stored) == cleaned(json.loads(data))
    assert altered == (json.loads(data) != cleaned(json.loads(data)))
    assert altered or stored == data


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (rb'"a\u0000b"', rb'"a\ufffdb"'),
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\udc00\ud800"', rb'"\ufffd\ufffd"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),  # a pair is one character
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\u0000"', rb'"\\u0000"'),  # a backslash, and then letters
        (rb'"\\\u0000"', rb'"\\\ufffd"'),
        (rb'{"\u0000":1}', rb'{"\ufffd":1}'),
    ],
)
def test_replacements(sent, stored):
    assert storable(sent) == (stored, sent != stored)


@pytest.mark.slow
@given(BODIES, st.booleans())
@settings(max_examples=500)
def test_any_response_becomes_json_or_nothing(body, truncated):
    stored, altered = response_json(body, truncated=truncated)
    assert isinstance(altered, bool)
    assert (stored is None) == (body == b"")
    if stored is not None:
        value = decode_json(stored)
        assert value == cleaned(value)
        assert not truncated or (isinstance(value, str) and altered)


@given(VALUES)
def test_a_json_response_is_kept_byte_for_byte(value):
    body = json.dumps(value, ensure_ascii=False).replace("\\u0000", "").encode("utf-8", "ignore")
    assert response_json(body, truncated=False) == (body, False)


def test_a_json_response_with_half_a_pair_stays_json():
    assert response_json(rb'{"a":["\ud800"]}', truncated=False) == (rb'{"a":["\ufffd"]}', True)


def test_other_responses_are_kept_as_text():
    assert response_json(b"<h1>Sorry</h1>", truncated=False) == (b'"<h1>Sorry</h1>"', False)
    assert response_json(b"a\x00b", truncated=False) == ('"a\ufffdb"'.encode(), True)
    assert response_json(b"caf\xe9", truncated=False) == ('"caf\ufffd"'.encode(), True)
    assert response_json(b'{"a":', truncated=True) == (rb'"{\"a\":"', True)
    assert response_json(b"[" * 65 + b"]" * 65, truncated=False)[0][:1] == b'"'


# jsonb's numeric reaches further than a double: what is left to the recorder to store as text.
@pytest.mark.slow
@example(b'{"n":1e400}')
@example(b"1e131071")
@example(b"-0.0")
@example(b"9" * 5000)
@given(BODIES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_postgres_takes_whatever_is_to_be_recorded(jsonb, body):
    stored, _ = response_json(body, truncated=False)
    if stored is not None:
        await jsonb(stored)


@pytest.fixture(scope="session")
async def jsonb(cluster_url):
    connection = await asyncpg.connect(cluster_url)
    yield lambda data: connection.fetchval("SELECT ($1::text)::jsonb IS NOT NULL", data.decode())
    await connection.close()


@given(st.integers(0, 200), st.integers(1, 100), st.sampled_from([b'{"a":', b"["]))
def test_depth_is_counted_exactly(depth, limit, opening):
    data = opening * depth + b"1" + {b"[": b"]"}.get(opening, b"}") * depth
    if depth > limit:
        with pytest.raises(TooLargeError) as caught:
            check_depth(data, limit=limit)
        assert caught.value.code == "too_deep"
    else:
        check_depth(data, limit=limit)


@given(st.text(st.sampled_from('[]{}"\\ab')))
def test_brackets_inside_strings_do_not_count(text):
    check_depth(json.dumps([text] * 40).encode(), limit=1)


@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_the_depth_of_what_is_no_json_can_be_asked_too(data):
    try:
        check_depth(data, limit=3)
    except TooLargeError:
        assert data.count(b"[") + data.count(b"{") > 3


@pytest.mark.parametrize(
    "tail",
    [
        b'"' + b'\\"' * 500_000,
        b'"' * 1_000_001,
        b"\\" * 1_000_001,
        b'"\\' * 500_000,
        b'"' + b"\\" * 1_000_000,
        b'"a' * 500_000,
    ],
    ids=["escaped quotes", "quotes", "backslashes", "both", "a string of backslashes", "strings"],
)
def test_a_hostile_body_of_a_mebibyte_takes_a_moment_only(tail):
    """One slow body would hold up every tenant's calls."""
    body = b"[" * 65 + tail
    began = time.perf_counter()
    for read in (
        lambda: check_depth(body),
        lambda: response_json(body, truncated=False),
        lambda: storable(b"\\u0000" + body),
    ):
        with contextlib.suppress(TooLargeError):
            read()
    assert time.perf_counter() - began < 5


@given(VALUES)
def test_a_payload_is_written_as_json(value):
    assert json.loads(encode_payload(value)) == value


class Unknown:
    pass


@pytest.mark.parametrize(
    "payload",
    [{1, 2}, float("nan"), float("inf"), b"bytes", Unknown(), {"a": LONE}, {("a", "b"): 1}],
    ids=["set", "nan", "infinity", "bytes", "object", "lone surrogate", "tuple key"],
)
def test_what_is_no_json_is_refused(payload):
    with pytest.raises(InvalidError) as caught:
        encode_payload(payload)
    assert caught.value.code == "invalid_payload"


def test_a_payload_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(InvalidError):
        encode_payload(endless)
