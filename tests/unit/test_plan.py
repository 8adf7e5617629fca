"""From which rollups a question is answered: everything once, nothing that may not be read, the widest first."""

from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.rollups.plan import MINUTE, SPANS, make_plan, whole_minutes

DAY = 1440 * MINUTE
HOUR = 60 * MINUTE
FIVE = 5 * MINUTE

moments = st.integers(-2 * DAY, 6 * DAY)
bounds = st.lists(moments, min_size=2, max_size=6).map(sorted)
due = st.lists(st.tuples(st.sampled_from(SPANS), moments), max_size=6).map(
    lambda found: [(span, start // (span * MINUTE) * (span * MINUTE)) for span, start in found]
)


@given(bounds, moments, due)
def test_every_moment_is_covered_once(bounds, built, due):
    plan = make_plan(bounds, built, due)
    pieces = sorted([(first, last) for _, first, last in plan.spans] + list(plan.rest))
    assert all(first < last for first, last in pieces)
    joined = [bounds[0]]
    for first, last in pieces:
        assert first == joined[-1]  # neither a gap nor twice
        joined.append(last)
    assert joined[-1] == bounds[-1]


@given(bounds, moments, due)
def test_no_rollup_is_read_that_may_not_be(bounds, built, due):
    for span, first, last in make_plan(bounds, built, due).spans:
        width = span * MINUTE
        assert (first % width, last % width) == (0, 0)
        assert last <= built
        for start in range(first, last, width):
            assert not any(due_span <= span and start <= at < start + width for due_span, at in due)
            assert not any(start < bound < start + width for bound in bounds)  # none reaches over a bound


@given(bounds, moments)
def test_what_can_be_read_from_rollups_is(bounds, built):
    """Without anything due the rest is less than five minutes at each end of a range, and what is not built."""
    for first, last in make_plan(bounds, built, []).rest:
        assert last - first < 2 * FIVE or last > built // FIVE * FIVE


def test_thirty_days_are_a_few_ranges():
    last = 40 * DAY + 13 * HOUR + 17 * MINUTE + 1234
    plan = make_plan([last - 30 * DAY, last], last - 3 * MINUTE, [])
    assert len(plan.spans) == 5  # days; hours and fives on both sides
    assert len(plan.rest) == 2


def test_what_is_due_is_read_from_finer_rollups():
    built = 10 * DAY
    hour = 3 * DAY + 5 * HOUR
    plan = make_plan([0, built], built, [(60, hour)])
    assert plan.rest == []
    assert (1440, 0, 3 * DAY) in plan.spans
    assert (60, 3 * DAY, hour) in plan.spans
    assert (5, hour, hour + HOUR) in plan.spans


@given(moments, st.integers(1, 10 * MINUTE))
def test_whole_minutes(first, length):
    begin, end = whole_minutes(first, first + length)
    assert first <= begin <= end <= first + length
    if begin < end:
        assert (begin % MINUTE, end % MINUTE) == (0, 0)
        assert begin - first < MINUTE
        assert first + length - end < MINUTE
    else:
        assert begin == first + length
