"""A process, or its database, is killed inside a rotation, a rekeying and a shredding: nothing is half done, and it goes on.

Each story is asked of a server; where it yields, the process that did it is dead and another one runs.
"""

import itertools
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from fleet import Fleet, Member, until
from keychain import FIELDS, Keychain, fill, fp, sound
from tally import Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
NUMBERS = itertools.count(1)

# The last readers had their ten seconds already, so that a rekeying has always the same steps.
_NOBODY_READS = (
    """
CREATE FUNCTION aged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.superseded_at := NEW.superseded_at - interval '1 minute'; RETURN NEW; END $$
""",
    """
CREATE TRIGGER aged BEFORE UPDATE ON data_keys FOR EACH ROW WHEN (NEW.superseded_at IS DISTINCT FROM OLD.superseded_at)
    EXECUTE FUNCTION aged()
""",
)


class Installation:
    """A fleet with secrets in it. `member` is the server that is asked, `doer` the process to be killed."""

    def __init__(self, fleet: Fleet, tally: Tally) -> None:
        self.fleet = fleet
        self.tally = tally
        self.keychain = Keychain()
        self.tokens: dict[tuple[str, str], str] = {}
        self.client = fleet.client()
        self.member: Member
        self.doer: Member
        self.before = ""

    async def start(self, fault: str, doer: str) -> None:
        """The processes of one story; one of them dies at the fault."""
        await self.fleet.sql("DELETE FROM key_holders")  # of dead ones
        self.before = await sound(self.fleet)
        if self.keychain.following and self.before == fp(self.keychain.following):
            self.keychain.swap()  # a story before this one failed
        self.keychain.prepare()
        if doer == "worker":
            self.member = await self.fleet.start("serve", "--no-worker", **self.keychain.given)
            self.doer = await self.fleet.start("worker", fault=fault, **self.keychain.given)
        else:
            self.member = self.doer = await self.fleet.start("serve", fault=fault, **self.keychain.given)

    async def replace(self, doer: str) -> None:
        """Another process in the place of the dead one."""
        new = await self.fleet.start(doer, **self.keychain.given)
        if doer == "serve":
            self.member = new

    async def more(self) -> str:
        """A tenant of its own."""
        tenant = f"own-{next(NUMBERS)}"
        self.tokens |= await fill(self.fleet, self.keychain, [tenant], lambda *_: self.tally.url(f"/{tenant}"))
        return tenant

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """An answer; None when there was none, or the database was away."""
        try:
            answer = await self.client.request(method, f"{self.member.url}/api/{path}", json=body)
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    async def insist(self, method: str, path: str, body: Any = None) -> Any:
        """An answer, however often it takes."""
        answer = await until(lambda: self.ask(method, path, body), 20, f"an answer to {method} {path}")
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def opens(self) -> None:
        """Every secret opens, and every webhook is called with the token that is its own."""
        report = await self.insist("POST", "platform/keys/scan")
        assert (report["scan"]["unreadable"], report["faults"]) == (0, []), report
        assert report["scan"]["secrets"] == FIELDS * len({tenant for tenant, _ in self.tokens})
        for (tenant, name), token in self.tokens.items():
            assert await self.called(tenant, name) == f"Bearer {token}"

    async def called(self, tenant: str, name: str) -> str:
        """What a webhook's receiver gets as authorization."""
        call = await self.insist("POST", f"tenants/{tenant}/webhooks/{name}/call", {"payload": {}})
        return next(hit.authorization for hit in reversed(self.tally.hits) if hit.id == call["callId"])


Story = Callable[..., AsyncIterator[None]]


async def rotating(vault: Installation, *, committed: bool) -> AsyncIterator[None]:
    """The key before is the active one or the next, with every data key; asked for again, it is the next."""
    answer = await vault.ask("POST", "platform/keys/rotate")
    assert answer is None or answer.status_code == 200
    yield
    following = fp(vault.keychain.following)
    active = await sound(vault.fleet)
    if vault.doer.alive:  # it was the database that was killed: it may have heard of the commit
        assert active in (vault.before, following)
    else:
        assert active == (following if committed else vault.before)
    assert await rotations(vault, following) == (active == following)
    await vault.opens()
    again = await vault.insist("POST", "platform/keys/rotate")
    assert (again["active"], again["rewrapped"] > 0) == (following, active == vault.before)
    assert await rotations(vault, following) == 1
    vault.keychain.swap()


async def rotations(vault: Installation, fingerprint: str) -> int:
    counted = (
        "SELECT count(*) FROM audit_events WHERE action = 'key.rotated' AND outcome = 'success' AND target_id = $1"
    )
    return await vault.fleet.value(counted, fingerprint)


async def rekeying(vault: Installation, *, committed: bool) -> AsyncIterator[None]:
    """It goes on by itself, to its end; what was sealed before opens all the time."""
    versions = await vault.fleet.value("SELECT sum(version) FROM data_keys WHERE state = 'active'")
    assert (await vault.ask("POST", "platform/keys/rekey")).status_code == 202
    yield
    await vault.opens()
    await until(lambda: finished(vault), 30, "the end of the rekeying")
    states = await vault.fleet.sql("SELECT state, count(*)::int FROM data_keys GROUP BY 1")
    tenants = len({tenant for tenant, _ in vault.tokens})
    assert dict(states)["active"] == tenants
    assert "decrypt_only" not in dict(states)
    assert await vault.fleet.value("SELECT sum(version) FROM data_keys WHERE state = 'active'") == versions + tenants
    await vault.opens()


async def finished(vault: Installation) -> bool:
    job = await vault.insist("GET", "platform/keys/rekey")
    assert job["unreadable"] == 0
    return job["state"] == "finished"


async def shredding(vault: Installation, *, committed: bool) -> AsyncIterator[None]:
    """All of it or nothing; asked for again it is done, and new secrets can be given."""
    tenant = await vault.more()
    path = f"platform/tenants/{tenant}"
    answer = await vault.ask("POST", f"{path}/shred", {"confirm": tenant})
    assert answer is None or answer.status_code == 200
    yield
    gone = await vault.fleet.value("SELECT count(*) FROM shredded_tenants WHERE tenant_id = $1", tenant)
    kept = await vault.fleet.value(
        "SELECT count(*) FROM data_keys WHERE tenant_id = $1 AND version = 1 AND wrapped <> ''", tenant
    )
    hinted = await vault.fleet.value(
        "SELECT count(*) FROM n8n_webhooks WHERE tenant_id = $1 AND secret_hints <> '{}'", tenant
    )
    told = (
        "SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND action = 'tenant.shredded' AND outcome = 'success'"
    )
    assert (gone, kept == 0, hinted == 0, await vault.fleet.value(told, tenant)) in (
        (0, False, False, 0),
        (1, True, True, 1),
    )
    assert vault.doer.alive or gone == committed
    if not gone:
        assert await vault.called(tenant, "w0") == f"Bearer {vault.tokens[tenant, 'w0']}"
    again = await vault.insist("POST", f"{path}/shred", {"confirm": tenant})
    assert again["destroyed"] == 1
    for own in [own for own in vault.tokens if own[0] == tenant]:
        del vault.tokens[own]
    await sound(vault.fleet)
    webhook = (await vault.insist("GET", f"{path}/webhooks"))["items"][0]
    assert [mark["needsReentry"] for mark in (webhook["authToken"], *webhook["staticHeaders"].values())] == [True] * 4
    shown = await vault.insist("GET", f"{path}/integrations")
    assert [shown["n8n"]["apiKey"]["needsReentry"], shown["sms"]["authToken"]["needsReentry"]] == [True, True]
    await vault.insist("DELETE", path)
    await vault.opens()


# With each point: which passes of it end a process, and whose.
STORIES: dict[str, tuple[Story, str, list[int]]] = {
    "rotate.between_writes": (rotating, "serve", [1]),
    "rotate.before_commit": (rotating, "serve", [1]),
    "rotate.after_commit": (rotating, "serve", [1]),
    # 1: new data keys; 2 to 4: each table; 5 to 8: once more, nothing left; 9: the old keys destroyed; 10: the end
    "rekey.before_commit": (rekeying, "worker", [1, 2, 5, 9, 10]),
    "rekey.after_commit": (rekeying, "serve", [1, 9, 10]),
    "shred.between_writes": (shredding, "serve", [1]),
    "shred.after_commit": (shredding, "serve", [1]),
}
PASSES = [(point, number) for point, (_, _, numbers) in STORIES.items() for number in numbers]


@pytest.fixture(scope="module")
async def vault(zygote, tmp_path_factory):
    keys = Keychain()
    fleet = Fleet(zygote, tmp_path_factory.mktemp("keys"), **keys.given)
    await fleet.open()
    for statement in _NOBODY_READS:
        await fleet.sql(statement)
    with Tally() as tally:
        made = Installation(fleet, tally)
        made.keychain = keys
        for _ in range(3):
            await made.more()
        yield made
    await fleet.close()


@pytest.fixture(autouse=True)
async def nobody_stays(vault):
    yield
    await vault.fleet.kill_all()


@pytest.mark.parametrize(("point", "number"), PASSES)
async def test_a_process_is_killed_at(vault, point, number):
    make, doer, _ = STORIES[point]
    await vault.start(f"{point}:{number}", doer)
    story = make(vault, committed=point.endswith("after_commit"))
    await anext(story)
    assert await vault.doer.code(20) == -signal.SIGKILL
    await sound(vault.fleet)  # whatever is half done is not in the database
    await vault.replace(doer)
    with pytest.raises(StopAsyncIteration):
        await anext(story)


@pytest.mark.parametrize("point", STORIES)
async def test_the_database_is_killed_at(vault, point):
    make, doer, numbers = STORIES[point]
    postmaster = vault.fleet.postmaster
    await vault.start(f"{point}:{numbers[-1]}:{postmaster}", doer)
    story = make(vault, committed=point.endswith("after_commit"))
    await anext(story)
    await until(lambda: vault.fleet.postmaster not in (None, postmaster), 20, "another postmaster")
    assert vault.doer.alive
    with pytest.raises(StopAsyncIteration):
        await anext(story)
