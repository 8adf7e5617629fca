"""A server that only serves shows what a worker process delivers, live; and it stops at once with readers connected."""

import os
import signal
import time
from datetime import datetime
from statistics import median

import pytest
from case import Case

from fleet import Fleet, until
from stream import Stream
from tally import Reply, Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SOON_S = 3.0  # a second, and what a busy machine adds


@pytest.fixture(scope="module")
async def fleet(zygote, tmp_path_factory):
    made = Fleet(zygote, tmp_path_factory.mktemp("live"))
    await made.open()
    yield made
    await made.close()


async def test_a_worker_s_deliveries_are_seen_at_once_and_a_stop_ends_the_stream(fleet):
    server = await fleet.start("serve", "--no-worker")
    worker = await fleet.start("worker")
    other = await fleet.start("serve", "--no-worker")
    with Tally() as tally:
        case = Case(fleet, tally, server)
        await case.make()
        await case.deliver(*range(5))
        await case.settled(delivered=5)  # while nobody watches
        url = f"{server.url}/api/platform/tenants/{case.tenant}/webhooks/analytics/live"
        async with (
            Stream(url, fleet.key) as stream,
            Stream(f"{server.url}/api/platform/calls/live", fleet.key) as whole,
        ):
            await case.deliver(*range(10, 40))
            await stream.has(30)
            await whole.has(30)
            assert {call["deliveryId"] for call in stream.calls} == {case.ids[f"None-{n}"] for n in range(10, 40)}
            late = []
            for event in stream.events:
                began = time.time() - time.monotonic() + event.at
                late.append(began - when(event.data["timestamp"]) - event.data["responseTime"] / 1000)
            assert (median(late) < 1, max(late) < SOON_S) == (True, True), sorted(late)[-5:]
            tally.answers[case.path] = Reply(500)
            async with Stream(url, fleet.key, status="5xx") as failed:
                await case.deliver(50)
                shown = (await failed.has(2))[:2]  # the second by a retry, a second later
                assert [call["attempt"] for call in shown] == [1, 2]
                assert shown[0]["cause"] == "receiver_failed"
            last = stream.ids[19]
            followed = stream.ids[20:]
            async with Stream(f"{other.url}{url.removeprefix(server.url)}", fleet.key, last=last) as elsewhere:
                await until(lambda: {*followed} <= {*elsewhere.ids})
            began = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            assert await server.code(10) == 0
            assert time.monotonic() - began < 5
            await stream.end(1)
        await worker.stop()
        await other.stop()


def when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
