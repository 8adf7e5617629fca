"""A process, or its database, is killed at every named point between two writes, and started again: nothing is lost or made up.

Each story drives a tenant of its own to its point; where it yields, the process that it asks is dead and another one runs.
"""

import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from case import Case
from test_key_faults import STORIES as OF_KEYS
from test_rollup_faults import STORIES as OF_ROLLUPS

import hookvault
from fleet import Fleet, until
from tally import Reply, Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
Story = Callable[[Case], AsyncIterator[None]]
OF_RETENTION = {"retention.before_commit"}  # see tests/store/test_retention.py


async def accepting(case: Case) -> AsyncIterator[None]:
    """What was answered 202 is delivered once; what got no answer is asked for again and is one delivery all the same."""
    await case.make()
    await case.deliver(1, 2, 3, 4)
    await case.deliver(1, 2, 3, lane="a")
    yield
    await case.all_accepted()
    await case.settled(delivered=7)
    assert set(case.hits()) == set(case.ids.values())
    assert case.doubled() == 0
    assert case.order("a") == [1, 2, 3]


async def delivering(case: Case) -> AsyncIterator[None]:
    """A worker has a handful of jobs at once, in order and not, when it dies."""
    await case.make(active=False)
    await case.deliver(1, 2, 3, 4)
    await case.deliver(1, 2, 3, lane="a")
    await case.deliver(1, 2, lane="b")
    await case.ask("PUT", case.own, {"isActive": True})
    yield
    await case.all_accepted()
    await case.insist("PUT", case.own, {"isActive": True})
    await case.settled(delivered=9)
    assert set(case.hits()) == set(case.ids.values())
    assert (case.order("a"), case.order("b")) == ([1, 2, 3], [1, 2])


async def calling_before_it(case: Case) -> AsyncIterator[None]:
    """Nothing was sent before the process died: the call is made when it is asked for again."""
    async for _ in _called(case):
        assert not case.hits()
        yield
    assert list(case.hits().values()) == [1]


async def calling_without_a_record(case: Case) -> AsyncIterator[None]:
    """The call was made and not recorded: it is made again under the same webhook-id."""
    async for _ in _called(case):
        yield
    assert list(case.hits().values()) == [2]


async def calling_with_a_record(case: Case) -> AsyncIterator[None]:
    """The call was recorded and not answered: the record is the answer, and nothing is sent again."""
    async for _ in _called(case):
        yield
    assert list(case.hits().values()) == [1]


async def _called(case: Case) -> AsyncIterator[None]:
    await case.make()
    path = f"/api/tenants/{case.tenant}/webhooks/w/call"
    first = await case.ask("POST", path, {"payload": {"n": 1}}, "k")
    assert first is None
    yield
    early = await case.insist("POST", path, {"payload": {"n": 1}}, "k")
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_in_progress")
    await case.fleet.sql("UPDATE idempotency_keys SET locked_until = now() WHERE tenant_id = $1", case.tenant)
    again = await case.insist("POST", path, {"payload": {"n": 1}}, "k")
    assert again.status_code == 200, again.text
    assert list(case.hits()) == [again.json()["callId"]]
    repeated = await case.insist("POST", path, {"payload": {"n": 1}}, "k")
    assert (repeated.json(), repeated.headers["idempotent-replayed"]) == (again.json(), "true")
    assert await case.fleet.value("SELECT count(*) FROM webhook_analytics WHERE tenant_id = $1", case.tenant) == 1


async def _broken(case: Case, calls: int) -> None:
    """So many calls that the receiver answers with 500."""
    case.answer(500)
    for number in range(calls):
        await case.ask(
            "POST", f"/api/tenants/{case.tenant}/webhooks/w/call", {"payload": {"n": -number}, "maxRetries": 0}
        )


async def opening_a_circuit(case: Case) -> AsyncIterator[None]:
    """The calls that broke are recorded, so that the next one opens the circuit."""
    await case.make()
    await _broken(case, 12)
    yield
    assert not await case.hold("circuit_open")
    await _broken(case, 1)
    await until(lambda: case.hold("circuit_open"))


async def probing(case: Case) -> AsyncIterator[None]:
    """An open circuit is probed, and then closed; one try of either may be lost, and the next one does it."""
    await case.make()
    await _broken(case, 12)
    await until(lambda: case.hold("circuit_open"))
    await case.deliver(1, 2, 3)
    broken = len(case.hits())
    case.answer(200)
    await case.probe_now()
    yield
    assert await case.hold("circuit_open")
    assert len(case.hits()) <= broken + 1
    await case.probe_now()
    await case.settled(delivered=3)
    assert not await case.hold("circuit_open")
    assert case.doubled() <= 1


async def switching_off(case: Case) -> AsyncIterator[None]:
    """A receiver that is gone (410) is asked again, and switched off; that delivery fails, what waits behind it is held."""
    async for _ in _gone(case, failed=1):
        yield


async def switched_off(case: Case) -> AsyncIterator[None]:
    """It was switched off, and its delivery not yet ended: that one is held as well, and sent when somebody switches it on."""
    async for _ in _gone(case, failed=0):
        yield


async def _gone(case: Case, *, failed: int) -> AsyncIterator[None]:
    await case.make(active=False)
    await case.deliver(1, 2, 3, lane="a")
    case.answer(410)
    await case.ask("PUT", case.own, {"isActive": True})
    yield
    await until(lambda: case.hold("webhook_inactive"))
    await case.fleet.books()
    case.answer(200)
    await case.insist("PUT", case.own, {"isActive": True})
    await case.settled(failed=failed, delivered=3 - failed)
    assert case.doubled() == 1
    assert case.order("a") == [1, 2, 3]


async def deleting_a_webhook(case: Case) -> AsyncIterator[None]:
    """The deletion is asked for again, and all that waited has failed."""
    async for _ in _deleted(case, f"/api/platform/tenants/{case.tenant}/webhooks/"):
        yield


async def deleting_a_tenant(case: Case) -> AsyncIterator[None]:
    """The same with a whole tenant."""
    async for _ in _deleted(case, f"/api/platform/tenants/{case.tenant}"):
        yield


async def _deleted(case: Case, path: str) -> AsyncIterator[None]:
    await case.make(active=False)
    await case.deliver(1, 2, 3)
    await case.deliver(1, 2, lane="a")
    path += case.webhook if path.endswith("/") else ""
    assert await case.ask("DELETE", path) is None
    yield
    assert (await case.insist("DELETE", path)).status_code == 204
    await case.settled(failed=5)
    codes = await case.fleet.sql("SELECT DISTINCT error_code FROM webhook_deliveries WHERE tenant_id = $1", case.tenant)
    assert [row["error_code"] for row in codes] == ["webhook_deleted"]
    assert not case.hits()


async def _failed(case: Case, count: int) -> None:
    await case.make()
    case.answer(404)
    await case.deliver(*range(count))
    await case.settled(failed=count)
    case.answer(200)


async def replaying(case: Case) -> AsyncIterator[None]:
    """A replay goes on where it was cut, and makes none twice."""
    await _failed(case, 5)
    asked = await case.ask("POST", f"/api/tenants/{case.tenant}/deliveries/replay", {"ratePerSecond": 1000})
    assert asked.status_code == 202, asked.text
    yield
    await case.settled(failed=5, delivered=5)
    replay = (await case.insist("GET", asked.headers["location"])).json()
    assert (replay["status"], replay["total"], replay["done"]) == ("finished", 5, 5)
    made = await case.fleet.sql(
        "SELECT replay_of FROM webhook_deliveries WHERE tenant_id = $1 AND status = 'delivered'", case.tenant
    )
    assert {str(row["replay_of"]) for row in made} == set(case.ids.values())


async def replaying_one(case: Case) -> AsyncIterator[None]:
    """Made again or not, and never by half: whoever asked sees from the story which it was."""
    await _failed(case, 1)
    (first,) = case.ids.values()
    assert await case.ask("POST", f"/api/tenants/{case.tenant}/deliveries/{first}/replay") is None
    yield
    story = (await case.insist("GET", f"/api/tenants/{case.tenant}/deliveries/{first}")).json()
    made = [entry["deliveryId"] for entry in story["trail"] if entry["event"] == "replayed"]
    assert len(made) <= 1
    await case.settled(failed=1, **({"delivered": 1} if made else {}))
    assert set(case.hits()) == {first, *made}


async def expiring(case: Case) -> AsyncIterator[None]:
    """What could not be delivered in time has expired, once."""
    await case.make(active=False)
    await case.deliver(1, 2, deliverBefore=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    yield
    await case.settled(expired=2)
    assert not case.hits()


STORIES: dict[str, Story] = {
    "enqueue.before_commit": accepting,
    "enqueue.after_commit": accepting,
    "promote.before_commit": delivering,
    "promote.after_commit": delivering,
    "claim.after_commit": delivering,
    "call.before_ack": delivering,
    "ack.between_writes": delivering,
    "ack.before_commit": delivering,
    "ack.after_commit": delivering,
    "once.after_begin": calling_before_it,
    "record.before_commit": calling_without_a_record,
    "record.after_commit": calling_with_a_record,
    "once.before_finish": calling_with_a_record,
    "circuit.before_commit": opening_a_circuit,
    "probe.after_commit": probing,
    "circuit.before_close": probing,
    "gone.before_switch": switching_off,
    "gone.before_commit": switching_off,
    "gone.after_commit": switched_off,
    "delete.after_commit": deleting_a_webhook,
    "delete_tenant.after_commit": deleting_a_tenant,
    "end.before_commit": deleting_a_webhook,
    "end.after_commit": deleting_a_webhook,
    "replay.before_commit": replaying,
    "replay.after_commit": replaying,
    "replay_one.before_commit": replaying_one,
    "replay_one.after_commit": replaying_one,
    "expire.before_commit": expiring,
}
NOTHING_WAS_CALLED = {"promote.before_commit", "promote.after_commit", "claim.after_commit"}
WITH_THE_DATABASE = [
    "enqueue.before_commit",
    "enqueue.after_commit",
    "promote.before_commit",
    "claim.after_commit",
    "ack.between_writes",
    "ack.before_commit",
    "ack.after_commit",
    "replay.before_commit",
    "expire.before_commit",
]


@pytest.fixture(scope="module")
async def fleet(zygote, tmp_path_factory):
    made = Fleet(zygote, tmp_path_factory.mktemp("faults"))
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
async def nobody_stays(fleet):
    """Whatever a story left running does not meddle with the next one."""
    yield
    await fleet.kill_all()


@pytest.fixture(scope="module")
def tally():
    with Tally() as made:
        yield made


def test_every_point_has_a_story():
    source = "".join(path.read_text("utf-8") for path in Path(hookvault.__file__).parent.rglob("*.py"))
    assert set(re.findall(r'fault_point\("([\w.]+)"\)', source)) == {*STORIES, *OF_KEYS, *OF_ROLLUPS, *OF_RETENTION}


@pytest.mark.parametrize("point", STORIES)
async def test_a_process_is_killed_at(fleet, tally, point):
    case = Case(fleet, tally, await fleet.start("serve", fault=point))
    story = STORIES[point](case)
    await anext(story)
    assert await case.member.code(20) == -signal.SIGKILL
    calls = len(case.hits())
    await fleet.books()  # whatever is half done is not in the database
    await fleet.end_leases()  # of the dead one; nobody else has any
    case.member = await fleet.start("serve")
    with pytest.raises(StopAsyncIteration):
        await anext(story)
    if point in NOTHING_WAS_CALLED:
        assert (calls, case.doubled()) == (0, 0)
    await fleet.drained()
    await case.member.stop()


@pytest.mark.parametrize("point", WITH_THE_DATABASE)
async def test_the_database_is_killed_at(fleet, tally, point):
    postmaster = fleet.postmaster
    case = Case(fleet, tally, await fleet.start("serve", fault=f"{point}:1:{postmaster}"))
    story = STORIES[point](case)
    await anext(story)
    # The server itself brings it back, and what it had claimed when the connections broke.
    await until(lambda: fleet.postmaster not in (None, postmaster), 20, "another postmaster")
    with pytest.raises(StopAsyncIteration):
        await anext(story)
    await fleet.drained()
    await case.member.stop()


async def test_the_jobs_of_a_killed_worker_run_again_when_its_leases_end_and_within_45_s(fleet, tally):
    server = await fleet.start("serve", "--no-worker")
    victim = await fleet.start("worker")
    case = Case(fleet, tally, server)
    tally.answers[case.path] = Reply(delay=5)
    await case.make()
    await case.deliver(1, 2, 3)
    await until(lambda: len(case.hits()) == 3)
    await victim.kill()
    killed_at = time.monotonic()
    tally.answers[case.path] = Reply()
    heir = await fleet.start("worker")
    await case.settled(45, delivered=3)
    again = [hit.at - killed_at for hit in tally.at(case.path)[3:]]
    assert len(again) == 3
    assert min(again) > 20  # nobody is called twice while its worker may live
    assert max(again) < 45
    for member in (heir, server):
        await member.stop()
