"""A tenant of the platform."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hookvault.admission.model import RateLimit

TenantStatus = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """One row of tenants. `version` counts its changes, for If-Match. The limits hold over all its webhooks together.

    `retention_days` is for how long its calls are kept; None, or more than the platform's, is as long as the platform's.
    """

    id: str
    slug: str
    name: str
    status: TenantStatus
    version: int
    created_at: datetime
    updated_at: datetime
    rate_limit: RateLimit | None = None
    concurrency: int | None = None
    retention_days: int | None = None
