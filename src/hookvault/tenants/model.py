"""A tenant of the platform."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

TenantStatus = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """One row of tenants. `version` counts its changes, for If-Match."""

    id: str
    slug: str
    name: str
    status: TenantStatus
    version: int
    created_at: datetime
    updated_at: datetime
