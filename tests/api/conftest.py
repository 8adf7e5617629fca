"""What the API's tests are given: the receiver, clients of every kind, a tenant."""

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from dispatch import Deliveries
from tenancy import PLATFORM, Tenancy

from canary import CANARY
from n8n import N8n


@pytest.fixture(autouse=True)
def every_line_is_kept():
    """The service's whole log goes to the canary, debug lines too."""
    logger = logging.getLogger("hookvault")
    logger.setLevel(logging.DEBUG)
    CANARY.listen()
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture
async def n8n():
    async with N8n() as receiver:
        yield receiver


@pytest.fixture(scope="session")
async def stranger(client):
    """The API without any key."""
    hooks = {"response": [CANARY.record]}
    async with httpx.AsyncClient(transport=client._transport, base_url="http://test", event_hooks=hooks) as opened:
        yield opened


@pytest.fixture
async def make_tenancy(client):
    async def make():
        tenant_id = f"t-{secrets.token_hex(6)}"
        made = await client.post(f"{PLATFORM}/tenants", json={"id": tenant_id, "name": "Acme GmbH"})
        assert made.status_code == 201, made.text
        return Tenancy(client, tenant_id)

    return make


@pytest.fixture
async def acme(make_tenancy):
    """A tenant of this test's own."""
    return await make_tenancy()


@pytest.fixture
def deliveries(acme):
    """That tenant's deliveries."""
    return Deliveries(acme)


@pytest.fixture
def database_gone(cluster_url, settings):
    """For a while the database ends every connection and takes no new one."""
    name = urlsplit(settings.database_url.get_secret_value()).path.removeprefix("/")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"

    @asynccontextmanager
    async def gone():
        outside = await asyncpg.connect(cluster_url)
        try:
            await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await outside.execute(end, name)
            await asyncio.sleep(0.05)
            yield
        finally:
            await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await outside.close()

    return gone
