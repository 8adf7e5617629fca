"""The live tail's pure parts: filters as in SQL, the ring, notifications, and a reader's bounded queue."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.cause import CAUSES
from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail.model import SHOWN, LiveCall, live_call, matches
from hookvault.analytics.tail.notice import call_notices, read_notice, watch_notice
from hookvault.analytics.tail.reader import QUEUED, Reader
from hookvault.analytics.tail.ring import Ring
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord

IDS = [new_id() for _ in range(4)]
START = datetime(2026, 5, 1, tzinfo=UTC)


def call(**fields):
    made = dict.fromkeys(SHOWN) | {"id": new_id(), "tenant_id": "a", "webhook_id": IDS[0], "attempt": 1}
    made |= {"timestamp": START, "response_time": 10, "success": True, "status_code": 200}
    return LiveCall(**made | fields)


def test_a_record_becomes_a_call_without_its_bodies():
    record = CallRecord(
        "a", IDS[1], IDS[0], START, b"{}", b"{}", 500, b'"body"', 7, False, "http_500", "it failed", "job"
    )
    made = live_call(record)
    assert {name: getattr(made, name) for name in SHOWN} == {name: getattr(record, name) for name in SHOWN}
    assert made.cause == "receiver_failed"
    assert made.ended == START + timedelta(milliseconds=7)
    assert not hasattr(made, "response_body")


@pytest.mark.parametrize(
    ("which", "fields", "expected"),
    [
        (CallFilter(), {}, True),
        (CallFilter(tenant_id="a"), {}, True),
        (CallFilter(tenant_id="b"), {}, False),
        (CallFilter(start=START, end=START + timedelta(seconds=1)), {}, True),
        (CallFilter(end=START), {}, False),
        (CallFilter(status="5xx"), {"status_code": 599, "success": False}, True),
        (CallFilter(status="5xx"), {"status_code": 599}, False),  # as in the call log: kept from outside as a success
        (CallFilter(status="5xx"), {"status_code": None}, False),
        (CallFilter(status="404"), {"status_code": 404, "success": False}, True),
        (CallFilter(status="failed"), {"status_code": None, "success": False}, True),
        (CallFilter(cause="other"), {}, False),  # a call that succeeded has none
        (CallFilter(cause="other"), {"success": False}, True),
        (CallFilter(min_time=10, max_time=10), {}, True),
        (CallFilter(min_time=11), {}, False),
        (CallFilter(max_time=9), {}, False),
        (CallFilter(call_id=IDS[1]), {"retry_of": IDS[1]}, True),
        (CallFilter(call_id=IDS[1]), {"delivery_id": IDS[1]}, True),
        (CallFilter(call_id=IDS[1]), {}, False),
    ],
)
def test_a_filter(which, fields, expected):
    assert matches(which, call(**fields)) is expected


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_is_a_filter(cause):
    failed = call(success=False, status_code=503)
    assert matches(CallFilter(cause=cause), failed) is (cause == "receiver_failed")


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 5))
def test_the_ring_knows_what_followed_as_long_as_it_has_all_of_it(gaps, size):
    ring, shown = Ring(size), []
    for _ in gaps:
        shown.append(call())
        ring.add(shown[-1])
    for at, one in enumerate(shown):
        followed = shown[at + 1 :]
        if one.id in ring:
            assert ring.after(one.id) == (followed if len(followed) <= size else None)
        assert (one.id in ring) is (len(shown) - at <= 10 * size)
    assert ring.after(new_id()) is None
    ring.clear()
    assert not any(one.id in ring for one in shown)


TENANTS = st.sampled_from(["a", "B-2", "t" * 64])


@given(st.lists(TENANTS, max_size=700), st.integers(0, 10**9))
def test_notices_fit_and_say_all_in_order(tenants, lost):
    keys = [(tenant, new_id()) for tenant in tenants]
    notices = call_notices(str(IDS[0]), keys, lost)
    assert all(len(notice) < 8000 for notice in notices)
    read = [read_notice(notice) for notice in notices]
    assert [key for one in read for key in one.calls] == keys
    assert sum(one.lost for one in read) == lost
    assert len(notices) <= len(keys) // 70 + 1
    assert {one.sender for one in read} <= {str(IDS[0])}


def test_who_watches_says_so():
    assert read_notice(watch_notice("p")) == ("p", None, 0)


@given(st.text() | st.text("calls wth0123456789abcdef:,-"))
def test_no_notice_breaks_anything(payload):
    read = read_notice(payload)
    for _, call_id in (read.calls or []) if read else []:
        id_time(call_id)


@pytest.mark.parametrize("text", ["calls p 0 a:" + "f" * 32, "calls p 0 a:", "calls p 0 /:" + "0" * 32, "calls p", "x"])
def test_what_is_no_notice(text):
    assert read_notice(text) is None


async def everything(reader):
    return await reader.take(0.01)


async def test_a_full_queue_drops_the_oldest_and_says_how_many():
    reader = Reader(CallFilter(tenant_id="a"))
    calls = [call() for _ in range(QUEUED + 7)]
    for one in calls:
        reader.offer(one)
        reader.offer(call(tenant_id="b"))
    assert await everything(reader) == (calls[7:], 7, False)
    assert await everything(reader) == ((), 0, False)


async def test_what_is_resumed_comes_first_and_once():
    reader = Reader(CallFilter(status="failed"))
    old, both, new = (call(success=False) for _ in range(3))
    reader.offer(both)
    reader.resume([old, call(), both])
    reader.offer(both)
    reader.offer(new)
    assert (await everything(reader)).calls == [old, both, new]


async def test_a_late_call_is_for_those_who_were_there_when_it_ended():
    early = Reader(CallFilter(), opened=START)
    after = Reader(CallFilter(), opened=START + timedelta(seconds=1))
    again = Reader(CallFilter())
    for reader in (early, after, again):
        reader.offer(call(), late=True)
    assert [len((await everything(reader)).calls) for reader in (early, after, again)] == [1, 0, 1]


async def test_nothing_of_before_a_tenant_was_made():
    reader = Reader(CallFilter(tenant_id="a"), START)
    reader.offer(call(timestamp=START - timedelta(milliseconds=1)))
    reader.resume([call(timestamp=START - timedelta(days=1)), kept := call()])
    assert (await everything(reader)).calls == [kept]


@pytest.mark.parametrize("what", ["end", "doubt"])
async def test_a_waiting_reader_is_woken(what):
    reader = Reader(CallFilter())
    waiting = asyncio.create_task(reader.take(60))
    await asyncio.sleep(0)
    getattr(reader, what)()
    assert await asyncio.wait_for(waiting, 1) == ([], 0, False)
    assert (reader.ended, reader.doubted) == (what == "end", what == "doubt")
