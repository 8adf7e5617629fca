"""What an answer means: n8n's own answers as measured, HTTP's statuses, and the pauses between quick retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.webhooks.outcome import judge_error, judge_response, pause_before

STARTING = b"<!DOCTYPE html>\n<html><body><pre>Cannot POST /webhook/acme/order</pre></body></html>"
NOT_REGISTERED = (
    b'{"code":404,"message":"The requested webhook \\"POST acme/order\\" is not registered.",'
    b'"hint":"The workflow must be active for a production URL to run successfully. You can activate the workflow '
    b"using the toggle in the top-right of the editor. Note that unlike test URL calls, production URL calls aren't "
    b'shown on the canvas (only in the executions list)"}'
)
WRONG_METHOD = (
    b'{"code":404,"message":"This webhook is not registered for POST requests. Did you mean to make a GET request?"}'
)
TEST_URL = (
    b'{"code":404,"message":"The requested webhook \\"order\\" is not registered.","hint":"Click the \'Execute workflow\' '
    b'button on the canvas, then try again. (In test mode, the webhook only works for one call after you click this button)"}'
)


@pytest.mark.parametrize(
    ("status", "body", "retry", "says"),
    [
        (404, STARTING, True, "starting"),
        (404, NOT_REGISTERED, True, "not active"),
        (404, WRONG_METHOD, False, "another HTTP method"),
        (404, TEST_URL, False, "test URL"),
        (404, b"", False, "HTTP 404"),
        (404, b'{"error":"no such thing"}', False, "HTTP 404"),
        (401, b"Authorization data is wrong!", False, "auth"),
        (403, b"No token provided", False, "auth"),
        (403, b"IP is not allowed to access the webhook!", False, "refused"),
        (422, b"Failed to parse request body", False, "HTTP 422"),
        (500, b'{"message":"Error in workflow"}', True, "HTTP 500"),
        (429, b"", True, "HTTP 429"),
        (503, b"", True, "HTTP 503"),
        (408, b"", True, "HTTP 408"),
        (425, b"", True, "HTTP 425"),
        (410, b"", False, "HTTP 410"),
        (301, b"", False, "redirect"),
        (307, b"", False, "redirect"),
    ],
)
def test_what_an_answer_means(status, body, retry, says):
    verdict = judge_response(status, body)
    assert (verdict.success, verdict.retry, verdict.code) == (False, retry, f"http_{status}")
    assert says in verdict.message
    assert str(status) in verdict.message


@given(st.integers(100, 999), st.binary(max_size=200))
def test_success_is_2xx_whatever_the_body_and_nothing_else(status, body):
    verdict = judge_response(status, body)
    assert verdict.success == (status // 100 == 2)
    assert not (verdict.success and verdict.retry)
    assert (verdict.code is None) == (verdict.message is None) == verdict.success


@given(st.integers(400, 499), st.binary(max_size=200))
def test_other_4xx_are_permanent(status, body):
    if status not in (404, 408, 425, 429):
        assert not judge_response(status, body).retry


@pytest.mark.parametrize(
    ("code", "retry"),
    [
        ("dns_error", True),
        ("connection_error", True),
        ("connection_closed", True),
        ("response_invalid", True),
        ("tls_error", True),
        ("timeout", True),
        ("address_blocked", False),
        ("invalid_url", False),
        ("anything_else", False),
    ],
)
def test_what_an_error_means(code, retry):
    verdict = judge_error(code, "It failed.", retry_on_timeout=True)
    assert (verdict.success, verdict.retry, verdict.code, verdict.message) == (False, retry, code, "It failed.")


def test_a_timeout_is_final_where_the_webhook_says_so():
    """n8n goes on running a workflow whose caller gave up."""
    assert not judge_error("timeout", "", retry_on_timeout=False).retry
    assert judge_error("connection_error", "", retry_on_timeout=False).retry


@pytest.mark.parametrize(("retry", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (6, 5.0), (10, 5.0)])
def test_pauses_double_up_to_five_seconds(retry, seconds):
    assert pause_before(retry, {}, 1.0) == pytest.approx(seconds)
    assert pause_before(retry, {}, 1.2) == pytest.approx(seconds * 1.2)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("0", 0.0), ("3", 3.0), ("60", 60.0), ("86400", 60.0), ("9" * 400, 60.0)],
    ids=["none", "some", "most", "a day", "absurd"],
)
def test_retry_after_is_honoured_within_bounds(asked, seconds):
    assert pause_before(1, {"retry-after": asked}, 1.2) == seconds


@given(st.text(), st.integers(1, 1000), st.floats(0.8, 1.2))
def test_any_retry_after_gives_a_bounded_pause(asked, retry, jitter):
    assert 0 <= pause_before(retry, {"retry-after": asked}, jitter) <= 60
