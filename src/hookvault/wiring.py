"""The composition root: the only module that sees everything and puts it together."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from hookvault.accounts.admins import AdminService
from hookvault.accounts.assembly import Accounts, assemble
from hookvault.accounts.keys import APIKeyService
from hookvault.admission.limits import Limits
from hookvault.analytics.census import CensusService
from hookvault.analytics.figures import FiguresService
from hookvault.analytics.retention.expunge import ExpungeService
from hookvault.analytics.retention.service import RetentionService
from hookvault.analytics.rolling.roller import Roller
from hookvault.analytics.service import AnalyticsService
from hookvault.analytics.tail.hub import Tail
from hookvault.audit.service import AuditService
from hookvault.custody.keys import KeyService
from hookvault.custody.presence import BEAT_S, Presence
from hookvault.custody.rekey import RekeyService
from hookvault.custody.scan import ScanService
from hookvault.db import embedded
from hookvault.db.listen import LIVE, Listener
from hookvault.db.pool import Database
from hookvault.demo.service import DemoService
from hookvault.errors import HookvaultError
from hookvault.foundation import current_database, key_ring
from hookvault.ids import new_id
from hookvault.integrations.probe import Prober
from hookvault.integrations.rotation import RotationService
from hookvault.integrations.service import IntegrationService
from hookvault.integrations.trial import IntegrationTrials
from hookvault.ledger.model import Ledger
from hookvault.log import get_logger
from hookvault.loop import Loop
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.guard import AddressPolicy
from hookvault.queue.store import LEASE_S
from hookvault.settings import Settings
from hookvault.tenants.service import TenantService
from hookvault.vault.service import Vault
from hookvault.webhooks.call import Caller
from hookvault.webhooks.circuit import Circuits
from hookvault.webhooks.delivery import DeliveryService
from hookvault.webhooks.endpoint import Endpoints
from hookvault.webhooks.enqueue import Enqueuer
from hookvault.webhooks.gate import Gate
from hookvault.webhooks.record import Recorder
from hookvault.webhooks.replay import ReplayService
from hookvault.webhooks.service import WebhookService
from hookvault.webhooks.trial import TrialService
from hookvault.worker.engine import Worker
from hookvault.worker.upkeep import Upkeep

_log = get_logger()
DRAIN_S = 30.0  # for deliveries under way when a process is told to stop


@dataclass(slots=True)
class App:
    """One process's services, on one database. Make it with `build`, then `start` it where calls are made."""

    settings: Settings
    database: Database
    vault: Vault
    tenants: TenantService
    integrations: IntegrationService
    integration_trials: IntegrationTrials
    rotations: RotationService
    webhooks: WebhookService
    analytics: AnalyticsService
    figures: FiguresService
    census: CensusService
    roller: Roller
    tail: Tail
    retention: RetentionService
    expunging: ExpungeService
    api_keys: APIKeyService
    admins: AdminService
    accounts: Accounts
    audit: AuditService
    keys: KeyService
    rekeys: RekeyService
    scans: ScanService
    presence: Presence
    deliveries: DeliveryService
    replays: ReplayService
    trials: TrialService
    endpoints: Endpoints
    outbound: OutboundClient
    gate: Gate
    recorder: Recorder
    enqueuer: Enqueuer
    worker: Worker
    upkeep: Upkeep
    limits: Limits
    circuits: Circuits
    listener: Listener
    loops: tuple[Loop, ...]
    worker_loops: tuple[Loop, ...]
    demo: DemoService = field(init=False)
    _started: tuple[Loop, ...] = field(default=())
    _delivers: bool = field(default=False)

    @property
    def metrics(self) -> Mapping[str, float]:
        """What this process's worker counts, by metric name."""
        totals = self.worker.totals
        return {
            **{f"deliveries_{name}": float(total) for name, total in totals.items()},
            "deliveries_in_flight": float(self.worker.in_flight),
            "acks_waiting": float(self.worker.acks.waiting),
        }

    async def ledger(self) -> Ledger:
        """The account of all deliveries, a few seconds old at most."""
        return await self.upkeep.ledger()

    async def start(self, *, kind: Literal["serve", "worker"] = "serve", deliver: bool = True) -> None:
        """Starts the writers and the background loops, and unless told not to the delivering ones. Idempotent.

        Args:
            kind: What the process is, for `keys status`.
            deliver: Whether it delivers too.

        Raises:
            WrongKeyError: the active master key became one that is not held here.
        """
        if self._started:
            return
        await self.presence.enter(kind)
        self.recorder.start()
        self.enqueuer.start()
        self.listener.start()
        self._started = self.loops
        if deliver:
            self._started += self.worker_loops
            self.worker.start()
            self._delivers = True
        for loop in self._started:
            loop.start()
        if kind == "serve":
            await self.demo.resume()

    async def close(self) -> None:
        """Lets what is under way end and commits it, then closes every connection."""
        await self.accounts.resets.settle()
        await self.demo.quiet()
        await self.enqueuer.close()
        if self._delivers:
            await self.worker.drain(DRAIN_S)
        await self.demo.close()
        for loop in self._started:
            await loop.close()
        await self.recorder.close()
        await self.tail.close()
        await self.circuits.settle()
        await self.presence.leave()
        if self._started:
            with suppress(HookvaultError):  # the database may be gone; what was refused in the last minute goes with it
                await self.audit.tally.save(all_of_it=True)
        await self.listener.close()
        await self.outbound.close()
        await self.database.close()


async def build(settings: Settings, *, migrate: bool | None = None) -> App:
    """Opens the database and puts the services together.

    Args:
        settings: Of this process.
        migrate: Whether to bring the schema up first; by default in development only.

    Raises:
        SetupError: the database can't be used: not started, not migrated, too new, too old.
        UnavailableError: code `database_unavailable`.
        WrongKeyError: the database was sealed under another ENCRYPTION_KEY.
    """
    dsn = await current_database(settings, migrate=migrate)
    database = await Database.connect(dsn)
    try:
        vault = Vault(database, key_ring(settings))
        await vault.check_key()
    except BaseException:
        await database.close()
        raise
    return _put_together(settings, dsn, database, vault)


def _put_together(settings: Settings, dsn: str, database: Database, vault: Vault) -> App:
    process = new_id()
    policy = AddressPolicy(allow_http=settings.allow_http, allowed_networks=settings.allowed_networks)
    outbound = OutboundClient(policy, max_response_bytes=settings.webhook_max_response_bytes)
    endpoints = Endpoints(database, vault, policy)
    gate, recorder, enqueuer = Gate(settings.webhook_concurrency), Recorder(database), Enqueuer(database)
    limits, circuits = Limits(database, process), Circuits(database)
    deliveries = DeliveryService(database, endpoints, enqueuer, settings.webhook_max_payload_bytes)
    caller = Caller(outbound, recorder, gate, limits, circuits, endpoints=endpoints)
    webhooks = WebhookService(database, vault, caller, endpoints, settings, policy=policy, deliveries=deliveries)
    worker = Worker(
        database,
        endpoints,
        outbound,
        limits,
        circuits,
        process=process,
        places=settings.webhook_concurrency,
        timeout_s=settings.webhook_timeout_s,
        gone=lambda tenant_id, webhook_id: webhooks.switch_off(tenant_id, webhook_id, reason="http_410"),
    )
    app = App(
        settings=settings,
        database=database,
        vault=vault,
        tenants=TenantService(database, vault),
        **_integrating(settings, database, vault, outbound),
        webhooks=webhooks,
        **_analysing(settings, database, process, recorder, worker),
        api_keys=APIKeyService(database),
        **_administering(settings, database, vault),
        **_custodians(settings, database, vault, process),
        deliveries=deliveries,
        replays=ReplayService(database),
        trials=TrialService(database, vault, endpoints, caller, outbound, policy=policy, settings=settings),
        endpoints=endpoints,
        outbound=outbound,
        gate=gate,
        recorder=recorder,
        enqueuer=enqueuer,
        worker=worker,
        upkeep=Upkeep(database),
        limits=limits,
        circuits=circuits,
        listener=Listener(dsn, lambda channel, payload: _on_heard(app, channel, payload)),
        loops=(),
        worker_loops=(),
    )
    app.loops, app.worker_loops, app.demo = _loops(app), _worker_loops(app), DemoService(app)
    return app


def _administering(settings: Settings, database: Database, vault: Vault) -> dict[str, Any]:
    """The audit log and the services on admins, by their names in App."""
    audit = AuditService(database)
    accounts = assemble(settings, database, vault, audit.tally.note)
    return {"audit": audit, "accounts": accounts, "admins": accounts.admins}


def _custodians(settings: Settings, database: Database, vault: Vault, process: UUID) -> dict[str, Any]:
    """The services that look after keys and secrets, by their names in App."""
    return {
        "keys": KeyService(database, vault, days=settings.analytics_retention_days),
        "rekeys": RekeyService(database, vault),
        "scans": ScanService(database, vault),
        "presence": Presence(database, vault, process),
    }


def _analysing(
    settings: Settings, database: Database, process: UUID, recorder: Recorder, worker: Worker
) -> dict[str, Any]:
    """The services on recorded calls, by their names in App."""
    folder = settings.hookvault_data_dir if settings.database_url is None else None
    retention = RetentionService(database, days=settings.analytics_retention_days, folder=folder)
    return {
        "analytics": AnalyticsService(database, retention),
        "figures": FiguresService(database),
        "census": CensusService(database),
        "roller": Roller(database),
        "tail": Tail(database, process, (recorder.tap, worker.acks.tap)),
        "retention": retention,
        "expunging": ExpungeService(database),
    }


def _integrating(settings: Settings, database: Database, vault: Vault, outbound: OutboundClient) -> dict[str, Any]:
    """The services on integrations, by their names in App."""
    integrations = IntegrationService(database, vault)
    prober = Prober(database, outbound, settings.provider_base_urls or {})
    return {
        "integrations": integrations,
        "integration_trials": IntegrationTrials(database, integrations, prober),
        "rotations": RotationService(database, vault, integrations, prober),
    }


def _loops(app: App) -> tuple[Loop, ...]:
    """What every process that serves does in the background."""
    settings = app.settings
    loops = [
        Loop("key uses", 30.0, app.api_keys.save_uses),
        Loop("limits", 2.0, app.limits.renew),
        Loop("presence", BEAT_S, app.presence.beat),
        Loop("grace of credentials", 60.0, app.rotations.end_grace),
        Loop("refusals", 1.0, app.audit.tally.save),
        Loop("ended sessions", 600.0, app.accounts.prune),
    ]
    if settings.database_url is None:
        loops.append(Loop("embedded Postgres", 1.0, lambda: _revive(settings.hookvault_data_dir)))
    return tuple(loops)


def _worker_loops(app: App) -> tuple[Loop, ...]:
    """What every process that delivers does in the background."""
    days = app.settings.analytics_retention_days
    return (
        Loop("rollups", 10.0, app.roller.roll),
        Loop("retention", 3600.0, lambda: app.analytics.retain(days)),
        Loop("retention of deliveries", 3600.0, lambda: app.upkeep.retain(days)),
        Loop("leases", LEASE_S / 4, app.worker.renew),
        Loop("expiry", 1.0, app.upkeep.tick),
        Loop("tidying", 60.0, lambda: app.upkeep.tidy(days)),
        Loop("sweeping", 600.0, app.upkeep.sweep),
        Loop("replays", 0.5, lambda: _replayed(app)),
        Loop("rekeying", 1.0, lambda: app.rekeys.work(0.5)),
        Loop("health scan", 900.0, app.scans.nightly),
    )


async def _replayed(app: App) -> None:
    await app.replays.advance()


def _on_heard(app: App, channel: str, payload: str) -> None:
    """What another process changed is forgotten here; new deliveries wake the worker. Without a channel: all may have changed."""
    kind, _, tenant_id = payload.partition(" ")
    if channel == "hookvault_deliveries":
        try:
            app.worker.wake(UUID(payload))
        except ValueError:
            app.worker.wake(stage=payload == "ordered", scan=not payload)
    elif channel == LIVE:
        app.tail.hear(payload)
    elif kind == "tenant":
        app.webhooks.forget(tenant_id)
        app.vault.forget(tenant_id)
        app.tail.doubt(tenant_id)
        app.worker.wake()
    elif kind == "keys":
        app.api_keys.forget()
        app.tail.doubt()
    else:
        app.webhooks.forget_all()
        app.api_keys.forget()
        app.tail.mend()
        app.worker.wake(stage=True, scan=True)


async def _revive(data_dir: Path) -> None:
    if await asyncio.to_thread(embedded.revive, data_dir):
        _log.warning("embedded_postgres_restarted", reason="it had been killed")
