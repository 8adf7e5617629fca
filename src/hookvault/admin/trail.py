"""A delivery's trail in words (pure)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hookvault.admin.shown import milliseconds

HELD = {
    "circuit_open": "its circuit is open: too many calls in a row did not reach the receiver, or broke it",
    "webhook_inactive": "the webhook is switched off",
    "tenant_suspended": "the tenant is suspended",
}
_ENDS = {
    "delivered": ("good", "Delivered"),
    "failed": ("bad", "Failed for good"),
    "expired": ("bad", "Expired: not delivered in the time that it had"),
}


class Step(NamedTuple):
    """One step. `then` is a moment that it names, `call` and `delivery` the ids of what it leads to."""

    at: datetime
    kind: str
    text: str
    then: datetime | None = None
    call: str = ""
    delivery: str = ""


def told(trail: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps of a trail, oldest first. What a worker took up and called at once is one step."""
    return [_step(entry) for entry in trail if entry.get("event") != "claimed"]


def why_held(trail: Sequence[Mapping[str, Any]]) -> str:
    """Why a delivery that is held waits, as far as its trail tells."""
    reasons = [str(entry.get("reason")) for entry in trail if entry.get("event") == "held"]
    return HELD.get(reasons[-1], "") if reasons else ""


def _step(entry: Mapping[str, Any]) -> Step:
    at = datetime.fromisoformat(str(entry["at"]))
    kind, text = _words(entry)
    then = datetime.fromisoformat(entry["retryAt"]) if entry.get("retryAt") else None
    other = str(entry.get("deliveryId") or entry.get("replayOf") or "")
    return Step(at, kind, text, then, str(entry.get("callId") or ""), other)


def _words(entry: Mapping[str, Any]) -> tuple[str, str]:
    event, reason = str(entry.get("event", "")), str(entry.get("reason") or "")
    if event in _ENDS:
        kind, text = _ENDS[event]
        because = reason or ("" if event == "delivered" else str(entry.get("code") or ""))
        return kind, f"{text} ({because.replace('_', ' ')})" if because and event == "failed" else text
    if event in ("called", "refused"):
        return _called(entry)
    found = {
        "accepted": ("", "Accepted, as a replay" if entry.get("replayOf") else "Accepted"),
        "deduplicated": ("", "Asked for again with the same idempotency key; not made again"),
        "held": ("warn", f"Held: {HELD.get(reason, reason.replace('_', ' '))}"),
        "released": ("", "Released, and goes on"),
        "retry": ("warn", "To be tried once more" if entry.get("once") else "To be tried again"),
        "put_off": ("warn", "Put off by a fault of our own; this counts as no attempt"),
        "lease_lost": ("warn", "The worker that had it stopped; another takes it up"),
        "replayed": ("", "Made again, as another delivery"),
    }
    return found.get(event, ("", event.replace("_", " ").capitalize()))


def _called(entry: Mapping[str, Any]) -> tuple[str, str]:
    code, ms = entry.get("code"), entry.get("ms")
    took = f" after {milliseconds(ms)}" if isinstance(ms, int) else ""
    if entry.get("event") == "refused":
        return "bad", "Not called: the address may not be called"
    if code is None:
        return "good", f"Called; HTTP {entry.get('statusCode')}{took}"
    answer = f"HTTP {entry['statusCode']}" if entry.get("statusCode") else str(code).replace("_", " ")
    return "bad", f"Called; {answer}{took}"
