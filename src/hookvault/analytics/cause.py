"""Why calls failed, in plain words: one list of rules, from which both the SQL and the Python classify (pure)."""

from collections.abc import Mapping
from typing import NamedTuple


class Rule(NamedTuple):
    """What makes a failed call fall under a cause; what is None does not matter.

    Attributes:
        cause: Its stable name.
        codes: The error codes, as in the record.
        statuses: The HTTP statuses, first and last.
        said: What the error message holds. No LIKE wildcards, no quotes.
    """

    cause: str
    codes: tuple[str, ...] | None = None
    statuses: tuple[int, int] | None = None
    said: str | None = None


# The first that fits. The messages are those of `webhooks/outcome.py`; a test holds the two together.
_RULES = (
    Rule("timeout", codes=("timeout",)),
    Rule("dns_error", codes=("dns_error",)),
    Rule("tls_error", codes=("tls_error",)),
    Rule("connection_failed", codes=("connection_error", "connection_closed")),
    Rule("response_invalid", codes=("response_invalid",)),
    Rule("address_refused", codes=("address_blocked", "invalid_url", "invalid_header")),
    Rule("workflow_not_active", statuses=(404, 404), said="not active in n8n"),
    Rule("workflow_test_url", statuses=(404, 404), said="test URL"),
    Rule("workflow_wrong_method", statuses=(404, 404), said="another HTTP method"),
    Rule("n8n_starting", statuses=(404, 404), said="n8n is starting"),
    Rule("workflow_failed", statuses=(500, 500), said="workflow ran and failed"),
    Rule("auth_refused", statuses=(401, 401)),
    Rule("auth_refused", statuses=(403, 403)),
    Rule("not_found", statuses=(404, 404)),
    Rule("gone", statuses=(410, 410)),
    Rule("rate_limited", statuses=(429, 429)),
    Rule("redirected", statuses=(300, 399)),
    Rule("request_refused", statuses=(400, 499)),
    Rule("receiver_failed", statuses=(500, 599)),
)
_OTHER = "other"

CAUSES: Mapping[str, str] = {
    "timeout": "No answer in time",
    "dns_error": "The host name does not resolve",
    "tls_error": "No secure connection (TLS)",
    "connection_failed": "The receiver could not be reached",
    "response_invalid": "The answer was no valid HTTP",
    "address_refused": "The address may not be called",
    "workflow_not_active": "The n8n workflow is not active, or the path is wrong (HTTP 404)",
    "workflow_test_url": "n8n's test URL, which listens only while the editor waits (HTTP 404)",
    "workflow_wrong_method": "The n8n workflow listens to another HTTP method (HTTP 404)",
    "n8n_starting": "n8n was starting (HTTP 404)",
    "workflow_failed": "The n8n workflow ran and failed (HTTP 500)",
    "auth_refused": "The credentials were refused (HTTP 401, 403)",
    "not_found": "Nothing at that path (HTTP 404)",
    "gone": "The webhook is gone (HTTP 410)",
    "rate_limited": "The receiver asked for fewer calls (HTTP 429)",
    "redirected": "A redirect, which is not followed (HTTP 3xx)",
    "request_refused": "The receiver refused the request (HTTP 4xx)",
    "receiver_failed": "The receiver failed (HTTP 5xx)",
    _OTHER: "Something else",
}


def cause_of(error_code: str | None, status_code: int | None, error_message: str | None) -> str:
    """Why a failed call failed: a key of CAUSES."""
    for rule in _RULES:
        if _fits(rule, error_code, status_code, error_message):
            return rule.cause
    return _OTHER


def cause_sql(row: str) -> str:
    """The SQL expression that does what `cause_of` does, for a row of webhook_analytics by this name."""
    branches = [f"WHEN {_condition(rule, row)} THEN '{rule.cause}'" for rule in _RULES]
    return " ".join(["CASE", *branches, f"ELSE '{_OTHER}' END"])


def _fits(rule: Rule, error_code: str | None, status_code: int | None, error_message: str | None) -> bool:
    if rule.codes is not None and error_code not in rule.codes:
        return False
    if rule.statuses is not None and not rule.statuses[0] <= (status_code or 0) <= rule.statuses[1]:
        return False
    return rule.said is None or rule.said in (error_message or "")


def _condition(rule: Rule, row: str) -> str:
    conditions = []
    if rule.codes is not None:
        listed = ", ".join(f"'{code}'" for code in rule.codes)
        conditions.append(f"{row}.error_code IN ({listed})")
    if rule.statuses is not None:
        conditions.append(f"{row}.status_code BETWEEN {rule.statuses[0]} AND {rule.statuses[1]}")
    if rule.said is not None:
        conditions.append(f"{row}.error_message LIKE '%{rule.said}%'")
    return " AND ".join(conditions)
