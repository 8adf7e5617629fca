"""`hookvault credential`: the whole way of a rotation on the command line, against an n8n on loopback."""

import asyncio
import json

import pytest
from test_cli import KEY, Forks, Place

from canary import CANARY, planted
from hookvault.db.migrate import migrate
from hookvault.settings import Settings
from hookvault.wiring import build
from houses import Houses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WHERE = ("--tenant", "acme", "--kind", "n8n")


@pytest.fixture
async def place(tmp_path, make_database):
    """On a database of its own, with a tenant that has an n8n."""
    url = await make_database()
    await migrate(url)
    CANARY.watch(url)
    forks = Forks()
    made = Place(forks, tmp_path, DATABASE_URL=url, ENCRYPTION_KEY=KEY)
    async with Houses() as houses:
        app = await build(Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path))
        await app.tenants.create_tenant("Acme", tenant_id="acme")
        made.houses, made.first = houses, houses.config("n8n")
        await app.integrations.configure("acme", "n8n", made.first, create=True)
        yield made
        await app.close()
    forks.close()


async def test_the_whole_way(place):
    async def run(step, *words, code=0, **more):
        """Aside: the provider answers in this loop."""
        done = await asyncio.to_thread(place.run, "credential", step, *WHERE, *words, **more)
        CANARY.logs += [done.stdout, done.stderr]
        assert done.returncode == code, done.stderr
        return done

    new = planted("cli")
    (line,) = json.loads((await run("status", "--json")).stdout)
    assert (line["number"], line["state"], line["testedAt"]) == (1, "current", None)
    assert json.loads((await run("test", "--version", "current", "--json")).stdout)["ok"] is True
    assert "(malformed_body)" in (await run("stage", code=1, stdin=f'{{"apiKey": "{new}"')).stderr
    assert "(mask_submitted)" in (await run("stage", code=1, stdin='{"apiKey": "****"}')).stderr
    assert "(nothing_staged)" in (await run("switch", code=1)).stderr
    staged = json.loads((await run("stage", "--json", stdin=json.dumps({"apiKey": new}))).stdout)
    assert [(item["number"], item["state"]) for item in staged] == [(1, "current"), (2, "staged")]
    assert staged[1]["secrets"] == [f"apiKey ••••{new[-4:]}"]
    assert "(rotation_in_progress)" in (await run("stage", code=1, stdin=json.dumps({"apiKey": new}))).stderr
    assert "auth_failed" in (await run("test", code=1)).stdout
    assert "(untested)" in (await run("switch", code=1)).stderr
    place.houses.take(place.first | {"apiKey": new})
    assert "ok" in (await run("test")).stdout
    assert (await run("switch", "--grace", "-1", code=2)).stdout == ""
    switched = json.loads((await run("switch", "--grace", "60", "--json")).stdout)
    assert [(item["number"], item["state"]) for item in switched] == [(2, "current"), (1, "previous")]
    assert "previous" in (await run("status")).stdout
    rolled = json.loads((await run("rollback", "--json")).stdout)
    assert [(item["number"], item["state"]) for item in rolled] == [(3, "current")]
    assert "(no_previous)" in (await run("revoke", code=1)).stderr
    await run("stage", stdin=json.dumps({"apiKey": new}))
    await run("switch", "--force")
    await run("revoke")
    await run("stage", "--replace", stdin=json.dumps({"apiKey": planted("cli")}))
    await run("discard")
    assert len(json.loads((await run("status", "--json")).stdout)) == 1
    assert (await run("status", "--kind", "fax", code=2)).stdout == ""
