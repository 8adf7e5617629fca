"""What a page says of calls: advice for every cause, n8n's answers, commands, trails and addresses (pure)."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.admin.advice import ADVICE, SHORT, Said, read_answer
from hookvault.admin.asked import link, read_calls, read_given, read_moment, typed
from hookvault.admin.curl import curl_of
from hookvault.admin.trail import told, why_held
from hookvault.analytics.cause import CAUSES
from hookvault.errors import InvalidError
from hookvault.vault.secret import HIDDEN

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "node", "name", "message", "execution", "n8nDetails", "id", "hint"]),
            part,
            max_size=4,
        )
    ),
)


def test_every_cause_has_advice():
    assert ADVICE.keys() == CAUSES.keys() == SHORT.keys()
    assert SHORT["workflow_failed"] == "The n8n workflow ran and failed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "Error in workflow"}, Said(message="Error in workflow")),
        ({"code": 0, "message": "no", "hint": "look"}, Said(message="no", hint="look")),
        (
            {
                "message": "Error in workflow",
                "error": {"node": {"name": "Score"}, "message": "no weight"},
                "executionId": 7,
            },
            Said("Score", "no weight", "", "7"),
        ),
        (
            {"errorMessage": "bad", "n8nDetails": {"nodeName": "HTTP Request"}, "execution": {"id": "x1"}},
            Said("HTTP Request", "bad", "", "x1"),
        ),
        ({"error": "busy"}, Said(message="busy")),
        ({"ok": True}, None),
        ("text", None),
        (None, None),
        ([{"message": "x"}], None),
        ({"error": {"node": True, "message": ["x"]}}, None),
    ],
)
def test_what_an_answer_says(body, said):
    assert read_answer(body) == said


@given(JSON)
def test_no_answer_breaks_it(body):
    said = read_answer(body)
    assert said is None or all(isinstance(text, str) and len(text) <= 500 for text in said)


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=9), JSON, max_size=3))
def test_a_command_says_exactly_what_was_sent(url, payload):
    webhook = SimpleNamespace(webhook_url=url, auth_type="none", auth_config={})
    words = shlex.split(curl_of(webhook, {"a": "b c", "x-team": HIDDEN}, payload, whole=True).replace("\\\n", " "))
    assert words[:4] == ["curl", "-X", "POST", url]
    assert words[4:8] == ["-H", "a: b c", "-H", "x-team: YOUR_VALUE"]
    assert json.loads(words[9]) == payload


def test_a_command_leaves_to_be_filled_in_what_is_not_known():
    webhook = SimpleNamespace(webhook_url="http://n8n/x", auth_type="header", auth_config={"headerName": "X-Key"})
    text = curl_of(webhook, None, {"a": 1}, whole=False)
    assert "X-Key: YOUR_TOKEN" in text
    assert "--data-binary @payload.json" in text
    assert "--data-binary @payload.json" in curl_of(webhook, None, "x" * 200_000, whole=True)


def test_a_trail_in_words():
    at = "2026-11-26T10:00:00.000Z"
    trail = [
        {"at": at, "event": "accepted", "replayOf": "d0"},
        {"at": at, "event": "held", "reason": "circuit_open"},
        {"at": at, "event": "claimed", "worker": "w"},
        {"at": at, "event": "called", "callId": "c1", "ms": 1500, "statusCode": 503, "code": "http_503"},
        {"at": at, "event": "retry", "retryAt": "2026-11-26T10:05:00.000Z"},
        {"at": at, "event": "refused", "code": "address_blocked"},
        {"at": at, "event": "called", "callId": "c2", "ms": 3, "statusCode": 200},
        {"at": at, "event": "delivered"},
        {"at": at, "event": "failed", "reason": "webhook_deleted"},
        {"at": at, "event": "something_new"},
    ]
    steps = told(trail)
    assert [step.text for step in steps] == [
        "Accepted, as a replay",
        "Held: its circuit is open: too many calls in a row did not reach the receiver, or broke it",
        "Called; HTTP 503 after 1.5 s",
        "To be tried again",
        "Not called: the address may not be called",
        "Called; HTTP 200 after 3 ms",
        "Delivered",
        "Failed for good (webhook deleted)",
        "Something new",
    ]
    assert steps[0].delivery == "d0"
    assert steps[2].call == "c1"
    assert steps[3].then == datetime(2026, 11, 26, 10, 5, tzinfo=UTC)
    assert why_held(trail).startswith("its circuit is open")
    assert why_held([]) == ""


def test_a_moment_is_of_the_reader_s_clock_unless_it_names_its_own():
    berlin = ZoneInfo("Europe/Berlin")
    assert read_moment("2026-07-01T12:00", "startDate", berlin) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    moment = read_moment("2026-07-01T12:00Z", "startDate", berlin)
    assert moment == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert typed(moment, berlin) == "2026-07-01T14:00"
    assert (read_moment("", "startDate", berlin), typed(None, berlin)) == (None, "")


@given(st.text(max_size=30) | st.sampled_from(["0001-01-01T00:00", "9999-12-31T23:59", "2026-01-01T00:00+23:59"]))
def test_no_moment_breaks_it(text):
    for name in ("Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles"):
        try:
            moment = read_moment(text, "startDate", ZoneInfo(name))
        except InvalidError as error:
            assert error.message.startswith("startDate is a date and time")
        else:
            assert moment is None or typed(moment, UTC)


def test_a_range_is_frozen_for_the_pages_that_follow():
    asked = read_calls(read_given({"range": "1h", "status": "failed", "startDate": "2001-01-01T00:00"}), UTC)
    assert asked.given == {"range": "1h", "status": "failed"}
    assert asked.exact.keys() == {"status", "startDate"}
    start = datetime.fromisoformat(asked.exact["startDate"])
    assert timedelta(minutes=59) < datetime.now(UTC) - start < timedelta(minutes=61)
    assert read_calls(asked.exact, UTC).which == read_calls(asked.exact, UTC).which
    assert link("/calls", {"a": "1", "b": None}, c="x y") == "/calls?a=1&c=x+y"
