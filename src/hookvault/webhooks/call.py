"""Calls a webhook: attempts within the caller's budget, each judged and recorded, answered once all are committed."""

import asyncio
import random
import time
from contextlib import suppress
from uuid import UUID

from hookvault.admission.limits import Limits
from hookvault.errors import HookvaultError, TooManyRequestsError, UnavailableError
from hookvault.ids import new_id
from hookvault.outbound.client import OutboundClient
from hookvault.webhooks.attempt import Attempt, elapsed_ms, make_attempt, record_of
from hookvault.webhooks.circuit import Circuits
from hookvault.webhooks.endpoint import Endpoint, Endpoints
from hookvault.webhooks.gate import Gate
from hookvault.webhooks.model import MAX_BUDGET_MS, CallRequest, CallResult
from hookvault.webhooks.outcome import pause_before
from hookvault.webhooks.payload import encode_payload, storable
from hookvault.webhooks.record import Recorder

_JITTER = 0.2


class Caller:
    """Makes calls. One per process: it owns the bound on calls in flight."""

    def __init__(
        self,
        client: OutboundClient,
        recorder: Recorder,
        gate: Gate,
        limits: Limits,
        circuits: Circuits,
        *,
        endpoints: Endpoints,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._recorder = recorder
        self._gate = gate
        self._limits = limits
        self._circuits = circuits
        self._random = random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def call(
        self, endpoint: Endpoint, request: CallRequest, *, default_timeout_s: float, call_id: UUID | None = None
    ) -> CallResult:
        """Calls a webhook until it succeeds, the verdict is final, or retries or budget are used up.

        The receiver's faults are results, not errors. Every attempt is committed before this returns.

        Args:
            endpoint: The webhook.
            request: What to send.
            default_timeout_s: The budget where neither the request nor the webhook's policy names one.
            call_id: The first attempt's id and the message's; a new one when absent.

        Raises:
            TooManyRequestsError: `rate_limited` or `concurrency_limited`; nothing was sent.
            UnavailableError: `circuit_open` or `overloaded` before anything was sent, or `recording_unavailable` after.
        """
        budget_s = budget_of(endpoint, request, default_timeout_s)
        began = time.monotonic()
        deadline = began + budget_s
        await self._gate.enter(endpoint.tenant_id, budget_s)
        try:
            await self._limits.enter(endpoint.bounds)
            await self._pass_circuit(endpoint)
            try:
                attempts, commits, kept = await self._attempts(
                    endpoint, request, (began, deadline), call_id or new_id()
                )
            finally:
                self._limits.leave(endpoint.bounds)
        finally:
            self._gate.leave(endpoint.tenant_id)
        for commit in commits:
            await commit
        verdict = attempts[-1].verdict
        if endpoint.circuit_open and not verdict.broken:
            with suppress(HookvaultError):  # the call is made and recorded; the next probe closes it
                await self._circuits.close(endpoint.tenant_id, endpoint.webhook_id)
        elif any(attempt.verdict.broken for attempt in attempts):
            self._circuits.note(endpoint.tenant_id, endpoint.webhook_id)
        return _result(attempts, time.monotonic() - began, kept)

    async def _pass_circuit(self, endpoint: Endpoint) -> None:
        """After the limits: a probe that they refuse would be spent for nothing, and leave the circuit open for longer."""
        if not endpoint.circuit_open:
            return
        try:
            await self._circuits.enter(endpoint.tenant_id, endpoint.webhook_id)
        except BaseException:
            await self._limits.refund(endpoint.bounds, 1)
            raise

    async def _attempts(
        self, endpoint: Endpoint, request: CallRequest, span: tuple[float, float], first: UUID
    ) -> tuple[list[Attempt], list["asyncio.Future[None]"], bytes | None]:
        began, deadline = span
        retries = request.max_retries if request.max_retries is not None else endpoint.policy.max_retries or 0
        metadata = None if request.metadata is None else storable(encode_payload(request.metadata))[0]
        payload, altered = storable(request.payload)
        attempts: list[Attempt] = []
        commits: list[asyncio.Future[None]] = []
        while True:
            number = len(attempts) + 1
            identity = (first, first if number == 1 else new_id())
            remaining = max(deadline - time.monotonic(), 0.001)
            attempt = await make_attempt(self._client, endpoint, identity, request.payload, remaining)
            attempts.append(attempt)
            record = record_of(
                await self._endpoints.latest(endpoint, began),
                attempt,
                number=number,
                payload=payload,
                triggered_by=request.triggered_by,
                metadata=metadata,
                altered=altered,
                retry_of=None if number == 1 else first,
            )
            commits.append(self._recorder.put(record))
            if not (pause := self._pause(attempts, retries)) or time.monotonic() + pause >= deadline:
                return attempts, commits, record.response_body
            await asyncio.sleep(pause)
            if not await self._may_retry(endpoint):
                return attempts, commits, record.response_body

    def _pause(self, attempts: list[Attempt], retries: int) -> float | None:
        attempt, number = attempts[-1], len(attempts)
        verdict = attempt.verdict
        again = verdict.once and number > 1 and attempts[-2].verdict.once
        if not verdict.retry or number > retries or again:
            return None
        if verdict.pause_s is not None:
            return verdict.pause_s
        # Never nothing, or an answer that asks for no pause at all would end the retries.
        return max(pause_before(number, attempt.retry_headers, 1 + self._random.uniform(-_JITTER, _JITTER)), 0.001)

    async def _may_retry(self, endpoint: Endpoint) -> bool:
        """Whether the rate limits leave room for a retry; the place in flight is kept from one attempt to the next."""
        rates = [bound._replace(concurrency=None) for bound in endpoint.bounds if bound.rate is not None]
        try:
            await self._limits.enter(rates)
        except (TooManyRequestsError, UnavailableError):  # what was called has its result all the same
            return False
        return True


def budget_of(endpoint: Endpoint, request: CallRequest, default_timeout_s: float) -> float:
    """Seconds that a call, or one attempt of a delivery, may take."""
    return min(request.timeout_ms or endpoint.policy.timeout_ms or default_timeout_s * 1000, MAX_BUDGET_MS) / 1000


def _result(attempts: list[Attempt], elapsed_s: float, kept: bytes | None) -> CallResult:
    last = attempts[-1]
    return CallResult(
        call_id=attempts[0].id,
        success=last.verdict.success,
        status_code=last.status,
        response_body=last.body,
        response_time=last.elapsed_ms if len(attempts) == 1 else elapsed_ms(elapsed_s),
        attempts=len(attempts),
        error_code=last.verdict.code,
        error_message=last.verdict.message,
        kept_body=kept,
    )
