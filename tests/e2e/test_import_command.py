"""`hookvault import` as a person runs it, on a database that Node filled."""

import json

import pytest
from test_cli import Forks, Place

from hookvault.db.migrate import migrate
from hookvault.settings import Settings
from hookvault.wiring import build
from legacy import KEY, TABLES, OldSystem
from node import needs_node, sealed_in_node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
OWN_KEY = "9f8e7d6c5b4a3021" * 4


@pytest.fixture(scope="module")
def forks():
    started = Forks()
    yield started
    started.close()


@pytest.fixture
async def old(make_database):
    made = OldSystem(await make_database())
    await made.run(TABLES)
    return made


@pytest.fixture
async def place(forks, tmp_path, make_database, old):
    """A new Hookvault in production, told of the former system."""
    url = await make_database()
    await migrate(url)
    return Place(
        forks,
        tmp_path,
        APP_ENV="production",
        SESSION_SECRET="s" * 40,
        DATABASE_URL=url,
        ENCRYPTION_KEY=OWN_KEY,
        IMPORT_DATABASE_URL=old.url,
        IMPORT_ENCRYPTION_KEY=KEY,
    )


def by_what(printed):
    whole = json.loads(printed)
    return whole, {entry["what"]: (entry["result"], entry["reason"]) for entry in whole["entries"]}


@needs_node
async def test_what_node_stored_is_the_same_here(place, old):
    iv_bytes = iter([12, 16] * 5)
    old.seal = lambda text: sealed_in_node([text], KEY, ivBytes=next(iv_bytes))[0]
    known = await old.fill()
    rehearsed, _ = by_what(place.out("import", "--dry-run", "--json"))
    assert (rehearsed["dryRun"], rehearsed["complete"], rehearsed["totals"]) == (True, True, {"ready": 6})
    done = place.run("import", "--json")
    assert (done.returncode, by_what(done.stdout)[0]["totals"]) == (0, {"imported": 6})
    again = place.run("import")
    assert again.returncode == 0
    assert again.stderr.strip() == "6 exists."
    assert not any(secret in part for secret in known.values() for part in (done.stdout, done.stderr, again.stdout))
    app = await build(Settings(database_url=place.environment["DATABASE_URL"], encryption_key=OWN_KEY), migrate=False)
    try:
        opened = {kind: await app.integrations.open_config("acme", kind) for kind in ("n8n", "whatsapp", "sms")}
        pairs = {
            "n8n": opened["n8n"]["apiKey"],
            "whatsapp": opened["whatsapp"]["accessToken"],
            "verify": opened["whatsapp"]["webhookVerifyToken"],
            "sid": opened["sms"]["accountSid"],
            "auth": opened["sms"]["authToken"],
            "token": (await app.webhooks._endpoints.find("acme", "order")).auth_token,
        }
        assert {name: secret.open() for name, secret in pairs.items()} == known
    finally:
        await app.close()


async def test_a_loss_ends_with_1_and_a_table_that_says_why(place, old):
    await old.fill()
    await old.add("n8n_webhooks", tenant_id="acme", workflow_name="plain", webhook_url="http://n8n.example.com/w")
    result = place.run("import", "--dry-run")
    assert result.returncode == 1
    line = next(line for line in result.stdout.splitlines() if "webhook plain" in line)
    assert "skipped" in line
    assert "invalid_url" in line
    assert result.stderr.splitlines()[0] == "6 ready, 1 skipped. Nothing was written."
    assert place.out("tenant", "list", "--json").strip() == "[]"


async def test_the_own_key_opens_where_no_other_is_given(place, old):
    old.seal = lambda text: sealed_in_node([text], OWN_KEY)[0]
    await old.fill()
    assert by_what(place.out("import", "--json", IMPORT_ENCRYPTION_KEY=""))[0]["totals"] == {"imported": 6}


async def test_another_key_is_told_as_such(place, old):
    await old.fill()
    result = place.run("import", "--dry-run", IMPORT_ENCRYPTION_KEY="")
    assert result.returncode == 1
    assert "No secret opened at all. Is IMPORT_ENCRYPTION_KEY" in result.stderr


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"IMPORT_DATABASE_URL": ""}, "IMPORT_DATABASE_URL: not set"),
        (
            {"IMPORT_DATABASE_URL": "mysql://ann:hunter2@db/shop"},
            "IMPORT_DATABASE_URL: must be the URL of a PostgreSQL",
        ),
        ({"IMPORT_DATABASE_URL": "postgresql://ann:hunter2@127.0.0.1:1/shop"}, "nothing listens there"),
        ({"IMPORT_ENCRYPTION_KEY": "abc"}, "IMPORT_ENCRYPTION_KEY: must be exactly 64 hexadecimal characters"),
        ({"ENCRYPTION_KEY": "ab" * 31}, "ENCRYPTION_KEY: must be exactly 64 hexadecimal characters"),
        ({"ENCRYPTION_KEY": "7" * 64}, "ENCRYPTION_KEY: is made of hardly more than one digit"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(place, environment, told):
    line = place.fails("import", **environment)
    assert told in line
    assert line.count("\n") == 1
    assert "hunter2" not in line


def test_a_hookvault_is_no_former_system(place):
    url = place.environment["DATABASE_URL"]
    assert "import_own_database" in place.fails("import", IMPORT_DATABASE_URL=url)


def test_nothing_secret_is_an_argument(place):
    assert place.run("import", "postgresql://ann:hunter2@db/shop").returncode == 2
    shown = place.out("import", "--help")
    assert "--dry-run" in shown
    assert "IMPORT_DATABASE_URL" in shown
