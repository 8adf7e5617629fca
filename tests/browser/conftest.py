"""A real Chromium for the tests of pages: one a worker, a context a test."""

from pathlib import Path

import pytest
from atlas import furnish
from playwright.async_api import async_playwright

import chromium
from scene import played
from witness import watched


@pytest.fixture(scope="session")
async def browser():
    """Chromium, without a window."""
    path = chromium.find()
    if path is None:
        pytest.skip(chromium.reason())
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=chromium.FLAGS)
        yield launched
        await launched.close()


@pytest.fixture
async def page(browser):
    """A page; the test fails at its end if the browser complained. `page.witness.expect` lets a complaint pass."""
    async with watched(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
async def scene(make_migrated, tmp_path_factory):
    """The site, on a database of its own."""
    async with played(await make_migrated(), tmp_path_factory.mktemp("scene")) as opened:
        yield opened


@pytest.fixture(scope="session")
async def world(make_migrated, tmp_path_factory):
    """A site of its own with the demo's data."""
    async with played(await make_migrated(), tmp_path_factory.mktemp("world")) as opened:
        yield await furnish(opened)


@pytest.fixture(scope="session")
async def bare(make_migrated, tmp_path_factory):
    """A site of its own where nobody has made anything."""
    async with played(await make_migrated(), tmp_path_factory.mktemp("bare")) as opened:
        yield opened


def pytest_collection_modifyitems(items):
    """A browser on a busy machine takes its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300, func_only=True))
