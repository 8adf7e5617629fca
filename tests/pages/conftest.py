"""The pages as a browser asks for them, in this process."""

import pytest

from entrance import browser, make_quick, person
from hookvault.admin.site import create_site


@pytest.fixture(scope="session")
def site(app):
    """The API and the pages."""
    make_quick(app)
    return create_site(app)


@pytest.fixture
async def visitor(app, site):
    """Opens a browser of somebody who is signed in: `async with visitor("viewer") as opened`."""
    opened = []

    async def open_one(role="owner"):
        who = await person(app, role)
        client = browser(app, asgi=site)
        answer = await client.post("/login", data={**who.login, "next": "/"})
        assert answer.status_code == 303, answer.text
        opened.append(client)
        client.who = who
        return client

    yield open_one
    for client in opened:
        await client.aclose()


@pytest.fixture
async def owner_page(visitor):
    """A browser of an owner."""
    return await visitor("owner")
