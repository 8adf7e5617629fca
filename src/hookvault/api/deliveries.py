"""A tenant's deliveries over HTTP: accepted, told, made again."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from hookvault.api.context import Cursor, Limit, Services, TenantID, Who, problems
from hookvault.api.deliver import PATH, perform_delivery
from hookvault.api.hot import answer_hot
from hookvault.api.schemas import DeliveryAcceptedOut, DeliveryBodyIn, PageOut
from hookvault.api.story import DeliveryOut, DeliveryStoryOut, ReplayIn, ReplayOut, ReplayPreviewOut, story_out
from hookvault.deliveries.model import DeliveryFilter, Status
from hookvault.errors import InvalidError
from hookvault.ids import NAME_PATTERN

router = APIRouter(prefix="/api/tenants/{tenantId}/deliveries", tags=["Deliveries"])
accepting = APIRouter(tags=["Deliveries"])

DeliveryID = Annotated[UUID, Path(alias="deliveryId")]
ReplayID = Annotated[UUID, Path(alias="replayId")]
Workflow = Annotated[str | None, Query(alias="workflowName", pattern=NAME_PATTERN)]
StatusOf = Annotated[list[Status] | None, Query(alias="status", description="Any of these.")]
KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
    "description": "The same key and body give the first answer for 24 hours.",
}


@accepting.post(
    PATH,
    status_code=202,
    response_model=DeliveryAcceptedOut,
    responses=problems(404, 409),
    openapi_extra={
        "parameters": [KEY_HEADER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": DeliveryBodyIn.model_json_schema()}},
        },
    },
)
async def deliver(
    app: Services,
    tenant_id: TenantID,
    workflow_name: Annotated[str, Path(alias="workflowName", pattern=NAME_PATTERN)],
    request: Request,
) -> Response:
    """Accepts a delivery: committed before this answers, sent in the background with retries."""
    named = (tenant_id, workflow_name)
    status, body, headers = await answer_hot(app, request.scope, request.receive, named, perform_delivery)
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


@router.get("", responses=problems(404))
async def list_deliveries(
    app: Services,
    tenant_id: TenantID,
    *,
    status: StatusOf = None,
    workflow_name: Workflow = None,
    error_code: Annotated[str | None, Query(alias="errorCode", max_length=64)] = None,
    start_date: Annotated[datetime | None, Query(alias="startDate")] = None,
    end_date: Annotated[datetime | None, Query(alias="endDate")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> PageOut[DeliveryOut]:
    """A tenant's deliveries, newest first; the times are of acceptance, the end exclusive."""
    which = await _filter(
        app, tenant_id, workflow_name, DeliveryFilter(tuple(status or ()), None, error_code, start_date, end_date)
    )
    page = await app.deliveries.list_deliveries(tenant_id, which, limit=limit, cursor=cursor)
    return PageOut(items=[DeliveryOut.model_validate(item) for item in page.items], next_cursor=page.next_cursor)


@router.get("/replays", responses=problems(404))
async def list_replays(
    app: Services, tenant_id: TenantID, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[ReplayOut]:
    """A tenant's replays, newest first."""
    page = await app.replays.list_page(tenant_id, limit=limit, cursor=cursor)
    return PageOut(items=[ReplayOut.model_validate(item) for item in page.items], next_cursor=page.next_cursor)


@router.get("/replays/{replayId}", responses=problems(404))
async def get_replay(app: Services, tenant_id: TenantID, replay_id: ReplayID) -> ReplayOut:
    """One replay and how far it came."""
    return ReplayOut.model_validate(await app.replays.get(tenant_id, replay_id))


@router.post("/replays/{replayId}/cancel", responses=problems(404, 409))
async def cancel_replay(app: Services, who: Who, tenant_id: TenantID, replay_id: ReplayID) -> ReplayOut:
    """Stops a replay; what it made already is delivered all the same."""
    return ReplayOut.model_validate(await app.replays.cancel(tenant_id, replay_id, actor=who.actor))


@router.post(
    "/replay",
    status_code=202,
    responses={**problems(404), 200: {"model": ReplayPreviewOut, "description": "With preview: the count only."}},
    response_model=ReplayOut,
)
async def replay_many(app: Services, who: Who, tenant_id: TenantID, body: ReplayIn, response: Response) -> Any:
    """Makes deliveries again that a filter names, in the background. With `preview` nothing is made, only counted."""
    given = DeliveryFilter(tuple(body.status), body.webhook_id, body.error_code, body.start_date, body.end_date)
    which = await _filter(app, tenant_id, body.workflow_name, given)
    if body.preview:
        found = await app.replays.preview(tenant_id, which, body.rate_per_second)
        response.status_code = 200
        answer = ReplayPreviewOut(count=found.deliveries, seconds=found.seconds)
        return Response(answer.model_dump_json(by_alias=True), media_type="application/json")
    replay = await app.replays.start(tenant_id, which, rate=body.rate_per_second, actor=who.actor)
    response.headers["location"] = f"/api/tenants/{tenant_id}/deliveries/replays/{replay.id}"
    return ReplayOut.model_validate(replay)


@router.get("/{deliveryId}", responses=problems(404))
async def get_delivery(app: Services, tenant_id: TenantID, delivery_id: DeliveryID) -> DeliveryStoryOut:
    """A delivery's whole story: its calls, its trail, and when it is tried next."""
    story = await app.deliveries.get_delivery(tenant_id, delivery_id)
    calls = await app.analytics.get_calls(tenant_id, story.call_ids)
    return story_out(story, calls)


@router.post("/{deliveryId}/replay", status_code=202, responses=problems(404, 409))
async def replay_delivery(app: Services, who: Who, tenant_id: TenantID, delivery_id: DeliveryID) -> DeliveryAcceptedOut:
    """Makes one delivery again, to the webhook as it is now."""
    return DeliveryAcceptedOut(delivery_id=await app.replays.replay(tenant_id, delivery_id, actor=who.actor))


async def _filter(app: Services, tenant_id: str, workflow_name: str | None, which: DeliveryFilter) -> DeliveryFilter:
    """The filter with its webhook's id in place of its name, and every time with a zone."""
    if any(moment is not None and moment.tzinfo is None for moment in (which.start, which.end)):
        raise InvalidError(
            "startDate and endDate must name their time zone, such as a Z at the end.", code="invalid_range"
        )
    if workflow_name is None:
        return which
    webhook = await app.webhooks.get_n8n_webhook_by_name(tenant_id, workflow_name)
    return replace(which, webhook_id=webhook.id)
