"""Ids: UUIDv7 that sort by time and tell it, and the names that callers may choose."""

import re
import time
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.clock import iso, now
from hookvault.ids import NAME_PATTERN, id_time, is_name, new_id


def test_ids_are_uuid_version_7_and_all_different():
    made = [new_id() for _ in range(20_000)]
    assert {(identifier.version, identifier.variant) for identifier in made} == {(7, RFC_4122)}
    assert len(set(made)) == len(made)


def test_every_random_bit_is_used():
    """All 74 of them are 0 in some id and 1 in another: a shift gone wrong would leave some fixed."""
    ever, always = 0, (1 << 128) - 1
    for _ in range(2000):
        value = new_id().int
        ever, always = ever | value, always & value
    random = (0xFFF << 64) | ((1 << 62) - 1)
    assert ever & random == random
    assert always & random == 0


def test_an_id_tells_the_moment_it_was_made():
    before = now()
    identifier = new_id()
    assert before <= id_time(identifier) <= now()
    assert id_time(identifier).tzinfo is UTC


def test_ids_of_later_milliseconds_sort_later():
    made = []
    for _ in range(5):
        made.append(new_id())
        time.sleep(0.002)
    assert made == sorted(made)
    assert [str(identifier) for identifier in made] == sorted(str(identifier) for identifier in made)


@given(st.integers(0, 253_402_300_799_999))
def test_the_time_is_exact_to_the_millisecond(milliseconds):
    exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert id_time(UUID(int=milliseconds << 80 | 0x7 << 76)) == exact


@pytest.mark.parametrize("name", ["a", "A", "0", "a-b_c", "contact-form", "a" * 64, "0" * 64, "a-", "a_"])
def test_these_are_names(name):
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "-a", "_a", "a" * 65, "a b", "a/b", "a.b", "a\n", "\na", "ä", "٣", "a\x00", "../a", "a%2f", "\u212a"],
    ids=repr,
)
def test_these_are_not(name):
    assert not is_name(name)


@given(st.text() | st.from_regex(NAME_PATTERN))
def test_a_name_is_what_the_pattern_says(text):
    pattern = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
    assert is_name(text) == (re.fullmatch(pattern, text) is not None)


@given(st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC)))  # noqa: DTZ001 - a bound
def test_times_are_written_in_utc_with_milliseconds(moment):
    text = iso(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)
