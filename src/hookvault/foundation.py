"""What a process stands on: its database and its master keys, as the settings name them."""

import asyncio

from hookvault.db import embedded
from hookvault.db.migrate import migrate as migrate_database
from hookvault.db.migrate import require_current
from hookvault.log import register_secret
from hookvault.settings import Settings
from hookvault.vault.keyfile import kept_key
from hookvault.vault.keys import KeyRing, MasterKey

_KEY_FILE = "encryption.key"


async def database_url(settings: Settings) -> str:
    """DATABASE_URL, else the embedded Postgres of the data directory, started where it does not run.

    Raises:
        SetupError: the embedded Postgres can't run here; the message says why and what to do.
    """
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return await asyncio.to_thread(embedded.ensure_running, settings.hookvault_data_dir)


async def current_database(settings: Settings, *, migrate: bool | None = None) -> str:
    """The owner's URL of the database, whose schema is this version's from now on. Arguments and errors as of `wiring.build`."""
    dsn = await database_url(settings)
    if migrate or (migrate is None and not settings.production):
        await migrate_database(dsn)
    else:
        await require_current(dsn)
    return dsn


def held_keys(settings: Settings) -> KeyRing | None:
    """As `key_ring`, but where there is no key none is made."""
    given = settings.encryption_key is not None or (settings.hookvault_data_dir / _KEY_FILE).exists()
    return key_ring(settings) if given else None


def key_ring(settings: Settings) -> KeyRing:
    """The master keys of the settings; in development one is made once and kept in the data directory.

    Raises:
        SetupError: the key file can't be read or written.
    """
    current = settings.encryption_key
    text = current.get_secret_value() if current else kept_key(settings.hookvault_data_dir / _KEY_FILE)
    further = (settings.encryption_key_next, settings.encryption_key_previous)
    texts = [None if key is None else key.get_secret_value() for key in further]
    for held in (text, *texts):
        if held is not None:
            register_secret(held)
    others = [None if held is None else MasterKey(held) for held in texts]
    return KeyRing(MasterKey(text), next=others[0], previous=others[1])
