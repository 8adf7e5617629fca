"""The queue: leases that end, workers that die, clocks that are set back, days that are dropped, and the account of it all."""

import asyncio
import secrets
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from depot import SOON_S, events, until

from hookvault.clock import now
from hookvault.deliveries.model import NewDelivery
from hookvault.errors import NotFoundError
from hookvault.ids import id_time, new_id
from hookvault.queue.model import Ack
from hookvault.wiring import build
from hookvault.worker.ack import Outcome
from n8n import Answer

JOB = "SELECT * FROM delivery_queue WHERE id = $1"


async def job_of(owner, delivery_id):
    rows = await owner(JOB, delivery_id)
    return rows[0] if rows else None


def id_at(moment):
    """An id as one made at a moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (new_id().int & ((1 << 80) - 1)))


@pytest.fixture
async def abandoned(depot, owner):
    """A job whose worker died while it had it; it may be claimed again once its webhook is switched on."""

    async def made(lost=0):
        webhook = await depot.webhook(is_active=False)
        delivery_id, dead = await depot.send(webhook), new_id()
        left = (
            "UPDATE delivery_queue SET ready = false, leased_by = $2, claims = 1, lost = $3, "
            "due_at = now() - interval '1 second' WHERE id = $1"
        )
        await owner(left, delivery_id, dead, lost)
        return webhook, delivery_id, dead

    return made


async def test_a_job_of_a_dead_worker_is_claimed_again_and_says_so(depot, abandoned):
    webhook, made, dead = await abandoned()
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(made)
    assert story.delivery.status == "delivered"
    told = [name for name in events(story) if name not in ("held", "released")]
    assert told == ["accepted", "lease_lost", "claimed", "called", "delivered"]
    lost = next(entry for entry in story.trail if entry["event"] == "lease_lost")
    assert lost["worker"] == str(dead)
    assert len(depot.seen(webhook)) == 1


@pytest.mark.parametrize(("lost", "status"), [(3, "delivered"), (4, "failed"), (5, "failed")])
async def test_a_job_over_which_five_workers_died_is_given_up(depot, abandoned, lost, status):
    """It may be what kills them."""
    webhook, made, _ = await abandoned(lost)
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(made)
    assert story.delivery.status == status
    if status == "failed":
        assert story.delivery.error_code == "worker_lost"
        assert depot.seen(webhook) == []


async def test_the_late_answer_of_one_thought_dead_is_recorded_and_changes_nothing(depot, owner):
    webhook = await depot.webhook()
    gate = asyncio.Event()
    waiting = [Answer(500, b"late", when=gate), Answer(200, b'"in time"')]
    depot.answers(webhook, lambda _seen: waiting.pop(0))
    before = await depot.ledger()
    made = await depot.send(webhook)
    await until(lambda: depot.seen(webhook))
    await owner("UPDATE delivery_queue SET due_at = now() - interval '1 second' WHERE id = $1", made)
    (story,) = await depot.ended(made)
    assert (story.delivery.status, len(story.call_ids)) == ("delivered", 1)
    gate.set()
    async with asyncio.timeout(30):
        while len((await depot.app.analytics.list_webhook_calls(depot.tenant_id, webhook.id)).items) < 2:
            await asyncio.sleep(0.01)
    calls = (await depot.app.analytics.list_webhook_calls(depot.tenant_id, webhook.id)).items
    assert sorted(call.status_code for call in calls) == [200, 500]
    assert {call.delivery_id for call in calls} == {made}
    assert (await depot.story(made)).delivery == story.delivery
    after = await depot.ledger()
    assert (after.accepted - before.accepted, after.delivered - before.delivered) == (1, 1)
    assert after.failed == before.failed


@pytest.mark.parametrize("status", ["delivered", "failed", "expired", "pending"])
async def test_an_answer_with_another_claim_does_nothing(depot, owner, status):
    webhook = await depot.webhook(is_active=False)
    made = await depot.send(webhook)
    await owner("UPDATE delivery_queue SET claims = 3 WHERE id = $1", made)
    before, job = await depot.ledger(), await job_of(owner, made)
    for claims in (2, 4):
        ack = Ack(
            depot.tenant_id, made, id_time(made), claims, status, 5.0, 1, 200, None, None, b'[{"event":"forged"}]'
        )
        depot.app.worker.acks.add(Outcome(None, ack, None, webhook.id))
    await until(lambda: depot.app.worker.acks.waiting == 0)
    await asyncio.sleep(0.1)
    assert await job_of(owner, made) == job
    assert await depot.ledger() == before
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(made)
    assert "forged" not in events(story)


async def test_a_call_under_way_keeps_its_lease(depot, owner):
    webhook = await depot.webhook()
    gate = asyncio.Event()
    depot.answers(webhook, Answer(when=gate))
    made = await depot.send(webhook)
    await until(lambda: depot.seen(webhook))
    job = await job_of(owner, made)
    assert (job["ready"], job["claims"], job["attempts"]) == (False, 1, 0)
    await owner("UPDATE delivery_queue SET due_at = now() + interval '2 seconds' WHERE id = $1", made)
    await depot.app.worker.renew()
    assert (await job_of(owner, made))["due_at"] > now() + timedelta(seconds=25)
    shown = await depot.story(made)
    assert (shown.delivery.status, shown.delivery.next_attempt_at) == ("pending", None)
    gate.set()
    await depot.ended(made)


async def test_two_processes_deliver_each_once(depot, settings):
    hooks = [await depot.webhook() for _ in range(3)]
    for webhook in hooks:
        depot.answers(webhook, Answer(delay=0.002))
    other = await build(settings)
    await other.start()
    try:
        made = [await depot.send(hooks[n % 3], n) for n in range(300)]
        stories = await depot.ended(*made)
    finally:
        await other.close()
    assert Counter(seen.headers["webhook-id"] for seen in depot.n8n.seen) == Counter(str(one) for one in made)
    assert {story.delivery.status for story in stories} == {"delivered"}
    workers = {entry["worker"] for story in stories for entry in story.trail if entry["event"] == "claimed"}
    assert len(workers) == 2


async def test_a_process_that_stops_gives_back_what_it_did_not_call(depot, settings, owner):
    """Without a claim lost: nothing went wrong."""
    webhook = await depot.webhook(is_active=False)
    made = [await depot.send(webhook, n) for n in range(20)]
    few = settings.model_copy(update={"webhook_concurrency": 2})
    gate = asyncio.Event()
    depot.answers(webhook, Answer(when=gate))
    other = await build(few)
    await other.start()
    await depot.change(webhook, is_active=True)
    await until(lambda: depot.seen(webhook))
    await depot.change(webhook, is_active=False)
    closing = asyncio.create_task(other.close())
    await asyncio.sleep(0.1)
    gate.set()
    await closing
    async with asyncio.timeout(30):
        while await owner("SELECT 1 FROM delivery_queue WHERE webhook_id = $1 AND leased_by IS NOT NULL", webhook.id):
            await asyncio.sleep(0.01)
    depot.answers(webhook, Answer())
    await depot.change(webhook, is_active=True)
    stories = await depot.ended(*made)
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert Counter(seen.body for seen in depot.seen(webhook)) == {b"%d" % n: 1 for n in range(20)}
    assert not any("lease_lost" in events(story) for story in stories)


async def test_a_clock_that_is_set_back_brings_what_waits_back_with_it(depot, outside, owner):
    webhook = await depot.webhook(policy={"schedule": [600]})
    depot.answers(webhook, Answer(503))
    retried = await depot.send(webhook)
    behind = [await depot.send(webhook, n, ordering_key="a") for n in range(2)]
    async with asyncio.timeout(30):
        while (await depot.story(behind[0])).delivery.attempts + (await depot.story(retried)).delivery.attempts < 2:
            await asyncio.sleep(0.01)
    was = (await job_of(owner, retried))["due_at"]
    async with outside.transaction():  # as all of it looks once the clock is an hour behind what was written
        await outside.execute("UPDATE delivery_clock SET seen_at = clock_timestamp() + interval '1 hour'")
        shift = "UPDATE delivery_queue SET due_at = due_at + interval '1 hour' WHERE webhook_id = $1 AND due_at < 'infinity'"
        await outside.execute(shift, webhook.id)
    await depot.app.upkeep.tick()
    assert abs((await job_of(owner, retried))["due_at"] - was) < timedelta(seconds=2)
    assert await owner("SELECT 1 FROM delivery_queue WHERE id = $1 AND due_at = 'infinity'", behind[1])
    (row,) = await owner("SELECT seen_at FROM delivery_clock")
    assert abs(row[0] - now()) < timedelta(seconds=5)
    async with outside.transaction():  # while somebody else has the clock, nobody writes over what it says
        await outside.execute("UPDATE delivery_clock SET seen_at = clock_timestamp() + interval '1 hour'")
        await depot.app.upkeep.tick()
        (row,) = await outside.fetch("SELECT seen_at > now() + interval '50 minutes' FROM delivery_clock")
        assert row[0]
        await outside.execute("UPDATE delivery_clock SET seen_at = clock_timestamp()")
    async with outside.transaction():  # a second or two is no reason to do anything
        await outside.execute("UPDATE delivery_clock SET seen_at = clock_timestamp() + interval '3 seconds'")
    due = (await job_of(owner, retried))["due_at"]
    await depot.app.upkeep.tick()
    assert (await job_of(owner, retried))["due_at"] == due


async def test_a_day_with_a_delivery_that_waits_is_kept(depot, owner):
    webhook = await depot.webhook(is_active=False)
    base = now() - timedelta(days=1000 + 10 * secrets.randbelow(300))
    ids = {name: id_at(base + timedelta(days=n)) for n, name in enumerate(("before", "waiting", "after"))}
    for identifier in ids.values():
        await depot.app.enqueuer.put(NewDelivery(depot.tenant_id, identifier, id_time(identifier), webhook.id, b"1"))

    async def kept():
        found = await owner("SELECT id FROM webhook_deliveries WHERE id = ANY($1)", list(ids.values()))
        return {name for name, identifier in ids.items() if identifier in {row[0] for row in found}}

    for name in ("before", "after"):  # ended, whatever way
        await owner("UPDATE delivery_queue SET deliver_before = now() WHERE id = $1", ids[name])
    await depot.app.upkeep.tick()
    await depot.app.upkeep.retain(90)
    assert await kept() == {"waiting", "after"}
    await owner("UPDATE tenants SET created_at = $2 WHERE id = $1", depot.tenant_id, base - timedelta(days=9))
    assert (await depot.story(ids["waiting"])).delivery.status == "held"
    await depot.change(webhook, is_active=True)
    await depot.ended(ids["waiting"])
    await depot.app.upkeep.retain(90)
    assert await kept() == set()
    with pytest.raises(NotFoundError) as caught:
        await depot.story(ids["waiting"])
    assert caught.value.code == "delivery_not_found"


async def test_folding_the_account_keeps_its_sums(depot, owner, outside):
    webhook = await depot.webhook()
    await depot.ended(*[await depot.send(webhook, n) for n in range(3)])
    for n in range(5):  # each transaction of an application's own has a row
        made = await outside.fetchval(
            "SELECT hookvault_enqueue($1, $2, $3)", depot.tenant_id, webhook.workflow_name, str(n)
        )
        await depot.ended(made)
    before = await depot.ledger()
    await owner("UPDATE delivery_ledger SET updated_at = now() - interval '1 hour'")
    await depot.app.upkeep.tidy(90)
    assert await depot.ledger() == before
    rows = await owner("SELECT tenant_id, id FROM delivery_ledger")
    assert [tuple(row) for row in rows] == [("", UUID(int=0))]
    await depot.ended(await depot.send(webhook))
    after = await depot.ledger()
    assert (after.accepted, after.delivered) == (before.accepted + 1, before.delivered + 1)
    assert (await depot.app.ledger()).balance == 0


async def test_what_was_accepted_as_its_webhook_was_deleted_ends(depot, owner):
    """Nobody could have known: the two transactions did not see each other."""
    ready, later = new_id(), id_at(now() - timedelta(minutes=2))
    for identifier in (later, ready):
        ordering_key = None if identifier == ready else "a"
        delivery = NewDelivery(
            depot.tenant_id, identifier, id_time(identifier), new_id(), b"1", ordering_key=ordering_key
        )
        if identifier == later:
            await owner("UPDATE tenants SET created_at = now() - interval '1 hour' WHERE id = $1", depot.tenant_id)
        await depot.app.enqueuer.put(delivery)
        await owner("UPDATE delivery_queue SET ready = false, due_at = now() + interval '1 hour' WHERE id = $1", later)
    await depot.app.upkeep.sweep()
    for story in await depot.ended(ready, later):
        assert (story.delivery.status, story.delivery.error_code) == ("failed", "webhook_deleted")


async def test_a_payload_that_somebody_removed_does_not_stop_a_worker(depot, owner):
    webhook = await depot.webhook(is_active=False)
    lost, kept = await depot.send(webhook, 0), await depot.send(webhook, 1)
    before = await depot.ledger()
    await owner("DELETE FROM webhook_deliveries WHERE id = $1", lost)
    await depot.change(webhook, is_active=True)
    (story,) = await depot.ended(kept)
    assert story.delivery.status == "delivered"
    async with asyncio.timeout(30):
        while await job_of(owner, lost):
            await asyncio.sleep(0.01)
    assert (await depot.ledger()).failed - before.failed == 1
    assert [seen.body for seen in depot.seen(webhook)] == [b"1"]


async def test_a_database_that_goes_away_for_a_moment_loses_nothing(depot, cluster_url, settings, owner):
    webhook = await depot.webhook()
    depot.answers(webhook, Answer(delay=0.005))
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    made = [await depot.send(webhook, n) for n in range(40)]
    for _ in range(3):
        await owner(end)
        await asyncio.sleep(SOON_S / 3)
    stories = await depot.ended(*made)
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert {seen.headers["webhook-id"] for seen in depot.seen(webhook)} == {str(one) for one in made}
