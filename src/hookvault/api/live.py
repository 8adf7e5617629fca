"""Calls as they are recorded, by Server-Sent Events."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hookvault.analytics.filter import check
from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail.model import LiveCall
from hookvault.analytics.tail.reader import Reader, Taken
from hookvault.api.asked import Cause, MaxTime, MinTime, OfTenant, OfWebhook, Status, Trigger
from hookvault.api.context import Services, TenantID, asking_of, problems
from hookvault.api.entry import is_still_allowed
from hookvault.api.schemas import Moment, Wire
from hookvault.api.services import App
from hookvault.clock import iso, now
from hookvault.errors import InvalidError
from hookvault.ids import id_time

router = APIRouter(prefix="/api/platform", tags=["Analytics"])

HEARTBEAT_S = 15.0
_RETRY = b"retry: 2000\n\n"
_HEARTBEAT = b": still here\n\n"
_HEADERS = {"X-Accel-Buffering": "no"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_AHEAD = timedelta(days=1)


class LiveCallOut(Wire):
    """The `data` of an event `call`: a recorded call without its bodies. `responseTime` is in ms; `cause` is why it failed."""

    id: UUID
    tenant_id: str
    webhook_id: UUID
    workflow_name: str | None
    timestamp: Moment
    status_code: int | None
    response_time: int
    success: bool
    error_code: str | None
    error_message: str | None
    cause: str | None
    triggered_by: str | None
    delivery_id: UUID | None
    attempt: int
    retry_of: UUID | None


class EventStream(StreamingResponse):
    """The stream of a reader, who leaves as soon as it ends, however that comes about.

    Args:
        app: The services.
        reader: Whose.
        allowed: Whether the reader may still be answered; asked now and again.
        write: What is taken as events, in portions.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        app: App,
        reader: Reader,
        allowed: Callable[[], Awaitable[bool]],
        *,
        write: Callable[[Taken], Iterator[bytes]] | None = None,
        status_code: int = 200,
    ) -> None:
        super().__init__(_chunks(reader, allowed, write or _written), status_code, headers=_HEADERS)
        self._app = app
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._app.tail.leave(self._reader)


def _filter(
    *,
    webhook_id: OfWebhook = None,
    status: Status = None,
    cause: Cause = None,
    min_time: MinTime = None,
    max_time: MaxTime = None,
    triggered_by: Trigger = None,
) -> CallFilter:
    which = CallFilter(
        webhook_id=webhook_id,
        status=status,
        cause=cause,
        min_time=min_time,
        max_time=max_time,
        triggered_by=triggered_by,
    )
    check(which)
    return which


def _last(
    header: Annotated[
        UUID | None, Header(alias="Last-Event-ID", description="The last event seen: the stream goes on after it.")
    ] = None,
    query: Annotated[
        UUID | None, Query(alias="lastEventId", description="The same, where no header can be set.")
    ] = None,
) -> UUID | None:
    """The call to go on after. Raises InvalidError, code `invalid_event_id`."""
    last = query if header is None else header  # a browser that connects anew sends the header, and the old URL
    return None if last is None else check_last(last)


def check_last(last: UUID) -> UUID:
    """The id of a last event, found to be one that a call can have. Raises InvalidError, code `invalid_event_id`."""
    try:
        known = last.version == 7 and id_time(last) < now() + _AHEAD
    except OverflowError:
        known = False
    if not known:
        raise InvalidError("The last event's id is none of a recorded call.", code="invalid_event_id")
    return last


Which = Annotated[CallFilter, Depends(_filter)]
Last = Annotated[UUID | None, Depends(_last)]


def _streams(*statuses: int) -> dict[int | str, dict[str, Any]]:
    description = (
        "Events `call`, whose `id` is the call's and whose `data` is a LiveCallOut as JSON, and `missed`, whose `data` is "
        '`{"count": n}`: so many calls were left out before the next one; null where their number is not known. '
        "A comment comes every 15 seconds."
    )
    content = {"text/event-stream": {"schema": {"type": "string"}}}
    return {200: {"description": description, "content": content}, **problems(*statuses)}


@router.get("/tenants/{tenantId}/webhooks/analytics/live", response_class=EventStream, responses=_streams(404, 429))
async def watch_tenant_calls(
    app: Services, request: Request, tenant_id: TenantID, which: Which, last: Last
) -> EventStream:
    """A tenant's calls as they are recorded, as Server-Sent Events."""
    return await _open(app, request, _of_tenant(which, tenant_id), last)


@router.get("/calls/live", response_class=EventStream, responses=_streams(404, 429))
async def watch_calls(
    app: Services,
    request: Request,
    which: Which,
    last: Last,
    tenant_id: OfTenant = None,
) -> EventStream:
    """All tenants' calls as they are recorded, as Server-Sent Events."""
    return await _open(app, request, _of_tenant(which, tenant_id), last)


async def _open(app: App, request: Request, which: CallFilter, last: UUID | None) -> EventStream:
    async def allowed() -> bool:
        return await is_still_allowed(app, request.scope)

    principal = asking_of(request).principal
    session = principal.session if principal else None
    person = session.user.id if session else None
    return EventStream(app, await app.tail.open(which, last, person=person), allowed)


async def _chunks(
    reader: Reader, allowed: Callable[[], Awaitable[bool]], write: Callable[[Taken], Iterator[bytes]]
) -> AsyncIterator[bytes]:
    yield _RETRY
    checked = time.monotonic()
    while not reader.ended:
        taken = await reader.take(HEARTBEAT_S)
        if reader.doubted or time.monotonic() - checked >= HEARTBEAT_S:
            reader.doubted, checked = False, time.monotonic()
            if not await allowed():
                return
        if not reader.ended and not (taken.calls or taken.missed or taken.unsure):
            yield _HEARTBEAT
        for part in () if reader.ended else write(taken):
            yield part


def _written(taken: Taken) -> Iterator[bytes]:
    """All that was taken in one portion: its calls are written already where another reader had them."""
    parts = []
    if taken.missed or taken.unsure:
        count = None if taken.unsure else taken.missed
        parts.append(b"event: missed\ndata: %s\n\n" % msgspec.json.encode({"count": count}))
    for call in taken.calls:
        call.text = call.text or _event(call)
        parts.append(call.text)
    yield b"".join(parts)


def _event(call: LiveCall) -> bytes:
    data = {
        "id": str(call.id),
        "tenantId": call.tenant_id,
        "webhookId": str(call.webhook_id),
        "workflowName": call.workflow_name,
        "timestamp": iso(call.timestamp),
        "statusCode": call.status_code,
        "responseTime": call.response_time,
        "success": call.success,
        "errorCode": call.error_code,
        "errorMessage": _clean(call.error_message),
        "cause": call.cause,
        "triggeredBy": _clean(call.triggered_by),
        "deliveryId": None if call.delivery_id is None else str(call.delivery_id),
        "attempt": call.attempt,
        "retryOf": None if call.retry_of is None else str(call.retry_of),
    }
    return b"id: %s\nevent: call\ndata: %s\n\n" % (str(call.id).encode(), msgspec.json.encode(data))


def _clean(text: str | None) -> str | None:
    """Text as UTF-8 can hold it."""
    return None if text is None else _SURROGATE.sub("\ufffd", text)


def _of_tenant(which: CallFilter, tenant_id: str | None) -> CallFilter:
    return replace(which, tenant_id=tenant_id)
