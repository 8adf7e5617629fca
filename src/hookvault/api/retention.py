"""What is kept and how much room it takes, and the removal of payloads, over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field

from hookvault.api.context import Services, TenantID, Who, problems
from hookvault.api.schemas import CallOut, Wire
from hookvault.api.story import DeliveryStoryOut, story_out

router = APIRouter(prefix="/api/platform", tags=["Retention"])

_TENANT = "/tenants/{tenantId}"


class SizeOut(Wire):
    """Bytes with indexes; the number of rows is an estimate."""

    bytes: int
    rows: int


class KindOut(Wire):
    """What is kept of one kind; `rows` are an estimate, null where there is none."""

    kind: str
    bytes: int
    rows: int | None


class DayOut(Wire):
    """What is kept of one day (UTC); days ahead are made already, and empty."""

    day: date
    calls: SizeOut
    deliveries: SizeOut


class StorageOut(Wire):
    """How much room the database takes, as of a minute ago at most. `days` are newest first."""

    database_bytes: int
    disk_free: int | None = Field(description="Bytes left on an embedded database's disk; else null.")
    retention_days: int = Field(description="The platform's; a tenant may have a shorter one.")
    oldest_day: date | None
    kinds: list[KindOut]
    days: list[DayOut]


@router.get("/storage", responses=problems())
async def get_storage(app: Services) -> StorageOut:
    """How much room everything takes, by kind and by day."""
    return StorageOut.model_validate(await app.retention.storage())


@router.post(f"{_TENANT}/calls/{{callId}}/expunge", responses=problems(404))
async def expunge_call(
    app: Services, who: Who, tenant_id: TenantID, call_id: Annotated[UUID, Path(alias="callId")]
) -> CallOut:
    """Removes what a call and its retries sent and were answered; that they were made, and how they went, stays. Idempotent."""
    await app.expunging.expunge_call(tenant_id, call_id, actor=who.actor)
    return CallOut.model_validate(await app.analytics.get_call(tenant_id, call_id))


@router.post(f"{_TENANT}/deliveries/{{deliveryId}}/expunge", responses=problems(404, 409))
async def expunge_delivery(
    app: Services, who: Who, tenant_id: TenantID, delivery_id: Annotated[UUID, Path(alias="deliveryId")]
) -> DeliveryStoryOut:
    """Removes what an ended delivery sent and its calls were answered. It can't be replayed then. Idempotent."""
    await app.expunging.expunge_delivery(tenant_id, delivery_id, actor=who.actor)
    story = await app.deliveries.get_delivery(tenant_id, delivery_id)
    return story_out(story, await app.analytics.get_calls(tenant_id, story.call_ids))
