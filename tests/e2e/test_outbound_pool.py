"""Connections that are kept, replaced, dropped and closed."""

import asyncio
import time

import pytest
from receivers import OK, Receiver, says
from stories import both_loops, client, fails, post, until

from hookvault.outbound import pool as pool_module
from hookvault.outbound.errors import CallTimeoutError, ConnectError, ConnectionClosedError


@both_loops
async def test_a_kept_connection_that_closes_before_a_byte_is_replaced_once():
    async def once_each(seen, writer):
        if seen.number == 1:
            writer.write(OK)
        else:
            writer.close()

    async with Receiver(once_each) as there, client() as via:
        await post(via, there.url(), b"1")
        reply = await post(via, there.url(), b"2")
        assert (reply.status, reply.reused) == (200, False)
        assert [(seen.body, seen.connection) for seen in there.seen] == [(b"1", 1), (b"2", 1), (b"2", 2)]


@both_loops
async def test_it_is_replaced_no_second_time():
    async def first_only(seen, writer):
        if len(there.seen) == 1:
            writer.write(OK)
        else:
            writer.close()

    async with Receiver(first_only) as there, client() as via:
        await post(via, there.url())
        await fails(ConnectionClosedError, via, there.url())
        assert len(there.seen) == 3


@both_loops
async def test_nothing_is_resent_once_a_byte_of_the_response_came():
    async def partly(seen, writer):
        writer.write(OK if seen.number == 1 else b"H")
        await writer.drain()
        if seen.number == 2:
            await asyncio.sleep(0.05)
            writer.close()

    async with Receiver(partly) as there, client() as via:
        await post(via, there.url())
        await fails(ConnectionClosedError, via, there.url())
        assert len(there.seen) == 2


@both_loops
async def test_when_the_second_connection_fails_the_error_says_it_was_sent():
    async with Receiver(lambda seen, writer: says(OK)(seen, writer) if seen.number == 1 else drop(writer)) as there:

        async def drop(writer):
            there._server.close()
            writer.close()

        async with client() as via:
            await post(via, there.url())
            error = await fails(ConnectError, via, there.url())
            assert error.sent


@both_loops
async def test_bytes_nobody_asked_for_end_a_kept_connection():
    async def chatty(_, writer):
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    async with Receiver(chatty) as there, client() as via:
        await post(via, there.url())
        await there.until_ended(1)
        reply = await post(via, there.url())
        assert (reply.body, reply.reused) == (b"ok", False)


@both_loops
async def test_the_connection_used_last_is_used_first():
    async with Receiver(says(OK, gap=0.02)) as there, client() as via:
        await asyncio.gather(*(post(via, there.url()) for _ in range(5)))
        for _ in range(4):
            await post(via, there.url())
        assert len({seen.connection for seen in there.seen[5:]}) == 1


@both_loops
async def test_idle_and_old_connections_are_closed(monkeypatch):
    monkeypatch.setattr(pool_module, "IDLE_S", 0.05)
    monkeypatch.setattr(pool_module, "_SWEEP_S", 0.05)
    async with Receiver(says(OK)) as there, client() as via:
        await post(via, there.url())
        await there.until_ended(1)
        assert via.pool.open_count == 0
        monkeypatch.setattr(pool_module, "_SWEEP_S", 60)
        await post(via, there.url())
        await asyncio.sleep(0.1)
        assert not (await post(via, there.url())).reused
        monkeypatch.setattr(pool_module, "MAX_AGE_S", -1)
        await post(via, there.url())
        assert via.pool.idle_count == 0


@both_loops
async def test_closing_the_client_ends_calls_and_later_ones():
    async with Receiver(says(gap=60)) as there, client() as via:
        call = asyncio.create_task(post(via, there.url()))
        await until(lambda: there.seen)
        await via.close()
        with pytest.raises(ConnectionClosedError, match="client was closed"):
            await call
        with pytest.raises(ConnectError, match="client is closed"):
            await post(via, there.url())


@pytest.mark.parametrize("others", [[], [0.05], [5.0], [5.0, 0.05, 5.0]], ids=str)
@both_loops
async def test_each_call_on_a_kept_connection_has_its_own_deadline(others):
    async def slow_when_told(seen, writer):
        await asyncio.sleep(float(seen.body))
        writer.write(OK)

    async with Receiver(slow_when_told) as there, client() as via:
        for timeout_s in others:
            await post(via, there.url(), b"0", timeout_s=timeout_s)
        assert (await post(via, there.url(), b"0.15", timeout_s=1.0)).reused == bool(others)
        began = time.perf_counter()
        await fails(CallTimeoutError, via, there.url(), b"5", timeout_s=0.2)
        assert 0.15 < time.perf_counter() - began < 0.95
        assert there.connections == 1
