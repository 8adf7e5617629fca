"""What a demo tenant is made of, and what the demo needs of the application."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hookvault.accounts.assembly import Accounts
from hookvault.accounts.keys import APIKeyService
from hookvault.analytics.rolling.roller import Roller
from hookvault.db.pool import Database
from hookvault.integrations.rotation import RotationService
from hookvault.integrations.service import IntegrationService
from hookvault.settings import Settings
from hookvault.tenants.service import TenantService
from hookvault.webhooks.delivery import DeliveryService
from hookvault.webhooks.endpoint import Endpoints
from hookvault.webhooks.replay import ReplayService
from hookvault.webhooks.service import WebhookService

Rhythm = Literal["office", "always", "evening", "morning"]
Auth = Literal["none", "bearer", "header", "basic", "jwt"]
Shares = Mapping[str, float]  # of each kind of answer or failure


@dataclass(frozen=True, slots=True)
class Workflow:
    """A webhook of a demo tenant, and how its workflow behaves.

    Attributes:
        name: The workflow name.
        description: For people.
        payload: What is sent, a key of `payload.MAKERS`.
        weight: How often it is called, beside the tenant's others; 0 is never.
        answers: What it answers now.
        typical_ms: The median of its answers' time.
        rhythm: When it is called.
        by: Who triggers it.
        auth: How a call authenticates itself.
        policy: As of `Policy`, in the API's names.
        before: What it answered until `since_h` hours ago, where that was different.
        since_h: When `answers` began, or the calls ended (`ended`), in hours before the present.
        ended: Whether nobody has called it since.
        active: Whether it is switched on in the end.
        deliver: How many of its live calls are deliveries.
    """

    name: str
    description: str
    payload: str
    weight: float
    answers: Shares
    typical_ms: int = 90
    rhythm: Rhythm = "office"
    by: str = "clinic-backend"
    auth: Auth = "none"
    policy: Mapping[str, Any] = field(default_factory=dict)
    before: Shares | None = None
    since_h: float = 0.0
    ended: bool = False
    active: bool = True
    deliver: float = 0.4


@dataclass(frozen=True, slots=True)
class House:
    """A demo tenant. `share` is how many of all calls are its; a suspended one was called until `ended_h` hours ago."""

    id: str
    name: str
    share: float
    workflows: tuple[Workflow, ...]
    whatsapp: Mapping[str, str] | None = None
    sms: Mapping[str, str] | None = None
    rate_limit: Mapping[str, int] | None = None
    suspended: bool = False
    ended_h: float = 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the tenants, how many calls they have, and the receiver's port."""

    tenants: tuple[str, ...]
    webhooks: int
    calls: int
    receiver_port: int


class Services(Protocol):
    """One process's services; `hookvault.wiring.App` is one."""

    settings: Settings
    database: Database
    tenants: TenantService
    integrations: IntegrationService
    rotations: RotationService
    webhooks: WebhookService
    endpoints: Endpoints
    deliveries: DeliveryService
    replays: ReplayService
    api_keys: APIKeyService
    accounts: Accounts
    roller: Roller
