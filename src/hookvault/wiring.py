"""The composition root: the only module that sees everything and puts it together."""

import asyncio
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from hookvault.accounts.admins import AdminService
from hookvault.accounts.keys import APIKeyService
from hookvault.analytics.service import AnalyticsService
from hookvault.audit.service import AuditService
from hookvault.db import embedded
from hookvault.db.migrate import migrate as migrate_database
from hookvault.db.migrate import require_current
from hookvault.db.pool import Database
from hookvault.errors import SetupError
from hookvault.integrations.service import IntegrationService
from hookvault.log import get_logger, register_secret
from hookvault.loop import Loop
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.guard import AddressPolicy
from hookvault.settings import Settings, check_key
from hookvault.tenants.service import TenantService
from hookvault.vault.keys import KeyRing, MasterKey
from hookvault.vault.service import Vault
from hookvault.webhooks.call import Caller
from hookvault.webhooks.gate import Gate
from hookvault.webhooks.record import Recorder
from hookvault.webhooks.service import WebhookService

_log = get_logger()
_KEY_FILE = "encryption.key"


@dataclass(slots=True)
class App:
    """One process's services, on one database. Make it with `build`, then `start` it where calls are made."""

    settings: Settings
    database: Database
    vault: Vault
    tenants: TenantService
    integrations: IntegrationService
    webhooks: WebhookService
    analytics: AnalyticsService
    api_keys: APIKeyService
    admins: AdminService
    audit: AuditService
    outbound: OutboundClient
    gate: Gate
    recorder: Recorder
    loops: tuple[Loop, ...]
    _started: bool = field(default=False)

    async def start(self) -> None:
        """Starts the recorder and the background loops. Idempotent."""
        if not self._started:
            self.recorder.start()
            for loop in self.loops:
                loop.start()
            self._started = True

    async def close(self) -> None:
        """Records what is under way, then closes every connection."""
        for loop in self.loops:
            await loop.close()
        await self.recorder.close()
        await self.outbound.close()
        await self.database.close()


async def database_url(settings: Settings) -> str:
    """DATABASE_URL, else the embedded Postgres of the data directory, started where it does not run.

    Raises:
        SetupError: the embedded Postgres can't run here; the message says why and what to do.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return await asyncio.to_thread(embedded.ensure_running, settings.hookvault_data_dir)


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
    dsn = await database_url(settings)
    if migrate or (migrate is None and not settings.production):
        await migrate_database(dsn)
    else:
        await require_current(dsn)
    database = await Database.connect(dsn)
    try:
        vault = Vault(database, key_ring(settings))
        await vault.check_key()
    except BaseException:
        await database.close()
        raise
    return _put_together(settings, database, vault)


def key_ring(settings: Settings) -> KeyRing:
    """The master keys of the settings; in development one is made once and kept in the data directory.

    Raises:
        SetupError: the key file can't be read or written.
    """
    current = settings.encryption_key
    text = current.get_secret_value() if current else _development_key(settings.hookvault_data_dir)
    further = (settings.encryption_key_next, settings.encryption_key_previous)
    texts = [None if key is None else key.get_secret_value() for key in further]
    for held in (text, *texts):
        if held is not None:
            register_secret(held)
    others = [None if held is None else MasterKey(held) for held in texts]
    return KeyRing(MasterKey(text), next=others[0], previous=others[1])


def _put_together(settings: Settings, database: Database, vault: Vault) -> App:
    policy = AddressPolicy(allow_http=settings.allow_http, allowed_networks=settings.allowed_networks)
    outbound = OutboundClient(policy, max_response_bytes=settings.webhook_max_response_bytes)
    gate = Gate(settings.webhook_concurrency)
    recorder = Recorder(database)
    caller = Caller(outbound, recorder, gate)
    analytics = AnalyticsService(database)
    api_keys = APIKeyService(database)
    loops = [
        Loop("retention", 3600.0, lambda: analytics.retain(settings.analytics_retention_days)),
        Loop("key uses", 30.0, api_keys.save_uses),
    ]
    if settings.database_url is None:
        loops.append(Loop("embedded Postgres", 1.0, lambda: _revive(settings.hookvault_data_dir)))
    return App(
        settings=settings,
        database=database,
        vault=vault,
        tenants=TenantService(database, vault),
        integrations=IntegrationService(database, vault),
        webhooks=WebhookService(database, vault, caller, policy, settings),
        analytics=analytics,
        api_keys=api_keys,
        admins=AdminService(database),
        audit=AuditService(database),
        outbound=outbound,
        gate=gate,
        recorder=recorder,
        loops=tuple(loops),
    )


async def _revive(data_dir: Path) -> None:
    if await asyncio.to_thread(embedded.revive, data_dir):
        _log.warning("embedded_postgres_restarted", reason="it had been killed")


def _development_key(data_dir: Path) -> str:
    """The key kept in the data directory, made on the first start, readable by its owner only."""
    path = data_dir / _KEY_FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and linked: of two first starts at once, one wins and both read the same key.
            draft = data_dir / f".{_KEY_FILE}.{os.getpid()}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return check_key(path.read_text().strip())
    except OSError as error:
        raise SetupError(f"The key file {path} can't be used: {error.strerror}. Set ENCRYPTION_KEY instead.") from None
    except ValueError as error:
        raise SetupError(f"The key file {path} {error}.") from None
