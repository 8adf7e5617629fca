"""Ranges and the points of a series: days of 23 and 25 hours, zones of odd minutes, leap days, a day that never was."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.period import MOST_POINTS, checked_range, find_zone, make_points
from hookvault.clock import now
from hookvault.errors import InvalidError

HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tehran", "Africa/Cairo", "Antarctica/Troll"]
NO_ZONES = ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "Europe", "UTC\x00", "x" * 64, "CEST+1", "Berlin"]
RANGES = [(1, "minute"), (83, "hour"), (2000, "day")]
TOO_FINE = [(2, "minute"), (42, "half_hour"), (90, "hour"), (2002, "day")]


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def hours(start, end, zone, interval="day"):
    """The lengths of the points, in hours."""
    points = make_points(at(start), at(end), interval, find_zone(zone))
    return [(last - first) / HOUR for first, last in pairwise(points.bounds)]


@pytest.mark.parametrize(
    ("start", "end", "zone", "wanted"),
    [
        ("2026-03-28T00:00+01:00", "2026-03-31T00:00+02:00", "Europe/Berlin", [24, 23, 24]),
        ("2026-10-24T00:00+02:00", "2026-10-27T00:00+01:00", "Europe/Berlin", [24, 25, 24]),
        ("2026-03-07T00:00-05:00", "2026-03-10T00:00-04:00", "America/New_York", [24, 23, 24]),
        ("2026-04-04T00:00+11:00", "2026-04-06T00:00+10:30", "Australia/Lord_Howe", [24, 24.5]),
        ("2026-10-03T00:00+10:30", "2026-10-05T00:00+11:00", "Australia/Lord_Howe", [24, 23.5]),
        ("2026-01-01T00:00+05:45", "2026-01-03T00:00+05:45", "Asia/Kathmandu", [24, 24]),
        ("2024-02-28T00:00Z", "2024-03-02T00:00Z", "UTC", [24, 24, 24]),  # with the leap day
        ("2026-02-28T00:00Z", "2026-03-02T00:00Z", "UTC", [24, 24]),
        ("2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00", "Pacific/Apia", [24, 24]),  # the 30th never was
        ("2018-11-03T00:00-03:00", "2018-11-05T00:00-02:00", "America/Sao_Paulo", [24, 23]),  # without a midnight
    ],
)
def test_days_are_as_long_as_the_clocks_say(start, end, zone, wanted):
    assert hours(start, end, zone) == wanted


@pytest.mark.parametrize(
    ("start", "end", "zone", "wanted"),
    [
        ("2026-10-25T00:00+02:00", "2026-10-25T04:00+01:00", "Europe/Berlin", [1] * 5),
        ("2026-03-29T00:00+01:00", "2026-03-29T04:00+02:00", "Europe/Berlin", [1] * 3),
        ("2026-04-05T00:00+11:00", "2026-04-05T04:00+10:30", "Australia/Lord_Howe", [1, 1.5, 1, 1]),
        ("2026-10-04T00:00+10:30", "2026-10-04T04:00+11:00", "Australia/Lord_Howe", [1, 1, 0.5, 1]),
        ("2026-01-01T00:00+05:45", "2026-01-01T02:00+05:45", "Asia/Kathmandu", [1, 1]),
    ],
)
def test_hours_begin_when_the_clocks_do(start, end, zone, wanted):
    assert hours(start, end, zone, "hour") == wanted


def test_the_first_and_the_last_point_may_be_parts():
    points = make_points(at("2026-05-01T10:20:30.500Z"), at("2026-05-01T12:00:00.001Z"), "hour", find_zone("UTC"))
    assert [moment.isoformat() for moment in points.starts] == [
        f"2026-05-01T{hour}:00:00+00:00" for hour in (10, 11, 12)
    ]
    assert (points.bounds[0], points.bounds[-1]) == (at("2026-05-01T10:20:30.500Z"), at("2026-05-01T12:00:00.001Z"))


@pytest.mark.parametrize(("interval", "count"), [("minute", 60), ("half_hour", 48), ("hour", 48), ("day", 30)])
@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Pacific/Chatham"])
def test_by_default_a_screenful_up_to_this_moment(interval, count, zone):
    moment = now()
    points = make_points(None, None, interval, find_zone(zone))
    assert len(points.starts) == count
    assert points.bounds[0] == points.starts[0]
    assert points.starts[-1] <= moment < points.bounds[-1]


@given(
    st.integers(0, 47 * 365 * 86_400_000),
    st.timedeltas(timedelta(milliseconds=1), timedelta(days=40)),
    st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tehran", "Africa/Cairo", "Antarctica/Troll"]
    ),
    st.sampled_from(["half_hour", "hour", "day"]),
)
def test_points_lie_end_to_end_and_begin_on_the_hour_or_at_midnight(start, length, zone, interval):
    clocks = find_zone(zone)
    first = at("1990-01-01T00:00Z") + start * MS
    points = make_points(first, first + length, interval, clocks)
    assert len(points.bounds) == len(points.starts) + 1
    assert all(before < after for before, after in pairwise(points.bounds))
    for moment in points.starts:
        local = moment.astimezone(clocks)
        just_before = (moment - MS).astimezone(clocks)
        if interval == "day":
            assert just_before.date() < local.date()
        elif interval == "half_hour":
            assert _half(just_before) != _half(local)
        else:
            assert (just_before.date(), just_before.hour, just_before.fold) != (local.date(), local.hour, local.fold)


def _half(local):
    return local.date(), local.hour, local.minute // 30, local.fold


@pytest.mark.parametrize(("days", "interval"), RANGES)
def test_as_many_points_as_can_be_shown(days, interval):
    end = at("2026-06-01T00:00Z")
    assert 1400 < len(make_points(end - timedelta(days=days), end, interval, UTC).starts) <= MOST_POINTS


@pytest.mark.parametrize(("days", "interval"), TOO_FINE)
def test_more_points_than_can_be_shown(days, interval):
    end = at("2026-06-01T00:00Z")
    with pytest.raises(InvalidError) as caught:
        make_points(end - timedelta(days=days), end, interval, UTC)
    assert caught.value.code == "interval_too_fine"
    assert "2,000" in caught.value.message


@pytest.mark.parametrize("name", NO_ZONES)
def test_a_zone_that_is_none(name):
    with pytest.raises(InvalidError) as caught:
        find_zone(name)
    assert caught.value.code == "unknown_time_zone"


@pytest.mark.parametrize("interval", ["minute", "hour", "day"])
def test_where_the_calendar_ends(interval):
    end = datetime.max.replace(tzinfo=UTC, microsecond=0)
    with pytest.raises(InvalidError) as caught:
        make_points(end - timedelta(hours=1), end, interval, find_zone("Pacific/Kiritimati"))
    assert caught.value.code == "invalid_range"


def test_ranges_begin_and_end_at_whole_milliseconds():
    moment = at("2026-05-01T10:00:00.000Z")
    half = timedelta(microseconds=500)
    assert checked_range(moment + half, moment + HOUR + half) == (moment + MS, moment + HOUR + MS)
