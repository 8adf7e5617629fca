"""One job: called, judged, and how it goes on."""

import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple

import msgspec

from hookvault.clock import iso, now, stamp
from hookvault.deliveries.model import Kept
from hookvault.errors import HookvaultError
from hookvault.ids import new_id
from hookvault.log import get_logger
from hookvault.outbound.client import OutboundClient
from hookvault.queue.model import Ack, Job, Lane, Message
from hookvault.webhooks.attempt import Attempt, make_attempt, record_of
from hookvault.webhooks.endpoint import Endpoint
from hookvault.webhooks.model import MAX_BUDGET_MS
from hookvault.webhooks.payload import response_json
from hookvault.webhooks.retry import Decision, decide, plan_of
from hookvault.worker.ack import Outcome

MOST_LOST = 5  # times that a worker may die or fail over one job
_PUT_OFF_S = 60.0
_REFUSED = frozenset({"address_blocked", "invalid_url", "invalid_header"})
NO_MESSAGE = Message(b"", None, None, None, None)  # stands for one that was not found
_SUCCESS = Decision("delivered")
_encode = msgspec.json.Encoder().encode
_random = random.Random()  # noqa: S311 - spreads retries, guards nothing
_log = get_logger()

Latest = Callable[[Endpoint, float], Awaitable[Endpoint]]


class TrailEvent(msgspec.Struct, rename="camel", omit_defaults=True):
    """One entry of a delivery's trail, as it is stored."""

    at: str
    event: str
    worker: str | None = None
    probe: bool | None = None
    call_id: str | None = None
    ms: int | None = None
    status_code: int | None = None
    code: str | None = None
    retry_at: str | None = None
    once: bool | None = None


class Claimed(NamedTuple):
    """A job with all that its call needs. `at` is when it was claimed, as its trail says it."""

    job: Job
    message: Message
    endpoint: Endpoint
    at: str
    probe: bool = False


class Delivered(NamedTuple):
    """What a job came to, and how long its receiver took; None when it was not called."""

    outcome: Outcome
    seconds: float | None = None
    answered: bool = True


async def deliver(
    client: OutboundClient, claimed: Claimed, worker: str, default_timeout_s: float, latest: Latest
) -> Delivered:
    """Calls a claimed job's webhook once and decides how the job goes on. Never raises.

    Args:
        client: The one outbound client.
        claimed: The job.
        worker: Who claimed it.
        default_timeout_s: For the call, where neither the job nor its webhook says.
        latest: Gives the webhook as it is when the call has ended, whose policy its record follows.
    """
    try:
        decision = _without_a_call(claimed)
        if decision is not None:
            return Delivered(_ended(claimed, worker, decision))
        return await _called(client, claimed, worker, _timeout_s(claimed, default_timeout_s), latest)
    except Exception as error:  # noqa: BLE001 - our own fault is not the receiver's: put off, and logged whole
        code = error.code if isinstance(error, HookvaultError) else "internal_error"
        _log.exception("delivery_put_off", delivery=str(claimed.job.id), code=code)
        decision = Decision("pending", _PUT_OFF_S, code, "A fault of our own; the log tells more.")
        return Delivered(_ended(claimed, worker, decision))


def _without_a_call(claimed: Claimed) -> Decision | None:
    """The end of a job that must not be called any more; None for one that is to be called."""
    job = claimed.job
    if job.lost >= MOST_LOST:
        message = f"Given up: {MOST_LOST} times its worker died or failed before it could say how it went."
        return Decision("failed", code="worker_lost", message=message)
    if claimed.message is NO_MESSAGE:
        message = "Its payload is no longer in the database; somebody must have removed it there."
        return Decision("failed", code="payload_missing", message=message)
    if job.deliver_before is not None and job.deliver_before <= now():
        message = "It could not be delivered before its deliverBefore."
        return Decision("expired", code="deliver_before_passed", message=message)
    return None


async def _called(client: OutboundClient, claimed: Claimed, worker: str, timeout_s: float, latest: Latest) -> Delivered:
    job, message, endpoint = claimed.job, claimed.message, claimed.endpoint
    since = time.monotonic()
    attempt = await make_attempt(client, endpoint, (job.id, new_id()), message.payload, timeout_s)
    verdict, number = attempt.verdict, job.attempts + 1
    decision = _SUCCESS if verdict.success else _decided(claimed, attempt, number)
    endpoint = await latest(endpoint, since)
    record = record_of(
        endpoint,
        attempt,
        number=number,
        payload=None,
        triggered_by=message.triggered_by,
        metadata=message.metadata,
        delivery_id=job.id,
    )
    events = [_claimed_event(claimed, worker), _call_event(attempt), _end_event(decision)]
    ack = _ack(job, decision, number, attempt.status, events)
    kept = _kept(job, message, endpoint) if verdict.success and endpoint.redaction is not None else None
    outcome = Outcome(record, ack, _lane(job), job.webhook_id, verdict.broken, verdict.gone, kept)
    answered = attempt.status is not None or verdict.code in _REFUSED
    return Delivered(outcome, attempt.elapsed_ms / 1000, answered)


def _kept(job: Job, message: Message, endpoint: Endpoint) -> Kept | None:
    """What stays of a payload that is delivered; None where all of it may."""
    payload, _ = response_json(message.payload, truncated=False)
    redaction = endpoint.redaction
    assert redaction is not None  # noqa: S101 - asked by the caller
    kept = Kept(job.tenant_id, job.id, job.accepted_at, redaction.kept(payload), redaction.kept(message.metadata))
    return None if kept.payload is payload and kept.metadata is message.metadata else kept


def _decided(claimed: Claimed, attempt: Attempt, number: int) -> Decision:
    return decide(
        plan_of(claimed.endpoint.policy, claimed.message.max_retries),
        attempt.verdict,
        attempts=number,
        headers=attempt.retry_headers,
        jitter=_random.uniform(-1.0, 1.0),
        present=now(),
        deliver_before=claimed.job.deliver_before,
        was_once=bool(claimed.job.was_once),
    )


def _timeout_s(claimed: Claimed, default_s: float) -> float:
    asked = claimed.message.timeout_ms or claimed.endpoint.policy.timeout_ms
    timeout_s = min(asked or default_s * 1000, MAX_BUDGET_MS) / 1000
    deadline = claimed.job.deliver_before
    if deadline is None:
        return timeout_s
    return max(0.001, min(timeout_s, (deadline - now()).total_seconds()))


def _ended(claimed: Claimed, worker: str, decision: Decision) -> Outcome:
    """The outcome of a job that was not called."""
    job = claimed.job
    put_off = decision.status == "pending"
    last = TrailEvent(stamp(), "put_off", code=decision.code) if put_off else _end_event(decision)
    events = [_claimed_event(claimed, worker), last]
    return Outcome(None, _ack(job, decision, job.attempts, None, events), _lane(job), job.webhook_id)


def _ack(job: Job, decision: Decision, attempts: int, status_code: int | None, events: list[TrailEvent]) -> Ack:
    ok = decision.status == "delivered"
    return Ack(
        job.tenant_id,
        job.id,
        job.accepted_at,
        job.claims,
        decision.status,
        decision.pause_s,
        attempts,
        status_code,
        None if ok else decision.code,
        None if ok else decision.message,
        _encode(events),
    )


def _lane(job: Job) -> Lane | None:
    return None if job.ordering_key is None else Lane(job.webhook_id, job.ordering_key)


def _claimed_event(claimed: Claimed, worker: str) -> TrailEvent:
    return TrailEvent(claimed.at, "claimed", worker=worker, probe=claimed.probe or None)


def _call_event(attempt: Attempt) -> TrailEvent:
    code = attempt.verdict.code
    name = "refused" if code in _REFUSED else "called"
    return TrailEvent(
        stamp(), name, call_id=str(attempt.id), ms=attempt.elapsed_ms, status_code=attempt.status, code=code
    )


def _end_event(decision: Decision) -> TrailEvent:
    if decision.status == "pending":
        again = iso(now() + timedelta(seconds=decision.pause_s))
        return TrailEvent(stamp(), "retry", retry_at=again, code=decision.code, once=decision.once or None)
    return TrailEvent(stamp(), decision.status, code=decision.code)
