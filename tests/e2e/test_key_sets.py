"""Real processes that hold different master keys: who may rotate when, and what becomes of those left behind."""

import re
import time

import pytest

from fleet import Fleet, until
from keychain import Keychain, fill, fp, new_key, sound

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
DEAD_AFTER_S = 15


@pytest.fixture
async def keys():
    return Keychain()


@pytest.fixture
async def fleet(zygote, keys, tmp_path):
    made = Fleet(zygote, tmp_path, **keys.given)
    await made.open()
    await fill(made, keys, ["acme"], lambda *_: "http://127.0.0.1:9/w")
    yield made
    await made.close()


@pytest.fixture
async def ask(fleet):
    async with fleet.client() as client:

        async def asked(member, method, path):
            return await client.request(method, f"{member.url}{path}")

        yield asked


async def behind(ask, asked, fingerprint):
    """The ids of living processes that do not hold a key."""
    shown = (await ask(asked, "GET", "/api/platform/keys")).json()["processes"]
    return [process["process"] for process in shown if fingerprint not in process["fingerprints"]]


async def refused(ask, fleet, keys, old, new):
    """That a rotation is refused while `old` lives, naming it."""
    before = await sound(fleet)
    answer = await ask(new, "POST", "/api/platform/keys/rotate")
    assert (answer.status_code, answer.json()["code"]) == (409, "key_not_everywhere")
    lacking = await behind(ask, old, fp(keys.following))
    assert (len(lacking), answer.json()["processes"]) == (1, lacking)
    assert "serve on " in answer.json()["detail"]
    assert await sound(fleet) == before == fp(keys.active)


@pytest.fixture
async def pair(fleet, keys):
    """A server with the active key only, and one that holds the next one too."""
    old = await fleet.start("serve", **keys.given)
    keys.prepare()
    return old, await fleet.start("serve", **keys.given)


async def test_a_process_that_is_stopped_is_not_waited_for(fleet, keys, ask, pair):
    old, new = pair
    await refused(ask, fleet, keys, old, new)
    await old.stop()
    rotated = await ask(new, "POST", "/api/platform/keys/rotate")
    assert rotated.json() == {"previous": fp(keys.active), "active": fp(keys.following), "rewrapped": 1}


async def test_a_killed_process_is_waited_for_15_seconds_and_no_longer(fleet, keys, ask, pair):
    old, new = pair
    await refused(ask, fleet, keys, old, new)
    await old.kill()
    killed_at = time.monotonic()
    answer = await ask(new, "POST", "/api/platform/keys/rotate")
    assert answer.json()["code"] == "key_not_everywhere"  # it may be only out of reach

    async def rotated():
        return (await ask(new, "POST", "/api/platform/keys/rotate")).status_code == 200

    await until(rotated, DEAD_AFTER_S + 5)
    assert DEAD_AFTER_S - 6 < time.monotonic() - killed_at < DEAD_AFTER_S + 2
    assert await sound(fleet) == fp(keys.following)


async def test_after_a_rotation_the_old_key_alone_is_refused_and_swapped_names_are_not(fleet, keys, ask):
    keys.prepare()
    server = await fleet.start("serve", **keys.given)
    assert (await ask(server, "POST", "/api/platform/keys/rotate")).status_code == 200
    held, needed = fp(keys.active), fp(keys.following)
    for word in ("serve", "worker"):
        code, stdout, stderr = await fleet.ended(word, ENCRYPTION_KEY=keys.active)
        assert (code, stdout) == (1, "")
        assert len(stderr.strip().splitlines()) == 1
        assert set(re.findall(r"mk_[0-9a-f]{16}", stderr)) == {held, needed}
    keys.swap()
    swapped = await fleet.start("serve", **keys.given)
    report = (await ask(swapped, "POST", "/api/platform/keys/scan")).json()["scan"]
    assert (report["secrets"] > 0, report["unreadable"]) == (True, 0)
    for member in (server, swapped):  # the names of the other one are another's matter
        assert (await ask(member, "GET", "/readyz")).status_code == 200
        again = await ask(member, "POST", "/api/platform/keys/rotate")
        assert (again.json()["active"], again.json()["rewrapped"]) == (needed, 0)


async def test_a_process_left_behind_is_not_ready(fleet, keys, ask):
    server = await fleet.start("serve", **keys.given)
    assert (await ask(server, "GET", "/readyz")).status_code == 200
    other = fp(new_key())
    await fleet.sql("UPDATE key_history SET state = 'previous', superseded_at = now()")
    await fleet.sql("INSERT INTO key_history (fingerprint, state, first_seen_at) VALUES ($1, 'active', now())", other)

    async def told():
        answer = await ask(server, "GET", "/readyz")
        return answer.status_code == 503 and answer

    answer = await until(told, 10)
    assert answer.json()["code"] == "wrong_key"
    assert other in answer.json()["detail"]
    assert (await ask(server, "GET", "/healthz")).status_code == 200
    await fleet.sql("DELETE FROM key_history WHERE fingerprint = $1", other)
    await fleet.sql("UPDATE key_history SET state = 'active', superseded_at = NULL")

    async def ready():
        return (await ask(server, "GET", "/readyz")).status_code == 200

    await until(ready, 10)
