"""Audit events in words: what was done, and what a change was from and to (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NOUNS = {
    "admin": "User",
    "api_key": "API key",
    "audit": "Audit log",
    "calls": "Calls",
    "key": "Master key",
    "password_reset": "New password by mail",
    "rekey": "Rekeying",
    "session": "Session",
    "totp": "Second factor",
}
_VERBS = {
    "asked": "asked for",
    "listed": "read",
    "tried": "tested",
    "signing_secret_rotated": "signing secret rotated",
    "rolled_back": "rolled back",
    "switched_off": "switched off",
    "password_changed": "password changed",
    "password_reset": "password reset",
}
_TITLES = {
    "route.requested": "Request",
    "session.confirmed": "Code given",
    "session.created": "Sign-in",
}
_HINT = "••••"  # how a secret's hint begins in the log
_SET = "set"  # what the log says of a secret that is too short for a hint


@dataclass(frozen=True, slots=True)
class Change:
    """One field: in words where it is a secret, else what it was and is."""

    field: str
    words: str
    before: Any = None
    after: Any = None


def title(action: str) -> str:
    """`webhook.updated` as Webhook updated."""
    if action in _TITLES:
        return _TITLES[action]
    noun, _, verb = action.partition(".")
    return f"{_NOUNS.get(noun, noun.replace('_', ' ').capitalize())} {_VERBS.get(verb, verb.replace('_', ' '))}"


def changes_of(detail: Mapping[str, Any]) -> Sequence[Change]:
    """What a change was from and to; what is not there was not written down."""
    found = detail.get("changes")
    if not isinstance(found, list):
        return []
    return [_change(item) for item in found if isinstance(item, dict) and "field" in item]


def facts_of(detail: Mapping[str, Any]) -> Sequence[tuple[str, Any]]:
    """Everything else that an event tells."""
    told = "changed" if detail.get("changes") else ""
    return [(name, value) for name, value in detail.items() if name not in ("changes", told) and value is not None]


def _change(item: Mapping[str, Any]) -> Change:
    field, before, after = str(item["field"]), item.get("before"), item.get("after")
    if not (_is_secret(before) or _is_secret(after)):
        return Change(field, "", before, after)
    if before is None or after is None:
        return Change(field, "secret set" if before is None else "secret removed", before, after)
    return Change(field, "secret changed", before, after)


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and (value.startswith(_HINT) or value == _SET)
