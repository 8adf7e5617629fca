"""Ordering keys: one by one, in order, whatever fails; different keys and no key wait for nobody."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from depot import SOON_S, events, until

from hookvault.clock import now
from hookvault.wiring import build
from n8n import Answer


def numbers(seen):
    return [int(one.body) for one in seen]


class Moody:
    """Fails the first calls of some payloads, and notes who was called while another was not done."""

    def __init__(self, **failures):
        self.failures = {key.encode(): left for key, left in failures.items()}
        self.done = []

    def __call__(self, seen):
        if self.failures.get(seen.body, 0) > 0:
            self.failures[seen.body] -= 1
            return Answer(503)
        self.done.append(int(seen.body))
        return Answer()


async def test_order_is_kept_over_fifty_with_a_head_that_fails_twice(depot):
    webhook = await depot.webhook(policy={"schedule": [1]})
    moody = Moody(**{"0": 2})
    depot.answers(webhook, moody)
    made = [await depot.send(webhook, n, ordering_key="a", max_retries=3) for n in range(50)]
    stories = await depot.ended(*made)
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert moody.done == list(range(50))
    assert numbers(depot.seen(webhook)) == [0, 0, *range(50)]  # nobody was called before the head was done
    assert stories[0].delivery.attempts == 3
    assert events(stories[49]) == ["accepted", "claimed", "called", "delivered"]


async def test_order_is_kept_with_failures_anywhere(depot):
    """Those that are given up let the next one go."""
    webhook = await depot.webhook(policy={"schedule": [1]})
    depot.answers(webhook, lambda seen: Answer(400) if int(seen.body) % 3 == 0 else Answer())
    made = [await depot.send(webhook, n, ordering_key="a") for n in range(12)]
    stories = await depot.ended(*made)
    expected = ["failed" if n % 3 == 0 else "delivered" for n in range(12)]
    assert [story.delivery.status for story in stories] == expected
    assert numbers(depot.seen(webhook)) == list(range(12))


async def test_two_keys_and_no_key_do_not_wait_for_one_another(depot):
    webhook, other = await depot.webhook(policy={"schedule": [600]}), await depot.webhook()
    depot.answers(webhook, lambda seen: Answer(503) if seen.body == b"0" else Answer())
    stuck = [await depot.send(webhook, n, ordering_key="a") for n in range(3)]
    free = [await depot.send(webhook, n, ordering_key="b") for n in range(3, 6)]
    free += [await depot.send(webhook, n) for n in range(6, 9)]
    elsewhere = await depot.send(other, 9, ordering_key="a")  # the same key of another webhook is another key
    stories = await depot.ended(*free)
    assert {story.delivery.status for story in stories} == {"delivered"}
    ordered = [number for number in numbers(depot.seen(webhook)) if 3 <= number < 6]
    assert ordered == [3, 4, 5]
    (story,) = await depot.ended(elsewhere)
    assert story.delivery.status == "delivered"
    waiting = [await depot.story(one) for one in stuck]
    assert [story.delivery.status for story in waiting] == ["pending"] * 3
    assert waiting[0].delivery.next_attempt_at > now() + timedelta(seconds=400)
    assert [story.delivery.next_attempt_at for story in waiting[1:]] == [None, None]  # they wait for the head
    assert not {1, 2} & set(numbers(depot.seen(webhook)))


async def test_a_head_that_expires_or_is_held_up_lets_the_others_go_in_the_end(depot):
    webhook = await depot.webhook(is_active=False)
    soon = now() + timedelta(seconds=0.2)
    made = [await depot.send(webhook, 0, ordering_key="a", deliver_before=soon)]
    made += [await depot.send(webhook, n, ordering_key="a") for n in range(1, 4)]
    await asyncio.sleep(0.25)
    await depot.app.upkeep.tick()
    (story,) = await depot.ended(made[0])
    assert story.delivery.status == "expired"
    await depot.change(webhook, is_active=True)
    stories = await depot.ended(*made[1:])
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert numbers(depot.seen(webhook)) == [1, 2, 3]


async def test_a_hold_in_the_middle_changes_no_order(depot):
    webhook = await depot.webhook()
    gate = asyncio.Event()
    depot.answers(webhook, lambda seen: Answer(when=gate) if seen.body == b"2" else Answer())
    made = [await depot.send(webhook, n, ordering_key="a") for n in range(8)]
    await until(lambda: len(depot.seen(webhook)) == 3)
    await depot.change(webhook, is_active=False)
    gate.set()
    await depot.ended(*made[:3])
    await asyncio.sleep(SOON_S)
    assert numbers(depot.seen(webhook)) == [0, 1, 2]
    assert (await depot.statuses())["held"] == 5
    await depot.change(webhook, is_active=True)
    await depot.ended(*made)
    assert numbers(depot.seen(webhook)) == list(range(8))


async def test_one_at_a_time_though_two_processes_deliver(depot, settings):
    webhook = await depot.webhook()
    inside, most = 0, 0

    def counted(seen):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate = asyncio.Event()

        def leave():
            nonlocal inside
            inside -= 1
            gate.set()

        asyncio.get_running_loop().call_later(0.005, leave)
        return Answer(when=gate)

    depot.answers(webhook, counted)
    other = await build(settings)
    await other.start()
    try:
        made = [await depot.send(webhook, n, ordering_key="a") for n in range(30)]
        stories = await depot.ended(*made)
    finally:
        await other.close()
    assert {story.delivery.status for story in stories} == {"delivered"}
    assert numbers(depot.seen(webhook)) == list(range(30))
    assert most == 1
    await depot.ledger()


async def test_a_replay_of_one_with_a_key_waits_its_turn(depot):
    webhook = await depot.webhook(policy={"schedule": [600]})
    depot.answers(webhook, lambda seen: Answer(400) if seen.body == b"0" else Answer(503))
    first = await depot.send(webhook, 0, ordering_key="a")
    await depot.ended(first)
    stuck = await depot.send(webhook, 1, ordering_key="a")
    await until(lambda: numbers(depot.seen(webhook)) == [0, 1])
    again = await depot.app.replays.replay(depot.tenant_id, first)
    await asyncio.sleep(SOON_S)
    story = await depot.story(again)
    assert (story.delivery.status, story.delivery.ordering_key) == ("pending", "a")
    assert numbers(depot.seen(webhook)) == [0, 1]
    assert (await depot.story(stuck)).delivery.status == "pending"


async def test_the_database_refuses_a_second_head(depot, owner):
    webhook = await depot.webhook(is_active=False)
    made = [await depot.send(webhook, n, ordering_key="a") for n in range(2)]
    async with asyncio.timeout(30):
        while not (await owner("SELECT 1 FROM delivery_queue WHERE webhook_id = $1 AND head", webhook.id)):
            await asyncio.sleep(0.01)
    rows = await owner("SELECT id, head, ready FROM delivery_queue WHERE webhook_id = $1 ORDER BY seq", webhook.id)
    assert [tuple(row) for row in rows] == [(made[0], True, True), (made[1], False, False)]
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner("UPDATE delivery_queue SET head = true WHERE webhook_id = $1", webhook.id)
