"""Two servers and four workers on one database behave as one."""

import asyncio
import itertools
import os
import signal
import time
from collections import Counter

import pytest
from case import Case

from fleet import Fleet, until
from flood import Flood
from tally import Hit, Reply, Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
PROCESSES = 6
SOON_S = 2.0  # a second, and what a busy machine adds


class Crew:
    """The processes of these tests: what a test ended is started again before the next one."""

    def __init__(self, fleet: Fleet, tally: Tally) -> None:
        self.fleet = fleet
        self.tally = tally
        self.servers = []
        self.workers = []

    async def complete(self) -> None:
        for members, words, count in ((self.servers, ("serve", "--no-worker"), 2), (self.workers, ("worker",), 4)):
            members[:] = [member for member in members if member.alive]
            while len(members) < count:
                members.append(await self.fleet.start(*words))

    def urls(self) -> list[str]:
        return [member.url for member in self.servers if member.alive]

    async def case(self, **policy: object) -> Case:
        made = Case(self.fleet, self.tally, self.servers[0])
        await made.make(**policy)
        return made

    def flood(self, *cases: Case, **options: object) -> Flood:
        paths = [f"/api/tenants/{case.tenant}/webhooks/w/deliveries" for case in cases]
        return Flood(self.fleet, self.urls, paths, **options)


@pytest.fixture(scope="module")
async def assembled(zygote, tmp_path_factory):
    fleet = Fleet(zygote, tmp_path_factory.mktemp("many"))
    await fleet.open()
    with Tally() as tally:
        yield Crew(fleet, tally)
        await fleet.close()


@pytest.fixture
async def crew(assembled):
    await assembled.complete()
    return assembled


def over(hits: list[Hit], calls: int, seconds: float) -> int:
    """By how many the worst window exceeds a burst of `calls` and `calls` / `seconds` each second after it."""
    times = [hit.at for hit in hits]
    spans = itertools.combinations_with_replacement(range(len(times)), 2)
    return max(last - first + 1 - calls - int((times[last] - times[first]) * calls / seconds) for first, last in spans)


async def call(crew: Crew, case: Case, server: int) -> int:
    url = f"{crew.servers[server].url}/api/tenants/{case.tenant}/webhooks/w/call"
    return (await case.client.post(url, json={"payload": {"n": 0}, "maxRetries": 0})).status_code


async def test_a_rate_limit_holds_over_all_of_them(crew):
    case = await crew.case(rateLimit={"calls": 20, "seconds": 4})
    for number in range(8):  # one at a time, on an idle installation: nobody may put tokens by for a burst
        await case.deliver(number)
        await case.settled(delivered=number + 1)
    await asyncio.sleep(2)
    quiet = len(case.hits())
    statuses, _ = await asyncio.gather(
        asyncio.gather(*[call(crew, case, number % 2) for number in range(40)]), case.deliver(*range(100, 140))
    )
    assert set(statuses) <= {200, 429}
    await until(lambda: len(case.hits()) >= quiet + 24)
    assert over(crew.tally.at(case.path)[quiet:], 20, 4) <= PROCESSES / 2
    await case.insist("PUT", case.own, {"policy": {"rateLimit": None}})
    await case.settled(delivered=48)
    assert case.doubled() == 0


async def test_a_concurrency_limit_holds_over_all_of_them(crew):
    case = await crew.case(concurrency=3)
    crew.tally.answers[case.path] = Reply(delay=0.1)
    statuses, _ = await asyncio.gather(
        asyncio.gather(*[call(crew, case, number % 2) for number in range(20)]), case.deliver(*range(60))
    )
    assert set(statuses) <= {200, 429}
    await case.settled(delivered=60)
    assert crew.tally.most_open[case.path] == 3
    assert case.doubled() == 0


async def test_an_ordering_key_is_kept_in_order(crew):
    case = await crew.case()
    seen = Counter()

    def every_third_fails_once(hit: Hit) -> Reply:
        seen[hit.id] += 1
        return Reply(500 if hit.payload["n"] % 3 == 2 and seen[hit.id] == 1 else 200, delay=0.01)

    crew.tally.answers[case.path] = every_third_fails_once
    lanes = [f"lane-{number}" for number in range(12)]

    async def accepted(lane: str) -> None:
        for number in range(8):  # one after the other, by either server
            url = f"{crew.servers[number % 2].url}/api/tenants/{case.tenant}/webhooks/w/deliveries"
            body = {"payload": {"lane": lane, "n": number}, "orderingKey": lane}
            assert (await case.client.post(url, json=body)).status_code == 202

    await asyncio.gather(*map(accepted, lanes))
    await case.settled(40, delivered=96)
    for lane in lanes:
        assert case.order(lane) == list(range(8))
    assert case.doubled() == 24  # those that failed once, and no other


async def changed(case: Case, method: str, path: str, body: dict | None = None) -> float:
    """Makes a change; when it was answered."""
    answer = await case.insist(method, path, body)
    assert answer.status_code in (200, 204), answer.text
    return time.monotonic()


async def test_a_changed_address_and_a_switch_reach_all_of_them_within_a_second(crew):
    case = await crew.case()
    new = f"{case.path}/new"

    over_at = asyncio.Event()

    async def calling(server: int) -> list[tuple[float, int]]:
        made = []
        while not over_at.is_set():
            made.append((time.monotonic(), await call(crew, case, server)))
        return made

    async with crew.flood(case, clients=4, pause_s=0.02) as flood:
        await until(lambda: len(case.hits()) > 20)
        calls = [asyncio.create_task(calling(server)) for server in (0, 1)]
        moved_at = await changed(case, "PUT", case.own, {"webhookUrl": crew.tally.url(new)})
        await until(lambda: len(crew.tally.at(new)) > 50)
        await asyncio.sleep(max(0.0, moved_at + SOON_S - time.monotonic()))
        off_at = await changed(case, "PUT", case.own, {"isActive": False})
        await asyncio.sleep(SOON_S + 0.5)
        held = [hit.at for hit in crew.tally.at(new)]
        over_at.set()
        told = [one for task in calls for one in await task]
        on_at = await changed(case, "PUT", case.own, {"isActive": True})
        await until(lambda: crew.tally.at(new)[-1].at > on_at, SOON_S)
    assert crew.tally.at(case.path)[-1].at < moved_at + SOON_S
    assert held[-1] < off_at + SOON_S
    assert {status for began, status in told if began > off_at + SOON_S} == {409}
    await case.settled(40, delivered=len(flood.ids))


async def test_a_changed_limit_reaches_all_of_them_within_a_second(crew):
    case = await crew.case()
    async with crew.flood(case, clients=4, pause_s=0.01):
        await until(lambda: len(case.hits()) > 50)
        bound_at = await changed(case, "PUT", case.own, {"policy": {"rateLimit": {"calls": 2, "seconds": 1}}})
        await asyncio.sleep(SOON_S + 2)
        bound = [hit for hit in crew.tally.at(case.path) if hit.at > bound_at + SOON_S]
        free_at = await changed(case, "PUT", case.own, {"policy": {"rateLimit": None}})
        await until(lambda: crew.tally.at(case.path)[-20].at > free_at, SOON_S, "the old pace")
    assert over(bound, 2, 1) <= 1
    await crew.fleet.drained()


async def test_a_revoked_key_is_refused_by_all_of_them_within_a_second(crew):
    case = await crew.case()
    made = (await case.insist("POST", "/api/platform/api-keys", {"name": "short", "tenantId": case.tenant})).json()
    path = f"/api/tenants/{case.tenant}/webhooks/w/deliveries"

    async def using(client, server: int) -> list[tuple[float, int]]:
        used = []
        while not used or used[-1][1] == 202:
            began = time.monotonic()
            answer = await client.post(crew.servers[server].url + path, json={"payload": 1})
            used.append((began, answer.status_code))
        return used

    async with crew.fleet.client(made["key"]) as client:
        using_it = [asyncio.create_task(using(client, server)) for server in (0, 1)]
        await asyncio.sleep(0.5)
        revoked_at = await changed(case, "DELETE", f"/api/platform/api-keys/{made['id']}")
        for used in await asyncio.gather(*using_it):
            assert used[-1][1] == 401
            assert used[-1][0] < revoked_at + SOON_S
            assert len(used) > 10
    await crew.fleet.drained()


async def test_sigterm_lets_calls_end_and_neither_loses_nor_doubles_one(crew):
    case = await crew.case()
    crew.tally.answers[case.path] = Reply(delay=0.4)
    async with crew.flood(case, clients=8) as flood:
        await until(lambda: crew.tally.open[case.path] >= 8)
        await asyncio.gather(crew.workers[0].stop(), crew.servers[0].stop())  # they check the exit code
        await until(lambda: crew.tally.open[case.path] >= 8)
        await asyncio.gather(crew.workers[1].stop(), crew.workers[2].stop())
    await case_settled(case, crew, flood)
    assert set(case.hits()) == set(flood.ids.values())
    assert case.doubled() == 0


async def case_settled(case: Case, crew: Crew, flood: Flood, within: float = 30) -> None:
    """All that was accepted is delivered, and asked of a member that lives."""
    case.member = next(member for member in crew.servers if member.alive)
    await case.settled(within, delivered=len(flood.ids))
    await crew.fleet.drained()


async def test_a_killed_worker_s_jobs_run_again_within_45_s(crew):
    case = await crew.case()
    crew.tally.answers[case.path] = Reply(delay=8)
    await case.deliver(*range(16))
    await until(lambda: crew.tally.open[case.path] == 16)
    victims = crew.workers[:3]
    for victim in victims:
        await victim.kill()
    killed_at = time.monotonic()
    cut = await until(lambda: 16 - crew.tally.open[case.path], 5)
    crew.tally.answers[case.path] = Reply()
    await case.settled(45, delivered=16)
    again = [hit.at - killed_at for hit in crew.tally.at(case.path)[16:]]
    assert 0 < len(again) == case.doubled() <= 16
    assert len(again) >= cut
    assert 20 < min(again) <= max(again) < 45


async def test_a_database_that_is_restarted_and_cuts_connections_loses_nothing(crew):
    cases = [await crew.case(), await crew.case(concurrency=4), await crew.case(rateLimit={"calls": 200, "seconds": 1})]
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    async with crew.flood(*cases, clients=8, pause_s=0.02) as flood:
        for _ in range(5):
            await asyncio.sleep(0.3)
            await crew.fleet.sql(cut)
        postmaster = crew.fleet.postmaster
        os.kill(postmaster, signal.SIGKILL)
        await until(lambda: crew.fleet.postmaster not in (None, postmaster), 20, "another postmaster")
        before = len(flood.ids)
        await until(lambda: len(flood.ids) > before + 50, 20, "deliveries after the restart")
        await crew.fleet.run("db", "stop")
        await asyncio.sleep(1)
        await crew.fleet.run("db", "url")  # starts it again
        before = len(flood.ids)
        await until(lambda: len(flood.ids) > before + 50, 20, "deliveries after the second restart")
    await crew.fleet.drained(40)
    statuses = sum([await case.statuses() for case in cases], Counter())
    assert statuses == {"delivered": len(flood.ids)}
    seen = crew.tally.counted()
    assert set(flood.ids.values()) <= set(seen)
    assert sum(seen[identifier] - 1 for identifier in flood.ids.values()) <= 8 * 4 * 20
