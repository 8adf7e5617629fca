"""Keyset paging: any list, walked with any limit, is the list; a foreign cursor is refused and never crashes."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.clock import iso
from hookvault.errors import InvalidError
from hookvault.paging import Page, cut, decode_cursor, encode_cursor, time_id_cursor

NAMES = st.text(st.characters(exclude_categories=["Cs"]))


def walked(items, limit):
    """All items, page by page, as a store would serve them: those after the cursor, one more than shown."""
    found, cursor, pages = [], None, 0
    while True:
        after = decode_cursor("list", cursor, 1)[0] if cursor else None
        rows = [item for item in items if after is None or item > after][: limit + 1]
        page = cut(rows, limit, lambda item: encode_cursor("list", item))
        assert len(page.items) <= limit
        found += page.items
        pages += 1
        cursor = page.next_cursor
        if cursor is None:
            return found, pages


@given(st.sets(NAMES), st.integers(1, 12))
def test_a_list_walked_with_any_limit_is_the_list(names, limit):
    items = sorted(names)
    found, pages = walked(items, limit)
    assert found == items
    assert pages == max(1, -(-len(items) // limit))  # no empty page at the end


@given(NAMES, st.lists(NAMES, max_size=4))
def test_a_cursor_gives_back_what_it_was_made_from(kind, key):
    cursor = encode_cursor(kind, *key)
    assert decode_cursor(kind, cursor, len(key)) == key
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")  # fits into a query as it is


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_whatever_comes_as_a_cursor_is_refused_and_never_crashes(cursor):
    for read in (lambda: decode_cursor("calls", cursor, 2), lambda: time_id_cursor("calls", cursor)):
        with pytest.raises(InvalidError) as caught:
            read()
        assert caught.value.code == "invalid_cursor"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_any_other_json_is_refused(value):
    cursor = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    with pytest.raises(InvalidError):
        decode_cursor("calls", cursor, 2)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("tenants", ("a", "b")), ("calls", ("a",)), ("calls", ("a", "b", "c")), ("calls", ())],
    ids=["another list's", "too short", "too long", "empty"],
)
def test_a_cursor_of_another_list_is_refused(kind, key):
    with pytest.raises(InvalidError) as caught:
        decode_cursor("calls", encode_cursor(kind, *key), 2)
    assert caught.value.code == "invalid_cursor"


MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@given(MOMENTS, st.uuids())
def test_a_time_and_id_survive_to_the_millisecond(moment, identifier):
    when, found = time_id_cursor("calls", encode_cursor("calls", iso(moment), str(identifier)))
    assert found == identifier
    assert when == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    "moment", ["yesterday", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "", "1767225600"], ids=repr
)
def test_a_cursor_with_something_else_than_a_time_is_refused(moment):
    with pytest.raises(InvalidError) as caught:
        time_id_cursor("calls", encode_cursor("calls", moment, str(uuid4())))
    assert caught.value.code == "invalid_cursor"


@pytest.mark.parametrize("identifier", ["", "1", "x" * 36, str(UUID(int=0)) + "0"], ids=repr)
def test_a_cursor_with_something_else_than_an_id_is_refused(identifier):
    with pytest.raises(InvalidError):
        time_id_cursor("calls", encode_cursor("calls", "2026-01-01T00:00:00.000Z", identifier))


def test_no_cursor_is_the_first_page():
    assert time_id_cursor("calls", None) is None


def test_a_page_converts_its_items_and_keeps_its_cursor():
    assert Page([1, 2], "next").map(str) == Page(["1", "2"], "next")
