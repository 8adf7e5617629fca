"""How a delivery goes on after an attempt: the schedule, its bounds, and the decision (pure)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hookvault.webhooks.model import MAX_RETRIES, Policy
from hookvault.webhooks.outcome import Verdict, retry_after_s

# Seconds after each failed attempt: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h (the Standard Webhooks schedule).
SCHEDULE = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2
LEAST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 86_400.0 * (1 + JITTER)
_RETRY_AFTER_CAP_S = 3600.0


class Plan(NamedTuple):
    """When a delivery is tried again, and how often."""

    schedule: Sequence[float]
    max_retries: int

    def pause(self, retry: int) -> float:
        """Seconds before a retry, 1 for the first; the last pause of the schedule repeats."""
        return float(self.schedule[min(retry, len(self.schedule)) - 1])


class Decision(NamedTuple):
    """How a delivery goes on: an end, or `pending` with the seconds until its next attempt. `once`: see `Verdict`."""

    status: Literal["pending", "delivered", "failed", "expired"]
    pause_s: float = 0.0
    code: str | None = None
    message: str | None = None
    once: bool = False


def plan_of(policy: Policy, asked: int | None = None) -> Plan:
    """The plan of a delivery: what was asked with it, else what its webhook's policy says, else the defaults."""
    schedule = policy.schedule or SCHEDULE
    wanted = asked if asked is not None else policy.max_retries
    return Plan(schedule, min(len(schedule) if wanted is None else wanted, MAX_RETRIES))


def decide(
    plan: Plan,
    verdict: Verdict,
    *,
    attempts: int,
    headers: Mapping[str, str],
    jitter: float,
    present: datetime,
    deliver_before: datetime | None = None,
    was_once: bool = False,
) -> Decision:
    """How a delivery goes on after its latest attempt.

    Args:
        plan: Of the delivery.
        verdict: On the latest attempt.
        attempts: How many were made, that one included.
        headers: Of its response; a Retry-After makes the pause longer, up to an hour or what the schedule says.
        jitter: From -1 to 1, how far the pause strays.
        present: Now.
        deliver_before: After which the delivery is worth nothing.
        was_once: Whether the attempt before was answered with a retry that makes sense once.
    """
    if verdict.success:
        return Decision("delivered")
    if not verdict.retry:
        return Decision("failed", code=verdict.code, message=verdict.message)
    if attempts > plan.max_retries or (verdict.once and was_once):
        after = "" if attempts == 1 else f" Given up after {attempts} attempts."
        return Decision("failed", code=verdict.code, message=f"{verdict.message}{after}")
    pause = _pause(plan, verdict, attempts, headers, jitter)
    if deliver_before is not None and present + timedelta(seconds=pause) >= deliver_before:
        message = f"Not delivered before its deliverBefore; the last attempt: {verdict.message}"
        return Decision("expired", code=verdict.code, message=message)
    return Decision("pending", pause, verdict.code, verdict.message, verdict.once)


def timeline(plan: Plan, start: datetime) -> list[datetime]:
    """When a delivery that always fails would be tried, without jitter: the first attempt at `start`, then the retries."""
    moments = [start]
    for retry in range(1, plan.max_retries + 1):
        moments.append(moments[-1] + timedelta(seconds=plan.pause(retry)))
    return moments


def _pause(plan: Plan, verdict: Verdict, attempts: int, headers: Mapping[str, str], jitter: float) -> float:
    if verdict.pause_s is not None:
        return verdict.pause_s
    planned = plan.pause(attempts)
    pause = planned * (1 + JITTER * jitter)
    asked = retry_after_s(headers)
    if (
        asked is not None
    ):  # makes it longer only: a receiver that says "at once" every time would use up the retries in a minute
        pause = max(pause, min(asked * (1 + JITTER * abs(jitter)), max(planned, _RETRY_AFTER_CAP_S)))
    return min(max(pause, LEAST_PAUSE_S), LONGEST_PAUSE_S)
