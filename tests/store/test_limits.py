"""Rate and concurrency limits: right over all processes together, for calls and for deliveries."""

import asyncio
import random
import time

import pytest
from depot import until

from hookvault.admission.limits import Limits
from hookvault.admission.model import WHOLE_TENANT, Bound, RateLimit
from hookvault.errors import TooManyRequestsError
from hookvault.ids import new_id
from hookvault.wiring import build
from n8n import Answer


@pytest.fixture
def processes(app):
    """Two processes' limits on one database."""
    return [Limits(app.database, new_id()) for _ in range(2)]


def bound_of(tenant, scope=None, *, rate=None, concurrency=None):
    return Bound(tenant.id, scope or new_id(), rate and RateLimit(*rate), concurrency)


async def hammer(limits, bounds, moments, until_s):
    """Asks for one after the other as often as it is let in, and notes when."""
    while time.monotonic() < until_s:
        granted = await limits.allow(bounds, random.randint(1, 3))
        moments += [time.monotonic()] * granted
        for _ in range(granted):
            limits.leave(bounds)
        await asyncio.sleep(min(limits.wait_s(bounds), 0.05) if not granted else 0)


def most_within(moments, burst, per_second, slack):
    """Checks every stretch of time: no more than the burst and what flows in meanwhile."""
    moments = sorted(moments)
    for first, start in enumerate(moments):
        for last in range(first, len(moments)):
            assert last - first + 1 <= burst + per_second * (moments[last] - start) + slack


@pytest.mark.parametrize("rate", [(3, 1), (40, 2), (300, 1)], ids=str)
async def test_two_processes_together_never_exceed_a_rate(processes, tenant, rate):
    bounds = [bound_of(tenant, rate=rate)]
    began = time.monotonic()
    moments = []
    jobs = [hammer(limits, bounds, moments, began + 1.5) for limits in processes for _ in range(4)]
    await asyncio.gather(*jobs)
    flow = rate[0] / rate[1]
    elapsed = time.monotonic() - began
    assert len(moments) <= rate[0] + flow * elapsed
    assert len(moments) >= rate[0] + flow * 1.5 * 0.5  # and nearly all of it is used
    most_within(moments, rate[0], flow, slack=2 * (flow * 0.1 + 3))  # what each process may have in hand


async def test_what_one_process_does_not_use_the_other_gets(processes, tenant):
    one, other = processes
    bounds = [bound_of(tenant, rate=(10, 3600))]
    assert await one.allow(bounds, 10) == 10
    assert await other.allow(bounds, 1) == 0
    await one.refund(bounds, 7)
    granted = 0
    async with asyncio.timeout(30):
        while granted < 7:
            other._tokens.clear()  # it would wait for the time that it was told
            granted += await other.allow(bounds, 7 - granted)
    other._tokens.clear()
    assert await other.allow(bounds, 1) == await one.allow(bounds, 1) == 0


async def test_the_stricter_of_two_limits_counts_and_the_other_loses_nothing(processes, tenant):
    one, other = processes
    own, whole = bound_of(tenant, rate=(2, 3600)), bound_of(tenant, WHOLE_TENANT, rate=(5, 3600))
    assert await one.allow([own, whole], 9) == 2
    assert await one.allow([own, whole], 1) == 0
    elsewhere = bound_of(tenant, rate=(100, 3600))
    assert await one.allow([elsewhere, whole], 9) == 3
    assert await one.allow([elsewhere, whole], 1) == await other.allow([elsewhere, whole], 1) == 0


async def test_two_processes_together_never_exceed_a_concurrency(processes, tenant):
    bounds = [bound_of(tenant, concurrency=5)]
    inside, most, entered = 0, 0, [0, 0]
    ends = time.monotonic() + 1.5

    async def call(number):
        nonlocal inside, most
        limits = processes[number]
        while time.monotonic() < ends:
            granted = await limits.allow(bounds, random.randint(1, 3))
            inside += granted
            entered[number] += granted
            most = max(most, inside)
            for _ in range(granted):
                await asyncio.sleep(random.random() * 0.01)
                inside -= 1
                limits.leave(bounds)
            if random.random() < 0.1:
                await limits.renew()
            await asyncio.sleep(0.002)

    await asyncio.gather(*[call(number) for number in (0, 1) for _ in range(4)])
    assert most == 5
    assert inside == 0
    assert min(entered) > 0


async def test_a_dead_process_s_places_come_back(processes, tenant, owner):
    dead, alive = processes
    bounds = [bound_of(tenant, concurrency=2)]
    assert await dead.allow(bounds, 5) == 2
    with pytest.raises(TooManyRequestsError) as caught:
        await alive.enter(bounds)
    assert (caught.value.code, caught.value.retry_after_s) == ("concurrency_limited", 1.0)
    await owner("UPDATE call_slots SET expires_at = now() - interval '1 second' WHERE tenant_id = $1", tenant.id)
    await until(lambda: alive.wait_s(bounds) == 0)
    assert await alive.allow(bounds, 5) == 2
    await dead.renew()  # it was not dead after all: it hears that it has none left
    assert await dead.allow(bounds, 1) == 0


async def test_places_that_nobody_uses_go_back(processes, tenant, owner):
    one, other = processes
    bounds = [bound_of(tenant, concurrency=2)]
    assert await one.allow(bounds, 2) == 2
    for _ in range(2):
        one.leave(bounds)
    await one.renew()
    assert await owner("SELECT 1 FROM call_slots WHERE tenant_id = $1", tenant.id) == []
    assert await other.allow(bounds, 2) == 2


@pytest.mark.parametrize(("before", "after"), [((100, 3600), (3, 3600)), ((1, 3600), (200, 1))])
async def test_a_changed_rate_holds_at_once(processes, tenant, before, after):
    scope = new_id()
    old, new = ([bound_of(tenant, scope, rate=rate)] for rate in (before, after))
    for limits in processes:
        await limits.allow(old, 1)
    began, granted = time.monotonic(), 0
    for _ in range(10):
        for limits in processes:
            granted += await limits.allow(new, 50)
        await asyncio.sleep(0.02)
    allowed = after[0] / after[1] * (time.monotonic() - began) + after[0]
    assert granted <= allowed
    assert granted >= min(3, after[0])


@pytest.mark.parametrize(("before", "after"), [(8, 2), (2, 8)])
async def test_a_changed_concurrency_holds_at_once(processes, tenant, before, after):
    one, other = processes
    scope = new_id()
    old, new = ([bound_of(tenant, scope, concurrency=most)] for most in (before, after))
    inside = await one.allow(old, before)
    granted = await one.allow(new, 10)
    assert inside + granted == max(before, after)
    for _ in range(inside + granted):
        one.leave(new)
    await one.renew()
    assert await one.allow(new, 10) + await other.allow(new, 10) == after


async def test_a_call_over_its_rate_is_refused_unsent_and_told_when_to_try_again(depot):
    webhook = await depot.webhook(policy={"rateLimit": {"calls": 2, "seconds": 3600}})
    for _ in range(2):
        assert (await depot.app.webhooks.call_webhook(depot.tenant_id, webhook.workflow_name, 1)).success
    with pytest.raises(TooManyRequestsError) as caught:
        await depot.app.webhooks.call_webhook(depot.tenant_id, webhook.workflow_name, 1)
    assert caught.value.code == "rate_limited"
    assert 1700 < caught.value.retry_after_s <= 1800
    assert "2 calls in 3600 s" in caught.value.message
    assert len(depot.seen(webhook)) == 2
    assert (await depot.app.webhooks.get_n8n_webhook(depot.tenant_id, webhook.id)).total_calls == 2


async def test_a_retry_counts_and_is_not_made_without_a_token(depot):
    webhook = await depot.webhook("error", policy={"rateLimit": {"calls": 2, "seconds": 3600}})
    result = await depot.app.webhooks.call_webhook_with_retry(depot.tenant_id, webhook.workflow_name, 1, 5)
    assert (result.success, result.attempts) == (False, 2)
    assert len(depot.seen(webhook)) == 2


@pytest.mark.parametrize("scope", ["webhook", "tenant"])
async def test_a_call_over_its_concurrency_is_refused_unsent(depot, second, scope):
    webhook = await depot.webhook(policy={"concurrency": 1} if scope == "webhook" else {})
    if scope == "tenant":
        await depot.app.tenants.update_tenant(depot.tenant_id, {"concurrency": 1})
    gate = asyncio.Event()
    depot.answers(webhook, Answer(when=gate))
    name = webhook.workflow_name
    first = asyncio.create_task(depot.app.webhooks.call_webhook(depot.tenant_id, name, 1))
    await until(lambda: depot.seen(webhook))
    for process in (depot.app, second):
        with pytest.raises(TooManyRequestsError) as caught:
            await process.webhooks.call_webhook(depot.tenant_id, name, 2)
        assert caught.value.code == "concurrency_limited"
        assert ("tenant" in caught.value.message) == (scope == "tenant")
    gate.set()
    assert (await first).success
    assert len(depot.seen(webhook)) == 1
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, name, 3)).success


async def test_deliveries_wait_for_their_rate_over_two_processes(depot, settings):
    webhook = await depot.webhook()
    await depot.app.tenants.update_tenant(depot.tenant_id, {"rate_limit": {"calls": 10, "seconds": 1}})
    moments = []

    def noted(_seen):
        moments.append(time.monotonic())
        return Answer()

    depot.answers(webhook, noted)
    other = await build(settings)
    await other.start()
    try:
        made = [await depot.send(webhook, n) for n in range(30)]
        stories = await depot.ended(*made)
    finally:
        await other.close()
    assert {(story.delivery.status, story.delivery.attempts) for story in stories} == {("delivered", 1)}
    assert len(moments) == 30
    most_within(moments, 10, 10, slack=3)
    assert moments[-1] - moments[0] < 6


async def test_deliveries_keep_to_their_concurrency_over_two_processes(depot, settings):
    webhook = await depot.webhook(policy={"concurrency": 2})
    inside, most = 0, 0

    def counted(_seen):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate = asyncio.Event()

        def leave():
            nonlocal inside
            inside -= 1
            gate.set()

        asyncio.get_running_loop().call_later(0.02, leave)
        return Answer(when=gate)

    depot.answers(webhook, counted)
    other = await build(settings)
    await other.start()
    try:
        made = [await depot.send(webhook, n) for n in range(24)]
        await depot.ended(*made)
    finally:
        await other.close()
    assert most <= 2
    assert (await depot.statuses())["delivered"] == 24


async def test_one_tenant_s_limit_is_no_other_s_trouble(depot, app, n8n):
    webhook = await depot.webhook(policy={"rateLimit": {"calls": 1, "seconds": 3600}})
    stuck = [await depot.send(webhook, n) for n in range(20)]
    free = await depot.webhook()
    began = time.monotonic()
    await depot.ended(*[await depot.send(free, n) for n in range(20)])
    assert time.monotonic() - began < 5
    waiting = [(await depot.story(one)).delivery for one in stuck]
    assert [item.status for item in waiting].count("pending") == 19
    assert sum(item.attempts for item in waiting) == 1
