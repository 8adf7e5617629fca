"""Calls a webhook: attempts within the caller's budget, each judged and recorded, answered once all are committed."""

import asyncio
import random
import time
from dataclasses import dataclass
from uuid import UUID

from hookvault.errors import InvalidError
from hookvault.ids import id_time, new_id
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.errors import OutboundError
from hookvault.outbound.wire import Reply
from hookvault.webhooks.echo import Redactor
from hookvault.webhooks.endpoint import Endpoint
from hookvault.webhooks.gate import Gate
from hookvault.webhooks.headers import Headers, credentials, own_headers, recorded_headers, wire_headers
from hookvault.webhooks.model import CallRecord, CallRequest, CallResult
from hookvault.webhooks.outcome import Verdict, judge_error, judge_response, pause_before
from hookvault.webhooks.payload import encode_payload, response_json, storable
from hookvault.webhooks.record import Recorder

MAX_BUDGET_MS = 120_000
MAX_RETRIES = 10
_JITTER = 0.2


@dataclass(slots=True)
class _Attempt:
    """One attempt under way or done."""

    id: UUID
    number: int
    verdict: Verdict
    status: int | None
    body: bytes | None
    altered: bool
    elapsed_ms: int
    retry_headers: dict[str, str]


class Caller:
    """Makes calls. One per process: it owns the bound on calls in flight."""

    def __init__(self, client: OutboundClient, recorder: Recorder, gate: Gate) -> None:
        self._client = client
        self._recorder = recorder
        self._gate = gate
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def call(self, endpoint: Endpoint, request: CallRequest, *, default_timeout_s: float) -> CallResult:
        """Calls a webhook until it succeeds, the verdict is final, or retries or budget are used up.

        The receiver's faults are results, not errors. Every attempt is committed before this returns.

        Raises:
            UnavailableError: `overloaded` before anything was sent, or `recording_unavailable` after.
        """
        budget_s = (
            min(request.timeout_ms or endpoint.policy.timeout_ms or default_timeout_s * 1000, MAX_BUDGET_MS) / 1000
        )
        deadline = time.monotonic() + budget_s
        await self._gate.enter(endpoint.tenant_id, budget_s)
        try:
            attempts, commits = await self._attempts(endpoint, request, deadline)
        finally:
            self._gate.leave(endpoint.tenant_id)
        for commit in commits:
            await commit
        return _result(attempts, time.monotonic() - (deadline - budget_s))

    async def _attempts(
        self, endpoint: Endpoint, request: CallRequest, deadline: float
    ) -> tuple[list[_Attempt], list["asyncio.Future[None]"]]:
        retries = request.max_retries if request.max_retries is not None else endpoint.policy.max_retries or 0
        metadata = None if request.metadata is None else storable(encode_payload(request.metadata))[0]
        payload, altered = storable(request.payload)
        attempts: list[_Attempt] = []
        commits: list[asyncio.Future[None]] = []
        first = new_id()
        while True:
            number = len(attempts) + 1
            call_id = first if number == 1 else new_id()
            remaining = max(deadline - time.monotonic(), 0.001)
            own = own_headers(endpoint, first, call_id)
            headers = wire_headers(endpoint, own, request.payload)
            attempt = await self._attempt(endpoint, (call_id, number), (headers, request.payload), remaining)
            attempts.append(attempt)
            record = CallRecord(
                tenant_id=endpoint.tenant_id,
                id=call_id,
                webhook_id=endpoint.webhook_id,
                timestamp=id_time(call_id),
                request_payload=payload,
                request_headers=recorded_headers(endpoint, own),
                status_code=attempt.status,
                response_body=attempt.body,
                response_time=attempt.elapsed_ms,
                success=attempt.verdict.success,
                error_code=attempt.verdict.code,
                error_message=attempt.verdict.message,
                triggered_by=request.triggered_by,
                metadata=metadata,
                attempt=number,
                retry_of=None if number == 1 else first,
                altered=altered or attempt.altered,
            )
            commits.append(self._recorder.put(record))
            if not attempt.verdict.retry or number > retries:
                return attempts, commits
            pause = pause_before(number, attempt.retry_headers, 1 + self._random.uniform(-_JITTER, _JITTER))
            if time.monotonic() + pause >= deadline:
                return attempts, commits
            await asyncio.sleep(pause)

    async def _attempt(
        self,
        endpoint: Endpoint,
        identity: tuple[UUID, int],
        message: tuple[list[tuple[str, str]], bytes],
        timeout_s: float,
    ) -> _Attempt:
        headers, body = message
        began = time.monotonic()
        try:
            reply = await self._client.post(endpoint.target, body, headers, timeout_s=timeout_s)
        except (OutboundError, InvalidError) as error:
            verdict = judge_error(error.code, error.message, retry_on_timeout=endpoint.policy.retry_on_timeout)
            return _Attempt(*identity, verdict, None, None, False, _ms(time.monotonic() - began), {})
        return _judged(endpoint, identity, reply, headers)


def _judged(endpoint: Endpoint, identity: tuple[UUID, int], reply: Reply, headers: Headers) -> _Attempt:
    clean = endpoint.redactor.clean(reply.body, truncated=reply.truncated)
    if endpoint.auth_type == "jwt":  # what was signed for this call is a credential too, for as long as it is good
        clean = Redactor([credentials(headers)]).clean(clean, truncated=reply.truncated)
    body, altered = response_json(clean, truncated=reply.truncated)
    verdict = judge_response(reply.status, clean)
    retry_headers = dict(reply.headers) if verdict.retry else {}
    elapsed = _ms(reply.elapsed_ms / 1000)
    return _Attempt(*identity, verdict, reply.status, body, altered or clean != reply.body, elapsed, retry_headers)


def _result(attempts: list[_Attempt], elapsed_s: float) -> CallResult:
    last = attempts[-1]
    return CallResult(
        call_id=attempts[0].id,
        success=last.verdict.success,
        status_code=last.status,
        response_body=last.body,
        response_time=last.elapsed_ms if len(attempts) == 1 else _ms(elapsed_s),
        attempts=len(attempts),
        error_code=last.verdict.code,
        error_message=last.verdict.message,
    )


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
