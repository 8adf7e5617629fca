"""What an answer means and whether to try again (pure). n8n's answers as measured on its versions 1 and 2."""

from collections.abc import Mapping
from dataclasses import dataclass

_RETRIED_STATUSES = frozenset({408, 425, 429})
_TEMPORARY_ERRORS = frozenset({"dns_error", "connection_error", "connection_closed", "response_invalid", "tls_error"})
_SLOW_DOWN_CAP_S = 60.0
_FIRST_PAUSE_S = 0.2
_PAUSE_CAP_S = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to. `code` is None on success; `message` is for a person."""

    success: bool
    retry: bool
    code: str | None = None
    message: str | None = None


_SUCCESS = Verdict(success=True, retry=False)


def judge_response(status: int, body: bytes) -> Verdict:
    """The verdict on a response: success is 2xx only; a redirect is not followed and is a failure."""
    if 200 <= status < 300:
        return _SUCCESS
    if status == 404:
        return _judge_not_found(body)
    retry = status in _RETRIED_STATUSES or 500 <= status < 600
    return Verdict(success=False, retry=retry, code=f"http_{status}", message=_said(status))


def judge_error(code: str, message: str, *, retry_on_timeout: bool) -> Verdict:
    """The verdict on an attempt without a response: `code` as the outbound client's errors name it."""
    retry = retry_on_timeout if code == "timeout" else code in _TEMPORARY_ERRORS
    return Verdict(success=False, retry=retry, code=code, message=message)


def pause_before(retry: int, headers: Mapping[str, str], jitter: float) -> float:
    """Seconds before a quick retry inside a caller's budget: 0.2, 0.4, 0.8 ... at most 5, times `jitter`.

    Args:
        retry: 1 for the first retry.
        headers: Of the response, names in lower case; a Retry-After in seconds (RFC 9110 section 10.2.3) is honoured
            up to 60 seconds.
        jitter: A factor around 1, chosen by the caller.
    """
    asked = headers.get("retry-after", "")
    if asked.isascii() and asked.isdigit():
        return min(float(asked), _SLOW_DOWN_CAP_S)
    return min(_FIRST_PAUSE_S * 2.0 ** (retry - 1), _PAUSE_CAP_S) * jitter


def _judge_not_found(body: bytes) -> Verdict:
    text = body[:2048]
    if b"Cannot POST" in text:
        hint = "n8n is starting: its routes are not up yet (HTTP 404)."
        return Verdict(success=False, retry=True, code="http_404", message=hint)
    if b"Did you mean to make a" in text:  # n8n says "is not registered" here and at test URLs too
        hint = "The n8n workflow listens to another HTTP method than POST (HTTP 404)."
        return Verdict(success=False, retry=False, code="http_404", message=hint)
    if b"Execute workflow" in text:
        hint = "This is n8n's test URL, which listens only while the editor waits. Use the production URL (HTTP 404)."
        return Verdict(success=False, retry=False, code="http_404", message=hint)
    if b"is not registered" in text:
        hint = "The workflow is not active in n8n, or the URL's path is wrong (HTTP 404)."
        return Verdict(success=False, retry=True, code="http_404", message=hint)
    return Verdict(success=False, retry=False, code="http_404", message=_said(404))


def _said(status: int) -> str:
    if 300 <= status < 400:
        return f"The webhook answered HTTP {status}, a redirect; redirects are not followed. Store the final URL."
    if status in (401, 403):
        return f"The webhook refused the call (HTTP {status}). Check its auth type and token."
    return f"The webhook answered HTTP {status}."
