"""What a failed call means and what to do about it, for a person; and what n8n itself says in its answer (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hookvault.analytics.cause import CAUSES

# By cause; n8n's behaviour as measured on its versions 1 and 2.
ADVICE: Mapping[str, str] = {
    "timeout": "n8n may have gone on and finished the workflow all the same. Raise the webhook's timeout, or let the workflow "
    "answer at once and work afterwards.",
    "dns_error": "Check the host in the webhook's URL, and the name server of this machine.",
    "tls_error": "Check the receiver's certificate: expired, of another host, or signed by nobody known here.",
    "connection_failed": "n8n is down, restarts, or a firewall is in between. It is tried again where retries are left.",
    "response_invalid": "Something other than a web server answers at this address. Check host and port of the URL.",
    "address_refused": "Private addresses and some headers are refused on purpose. Store another URL, or allow the network in "
    "the service's settings.",
    "workflow_not_active": "Switch the workflow on (publish it) in n8n, and compare the path with the webhook node's production "
    "URL.",
    "workflow_test_url": "Copy the production URL from n8n's webhook node, and store that one.",
    "workflow_wrong_method": "Set the webhook node in n8n to POST.",
    "n8n_starting": "Nothing to do: n8n's routes come up some seconds after it starts. It is tried again where retries are left.",
    "workflow_failed": "The workflow ran and stopped with an error, perhaps after it had effects. Its executions in n8n show at "
    "which node; mend it before you replay.",
    "auth_refused": "Compare the webhook's auth type and secret with the credential of n8n's webhook node. With the right one, "
    "look at its IP allowlist, and at \u201cIgnore bots\u201d, which refuses every program.",
    "not_found": "Nothing listens at this path. Compare the URL with the webhook node's production URL.",
    "gone": "The receiver wants no more calls, and the webhook was switched off. Switch it on once the receiver takes them again.",
    "rate_limited": "Set a rate limit on the webhook that the receiver can keep up with.",
    "redirected": "Store the URL that the redirect leads to.",
    "request_refused": "The receiver did not like what was sent. Its answer below may say why; sending it again will not help.",
    "receiver_failed": "The receiver or a proxy before it is in trouble. It is tried again where retries are left.",
    "other": "The answer below may say more.",
}
# Why calls failed, as a list has it beside the status code.
SHORT: Mapping[str, str] = {cause: text.partition(" (HTTP ")[0] for cause, text in CAUSES.items()}
_LONGEST = 500


class Said(NamedTuple):
    """What n8n's answer says: which node failed, with what message, a hint, and in which execution. Empty where it does not."""

    node: str = ""
    message: str = ""
    hint: str = ""
    execution: str = ""


def read_answer(body: Any) -> Said | None:
    """What an answer says, where it is JSON as n8n writes it; else None."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    parts = [part for part in (error, body.get("n8nDetails"), body) if isinstance(part, dict)]
    said = Said(
        node=_first(_nodes(parts)),
        message=_first([error, *_named(parts, "description", "errorDescription", "errorMessage", "message")]),
        hint=_first(_named(parts, "hint")),
        execution=_first([*_named(parts, "executionId"), *_named(_inner(parts, "execution"), "id")]),
    )
    return said if any(said) else None


def _nodes(parts: list[dict[str, Any]]) -> Iterator[Any]:
    yield from _named(parts, "nodeName", "lastNodeExecuted", "node")
    yield from _named(_inner(parts, "node"), "name")


def _inner(parts: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [part[name] for part in parts if isinstance(part.get(name), dict)]


def _named(parts: list[dict[str, Any]], *names: str) -> Iterator[Any]:
    for part in parts:
        for name in names:
            yield part.get(name)


def _first(found: Any) -> str:
    """The first that is a text or a whole number, and says anything."""
    for value in found:
        if isinstance(value, str | int) and not isinstance(value, bool) and (text := str(value).strip()):
            return text[:_LONGEST]
    return ""
