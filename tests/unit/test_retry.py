"""How a delivery goes on: never too often, never too soon, never too late, whatever policy, request and receiver say."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookvault.webhooks.model import MAX_RETRIES, Policy
from hookvault.webhooks.outcome import BROKEN_SHARE, LEAST_CALLS, judge_error, judge_response, retry_after_s, trips
from hookvault.webhooks.retry import (
    JITTER,
    LEAST_PAUSE_S,
    LONGEST_PAUSE_S,
    SCHEDULE,
    Decision,
    decide,
    plan_of,
    timeline,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY_S = 86_400
PERMANENT = [400, 401, 403, 404, 405, 406, 409, 411, 413, 414, 415, 422, 451, 300, 301, 302, 303, 304, 307, 308, 100]
TEMPORARY = [408, 425, 429, 500, 501, 502, 503, 504, 507, 599]
NOT_REGISTERED = (
    b'{"code":404,"message":"The requested webhook \\"POST x\\" is not registered.","hint":"must be active"}'
)
STARTING = b"<html><body><pre>Cannot POST /webhook/x</pre></body></html>"
WRONG_METHOD = (
    b'{"code":404,"message":"This webhook is not registered for POST requests. Did you mean to make a GET request?"}'
)
TEST_URL = b'{"code":404,"message":"\\"x\\" is not registered.","hint":"Click the \'Execute workflow\' button"}'
WORKFLOW_ERROR = b'{"message":"Error in workflow"}'

policies = st.builds(
    Policy,
    timeout_ms=st.none() | st.integers(1, 120_000),
    max_retries=st.none() | st.integers(0, 10),
    retry_on_timeout=st.booleans(),
    retry_on_workflow_error=st.booleans(),
    schedule=st.none() | st.lists(st.integers(1, DAY_S), min_size=1, max_size=10).map(tuple),
)
# None is let in beyond 10, yet whatever is stored may not matter.
asked = st.none() | st.integers(0, 10) | st.integers(-5, 10_000)
moments = st.integers(0, 36_500 * DAY_S).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
retry_after = st.one_of(
    st.none(),
    st.text(),
    st.integers(0, 10**15).map(str),
    st.integers(-(10**6), 10**6).map(lambda s: format_datetime(NOW + timedelta(seconds=s), usegmt=True)),
    st.sampled_from(["", "-1", "+5", "1e3", "0x10", "١٢", "5 ", " 7", "1.5", "Wed", "Sun, 06 Nov 1994 08:49:37 GMT"]),
)
headers = retry_after.map(lambda value: {} if value is None else {"retry-after": value})
verdicts = st.one_of(
    st.builds(judge_response, st.integers(100, 599), st.sampled_from([b"", NOT_REGISTERED, STARTING, WORKFLOW_ERROR])),
    st.builds(
        judge_error,
        st.sampled_from(["timeout", "dns_error", "connection_error", "tls_error", "address_blocked", "invalid_url"]),
        st.just("It failed."),
        retry_on_timeout=st.booleans(),
    ),
)
jitters = st.floats(-1, 1)


def failing(status=503, body=b"", **more):
    return judge_response(status, body, **more)


def decided(verdict, *, attempts=1, plan=None, said=None, jitter=0.0, present=NOW, deliver_before=None, was_once=False):
    return decide(
        plan or plan_of(Policy()),
        verdict,
        attempts=attempts,
        headers=said or {},
        jitter=jitter,
        present=present,
        deliver_before=deliver_before,
        was_once=was_once,
    )


@given(policies, asked, st.lists(st.tuples(verdicts, headers, jitters), min_size=MAX_RETRIES + 2, max_size=20))
def test_a_delivery_ends_after_the_hard_cap_at_the_latest(policy, wanted, rounds):
    """However it is answered, whatever was asked: at most MAX_RETRIES retries after the first attempt."""
    plan, attempts = plan_of(policy, wanted), 0
    for verdict, said, jitter in rounds:
        attempts += 1
        decision = decided(verdict, attempts=attempts, plan=plan, said=said, jitter=jitter)
        if decision.status != "pending":
            break
    assert decision.status in ("delivered", "failed")
    assert attempts <= MAX_RETRIES + 1
    if wanted is not None and decision.status == "failed":
        assert attempts <= max(wanted, 0) + 1


@given(policies, st.none() | st.integers(0, 10), verdicts, st.integers(1, 12), headers, jitters)
def test_a_pause_is_a_second_at_least_and_a_day_and_a_bit_at_most(policy, wanted, verdict, attempts, said, jitter):
    decision = decided(verdict, attempts=attempts, plan=plan_of(policy, wanted), said=said, jitter=jitter)
    if decision.status == "pending":
        assert LEAST_PAUSE_S <= decision.pause_s <= LONGEST_PAUSE_S == DAY_S * 1.2
    else:
        assert decision.pause_s == 0


@given(policies, verdicts, st.integers(1, 12), headers, jitters, moments, st.integers(-10, 2 * DAY_S))
@example(Policy(), failing(), 1, {}, 0.0, NOW, 5)
def test_nothing_is_planned_for_after_deliver_before(policy, verdict, attempts, said, jitter, present, seconds):
    limit = present + timedelta(seconds=seconds)
    free = decided(verdict, attempts=attempts, plan=plan_of(policy), said=said, jitter=jitter, present=present)
    bound = decided(
        verdict,
        attempts=attempts,
        plan=plan_of(policy),
        said=said,
        jitter=jitter,
        present=present,
        deliver_before=limit,
    )
    if bound.status == "pending":
        assert present + timedelta(seconds=bound.pause_s) < limit
    if free.status == "pending":
        assert bound.status in ("pending", "expired")
    else:  # what has ended has ended the same way with and without a limit
        assert bound == free


@given(verdicts, st.integers(1, 12), policies, headers, jitters)
def test_what_is_permanent_is_not_tried_again(verdict, attempts, policy, said, jitter):
    decision = decided(verdict, attempts=attempts, plan=plan_of(policy), said=said, jitter=jitter)
    if verdict.success:
        assert decision == Decision("delivered")
    elif not verdict.retry:
        assert (decision.status, decision.code, decision.message) == ("failed", verdict.code, verdict.message)


@pytest.mark.parametrize("status", PERMANENT)
def test_a_permanent_answer_ends_the_delivery_at_once(status):
    decision = decided(failing(status), said={"retry-after": "5"})
    assert (decision.status, decision.code) == ("failed", f"http_{status}")


@pytest.mark.parametrize("status", TEMPORARY)
def test_a_temporary_answer_is_tried_again_by_the_schedule(status):
    assert decided(failing(status))[:3] == ("pending", 5.0, f"http_{status}")


@pytest.mark.parametrize("code", ["address_blocked", "invalid_url", "invalid_header"])
def test_a_refused_address_ends_the_delivery_at_once(code):
    assert decided(judge_error(code, "No.", retry_on_timeout=True)).status == "failed"


@pytest.mark.parametrize("code", ["dns_error", "connection_error", "connection_closed", "tls_error", "timeout"])
def test_a_receiver_that_was_not_reached_is_tried_again(code):
    verdict = judge_error(code, "It failed.", retry_on_timeout=True)
    assert (decided(verdict).status, verdict.broken) == ("pending", True)


def test_a_timeout_is_final_where_the_webhook_says_so():
    verdict = judge_error("timeout", "It took too long.", retry_on_timeout=False)
    assert (decided(verdict).status, verdict.broken) == ("failed", True)  # its receiver is in trouble all the same


def test_gone_ends_the_delivery_and_says_so():
    verdict = failing(410)
    assert (verdict.gone, verdict.retry, verdict.broken) == (True, False, False)
    assert (decided(verdict).status, decided(verdict).code) == ("failed", "http_410")


def test_the_default_schedule():
    assert SCHEDULE == (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    plan = plan_of(Policy())
    pauses = [decided(failing(), attempts=n, plan=plan).pause_s for n in range(1, 10)]
    assert pauses == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    last = decided(failing(), attempts=10, plan=plan)
    assert last.status == "failed"
    assert "after 10 attempts" in last.message
    moments = timeline(plan, NOW)
    gaps = [round((after - before).total_seconds()) for before, after in pairwise(moments)]
    assert (moments[0], gaps) == (NOW, pauses)


@given(st.integers(1, 9), jitters)
def test_a_pause_strays_by_a_fifth_and_no_more(attempts, jitter):
    pause = decided(failing(), attempts=attempts, jitter=jitter).pause_s
    planned = SCHEDULE[attempts - 1]
    assert JITTER == 0.2
    assert planned * 0.8 - 1e-6 <= pause <= planned * 1.2 + 1e-6
    assert pause == pytest.approx(planned * (1 + 0.2 * jitter))


@pytest.mark.parametrize(
    ("policy", "wanted", "pauses"),
    [
        (Policy(), None, list(SCHEDULE)),
        (Policy(), 0, []),
        (Policy(), 2, [5, 300]),
        (Policy(), 10, [*SCHEDULE, 86_400]),
        (Policy(max_retries=1), None, [5]),
        (Policy(max_retries=1), 3, [5, 300, 1800]),
        (Policy(max_retries=0), None, []),
        (Policy(schedule=(1, 2)), None, [1, 2]),
        (Policy(schedule=(1, 2), max_retries=4), None, [1, 2, 2, 2]),
        (Policy(schedule=(7,)), 3, [7, 7, 7]),
        (Policy(schedule=(1,) * 10), 10_000, [1] * 10),
    ],
)
def test_the_request_goes_before_the_policy_and_the_policy_before_the_default(policy, wanted, pauses):
    plan, found = plan_of(policy, wanted), []
    while (decision := decided(failing(), attempts=len(found) + 1, plan=plan)).status == "pending":
        found.append(decision.pause_s)
    assert found == pauses
    assert len(timeline(plan, NOW)) == len(pauses) + 1


@given(st.integers(0, 3600), st.integers(1, 9), jitters)
def test_whoever_named_a_time_is_not_called_before_it(seconds, attempts, jitter):
    pause = decided(failing(429), attempts=attempts, said={"retry-after": str(seconds)}, jitter=jitter).pause_s
    planned = SCHEDULE[attempts - 1]
    assert pause >= max(
        seconds, planned * 0.8
    )  # nor sooner than the schedule: "at once", ten times, is given up in a minute
    assert pause <= max(seconds * 1.2, planned * 1.2)


@given(st.integers(0, 10**15), st.integers(1, 9), jitters)
def test_no_receiver_puts_a_delivery_off_for_longer_than_an_hour_or_its_schedule(seconds, attempts, jitter):
    pause = decided(failing(503), attempts=attempts, said={"retry-after": str(seconds)}, jitter=jitter).pause_s
    most = max(3600, SCHEDULE[attempts - 1])
    assert min(seconds, most) <= pause <= most * 1.2


@given(st.integers(-(10**6), 10**6))
def test_a_retry_after_may_be_a_date(seconds):
    said = {"retry-after": format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)}
    assert retry_after_s(said, NOW) == max(0, seconds)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "soon",
        "-5",
        "5.5",
        "1e3",
        "5 s",
        "0x10",
        "١٢",
        "Mon, 99 Foo 2026",
        "\x00",
        "∞",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
    ],
)
def test_a_retry_after_that_is_none_leaves_the_schedule(said):
    assert retry_after_s({"retry-after": said}) is None
    assert decided(failing(), said={"retry-after": said}).pause_s == 5


@given(st.text())
@example("Thu, 01 Jan 0001 00:00:00 +9999")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Fri, 31 Dec 9999 23:59:59 -0000")
def test_no_retry_after_whatever_it_says_breaks_anything(said):
    found = retry_after_s({"retry-after": said})
    assert found is None or found >= 0


# n8n's own answers, as measured on its versions 1 and 2.


def test_a_workflow_that_is_not_registered_is_tried_once_more_after_a_second():
    verdict = failing(404, NOT_REGISTERED)
    first = decided(verdict, jitter=1.0, said={"retry-after": "600"})
    assert (first.status, first.pause_s) == ("pending", 1.0)
    assert first.once
    assert decided(verdict, attempts=2, was_once=True).status == "failed"
    assert decided(verdict, plan=plan_of(Policy(), 0)).status == "failed"


def test_a_workflow_that_is_not_registered_yet_after_a_restart_has_its_retry_too():
    after_others = decided(failing(404, NOT_REGISTERED), attempts=4)
    assert (after_others.status, after_others.pause_s, after_others.once) == ("pending", 1.0, True)
    assert not decided(failing(503), attempts=5, was_once=True).once


def test_a_starting_n8n_is_waited_for_by_the_schedule():
    assert [decided(failing(404, STARTING), attempts=n).pause_s for n in (1, 2, 3)] == [5, 300, 1800]


@pytest.mark.parametrize("body", [WRONG_METHOD, TEST_URL, b"", b'{"error":"no such thing"}'])
def test_a_wrong_method_a_test_url_or_any_other_404_is_final(body):
    assert decided(failing(404, body)).status == "failed"


@pytest.mark.parametrize("repeats", [True, False])
def test_a_workflow_that_ran_and_failed_is_run_again_only_where_that_is_wanted(repeats):
    verdict = failing(500, WORKFLOW_ERROR, retry_on_workflow_error=repeats)
    assert decided(verdict).status == ("pending" if repeats else "failed")
    assert verdict.broken
    other = failing(
        500, b'{"code":0,"message":"There was a problem executing the workflow"}', retry_on_workflow_error=repeats
    )
    assert decided(other).status == "pending"


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_a_circuit_opens_on_enough_calls_of_which_half_broke(calls, broken):
    assert (LEAST_CALLS, BROKEN_SHARE) == (10, 0.5)
    assert trips(calls, min(broken, calls)) == (calls >= 10 and min(broken, calls) * 2 >= calls)


@pytest.mark.parametrize(
    ("calls", "broken", "opens"), [(9, 9, False), (10, 4, False), (10, 5, True), (11, 5, False), (0, 0, False)]
)
def test_where_a_circuit_opens(calls, broken, opens):
    assert trips(calls, broken) is opens
