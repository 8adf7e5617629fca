"""The dashboard's filters: what an address asks for, and what it can't."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.admin.board.choice import RANGES, link, read_choice
from hookvault.analytics.period import find_zone, make_points
from hookvault.errors import HookvaultError

BERLIN = find_zone("Europe/Berlin")
WEBHOOK = "7b2c9f14-5d3e-4a86-9c01-3f6de1a8b452"


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_now_and_begins_where_a_point_does(name):
    choice = read_choice({"range": name}, BERLIN)
    length, interval, _ = RANGES[name]
    points = make_points(choice.start, choice.end, choice.interval, BERLIN)
    assert (choice.interval, points.starts[0]) == (interval, choice.start)
    assert length - timedelta(days=1, hours=1) <= choice.end - choice.start <= length
    assert len(points.starts) <= 168


@pytest.mark.parametrize(
    ("hours", "interval"), [(1, "minute"), (3, "minute"), (30, "half_hour"), (48, "hour"), (360, "hour"), (361, "day")]
)
def test_points_fit_the_range(hours, interval):
    start = datetime(2026, 5, 1, tzinfo=UTC)
    given = {"startDate": start.isoformat(), "endDate": (start + timedelta(hours=hours)).isoformat()}
    assert read_choice(given, UTC).interval == interval


def test_times_without_a_zone_are_the_reader_s():
    choice = read_choice({"startDate": "2026-07-01T10:00", "endDate": "2026-07-01T11:00"}, BERLIN)
    assert choice.start == datetime(2026, 7, 1, 8, tzinfo=UTC)
    elsewhere = read_choice(
        {"startDate": "2026-07-01T10:00", "endDate": "2026-07-01T11:00", "timeZone": "Asia/Kathmandu"}, BERLIN
    )
    assert elsewhere.start == datetime(2026, 7, 1, 4, 15, tzinfo=UTC)
    assert elsewhere.zone_name == "Asia/Kathmandu"


def test_parts_count_the_same_as_the_page():
    choice = read_choice({"tenantId": "acme", "webhookId": WEBHOOK, "range": "7d"}, BERLIN)
    again = read_choice(dict(parse_qsl(choice.pinned.removeprefix("?"))), UTC)
    for name in ("tenant_id", "webhook_id", "name", "start", "interval", "zone", "before"):
        assert getattr(again, name) == getattr(choice, name)
    assert abs(choice.end - again.end) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"timeZone": "Mars/Base"}, "time zone is not known"),
        ({"startDate": "2026-05-02", "endDate": "2026-05-01"}, "must start before it ends"),
        ({"startDate": "2026-01-01", "endDate": "2026-05-01", "interval": "minute"}, "more than 2,000 points"),
        ({"startDate": "yesterday"}, "start"),
        ({"range": "2h"}, "1h, 24h, 7d, 30d"),
        ({"interval": "second"}, "minute, half_hour, hour or day"),
        ({"webhookId": "x", "tenantId": "acme"}, "webhook id"),
        ({"webhookId": WEBHOOK}, "Choose its tenant"),
        ({"tenantId": "a b"}, "tenantId"),
    ],
)
def test_what_can_t_be_asked(query, said):
    with pytest.raises(HookvaultError) as caught:
        read_choice(query, BERLIN)
    assert caught.value.status == 422
    assert said in caught.value.message


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from(["tenantId", "webhookId", "range", "startDate", "endDate", "interval", "timeZone", "of"]),
        st.text(max_size=30)
        | st.sampled_from(["0001-01-01", "9999-12-31T23:59:59.9999", "-1", "1e30", "2026-05-01T10:00+23:59", WEBHOOK]),
    )
)
def test_whatever_stands_in_the_address_is_refused_or_read(query):
    try:
        choice = read_choice({name: value for name, value in query.items() if value.strip()}, BERLIN)
    except HookvaultError as error:
        assert error.status == 422
    else:
        assert choice.start < choice.end


def test_a_link_keeps_what_it_knows_and_drops_what_is_none():
    asked = {"tenantId": "a&b", "range": "7d", "evil": "x"}
    assert link("/analytics", asked, range=None) == "/analytics?tenantId=a%26b"
    assert link("/analytics", {}) == "/analytics"
