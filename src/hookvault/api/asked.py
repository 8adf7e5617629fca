"""What may be asked of recorded calls, as query parameters that several routes share."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from hookvault.analytics.cause import CAUSES
from hookvault.analytics.filter import LONGEST_TIME, LONGEST_TRIGGER
from hookvault.ids import NAME_PATTERN

Start = Annotated[datetime | None, Query(alias="startDate", description="ISO 8601; by default 30 days before the end.")]
End = Annotated[datetime | None, Query(alias="endDate", description="ISO 8601, exclusive; by default now.")]
OfTenant = Annotated[str | None, Query(alias="tenantId", pattern=NAME_PATTERN)]
OfWebhook = Annotated[UUID | None, Query(alias="webhookId")]
Status = Annotated[str | None, Query(max_length=7, description="success, failed, a class such as 5xx, or a code.")]
Cause = Annotated[str | None, Query(max_length=64, description=f"Why it failed: one of {', '.join(CAUSES)}.")]
MinTime = Annotated[int | None, Query(alias="minResponseTime", ge=0, le=LONGEST_TIME, description="In ms, at least.")]
MaxTime = Annotated[int | None, Query(alias="maxResponseTime", ge=0, le=LONGEST_TIME, description="In ms, at most.")]
Trigger = Annotated[str | None, Query(alias="triggeredBy", max_length=LONGEST_TRIGGER)]
