"""What an answer means and whether to try again (pure). n8n's answers as measured on its versions 1 and 2."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_RETRIED_STATUSES = frozenset({408, 425, 429})
UNREACHED = frozenset({"dns_error", "connection_error", "connection_closed", "response_invalid", "tls_error"})
_SLOW_DOWN_CAP_S = 60.0
_FIRST_PAUSE_S = 0.2
_PAUSE_CAP_S = 5.0
_WORKFLOW_ERROR = b"Error in workflow"

# The circuit breaker: so many calls within the window, and this share of them broken.
WINDOW_S = 60.0
LEAST_CALLS = 10
BROKEN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to. `code` is None on success; `message` is for a person.

    Attributes:
        success: Whether the receiver took it.
        retry: Whether trying again may help.
        code: Such as `http_503` or `timeout`.
        message: What went wrong and what to do.
        broken: Whether the receiver itself is in trouble: not reached, timed out, or 5xx. Counts for its circuit.
        gone: Whether the receiver wants no more calls (410).
        pause_s: When to try again, where the answer itself tells; else the schedule says.
        once: Whether one retry makes sense and, should it end so again, no further one.
    """

    success: bool
    retry: bool
    code: str | None = None
    message: str | None = None
    broken: bool = False
    gone: bool = False
    pause_s: float | None = None
    once: bool = False


_SUCCESS = Verdict(success=True, retry=False)


def judge_response(status: int, body: bytes, *, retry_on_workflow_error: bool = True) -> Verdict:
    """The verdict on a response: success is 2xx only; a redirect is not followed and is a failure."""
    if 200 <= status < 300:
        return _SUCCESS
    if status == 404:
        return _judge_not_found(body)
    if status == 500 and _WORKFLOW_ERROR in body[:2048]:
        return _failed(
            status, "The n8n workflow ran and failed (HTTP 500).", retry=retry_on_workflow_error, broken=True
        )
    if status == 410:
        said = "The webhook is gone (HTTP 410): it was switched off here, and wants no more calls."
        return Verdict(success=False, retry=False, code="http_410", message=said, gone=True)
    broken = 500 <= status < 600
    return _failed(status, _said(status), retry=broken or status in _RETRIED_STATUSES, broken=broken)


def judge_error(code: str, message: str, *, retry_on_timeout: bool) -> Verdict:
    """The verdict on an attempt without a response: `code` as the outbound client's errors name it."""
    timed_out = code == "timeout"
    retry = retry_on_timeout if timed_out else code in UNREACHED
    return Verdict(success=False, retry=retry, code=code, message=message, broken=timed_out or code in UNREACHED)


def trips(calls: int, broken: int) -> bool:
    """Whether a circuit opens after so many calls within the window, so many of them broken."""
    return calls >= LEAST_CALLS and broken >= calls * BROKEN_SHARE


def pause_before(retry: int, headers: Mapping[str, str], jitter: float) -> float:
    """Seconds before a quick retry inside a caller's budget: 0.2, 0.4, 0.8 ... at most 5, times `jitter`.

    Args:
        retry: 1 for the first retry.
        headers: Of the response, names in lower case; a Retry-After is honoured up to 60 seconds.
        jitter: A factor around 1, chosen by the caller.
    """
    asked = retry_after_s(headers)
    if asked is not None:
        return min(asked, _SLOW_DOWN_CAP_S)
    return min(_FIRST_PAUSE_S * 2.0 ** (min(retry, 10) - 1), _PAUSE_CAP_S) * jitter


def retry_after_s(headers: Mapping[str, str], present: datetime | None = None) -> float | None:
    """The seconds that a response's Retry-After asks for, a number or a date (RFC 9110 section 10.2.3); None without one."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:12])
    try:
        moment = parsedate_to_datetime(asked)
        if moment.tzinfo is None:  # "-0000" means UTC without a place (RFC 5322 section 3.3)
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - (present or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):  # no date, or one that no calendar holds
        return None


def _failed(status: int, message: str, *, retry: bool, broken: bool = False) -> Verdict:
    return Verdict(success=False, retry=retry, code=f"http_{status}", message=message, broken=broken)


def _judge_not_found(body: bytes) -> Verdict:
    text = body[:2048]
    if b"Cannot POST" in text:
        return _failed(404, "n8n is starting: its routes are not up yet (HTTP 404).", retry=True)
    if b"Did you mean to make a" in text:  # n8n says "is not registered" here and at test URLs too
        return _failed(404, "The n8n workflow listens to another HTTP method than POST (HTTP 404).", retry=False)
    if b"Execute workflow" in text:
        hint = "This is n8n's test URL, which listens only while the editor waits. Use the production URL (HTTP 404)."
        return _failed(404, hint, retry=False)
    if b"is not registered" in text:
        # So n8n answers for some 0.3 s after a workflow was switched on; after that it is a wrong set-up.
        hint = "The workflow is not active in n8n, or the URL's path is wrong (HTTP 404)."
        return Verdict(success=False, retry=True, code="http_404", message=hint, pause_s=1.0, once=True)
    return _failed(404, _said(404), retry=False)


def _said(status: int) -> str:
    if 300 <= status < 400:
        return f"The webhook answered HTTP {status}, a redirect; redirects are not followed. Store the final URL."
    if status in (401, 403):
        return f"The webhook refused the call (HTTP {status}). Check its auth type and token."
    return f"The webhook answered HTTP {status}."
