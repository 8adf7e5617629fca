"""Circuit breakers: a receiver in trouble is left alone and probed, over all processes; nothing is lost meanwhile."""

import asyncio
import time

import pytest
from depot import SOON_S, events, until

from hookvault.errors import UnavailableError
from hookvault.wiring import build
from n8n import Answer

PAST = "UPDATE delivery_holds SET probe_at = now() - interval '1 second' WHERE webhook_id = $1 AND until IS NULL"
OPEN = "SELECT reason, probe_at - since AS pause FROM delivery_holds WHERE webhook_id = $1 AND until IS NULL"


async def calls(app, webhook, *statuses):
    """So many calls at once, each answered by one of these statuses, and the circuit looked at."""
    name = webhook.workflow_name
    results = [await app.webhooks.call_webhook(webhook.tenant_id, name, status) for status in statuses]
    assert [result.status_code for result in results] == list(statuses)
    await app.circuits.settle()


@pytest.fixture
async def webhook(depot):
    """A webhook whose receiver answers with the status that it is sent."""
    made = await depot.webhook()
    depot.answers(made, lambda seen: Answer(int(seen.body) if seen.body.isdigit() and len(seen.body) == 3 else 200))
    return made


@pytest.fixture
async def opened(depot, webhook, owner):
    """Its circuit is open."""
    await calls(depot.app, webhook, *[503] * 10)
    await until_open(owner, webhook, depot.app)
    return webhook


async def until_open(owner, webhook, *apps, is_open=True):
    """Waits until it is, and these processes were told so."""
    async with asyncio.timeout(30):
        while bool(await owner(OPEN, webhook.id)) is not is_open:
            await asyncio.sleep(0.01)
        for app in apps:
            place = (webhook.tenant_id, webhook.workflow_name)
            while (await app.webhooks._endpoints._find(place)).circuit_open is not is_open:
                await asyncio.sleep(0.01)


async def refused(app, webhook):
    with pytest.raises(UnavailableError) as caught:
        await app.webhooks.call_webhook(webhook.tenant_id, webhook.workflow_name, 200)
    assert caught.value.code == "circuit_open"
    return caught.value.retry_after_s


@pytest.mark.parametrize(
    ("statuses", "opens"),
    [
        ([503] * 9, False),
        ([200] * 6 + [503] * 4, False),
        ([200] * 5 + [503] * 5, True),
        ([404] * 10 + [503] * 2, False),
        ([429] * 6 + [500] * 6, True),
        ([401, 403, 408, 429] * 3, False),
        ([200, 500] * 5, True),
    ],
    ids=[
        "nine",
        "four of ten",
        "half",
        "4xx do not count",
        "any 5xx",
        "only 4xx",
        "the tenth is bad",
    ],
)
async def test_it_opens_at_ten_calls_of_which_half_broke(depot, webhook, owner, statuses, opens):
    """It is looked at after a call that broke: one that did not is no reason."""
    await calls(depot.app, webhook, *statuses)
    found = await owner(OPEN, webhook.id)
    assert bool(found) is opens
    if opens:
        assert [row["reason"] for row in found] == ["circuit_open"]
        assert found[0]["pause"].total_seconds() == pytest.approx(30, abs=1)


async def test_a_receiver_that_is_not_reached_or_too_slow_opens_it(depot, owner):
    for url, timeout_ms in (("http://127.0.0.1:1/x", None), (depot.n8n.url("/webhook/slow"), 30)):
        made = await depot.app.webhooks.create_n8n_webhook(
            depot.tenant_id, f"w{timeout_ms}", webhook_url=url, policy={"timeoutMs": timeout_ms}
        )
        jobs = [depot.app.webhooks.call_webhook(depot.tenant_id, made.workflow_name, 1) for _ in range(10)]
        await asyncio.gather(*jobs)
        await depot.app.circuits.settle()
        await until_open(owner, made)


async def test_calls_are_refused_unsent_and_told_when_to_try_again(depot, opened, second):
    sent = len(depot.seen(opened))
    for app in (depot.app, second):
        assert 25 < await refused(app, opened) <= 30
    assert len(depot.seen(opened)) == sent
    shown = await depot.app.webhooks.get_n8n_webhook(depot.tenant_id, opened.id)
    assert shown.total_calls == 10
    other = await depot.webhook()
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, other.workflow_name, 1)).success


async def test_it_counts_what_all_processes_called(depot, webhook, second, owner):
    await calls(second, webhook, *[200] * 5)
    await calls(second, webhook, *[503] * 2)
    assert await owner(OPEN, webhook.id) == []
    await calls(depot.app, webhook, *[503] * 3)
    await until_open(owner, webhook, second)
    assert 25 < await refused(second, webhook) <= 30


async def test_deliveries_that_break_open_it_and_are_held(depot, owner):
    webhook = await depot.webhook("error", policy={"schedule": [1], "maxRetries": 10})
    made = [await depot.send(webhook, n) for n in range(10)]
    await until_open(owner, webhook)
    async with asyncio.timeout(30):
        while await depot.statuses() != {"held": 10}:
            await asyncio.sleep(0.02)
    sent = len(depot.seen(webhook))
    later = await depot.send(webhook, 10)
    await asyncio.sleep(1.3)  # the retries' time comes and goes
    assert len(depot.seen(webhook)) == sent
    story = await depot.story(later)
    assert (story.delivery.status, story.trail[-1]["reason"]) == ("held", "circuit_open")

    depot.answers(webhook, Answer())
    await owner(PAST, webhook.id)
    stories = await depot.ended(*made, later)
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert await owner(OPEN, webhook.id) == []
    probes = [entry for story in stories for entry in story.trail if entry.get("probe")]
    assert len(probes) == 1
    assert events(stories[-1])[:3] == ["accepted", "held", "released"] or probes[0] in stories[-1].trail


async def test_one_call_of_all_that_come_may_probe(depot, opened, second, owner):
    gate = asyncio.Event()
    depot.answers(opened, Answer(when=gate))
    await owner(PAST, opened.id)
    sent = len(depot.seen(opened))
    both = (depot.app, second) * 10
    jobs = [asyncio.create_task(app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 200)) for app in both]
    async with asyncio.timeout(30):
        while sum(job.done() for job in jobs) < 19:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(depot.seen(opened)) == sent + 1
    gate.set()
    found = await asyncio.gather(*jobs, return_exceptions=True)
    refusals = [one for one in found if isinstance(one, UnavailableError)]
    assert len(refusals) == 19
    assert {one.code for one in refusals} == {"circuit_open"}
    await until_open(owner, opened, depot.app, second, is_open=False)
    for app in (depot.app, second):
        assert (await app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 200)).success


async def test_one_delivery_of_all_that_wait_probes_over_two_processes(depot, opened, settings, owner):
    made = [await depot.send(opened, 503) for _ in range(6)]
    other = await build(settings)
    await other.start()
    try:
        sent = len(depot.seen(opened))
        await owner(PAST, opened.id)
        await until(lambda: len(depot.seen(opened)) > sent)
        await asyncio.sleep(SOON_S)
        assert len(depot.seen(opened)) == sent + 1  # it broke: the circuit stays open, the next may try in 30 s
        (row,) = await owner("SELECT probe_at - now() FROM delivery_holds WHERE webhook_id = $1", opened.id)
        assert 20 < row[0].total_seconds() <= 30
        assert await depot.statuses() == {"held": 6}
        depot.answers(opened, Answer())
        await owner(PAST, opened.id)
        await until_open(owner, opened, is_open=False)
        waiting = [story for story in [await depot.story(one) for one in made] if not story.delivery.attempts]
        await depot.ended(*[story.delivery.id for story in waiting])
    finally:
        await other.close()


async def test_a_probe_that_fails_keeps_it_open_and_one_that_is_answered_closes_it(depot, opened, owner):
    await owner(PAST, opened.id)
    result = await depot.app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 503)
    assert result.status_code == 503
    assert 25 < await refused(depot.app, opened) <= 30
    await owner(PAST, opened.id)
    # An answer that is no success shows all the same that the receiver is there.
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 404)).status_code == 404
    await until_open(owner, opened, depot.app, is_open=False)
    assert (await depot.app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 200)).success


async def test_what_broke_before_it_closed_does_not_open_it_again(depot, opened, owner):
    await owner(PAST, opened.id)
    await depot.app.webhooks.call_webhook(depot.tenant_id, opened.workflow_name, 200)
    await until_open(owner, opened, depot.app, is_open=False)
    await calls(depot.app, opened, *[503] * 8)
    assert await owner(OPEN, opened.id) == []
    await calls(depot.app, opened, *[503] * 2)
    await until_open(owner, opened)


async def test_a_webhook_that_is_switched_off_meanwhile_stays_off(depot, opened, owner):
    await depot.change(opened, is_active=False)
    made = await depot.send(opened, 200)
    sent = len(depot.seen(opened))
    await owner(PAST + " AND reason = 'circuit_open'", opened.id)
    await asyncio.sleep(1.2)
    assert len(depot.seen(opened)) == sent
    await depot.change(opened, is_active=True)
    (story,) = await depot.ended(made)
    reasons = [entry["reason"] for entry in story.trail if entry["event"] == "held"]
    assert sorted(reasons) == ["circuit_open", "webhook_inactive"]


async def test_a_circuit_survives_a_restart(depot, opened, settings):
    other = await build(settings)
    try:
        assert 20 < await refused(other, opened) <= 30
    finally:
        await other.close()


async def test_a_healthy_webhook_is_not_looked_at(depot, webhook):
    began = time.monotonic()
    await calls(depot.app, webhook, *[200] * 20)
    assert depot.app.circuits._task is None or depot.app.circuits._task.done()
    assert time.monotonic() - began < 10
