"""Real parts for every test: one embedded Postgres a run, a migrated database a worker, the services, the API."""

import json
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

import asyncpg
import httpx
import hypothesis
import pytest

from canary import CANARY
from hookvault.api.app import create_app
from hookvault.db import embedded
from hookvault.db.migrate import migrate
from hookvault.settings import Settings
from hookvault.tenants.model import Tenant
from hookvault.wiring import App, build

hypothesis.settings.register_profile("quick", max_examples=40, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=200, deadline=None)
hypothesis.settings.load_profile("thorough" if os.environ.get("CI") else "quick")

CLUSTER = "HOOKVAULT_TEST_CLUSTER"
KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"


def pytest_configure(config: pytest.Config) -> None:
    """One cluster for the run: made by whoever starts first, in a folder that workers inherit by name."""
    if not hasattr(config, "workerinput"):
        folder = tempfile.mkdtemp(prefix="hookvault-tests-")
        os.environ[CLUSTER] = folder
        for name in list(os.environ):
            if name.startswith(("WEBHOOK_", "ENCRYPTION_", "IMPORT_", "SMTP_", "SESSION_")) or name in (
                "DATABASE_URL",
                "APP_ENV",
                "APP_URL",
            ):
                del os.environ[name]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run's cluster goes with it."""
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ.pop(CLUSTER))
        embedded.destroy(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """The last lines say what a whole kind of tests was skipped for: those reasons are written in capitals."""
    yield
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])]
    for reason, count in Counter(reason for reason in reasons if "NOT TESTED" in reason).items():
        terminalreporter.write_line(f"{count} SKIPPED. {reason.removeprefix('Skipped: ')}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def cluster_url() -> str:
    """The owner's URL of the run's cluster."""
    return embedded.ensure_running(Path(os.environ[CLUSTER]))


@pytest.fixture(scope="session")
async def make_database(cluster_url: str) -> Callable[[], Awaitable[str]]:
    """Makes an empty database of its own and gives its owner's URL."""

    async def make() -> str:
        name = f"test_{secrets.token_hex(6)}"
        connection = await asyncpg.connect(cluster_url)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return cluster_url.replace("/hookvault?", f"/{name}?")

    return make


@pytest.fixture(scope="session")
async def make_migrated(make_database: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
    """As `make_database`, migrated, and searched for secrets in the end."""

    async def make() -> str:
        url = await make_database()
        await migrate(url)
        CANARY.watch(url)
        return url

    return make


@pytest.fixture(scope="session")
async def database_url(make_migrated: Callable[[], Awaitable[str]]) -> str:
    """This worker's migrated database."""
    return await make_migrated()


@pytest.fixture(scope="session", autouse=True)
def no_secret_comes_out() -> Iterator[None]:
    """At the end of this worker's tests every response, log line and database row is searched for secrets."""
    CANARY.listen()
    yield
    CANARY.check()


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a development server on this worker's database."""
    return Settings(
        database_url=database_url,
        encryption_key=KEY,
        hookvault_data_dir=tmp_path_factory.mktemp("data"),
    )


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[App]:
    """The services, started."""
    built = await build(settings)
    await built.start()
    yield built
    await built.close()


@pytest.fixture
async def tenant(app: App) -> Tenant:
    """A tenant of this test's own."""
    return await app.tenants.create_tenant("Test tenant", tenant_id=f"t-{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
async def platform_key(app: App) -> str:
    """A platform API key."""
    return (await app.api_keys.create_api_key("tests")).token.open()


@pytest.fixture(scope="session")
async def client(app: App, platform_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API in-process, with a platform key."""
    transport = httpx.ASGITransport(create_app(app))
    headers = {"authorization": f"Bearer {platform_key}"}
    hooks = {"response": [CANARY.record]}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers, event_hooks=hooks
    ) as opened:
        yield opened


@pytest.fixture
def owner(database_url: str) -> Callable[..., Awaitable[list[asyncpg.Record]]]:
    """Runs a statement as the database's owner, past row-level security: to look at what is really stored."""

    async def run(statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    return run


def body_of(response: httpx.Response) -> dict:
    """A response's JSON."""
    return json.loads(response.text)
