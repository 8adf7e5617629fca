"""Axes of charts: ticks that hold what is drawn, values and times as people read them, curves that invent nothing."""

import math
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.admin.charts.scale import (
    compact,
    duration,
    labels,
    moment,
    number,
    percent,
    runs,
    smooth,
    straight,
    ticks,
)

BERLIN = ZoneInfo("Europe/Berlin")
STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
tops = st.floats(min_value=1e-6, max_value=1e15)
# A narrow axis has 200 px, a middling one 400 px, a wide one 760 px; a label takes about 40 px.
APART = {0: 45 / 200, 1: 45 / 400, 2: 45 / 760}


def at(text):
    return datetime.fromisoformat(text)


def texts(times, interval, zone, width):
    return [label.text for label in labels(times, interval, zone) if width in label.widths]


@given(tops, st.sampled_from(["count", "ms"]))
def test_ticks_are_even_few_and_reach_just_beyond_the_top(top, unit):
    levels = ticks(top, unit)
    assert levels[0] == 0
    assert levels[-1] >= top * (1 - 1e-9)
    assert 2 <= len(levels) <= 6
    assert levels[-2] < top
    for low, high in pairwise(levels):
        assert math.isclose(high - low, levels[1])


@given(tops)
def test_counts_have_whole_ticks(top):
    assert all(level == int(level) for level in ticks(top))


@pytest.mark.parametrize(
    ("top", "unit", "wanted"),
    [
        (431, "count", [0, 100, 200, 300, 400, 500]),
        (1, "count", [0, 1]),
        (3, "count", [0, 1, 2, 3]),
        (0, "count", [0, 1]),
        (5e-179, "count", [0, 1]),
        (math.inf, "count", [0, 1]),
        (2050, "ms", [0, 500, 1000, 1500, 2000, 2500]),
        (130_000, "ms", [0, 30_000, 60_000, 90_000, 120_000, 150_000]),
        (3 * 3_600_000, "ms", [0, 3_600_000, 7_200_000, 10_800_000]),
        (0.4, "percent", [0, 0.25, 0.5, 0.75, 1]),
    ],
)
def test_ticks_are_round(top, unit, wanted):
    assert ticks(top, unit) == wanted


@pytest.mark.parametrize(
    ("form", "value", "wanted"),
    [
        (number, 12431, "12,431"),
        (number, 0.25, "0.2"),
        (compact, 950, "950"),
        (compact, 9999, "9,999"),
        (compact, 12_400, "12.4k"),
        (compact, 999_999, "1M"),
        (compact, 2.5e9, "2.5B"),
        (compact, 1e300, "1e+300"),
        (duration, 0, "0 ms"),
        (duration, 152.4, "152 ms"),
        (duration, 999.6, "1 s"),
        (duration, 1120, "1.12 s"),
        (duration, 59_949, "59.9 s"),
        (duration, 59_960, "1 min"),
        (duration, 125_000, "2 min 5 s"),
        (duration, 3_599_900, "1 h"),
        (duration, 1e9, "11 d 14 h"),
        (percent, 0.954, "95.4%"),
        (percent, 0.99996, "99.9%"),
        (percent, 1, "100%"),
        (percent, 0, "0%"),
        (percent, 0.0001, "<0.1%"),
    ],
)
def test_values_are_written_as_people_read_them(form, value, wanted):
    assert form(value) == wanted


@given(st.floats(min_value=0, max_value=1e13))
def test_every_duration_is_written(ms):
    assert re.fullmatch(r"[\d.,]+ (ms|s|min|h|d)( \d+ (s|min|h))?", duration(ms))


@given(st.floats(min_value=0, max_value=1))
def test_only_all_is_100_percent_and_only_none_is_0(share):
    assert (percent(share) == "100%") == (share >= 1 - 1e-9)
    assert (percent(share) == "0%") == (share == 0)


@given(st.integers(1, 2000), st.sampled_from(["minute", "hour", "day"]), st.integers(0, 500_000))
def test_labels_of_time_are_there_and_never_overlap(count, interval, minutes):
    start = at("2026-01-01T00:00Z") + timedelta(minutes=minutes)
    start = start.replace(minute=0) if interval == "hour" else start
    times = [start + STEPS[interval] * index for index in range(count)]
    shown = labels(times, interval, BERLIN)
    assert [label.at for label in shown] == sorted(label.at for label in shown)
    for width, apart in APART.items():
        places = [(label.at + 0.5) / count for label in shown if width in label.widths]
        assert places
        assert all(after - before >= apart for before, after in pairwise(places))


@pytest.mark.parametrize(
    ("start", "count", "interval", "width", "wanted"),
    [
        ("2026-11-25T08:00Z", 24, "hour", 1, ["12:00", "16:00", "20:00", "26 Nov", "04:00", "08:00"]),
        ("2026-11-25T08:00Z", 60, "minute", 1, ["09:00", "09:10", "09:20", "09:30", "09:40", "09:50"]),
        ("2026-11-25T23:00Z", 30, "day", 1, ["30 Nov", "7 Dec", "14 Dec", "21 Dec"]),
        ("2026-06-30T22:00Z", 365, "day", 0, ["Jul", "2027"]),
        ("2026-06-30T22:00Z", 365, "day", 1, ["Jul", "Oct", "2027", "Apr"]),
        ("2026-11-25T08:00Z", 1, "hour", 0, ["09:00"]),
    ],
)
def test_labels_stand_at_round_times_of_the_zone(start, count, interval, width, wanted):
    times = [at(start) + STEPS[interval] * index for index in range(count)]
    assert texts(times, interval, BERLIN, width) == wanted


def test_no_points_have_no_labels():
    assert labels([], "hour", UTC) == []


def test_moments_are_told_by_the_clocks_of_the_zone():
    assert moment(at("2026-11-25T23:30Z"), "minute", BERLIN) == "26 Nov 00:30"
    assert moment(at("2026-11-25T23:30Z"), "day", BERLIN) == "26 Nov 2026"


@given(st.lists(st.floats(0, 800), min_size=3, max_size=60))
def test_a_curve_stays_between_neighbours(heights):
    points = [(index * 20.0, y) for index, y in enumerate(heights)]
    curves = [[float(n) for n in piece.split()] for piece in smooth(points).split("C")[1:]]
    assert len(curves) == len(points) - 1
    for (x1, y1, x2, y2, x3, y3), (before, after) in zip(curves, pairwise(points), strict=True):
        low, high = sorted((before[1], after[1]))
        assert (x3, y3) == pytest.approx(after, abs=0.051)
        assert before[0] <= x1 <= x2 <= after[0]
        assert low - 0.06 <= y1 <= high + 0.06
        assert low - 0.06 <= y2 <= high + 0.06


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 800)), min_size=2, max_size=50))
def test_a_straight_path_goes_through_its_points(points):
    start, steps = straight([(float(x), float(y)) for x, y in points])[1:].split("l")
    numbers = [int(n) for n in re.findall(r"-?\d+", steps)]
    place = tuple(int(n) for n in start.split())
    reached = [place]
    for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
        place = (place[0] + dx, place[1] + dy)
        reached.append(place)
    assert reached == points


def test_few_points_make_a_path_as_well():
    assert straight([]) == smooth([]) == ""
    assert smooth([(1, 2)]) == "M1 2h.01"
    assert smooth([(1, 2), (3, 1)]) == "M1 2l2-1"


@given(st.lists(st.one_of(st.none(), st.just((1.0, 2.0))), max_size=30))
def test_runs_hold_every_point_and_no_gap(points):
    found = runs(points)
    assert all(found)
    assert sum(map(len, found)) == sum(point is not None for point in points)
