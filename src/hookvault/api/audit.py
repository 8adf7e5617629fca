"""The audit log over HTTP: a tenant's, and the platform's with all of them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from hookvault.api.context import Cursor, Limit, Services, TenantID, Who, problems
from hookvault.api.schemas import AuditEventOut, PageOut
from hookvault.api.trail import note_read
from hookvault.audit.model import AuditEvent, AuditFilter, Outcome
from hookvault.errors import InvalidError
from hookvault.ids import NAME_PATTERN
from hookvault.paging import Page

router = APIRouter(prefix="/api/platform", tags=["Audit"])

OfTenant = Annotated[str | None, Query(alias="tenantId", pattern=NAME_PATTERN)]
Action = Annotated[str | None, Query(pattern=r"^[a-z_]{1,40}\.[a-z_]{1,40}$", description="Such as webhook.updated.")]
ActorID = Annotated[
    str | None,
    Query(alias="actorId", min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$", description="As in `actorId`."),
]
Start = Annotated[AwareDatetime | None, Query(alias="startDate", description="ISO 8601; to the millisecond.")]
End = Annotated[AwareDatetime | None, Query(alias="endDate", description="ISO 8601; exclusive.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """How the list was narrowed, as the query says it."""

    action: Action = None
    outcome: Outcome | None = None
    actor_id: ActorID = None
    start: Start = None
    end: End = None

    def of(self, tenant_id: str | None) -> AuditFilter:
        """For one tenant, or (None) all. Raises InvalidError, code `invalid_range`, where it ends before it starts."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise InvalidError("The range must start before it ends.", code="invalid_range")
        return AuditFilter(tenant_id, self.action, self.outcome, self.actor_id, self.start, self.end)

    @property
    def noted(self) -> dict[str, str | None]:
        """For the event of reading. Times are left out: each would be another kind of event."""
        return {"action": self.action, "outcome": self.outcome, "actorId": self.actor_id}


Narrowed = Annotated[Asked, Depends()]


@router.get("/tenants/{tenantId}/audit", responses=problems(404))
async def list_audit_events(
    app: Services, who: Who, tenant_id: TenantID, asked: Narrowed, *, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[AuditEventOut]:
    """Who did what in a tenant, newest first."""
    page = await app.audit.list_events(tenant_id, asked.of(tenant_id), limit=limit, cursor=cursor)
    note_read(app, who, "audit.listed", tenant_id, **asked.noted)
    return _out(page)


@router.get("/audit", responses=problems())
async def list_all_audit_events(
    app: Services, who: Who, asked: Narrowed, *, tenant_id: OfTenant = None, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[AuditEventOut]:
    """Who did what anywhere, the platform's own events among them, newest first."""
    page = await app.audit.list_all(asked.of(tenant_id), limit=limit, cursor=cursor)
    note_read(app, who, "audit.listed", None, tenantId=tenant_id, **asked.noted)
    return _out(page)


def _out(page: Page[AuditEvent]) -> PageOut[AuditEventOut]:
    items = [AuditEventOut.model_validate(event) for event in page.items]
    return PageOut(items=items, next_cursor=page.next_cursor)
