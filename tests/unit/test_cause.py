"""Why calls fail: the rules read the real verdicts, every one of them."""

import pytest
from test_outcome import NOT_REGISTERED, STARTING, TEST_URL, WRONG_METHOD

from hookvault.analytics.cause import CAUSES, cause_of
from hookvault.webhooks.outcome import UNREACHED, judge_error, judge_response

ANSWERS = {
    "workflow_not_active": [(404, NOT_REGISTERED)],
    "workflow_test_url": [(404, TEST_URL)],
    "workflow_wrong_method": [(404, WRONG_METHOD)],
    "n8n_starting": [(404, STARTING)],
    "workflow_failed": [(500, b'{"message":"Error in workflow"}')],
    "auth_refused": [(401, b""), (403, b"IP is not allowed to access the webhook!")],
    "not_found": [(404, b""), (404, b"n8n is starting")],  # what the answer says is no verdict of ours
    "gone": [(410, b"")],
    "rate_limited": [(429, b"")],
    "redirected": [(300, b""), (301, b""), (307, b""), (399, b"")],
    "request_refused": [(400, b""), (408, b""), (422, b"Failed to parse request body"), (425, b""), (499, b"")],
    "receiver_failed": [(500, b""), (503, b"Error in workflow"), (599, b"")],
    "other": [(100, b""), (199, b""), (600, b"")],
}
ERRORS = {
    "timeout": ["timeout"],
    "dns_error": ["dns_error"],
    "tls_error": ["tls_error"],
    "connection_failed": ["connection_error", "connection_closed"],
    "response_invalid": ["response_invalid"],
    "address_refused": ["address_blocked", "invalid_url", "invalid_header"],
    "other": ["something_new"],
}


@pytest.mark.parametrize(
    ("cause", "status", "body"), [(cause, *answer) for cause, answers in ANSWERS.items() for answer in answers]
)
def test_the_cause_of_an_answer(cause, status, body):
    verdict = judge_response(status, body)
    assert not verdict.success
    assert cause_of(verdict.code, status, verdict.message) == cause


@pytest.mark.parametrize(("cause", "code"), [(cause, code) for cause, codes in ERRORS.items() for code in codes])
def test_the_cause_of_no_answer(cause, code):
    verdict = judge_error(code, "The receiver said not active in n8n.", retry_on_timeout=True)
    assert cause_of(verdict.code, None, verdict.message) == cause


def test_every_cause_has_its_words_and_an_answer_that_leads_to_it():
    assert set(CAUSES) == ANSWERS.keys() | ERRORS.keys()
    assert {code for codes in ERRORS.values() for code in codes} >= UNREACHED
    assert len(set(CAUSES.values())) == len(CAUSES)


def test_every_failure_by_status_has_a_cause():
    for status in range(300, 600):
        verdict = judge_response(status, b"")
        assert cause_of(verdict.code, status, verdict.message) != "other"
