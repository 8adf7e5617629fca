"""jsonb's binary form, there and back, and numbers that only PostgreSQL can hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.db.codec import decode_json, decode_jsonb, encode_jsonb

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_a_value_comes_back(value):
    assert decode_jsonb(encode_jsonb(value)) == value


@given(VALUES)
def test_bytes_are_json_as_it_is(value):
    text = json.dumps(value, indent=1).encode()
    assert encode_jsonb(text) == b"\x01" + text
    assert decode_jsonb(encode_jsonb(text)) == value


@given(st.integers(1, 4000))
def test_long_integers_are_exact(digits):
    number = 10**digits - 1
    assert decode_json(str(number).encode()) in (number, float(number) if digits < 309 else number)


def test_numbers_too_long_for_python_stay_text():
    digits = "7" * 5000
    assert decode_json(f'{{"n":{digits},"m":-{digits},"k":1}}'.encode()) == {"n": digits, "m": f"-{digits}", "k": 1}


def test_fractions_beyond_a_double_are_rounded():
    assert decode_json(b"[0." + b"0" * 400 + b"1]") == [0.0]


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b"\xff", b'"\xff"'], ids=repr)
def test_what_is_no_json_is_an_error(data):
    with pytest.raises(ValueError, match="."):
        decode_json(data)
