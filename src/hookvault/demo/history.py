"""A month of calls: a rhythm of days and weeks, growth, an incident, retries; recorded as real calls are."""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.demo import payload as payloads
from hookvault.demo.answer import answer
from hookvault.demo.model import House, Rhythm, Shares, Workflow
from hookvault.ids import id_time
from hookvault.outbound.timing import Phases
from hookvault.webhooks.attempt import Attempt, record_of
from hookvault.webhooks.endpoint import Endpoint
from hookvault.webhooks.headers import own_headers
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.outcome import Verdict, judge_error, judge_response
from hookvault.webhooks.payload import encode_payload, response_json
from hookvault.webhooks.record import Registrar, make_days, write_calls

_BATCH = 2000
_SEED = 20_240
_HOUR = timedelta(hours=1)
# How much of a day's calls each hour (UTC) has.
_HOURS: Mapping[Rhythm, tuple[float, ...]] = {
    "office": (0, 0, 0, 0, 0.1, 0.4, 1.5, 4, 7, 9, 9, 8, 5, 6.5, 8.5, 8, 6, 3, 1, 0.4, 0.2, 0.1, 0, 0),
    "always": (0.8, 0.5, 0.4, 0.4, 0.6, 1.2, 2.5, 4, 5.5, 6, 6, 6, 5.5, 5.5, 6, 6, 5.5, 5.5, 6, 6, 5, 3.5, 2.2, 1.3),
    "evening": (0.1, 0, 0, 0, 0, 0, 0.2, 0.5, 0.8, 1, 1, 1.2, 1.5, 1.5, 2, 3, 5, 8, 9, 7, 4, 2, 0.8, 0.3),
    "morning": (0, 0, 0, 0, 0.5, 3, 9, 12, 8, 4, 2, 1, 0.5, 0.5, 0.5, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0),
}
_WEEK: Mapping[Rhythm, tuple[float, ...]] = {  # Monday to Sunday
    "office": (1.15, 1.1, 1, 1.05, 0.9, 0.22, 0.06),
    "always": (1.05, 1, 1, 1, 1, 0.75, 0.6),
    "evening": (1, 1, 1, 1, 1.1, 0.8, 0.5),
    "morning": (1.1, 1.05, 1, 1, 1, 0.35, 0.25),
}
# n8n was down on a Tuesday or Wednesday more than a week ago, for two hours of the afternoon.
_OUTAGE_AGE_D = 8
_OUTAGE_DAYS = (1, 2)
_OUTAGE_HOURS = (13, 15)
_OUTAGE: Shares = {"connection_error": 0.62, "timeout": 0.16, "starting": 0.12, "started": 0.10}
_SHARES = ((0.005, 0.04), (0.02, 0.08), (0.05, 0.14), (0.002, 0.03))  # of resolving, connecting, TLS and download
_KEPT = 0.7  # the share of calls that find a connection to their n8n still open
_SLUGGISH_AGE_D = 4  # a day on which everything took three times as long


@dataclass(frozen=True, slots=True)
class Past:
    """A time to tell of, and how many calls it had."""

    start: datetime
    end: datetime
    calls: int


async def tell(
    database: Database, houses: Mapping[str, House], endpoints: Mapping[str, Mapping[str, Endpoint]], past: Past
) -> int:
    """Records a month of calls of some tenants; how many.

    Args:
        database: Where.
        houses: The tenants, by the id that each was given.
        endpoints: Their webhooks, by tenant and workflow name.
        past: When, and how many calls about.
    """
    rng = random.Random(_SEED)  # noqa: S311 - the same story every time, guards nothing
    moments = sorted(_moments(rng, houses, past), key=lambda item: item[0])
    calls = itertools.chain.from_iterable(
        _called(rng, endpoints[tenant_id][workflow.name], workflow, moment, past.end)
        for moment, tenant_id, workflow in moments
    )
    registrar, told = Registrar(database), 0
    while batch := list(itertools.islice(calls, _BATCH)):
        await make_days(database, batch)
        await write_calls(database, batch, registrar=registrar)
        told += len(batch)
    return told


def shares_at(workflow: Workflow, moment: datetime, present: datetime) -> Shares:
    """What a workflow answers at a moment."""
    age = present - moment
    if _OUTAGE_HOURS[0] <= moment.hour < _OUTAGE_HOURS[1] and moment.date() == _outage(present):
        return _OUTAGE
    if workflow.before is not None and age > workflow.since_h * _HOUR:
        return workflow.before
    return workflow.answers


def _outage(present: datetime) -> date:
    days = (present.date() - timedelta(days=_OUTAGE_AGE_D + step) for step in range(7))
    return next(day for day in days if day.weekday() in _OUTAGE_DAYS)


def pick(rng: random.Random, shares: Shares) -> str:
    """A kind of answer, by its share."""
    return rng.choices(list(shares), list(shares.values()))[0]


def _moments(rng: random.Random, houses: Mapping[str, House], past: Past) -> Iterator[tuple[datetime, str, Workflow]]:
    for tenant_id, house in houses.items():
        whole = sum(workflow.weight for workflow in house.workflows)
        for workflow in house.workflows:
            end = past.end - max(house.ended_h, workflow.since_h if workflow.ended else 0.0) * _HOUR
            number = round(past.calls * house.share * workflow.weight / whole)
            yield from ((moment, tenant_id, workflow) for moment in _spread(rng, workflow, past.start, end, number))


def _spread(rng: random.Random, workflow: Workflow, start: datetime, end: datetime, number: int) -> Iterator[datetime]:
    """Moments of a workflow's calls, by its rhythm, with more of them towards the present."""
    hours = [start + _HOUR * step for step in range(max(0, math.ceil((end - start) / _HOUR)))]
    if not hours:
        return
    weights = [
        (_HOURS[workflow.rhythm][hour.hour] + 0.02)
        * _WEEK[workflow.rhythm][hour.weekday()]
        * (0.8 + 0.4 * step / len(hours))
        * rng.uniform(0.8, 1.2)
        for step, hour in enumerate(hours)
    ]
    for hour in rng.choices(hours, weights, k=number):
        moment = hour + _HOUR * rng.random()
        if moment < end:
            yield moment


def _called(
    rng: random.Random, endpoint: Endpoint, workflow: Workflow, moment: datetime, present: datetime
) -> Iterator[CallRecord]:
    """A call's attempts: one, and where it failed and may be tried again often a second one soon after."""
    content = encode_payload(payloads.payload(workflow.payload, rng, moment))
    noted = encode_payload(payloads.metadata(rng)) if rng.random() < 0.5 else None
    shares, first = shares_at(workflow, moment, present), _id_at(rng, moment)
    last = 1 + (workflow.policy.get("maxRetries", 1) if rng.random() < 0.7 else 0)
    identifier = first
    for number in range(1, last + 1):
        attempt = _attempt(rng, endpoint, workflow, (first, identifier), shares)
        yield record_of(
            endpoint,
            attempt,
            number=number,
            payload=content,
            triggered_by=workflow.by,
            metadata=noted,
            retry_of=None if number == 1 else first,
        )
        pause_s = attempt.elapsed_ms / 1000 + 0.2 * 2.0**number
        moment += timedelta(seconds=pause_s)
        if not attempt.verdict.retry or moment >= present:
            return
        identifier = _id_at(rng, moment)


def _attempt(
    rng: random.Random, endpoint: Endpoint, workflow: Workflow, identity: tuple[UUID, UUID], shares: Shares
) -> Attempt:
    kind, moment = pick(rng, shares), id_time(identity[1])
    own = {**own_headers(endpoint, *identity), "webhook-timestamp": str(int(moment.timestamp()))}
    slow = 3.0 if (now() - moment).days == _SLUGGISH_AGE_D else 1.0
    took = workflow.typical_ms * slow * rng.lognormvariate(0.0, 0.45)
    verdict = _unanswered(endpoint, workflow, kind)
    if verdict is not None:
        waited = workflow.policy.get("timeoutMs", 30_000) + rng.randint(0, 9) if kind == "timeout" else took / 20 + 1
        return Attempt(identity[1], verdict, None, None, False, round(waited), {}, own, _until(kind, waited))
    made = answer(kind, f"{endpoint.tenant_id}/{workflow.name}", payloads.result(rng))
    body, altered = response_json(made.body, truncated=False)
    judged = judge_response(made.status, made.body, retry_on_workflow_error=endpoint.policy.retry_on_workflow_error)
    took += 1000 * made.slow_s * rng.uniform(0.7, 1.6)
    whole = max(1, round(took))
    return Attempt(identity[1], judged, made.status, body, altered, whole, {}, own, _phases(rng, endpoint, whole))


def _phases(rng: random.Random, endpoint: Endpoint, took_ms: float) -> Phases:
    """Most calls find a connection that was kept; the others make one, which takes a part of the time."""
    resolve, connect, tls, download = (took_ms * rng.uniform(*share) for share in _SHARES)
    if rng.random() < _KEPT:
        return Phases(None, None, None, took_ms - download)
    if endpoint.target.scheme == "http":
        return Phases(resolve, connect, None, took_ms - resolve - connect - download)
    return Phases(resolve, connect, tls, took_ms - resolve - connect - tls - download)


def _until(kind: str, waited_ms: float) -> Phases:
    """How far a call came that brought no answer."""
    if kind == "timeout":
        return Phases(None, None, None, waited_ms)
    return Phases(waited_ms) if kind == "dns_error" else Phases(0.4, waited_ms - 0.4)


def _unanswered(endpoint: Endpoint, workflow: Workflow, kind: str) -> Verdict | None:
    """The verdict where no answer came; None where one did."""
    host, port = endpoint.target.host, endpoint.target.port
    seconds = workflow.policy.get("timeoutMs", 30_000) / 1000
    said = {
        "timeout": f"{host}:{port}: no response came within {seconds:.3g} s",
        "connection_error": f"can't connect to {host}:{port}: the connection was refused; nothing listens there, or a "
        "firewall rejects it",
        "dns_error": f"the name {host} could not be resolved within 5 s",
    }
    if kind not in said:
        return None
    return judge_error(kind, said[kind], retry_on_timeout=endpoint.policy.retry_on_timeout)


def _id_at(rng: random.Random, moment: datetime) -> UUID:
    """A UUIDv7 of a moment in the past (RFC 9562 section 5.7)."""
    milliseconds = int(moment.astimezone(UTC).timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0x2 << 62 | rng.getrandbits(62))
