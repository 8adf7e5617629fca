"""What changed, as it may be kept for ever: plain values shortened and redacted, secrets as hints (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hookvault.log import redact
from hookvault.vault.mask import masked_hint

_LONGEST = 200  # characters of a value
_PLAIN = (bool, int, float)


@dataclass(frozen=True, slots=True)
class Hidden:
    """A secret: whether it is set, what may be shown of it, and since when it is this one."""

    set: bool
    hint: str | None
    since: object


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields that are not the same, by name: `{"field", "before", "after"}`.

    Args:
        before: Values by field name; a secret as `Hidden`. A field that is absent counts as null.
        after: The same after the change.
    """
    return [
        {"field": name, "before": shown(before.get(name)), "after": shown(after.get(name))}
        for name in sorted({*before, *after})
        if _known(before.get(name)) != _known(after.get(name))
    ]


def shown(value: object) -> Any:
    """How a value stands in the log: a secret as `••••3f9c` or `set`, an address without its query, text shortened."""
    if isinstance(value, Hidden):
        return (masked_hint(value.hint) or "set") if value.set else None
    if value is None or isinstance(value, _PLAIN):
        return value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(value, str) and "://" in text:
        address, query, _ = text.partition("?")
        text = f"{address}?…" if query else address
    text = redact(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _known(value: object) -> object:
    """A secret that is not set equals a field that is not there."""
    return None if isinstance(value, Hidden) and not value.set else value
