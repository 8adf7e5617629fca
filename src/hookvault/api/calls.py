"""The call log over HTTP: of a tenant, of all tenants, and as a file."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from hookvault.analytics.export import FORMATS, Format, export, file_name, writer_of
from hookvault.analytics.model import CallFilter
from hookvault.analytics.walk import Reader
from hookvault.api.asked import Cause, End, MaxTime, MinTime, OfTenant, OfWebhook, Start, Status, Trigger
from hookvault.api.context import CallLimit, Cursor, Services, TenantID, Who, problems
from hookvault.api.download import Download, Places
from hookvault.api.entry import is_still_allowed
from hookvault.api.schemas import CallOut, PageOut
from hookvault.api.trail import note_read

router = APIRouter(prefix="/api/platform", tags=["Analytics"])

CallID = Annotated[UUID, Path(alias="callId")]
FormatOf = Annotated[Format, Query(alias="format", description="csv, ndjson or parquet.")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in FORMATS.values()}, "description": "A file, one call a row."}
}


def call_filter(
    *,
    start: Start = None,
    end: End = None,
    status: Status = None,
    webhook_id: OfWebhook = None,
    triggered_by: Trigger = None,
    cause: Cause = None,
    min_time: MinTime = None,
    max_time: MaxTime = None,
    call_id: Annotated[
        UUID | None, Query(alias="callId", description="A call and its retries, or the calls of a delivery of this id.")
    ] = None,
) -> CallFilter:
    """What a request asks of the call log."""
    return CallFilter(start, end, status, webhook_id, triggered_by, cause, min_time, max_time, call_id)


def platform_filter(which: Annotated[CallFilter, Depends(call_filter)], tenant_id: OfTenant = None) -> CallFilter:
    """What a request asks of the call log of all tenants."""
    return CallFilter(**{name: getattr(which, name) for name in CallFilter.__slots__} | {"tenant_id": tenant_id})


Which = Annotated[CallFilter, Depends(call_filter)]
WhichOfAll = Annotated[CallFilter, Depends(platform_filter)]


@router.get("/tenants/{tenantId}/webhooks/analytics", responses=problems(404))
async def list_tenant_calls(
    app: Services, tenant_id: TenantID, which: Which, limit: CallLimit = 100, cursor: Cursor = None
) -> PageOut[CallOut]:
    """A tenant's calls, newest first. A page may be short; `nextCursor` is null on the last."""
    page = await app.analytics.list_tenant_calls(tenant_id, which, limit=limit, cursor=cursor)
    return PageOut(items=[CallOut.model_validate(call) for call in page.items], next_cursor=page.next_cursor)


@router.get(
    "/tenants/{tenantId}/webhooks/analytics/export",
    response_class=Download,
    responses={**problems(404), **_FILE},
)
async def export_tenant_calls(
    app: Services, request: Request, who: Who, tenant_id: TenantID, which: Which, *, form: FormatOf = "csv"
) -> Download:
    """A tenant's calls as a file, newest first."""
    file = _file(app, request, await app.analytics.read_tenant_calls(tenant_id, which), form)
    note_read(app, who, "calls.exported", tenant_id, format=form)
    return file


@router.get("/tenants/{tenantId}/calls/{callId}", responses=problems(404))
async def get_tenant_call(app: Services, tenant_id: TenantID, call_id: CallID) -> CallOut:
    """One call of a tenant."""
    return CallOut.model_validate(await app.analytics.get_call(tenant_id, call_id))


@router.get("/calls", responses=problems())
async def list_platform_calls(
    app: Services, which: WhichOfAll, limit: CallLimit = 100, cursor: Cursor = None
) -> PageOut[CallOut]:
    """All tenants' calls, newest first, deleted tenants' included. A page may be short; `nextCursor` is null on the last."""
    page = await app.analytics.list_platform_calls(which, limit=limit, cursor=cursor)
    return PageOut(items=[CallOut.model_validate(call) for call in page.items], next_cursor=page.next_cursor)


@router.get("/calls/export", response_class=Download, responses={**problems(), **_FILE})
async def export_platform_calls(
    app: Services, request: Request, who: Who, which: WhichOfAll, form: FormatOf = "csv"
) -> Download:
    """All tenants' calls as a file, newest first."""
    file = _file(app, request, await app.analytics.read_platform_calls(which), form)
    note_read(app, who, "calls.exported", None, format=form, tenantId=which.tenant_id)
    return file


@router.get("/calls/{callId}", responses=problems(404))
async def get_platform_call(app: Services, call_id: CallID) -> CallOut:
    """One call, whatever its tenant."""
    return CallOut.model_validate(await app.analytics.get_platform_call(call_id))


def _file(app: Services, request: Request, reader: Reader, form: Format) -> Download:
    """An attachment. Should it break off, the connection does too: an export is whole or it fails."""
    writer = writer_of(form)
    headers = {"content-disposition": f'attachment; filename="{file_name(reader.which, form)}"'}

    async def allowed() -> bool:
        return await is_still_allowed(app, request.scope)

    places: Places = request.app.state.exports
    places.take()
    return Download(export(reader, writer), places, allowed, headers=headers, media_type=FORMATS[form])
