"""The histogram's percentiles are within 5 %, whatever the times look like."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.rollups import histogram
from hookvault.analytics.rollups.histogram import BASE, EXACT_BELOW_MS, percentiles

SHARES = (0.0, 0.5, 0.95, 0.99, 1.0)


def bucket(ms):
    """As BUCKET_SQL has it, which a test with the database holds to it."""
    return (
        max(ms, 0)
        if ms < EXACT_BELOW_MS
        else EXACT_BELOW_MS + math.floor(math.log(ms / EXACT_BELOW_MS) / math.log(BASE))
    )


def cont(values, share):
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


times = st.one_of(st.integers(0, 30), st.integers(0, 2000), st.integers(0, 120_000), st.just(30_000))


@given(st.lists(times, min_size=1, max_size=400))
def test_percentiles_are_within_5_percent(values):
    made = {}
    for ms in values:
        histogram.add(made, [bucket(ms)], [1])
    for share, found in zip(SHARES, percentiles(made, SHARES, max(values)), strict=True):
        assert found == pytest.approx(cont(values, share), rel=0.05)


@given(st.lists(st.integers(0, EXACT_BELOW_MS - 1), min_size=1, max_size=200))
def test_short_times_are_exact(values):
    made = {}
    for ms in values:
        histogram.add(made, [bucket(ms)], [1])
    assert percentiles(made, SHARES, max(values)) == [pytest.approx(cont(values, share)) for share in SHARES]


def test_without_calls_there_are_none():
    assert percentiles({}, SHARES, 0) == [None] * len(SHARES)


def test_a_histogram_stays_small():
    assert bucket(120_000) < 200
