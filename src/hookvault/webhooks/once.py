"""Calls with an idempotency key: made once, answered alike however often they are asked for."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from hookvault.admission.idempotency import Answered, IdempotencyKeys, check_key
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError
from hookvault.fault import fault_point
from hookvault.ids import id_time, new_id
from hookvault.webhooks import store
from hookvault.webhooks.delivery import request_hash
from hookvault.webhooks.model import CallRequest, CallResult

_MARGIN_S = 15.0  # beyond the call's own budget, for its record's commit

Run = Callable[[UUID], Awaitable[CallResult]]


class OnceCaller:
    """Makes calls whose requests carry an idempotency key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = IdempotencyKeys(database)

    async def find(self, tenant_id: str, workflow_name: str, request: CallRequest) -> CallResult | None:
        """The result that a request with this key got before, whatever became of its webhook since; None when it got none.

        Raises:
            InvalidError: `invalid_idempotency_key`.
            ConflictError: `idempotency_conflict`.
        """
        key = request.idempotency_key or ""
        check_key(key)
        found = await self._keys.find((tenant_id, key), request_hash("call", workflow_name, request))
        return None if found is None or found.answer is None else _result(found.answer)

    async def call(
        self, tenant_id: str, workflow_name: str, request: CallRequest, budget_s: float, run: Run
    ) -> CallResult:
        """The result of `run`, which is given the call's id; or of the first request with this key.

        A process that died over a call is found out by its key. If the call was recorded, that is the answer; if not, it is
        made again under the same webhook-id, so that its receiver can tell.

        Raises:
            InvalidError: `invalid_idempotency_key`.
            ConflictError: `idempotency_conflict` or `idempotency_in_progress`.
        """
        check_key(request.idempotency_key or "")
        place = (tenant_id, request.idempotency_key or "")
        hashed = request_hash("call", workflow_name, request)
        begun = await self._keys.begin(place, hashed, new_id(), budget_s + _MARGIN_S)
        if isinstance(begun, Answered):
            return _result(begun.answer)
        fault_point("once.after_begin")
        result = await self._recorded(tenant_id, begun.message_id) if begun.taken_over else None
        try:
            result = result or await run(begun.message_id)
        except HookvaultError as error:
            if error.code != "recording_unavailable":  # nothing was sent: the key is free again
                await self._keys.forget(place, begun.message_id)
            raise
        fault_point("once.before_finish")
        await self._keys.finish(place, begun.message_id, _answer(result))
        return result

    async def _recorded(self, tenant_id: str, call_id: UUID) -> CallResult | None:
        async with self._database.tenant(tenant_id) as tx:
            row = await store.find_result(tx, call_id, id_time(call_id))
        if row is None:
            return None
        body = row["response_body"]
        return CallResult(
            call_id=call_id,
            success=row["success"],
            status_code=row["status_code"],
            response_body=None if body is None else body.encode(),
            response_time=row["response_time"],
            attempts=row["attempts"],
            error_code=row["error_code"],
            error_message=row["error_message"],
            kept_body=None if body is None else body.encode(),
        )


def _answer(result: CallResult) -> dict[str, Any]:
    """A result as the key keeps it: the body, as far as it may be stored, stays JSON text, to be answered as the first time."""
    fields = {name: getattr(result, name) for name in CallResult.__slots__ if name != "kept_body"}
    body = result.kept_body
    return fields | {"call_id": str(result.call_id), "response_body": None if body is None else body.decode()}


def _result(answer: Any) -> CallResult:
    fields = json.loads(answer) if isinstance(answer, str) else dict(answer)
    body = fields["response_body"]
    made = CallResult(
        **fields | {"call_id": UUID(fields["call_id"]), "response_body": None if body is None else body.encode()}
    )
    return replace(made, replayed=True)
