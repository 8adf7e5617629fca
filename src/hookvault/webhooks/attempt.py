"""One HTTP attempt at a webhook, the same for a call, a delivery and a test: signed, sent, judged, cleaned, made a record."""

import time
from dataclasses import dataclass
from uuid import UUID

from hookvault.errors import InvalidError
from hookvault.ids import id_time
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.errors import OutboundError
from hookvault.outbound.timing import NONE, Phases
from hookvault.outbound.wire import Reply
from hookvault.webhooks.echo import Redactor
from hookvault.webhooks.endpoint import Endpoint
from hookvault.webhooks.headers import Headers, credentials, own_headers, recorded_headers, wire_headers
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.outcome import Verdict, judge_error, judge_response
from hookvault.webhooks.payload import response_json


@dataclass(slots=True)
class Attempt:
    """An attempt that was made. `retry_headers` are the response's, where a retry is possible; `own` holds no secret."""

    id: UUID
    verdict: Verdict
    status: int | None
    body: bytes | None
    altered: bool
    elapsed_ms: int
    retry_headers: dict[str, str]
    own: dict[str, str]
    phases: Phases = NONE


async def make_attempt(
    client: OutboundClient, endpoint: Endpoint, identity: tuple[UUID, UUID], payload: bytes, timeout_s: float
) -> Attempt:
    """Sends a payload to a webhook once. The receiver's faults are verdicts, not errors.

    Args:
        client: The one outbound client.
        endpoint: The webhook.
        identity: The message's id, the same on every retry, and this call's own.
        payload: JSON text, sent byte for byte.
        timeout_s: Seconds for everything together.
    """
    own = own_headers(endpoint, *identity)
    headers = wire_headers(endpoint, own, payload)
    began = time.monotonic()
    try:
        reply = await client.post(endpoint.target, payload, headers, timeout_s=timeout_s)
    except (OutboundError, InvalidError) as error:
        verdict = judge_error(error.code, error.message, retry_on_timeout=endpoint.policy.retry_on_timeout)
        phases = error.phases if isinstance(error, OutboundError) else NONE
        return Attempt(identity[1], verdict, None, None, False, elapsed_ms(time.monotonic() - began), {}, own, phases)
    return _judged(endpoint, identity[1], reply, headers, own)


def record_of(
    endpoint: Endpoint,
    attempt: Attempt,
    *,
    number: int,
    payload: bytes | None,
    triggered_by: str | None,
    metadata: bytes | None,
    altered: bool = False,
    retry_of: UUID | None = None,
    delivery_id: UUID | None = None,
) -> CallRecord:
    """The row of webhook_analytics of an attempt, as the webhook's policy lets it be kept.

    A delivery's payload is kept once, with the delivery.
    """
    body = attempt.body
    redaction = endpoint.redaction
    if redaction is not None:
        whole = (payload, metadata, body)
        payload, metadata, body = kept = tuple(map(redaction.kept, whole))
        altered = altered or any(one is not other for one, other in zip(kept, whole, strict=True))
    return CallRecord(
        endpoint.tenant_id,
        attempt.id,
        endpoint.webhook_id,
        id_time(attempt.id),
        payload,
        recorded_headers(endpoint, attempt.own),
        attempt.status,
        body,
        attempt.elapsed_ms,
        attempt.verdict.success,
        attempt.verdict.code,
        attempt.verdict.message,
        triggered_by,
        metadata,
        delivery_id,
        number,
        retry_of,
        altered or attempt.altered,
        *attempt.phases,
    )


def elapsed_ms(seconds: float) -> int:
    """Seconds as the milliseconds that records keep."""
    return max(0, round(seconds * 1000))


def _judged(endpoint: Endpoint, call_id: UUID, reply: Reply, headers: Headers, own: dict[str, str]) -> Attempt:
    clean = endpoint.redactor.clean(reply.body, truncated=reply.truncated)
    if endpoint.auth_type == "jwt":  # what was signed for this call is a credential too, for as long as it is good
        clean = Redactor([credentials(headers)]).clean(clean, truncated=reply.truncated)
    body, altered = response_json(clean, truncated=reply.truncated)
    again = endpoint.policy.retry_on_workflow_error
    verdict = judge_response(reply.status, clean, retry_on_workflow_error=again)
    retry_headers = dict(reply.headers) if verdict.retry else {}
    altered = altered or clean != reply.body
    took = elapsed_ms(reply.elapsed_ms / 1000)
    return Attempt(call_id, verdict, reply.status, body, altered, took, retry_headers, own, reply.phases)
