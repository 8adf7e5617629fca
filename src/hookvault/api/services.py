"""What the API needs of the application; `hookvault.wiring.App` is one. The API does not know how it is put together."""

from collections.abc import Mapping
from typing import Protocol

from hookvault.accounts.assembly import Accounts
from hookvault.accounts.keys import APIKeyService
from hookvault.analytics.census import CensusService
from hookvault.analytics.figures import FiguresService
from hookvault.analytics.retention.expunge import ExpungeService
from hookvault.analytics.retention.service import RetentionService
from hookvault.analytics.rolling.roller import Roller
from hookvault.analytics.service import AnalyticsService
from hookvault.analytics.tail.hub import Tail
from hookvault.audit.service import AuditService
from hookvault.custody.keys import KeyService
from hookvault.custody.presence import Presence
from hookvault.custody.rekey import RekeyService
from hookvault.custody.scan import ScanService
from hookvault.db.pool import Database
from hookvault.demo.service import DemoService
from hookvault.integrations.rotation import RotationService
from hookvault.integrations.service import IntegrationService
from hookvault.integrations.trial import IntegrationTrials
from hookvault.ledger.model import Ledger
from hookvault.settings import Settings
from hookvault.tenants.service import TenantService
from hookvault.webhooks.delivery import DeliveryService
from hookvault.webhooks.enqueue import Enqueuer
from hookvault.webhooks.gate import Gate
from hookvault.webhooks.record import Recorder
from hookvault.webhooks.replay import ReplayService
from hookvault.webhooks.service import WebhookService
from hookvault.webhooks.trial import TrialService


class App(Protocol):
    """One process's services."""

    settings: Settings
    database: Database
    tenants: TenantService
    integrations: IntegrationService
    integration_trials: IntegrationTrials
    rotations: RotationService
    webhooks: WebhookService
    deliveries: DeliveryService
    replays: ReplayService
    trials: TrialService
    analytics: AnalyticsService
    figures: FiguresService
    census: CensusService
    roller: Roller
    tail: Tail
    retention: RetentionService
    expunging: ExpungeService
    api_keys: APIKeyService
    accounts: Accounts
    audit: AuditService
    keys: KeyService
    rekeys: RekeyService
    scans: ScanService
    presence: Presence
    gate: Gate
    recorder: Recorder
    enqueuer: Enqueuer
    demo: DemoService

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the process counts beyond its calls, by metric name."""

    async def ledger(self) -> Ledger:
        """The account of all deliveries."""
