"""Deliveries made again: one at once, many in the background; counted first, watched, stopped, and never made twice."""

import asyncio
import json
import time
from collections import Counter

import pytest
from dispatch import accepted
from tenancy import is_problem

from hookvault.deliveries.model import DeliveryFilter
from hookvault.wiring import build
from n8n import Answer

REPLAY = {
    *("id", "tenantId", "filter", "ratePerSecond", "total", "done", "status", "createdAt", "createdBy", "updatedAt"),
    "finishedAt",
}


@pytest.fixture
async def webhook(acme, n8n):
    """A webhook whose receiver refuses everything, for now."""
    n8n.answers["/webhook/ok/orders"] = Answer(400)
    return await acme.webhook(n8n.url("/webhook/ok/orders"), "orders")


@pytest.fixture
async def failed(deliveries, webhook):
    """Deliveries that failed there, oldest first."""

    async def made(number=1, **fields):
        found = [await deliveries.send(webhook, n, **fields) for n in range(number)]
        await deliveries.ended(*found)
        return found

    return made


async def started(deliveries, **body):
    answer = await deliveries.client.post(f"{deliveries.path}/replay", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == REPLAY
    assert answer.headers["location"] == f"{deliveries.path}/replays/{answer.json()['id']}"
    return answer.json()


async def read(deliveries, replay):
    answer = await deliveries.client.get(f"{deliveries.path}/replays/{replay['id']}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def finished(deliveries, replay, seconds=15):
    async with asyncio.timeout(seconds):
        while (found := await read(deliveries, replay))["status"] == "running":
            await asyncio.sleep(0.02)
    return found


async def test_one_is_made_again_as_it_was_to_the_webhook_as_it_is(client, acme, n8n, deliveries, webhook, failed):
    fields = {"triggeredBy": "orders", "metadata": {"n": 1}, "timeoutMs": 9000, "maxRetries": 0}
    (old,) = await failed(1, **fields, key="once")
    moved = n8n.url("/webhook/ok/moved")
    await client.put(f"{acme.path}/webhooks/{webhook['id']}", json={"webhookUrl": moved})
    answer = await client.post(f"{deliveries.path}/{old}/replay")
    assert answer.status_code == 202
    made = answer.json()["deliveryId"]
    (story,) = await deliveries.ended(made)
    assert (story["status"], story["replayOf"], story["payload"]) == ("delivered", old, 0)
    assert (story["triggeredBy"], story["metadata"], story["idempotencyKey"]) == ("orders", {"n": 1}, None)
    assert n8n.last.path == "/webhook/ok/moved"
    assert n8n.last.headers["webhook-id"] == made != old
    before = await deliveries.story(old)
    assert before["status"] == "failed"
    assert [(entry["event"], entry.get("deliveryId")) for entry in before["trail"]][-1] == ("replayed", made)
    assert story["trail"][0]["replayOf"] == old
    event = (await acme.audit())[0]
    assert (event["action"], event["targetId"], event["detail"]) == ("delivery.replayed", old, {"deliveryId": made})
    again = (await client.post(f"{deliveries.path}/{made}/replay")).json()["deliveryId"]
    assert len({old, made, again}) == 3


async def test_one_that_has_not_ended_or_has_no_webhook_is_not_made_again(
    client, acme, n8n, deliveries, webhook, failed, owner
):
    (old,) = await failed()
    off = await acme.webhook(n8n.url(), "off", isActive=False)
    held = await deliveries.send(off)
    await client.delete(f"{acme.path}/webhooks/{webhook['id']}")
    before = await accepted(owner)
    is_problem(await client.post(f"{deliveries.path}/{held}/replay"), 409, "delivery_not_ended")
    is_problem(await client.post(f"{deliveries.path}/{old}/replay"), 404, "webhook_not_found")
    assert await accepted(owner) == before


async def test_many_are_counted_first_and_then_made_again(client, acme, n8n, deliveries, webhook, failed, owner):
    old = await failed(12)
    before = await accepted(owner)
    preview = await client.post(f"{deliveries.path}/replay", json={"preview": True, "ratePerSecond": 6})
    assert (preview.status_code, preview.json()) == (200, {"count": 12, "seconds": 2.0})
    assert await accepted(owner) == before
    n8n.answers["/webhook/ok/orders"] = Answer()
    replay = await started(deliveries, ratePerSecond=1000)
    assert (replay["status"], replay["total"], replay["done"]) == ("running", 12, 0)
    done = await finished(deliveries, replay)
    assert (done["status"], done["done"]) == ("finished", 12)
    made = [item for item in (await deliveries.list(limit=200))["items"] if item["replayOf"]]
    stories = await deliveries.ended(*[item["id"] for item in made])
    assert {story["replayOf"] for story in stories} == set(old)
    assert {story["status"] for story in stories} == {"delivered"}
    assert sorted(json.loads(seen.body) for seen in n8n.seen[12:]) == list(range(12))
    listed = (await client.get(f"{deliveries.path}/replays")).json()["items"]
    assert listed == [done]
    actions = [event["action"] for event in await acme.audit()]
    assert actions[0] == "replay.started"
    # What failed once and was delivered since may be made again all the same: nobody but the caller knows.
    assert (await client.post(f"{deliveries.path}/replay", json={"preview": True})).json()["count"] == 12


async def test_a_filter_names_which(client, acme, n8n, deliveries, webhook, failed):
    old = await failed(3)
    other = await acme.webhook(n8n.url("/webhook/ok/fine"), "fine")
    fine = [await deliveries.send(other, n) for n in range(2)]
    await deliveries.ended(*fine)
    stories = [await deliveries.story(one) for one in old]

    async def count(**body):
        answer = await client.post(f"{deliveries.path}/replay", json={"preview": True, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()["count"]

    assert await count() == 3
    assert await count(status=["delivered"]) == 2
    assert await count(status=["delivered", "failed", "expired"]) == 5
    assert await count(workflowName="orders") == await count(webhookId=webhook["id"]) == 3
    assert await count(workflowName="fine") == 0
    assert await count(errorCode="http_400") == 3
    assert await count(errorCode="http_500") == 0
    assert await count(startDate=stories[1]["acceptedAt"]) == 2
    assert await count(endDate=stories[1]["acceptedAt"]) == 1
    replay = await started(deliveries, status=["delivered"], workflowName="fine", ratePerSecond=1000)
    assert replay["filter"]["webhookId"] == other["id"]
    assert (await finished(deliveries, replay))["done"] == 2


async def test_a_filter_that_matches_nothing_is_told_and_starts_nothing(client, deliveries, failed, owner):
    await failed()
    before = await accepted(owner)
    for body in ({"status": ["expired"]}, {"errorCode": "http_999"}, {"startDate": "2999-01-01T00:00:00Z"}):
        is_problem(await client.post(f"{deliveries.path}/replay", json=body), 422, "nothing_to_replay")
    assert await accepted(owner) == before
    assert (await client.get(f"{deliveries.path}/replays")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": ["pending"]}, "invalid_input"),
        ({"status": ["held"]}, "invalid_input"),
        ({"status": "failed"}, "invalid_input"),
        ({"ratePerSecond": 0}, "invalid_input"),
        ({"ratePerSecond": 10_001}, "invalid_input"),
        ({"ratePerSecond": "50"}, "invalid_input"),
        ({"preview": "yes"}, "invalid_input"),
        ({"startDate": "2026-01-01T00:00:00"}, "invalid_range"),
        ({"startDate": "2026-01-02T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"}, "invalid_range"),
        ({"surprise": 1}, "invalid_input"),
        ({"webhookId": "x"}, "invalid_input"),
    ],
)
async def test_what_is_no_replay(client, deliveries, failed, owner, body, code):
    await failed()
    before = await accepted(owner)
    is_problem(await client.post(f"{deliveries.path}/replay", json=body), 422, code)
    assert await accepted(owner) == before


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
async def test_times_at_the_edge_of_the_calendar(client, deliveries, failed, moment):
    await failed()
    for name in ("startDate", "endDate"):
        answers = [
            await client.post(f"{deliveries.path}/replay", json={"preview": True, name: moment}),
            await client.post(f"{deliveries.path}/replay", json={name: moment}),
            await client.get(deliveries.path, params={name: moment}),
        ]
        for answer in answers:
            assert answer.status_code < 500, answer.text
    listed = (await client.get(f"{deliveries.path}/replays")).json()["items"]
    for replay in listed:
        await finished(deliveries, replay)


async def test_a_replay_keeps_to_its_rate_and_shows_how_far_it_is(client, deliveries, n8n, failed):
    await failed(12)
    n8n.answers["/webhook/ok/orders"] = Answer()
    began = time.monotonic()
    replay = await started(deliveries, ratePerSecond=10)
    seen = set()
    async with asyncio.timeout(15):
        while (found := await read(deliveries, replay))["status"] == "running":
            seen.add(found["done"])
            assert found["done"] <= 10 * (time.monotonic() - began) + 1
            await asyncio.sleep(0.05)
    assert found["done"] == 12
    assert 1.0 < time.monotonic() - began < 6
    assert len(seen) > 1


async def test_a_replay_is_stopped_and_what_it_made_stays(client, acme, deliveries, n8n, failed):
    await failed(40)
    n8n.answers["/webhook/ok/orders"] = Answer()
    replay = await started(deliveries, ratePerSecond=10)
    async with asyncio.timeout(30):
        while not (await read(deliveries, replay))["done"]:
            await asyncio.sleep(0.02)
    path = f"{deliveries.path}/replays/{replay['id']}/cancel"
    stopped = await client.post(path)
    assert (stopped.status_code, stopped.json()["status"]) == (200, "cancelled")
    is_problem(await client.post(path), 409, "replay_ended")
    await asyncio.sleep(0.8)
    found = await read(deliveries, replay)
    assert (found["status"], found["done"]) == ("cancelled", stopped.json()["done"])
    made = [item["id"] for item in (await deliveries.list(limit=200))["items"] if item["replayOf"]]
    assert len(made) == found["done"] < 40
    stories = await deliveries.ended(*made)
    assert {story["status"] for story in stories} == {"delivered"}
    assert (await acme.audit())[0]["action"] == "replay.cancelled"


async def test_two_processes_make_none_twice(app, settings, acme, deliveries, n8n, failed, owner):
    old = await failed(60)
    n8n.answers["/webhook/ok/orders"] = Answer()
    other = await build(settings)
    try:
        replays = [await app.replays.start(acme.id, DeliveryFilter(), rate=200) for _ in range(2)]
        async with asyncio.timeout(15):
            while "running" in [(await app.replays.get(acme.id, one.id)).status for one in replays]:
                await asyncio.gather(*[each.replays.advance() for each in (app, other) * 3])
                await asyncio.sleep(0.02)
    finally:
        await other.close()
    for replay in replays:
        assert (await app.replays.get(acme.id, replay.id)).done == 60
    rows = await owner(
        "SELECT replay_of FROM webhook_deliveries WHERE tenant_id = $1 AND replay_of IS NOT NULL", acme.id
    )
    assert Counter(str(row[0]) for row in rows) == dict.fromkeys(old, 2)  # once by each of the two replays
    async with asyncio.timeout(15):
        while await owner("SELECT 1 FROM delivery_queue WHERE tenant_id = $1", acme.id):
            await asyncio.sleep(0.02)
    (row,) = await owner(
        "SELECT sum(accepted) - sum(delivered) - sum(failed) - sum(expired) - (SELECT count(*) FROM delivery_queue) "
        "FROM delivery_ledger"
    )
    assert row[0] == 0


async def test_a_replay_of_what_it_makes_itself_ends(client, deliveries, n8n, failed):
    """The receiver still refuses: what is made again fails again, and is not of those that had failed by the start."""
    await failed(5)
    replay = await started(deliveries, ratePerSecond=1000)
    assert (await finished(deliveries, replay))["done"] == 5
    await asyncio.sleep(0.7)
    assert len((await deliveries.list(limit=200))["items"]) == 10
