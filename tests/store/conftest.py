"""What the tests of the services are given: the receiver, a tenant's deliveries to it, a second process."""

import asyncpg
import pytest
from depot import Depot

from hookvault.wiring import build
from n8n import N8n


@pytest.fixture
async def n8n():
    async with N8n() as receiver:
        yield receiver


@pytest.fixture
async def depot(app, tenant, n8n):
    """The deliveries of a tenant of this test's own. Whatever the test did, the account balances at its end."""
    made = Depot(app, tenant.id, n8n)
    yield made
    await made.ledger()


@pytest.fixture
async def second(settings):
    """Another process's services on the same database; it does not deliver."""
    other = await build(settings)
    await other.start(deliver=False)
    await other.listener.ready()
    yield other
    await other.close()


@pytest.fixture
async def outside(database_url):
    """An application's own connection to the database, as its owner."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
