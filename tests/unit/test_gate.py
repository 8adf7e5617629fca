"""The gate: never above its limits, nobody starves, and whoever leaves the queue takes nothing along."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.errors import UnavailableError
from hookvault.webhooks.gate import Gate


async def settle():
    """Lets every task run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def fill(gate, tenant, count):
    tasks = [asyncio.create_task(gate.enter(tenant, 5)) for _ in range(count)]
    await settle()
    return tasks


def admitted(tasks):
    return sum(task.done() and not task.cancelled() and task.exception() is None for task in tasks)


def assert_empty(gate):
    assert gate.in_flight == 0
    assert gate._inside == {}
    assert gate._waiting == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
async def test_one_tenant_gets_its_share_and_no_more(limit):
    gate = Gate(limit)
    tasks = await fill(gate, "a", 20)
    share = max(1, limit // 2)
    assert admitted(tasks) == gate.in_flight == share
    for left in range(20):
        gate.leave("a")
        await settle()
        assert gate.in_flight == min(share, 20 - left - 1)
    assert_empty(gate)


async def test_all_tenants_together_stay_within_the_limit():
    gate = Gate(4)
    tasks = [task for tenant in "abcde" for task in await fill(gate, tenant, 3)]
    assert admitted(tasks) == gate.in_flight == 4
    assert gate._inside == {"a": 2, "b": 2}


async def test_a_tenant_with_a_long_queue_delays_nobody_by_more_than_a_turn():
    gate = Gate(2)
    slow = await fill(gate, "slow", 100)
    first = await fill(gate, "other", 1)
    assert admitted(first) == 1  # its share was free
    others = [task for tenant in "xyz" for task in await fill(gate, tenant, 1)]
    assert admitted(others) == 0
    for turn, leaves in enumerate(["other", "x", "y"], 1):
        gate.leave(leaves)
        await settle()
        assert admitted(others) == turn
    assert admitted(slow) == 1  # still the one whose receiver is slow
    for task in slow:
        task.cancel()


async def test_within_a_tenant_it_is_first_come_first_served():
    gate = Gate(2)
    tasks = await fill(gate, "a", 5)
    for expected in range(2, 6):
        gate.leave("a")
        await settle()
        assert [task.done() for task in tasks] == [True] * expected + [False] * (5 - expected)


async def test_who_waits_too_long_is_told_so_and_takes_no_place():
    gate = Gate(2)
    await gate.enter("a", 1)
    with pytest.raises(UnavailableError) as caught:
        await gate.enter("a", 0.01)
    assert caught.value.code == "overloaded"
    gate.leave("a")
    assert_empty(gate)
    await asyncio.wait_for(gate.enter("a", 1), 1)


async def test_cancelled_waiters_leak_nothing():
    gate = Gate(2)
    await gate.enter("a", 1)
    waiting = await fill(gate, "a", 10)
    for task in waiting:
        task.cancel()
    await settle()
    gate.leave("a")
    assert_empty(gate)


async def test_cancelled_in_the_moment_of_being_let_in():
    gate = Gate(2)
    await gate.enter("a", 1)
    first, second = await fill(gate, "a", 2)
    gate.leave("a")  # lets the first in; its task hasn't run yet
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert gate.in_flight == 1
    gate.leave("a")
    assert_empty(gate)


async def test_cancelled_in_the_moment_of_giving_up():
    """It was never let in, so nothing may be given back for it."""
    gate = Gate(2)
    await gate.enter("a", 1)
    (waiting,) = await fill(gate, "a", 1)
    gate._waiting["a"][0].set_exception(UnavailableError("too late", code="overloaded"))  # as its timer does
    waiting.cancel()
    await settle()
    assert waiting.cancelled()
    assert gate.in_flight == 1
    gate.leave("a")
    assert_empty(gate)


class Watched:
    """Enters and leaves, and keeps the worst that it saw."""

    def __init__(self, limit):
        self.gate, self.share, self.limit = Gate(limit), max(1, limit // 2), limit
        self.inside, self.served = {}, 0

    async def visit(self, tenant, stay, patience):
        try:
            await self.gate.enter(tenant, patience)
        except UnavailableError:
            return
        self.inside[tenant] = self.inside.get(tenant, 0) + 1
        try:
            assert self.inside[tenant] <= self.share
            assert sum(self.inside.values()) <= self.limit
            assert self.gate.in_flight <= self.limit
            await asyncio.sleep(stay)
            self.served += 1
        finally:
            self.inside[tenant] -= 1
            self.gate.leave(tenant)


@given(st.integers(1, 6), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
async def test_under_any_traffic(limit, seed):
    """Visitors of four tenants who stay, lose patience and are cancelled at random moments."""
    chance = random.Random(seed)
    watched = Watched(limit)
    tasks = []
    for _ in range(60):
        patience = chance.choice([0.0, 0.001, 5.0])
        visit = watched.visit(chance.choice("aabc"), chance.choice([0, 0, 0.001]), patience)
        tasks.append(asyncio.create_task(visit))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice([0, 0.001]))
    ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)] == []
    assert_empty(watched.gate)


@given(st.integers(1, 6), st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
async def test_everybody_with_patience_is_served(limit, seed):
    chance = random.Random(seed)
    watched = Watched(limit)
    visits = [watched.visit(chance.choice("aaaaabcd"), chance.choice([0, 0.001]), 10.0) for _ in range(60)]
    await asyncio.wait_for(asyncio.gather(*visits), 10)
    assert watched.served == 60
    assert_empty(watched.gate)


async def test_tenants_whose_receivers_hang_do_not_stop_the_others():
    gate = Gate(8)
    for tenant in ("dead-1", "dead-2"):
        await fill(gate, tenant, 20)
    assert gate.in_flight == 8
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(gate.enter("alive", 5), 5)
    assert asyncio.get_running_loop().time() - began < 2.0
    gate.leave("alive")
    for tenant in ("dead-1", "dead-2"):
        for _ in range(20):
            await settle()
            gate.leave(tenant)
    await settle()
    assert_empty(gate)
    assert gate._parked == 0
    assert gate._began == {}
