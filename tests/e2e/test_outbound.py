"""Calls of real receivers on loopback: messages, their limits, and what is no message."""

import asyncio
import socket
import time

import pytest
from receivers import OK, Receiver, says
from stories import HEADERS, POLICY, both_loops, client, fails, post, until

from hookvault.outbound.errors import CallTimeoutError, ConnectionClosedError, InvalidHeaderError, ResponseInvalidError
from hookvault.outbound.guard import parse_target


@both_loops
async def test_a_call_and_its_reply():
    answer = says(
        b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nX-A: 1\r\nx-a: \xe9\r\nContent-Length: 3\r\n\r\nyes"
    )
    async with Receiver(answer) as there, client() as via:
        reply = await post(via, there.url("/webhook/ü?a=1#x"), b'{"a":1}')
        again = await post(via, there.url())
        seen = there.seen[0]
    assert (reply.status, reply.body, reply.truncated, reply.address) == (201, b"yes", False, "127.0.0.1")
    assert reply.headers == (
        ("content-type", "text/plain"),
        ("x-a", "1"),
        ("x-a", "é"),
        ("content-length", "3"),
    )
    assert (reply.reused, again.reused, there.connections) == (False, True, 1)
    assert 0 < reply.elapsed_ms < 2000
    assert (seen.method, seen.path, seen.body) == ("POST", "/webhook/%C3%BC?a=1", b'{"a":1}')
    assert seen.headers == [
        ("host", f"127.0.0.1:{there.port}"),
        ("accept-encoding", "identity"),
        ("content-length", "7"),
        *HEADERS,
    ]


@both_loops
async def test_two_hundred_at_once_keep_their_answers():
    async def echo(seen, writer):
        await asyncio.sleep(int(seen.body) % 7 / 500)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body) + seen.body)

    async with Receiver(echo) as there, client(max_idle_per_origin=50) as via:
        for start in (0, 1000):
            bodies = [b"%d" % number for number in range(start, start + 200)]
            replies = await asyncio.gather(*(post(via, there.url(), body) for body in bodies))
            assert [reply.body for reply in replies] == bodies
            assert via.pool.idle_count == 50
            assert sum(reply.reused for reply in replies) == (50 if start else 0)


GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\0"
INTERIM = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "close", "body", "kept"),
    [
        ([CHUNKED, b"3;x=y\r\nabc\r\n", b"2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"], False, b"abcde", True),
        ([b"HTTP/1.1 200 OK\r\n\r\nto the", b" end"], True, b"to the end", False),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], False, b"ok", False),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"], False, b"ok", False),
        (INTERIM, False, b"ok", True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], False, b"", True),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, b"", True),
        ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], False, b"", True),
        ([bytes([byte]) for byte in OK], False, b"ok", True),
        ([OK + OK], False, b"ok", False),
        ([OK + b"HTT"], False, b"ok", False),
        ([GZIPPED], False, b"\x1f\x8b\0", True),
    ],
    ids="chunked no-length http10 close interim empty 204 304 bytewise two more gzip".split(),  # noqa: SIM905 - short
)
@both_loops
async def test_framing(chunks, close, body, kept):
    async with Receiver(says(*chunks, close=close)) as there, client() as via:
        first = await post(via, there.url())
        second = await post(via, there.url())
    assert first.body == second.body == body
    assert "link" not in dict(first.headers)
    assert "x-trailer" not in dict(first.headers)
    assert not first.truncated
    assert second.reused == kept


@both_loops
async def test_head_has_no_body_and_get_sends_none():
    async with Receiver(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as there, client() as via:
        target = parse_target(there.url(), POLICY)
        reply = await via.request("HEAD", target, b"", [], timeout_s=5)
        assert (reply.status, reply.body) == (200, b"")
        await via.request("HEAD", target, b"", [], timeout_s=5)
        assert [seen.method for seen in there.seen] == ["HEAD", "HEAD"]
        assert there.seen[0].header("content-length") == []


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"3\r\nabcd\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK,
        b"HTTP/1.1 099 Low\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 12_000 + b"Content-Length: 0\r\n\r\n",
    ],
    ids=lambda answer: answer[:40].decode(),
)
@both_loops
async def test_what_is_no_response_is_refused(answer):
    async with Receiver(says(answer)) as there, client() as via:
        error = await fails(ResponseInvalidError, via, there.url())
        assert (error.code, error.sent, error.permanent) == ("response_invalid", True, False)
        await there.until_ended(1)
    assert len(there.seen) == 1


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nX: ", CHUNKED + b"1\r\na\r\n0\r\nX: ", CHUNKED + b"1;x="],
    ids=["head", "trailer", "ext"],
)
@both_loops
async def test_endless_fields_end(start):
    async def forever(_, writer):
        writer.write(start)
        while True:
            writer.write(b"a" * 10_000)
            await writer.drain()

    async with Receiver(forever) as there, client() as via:
        await fails(ResponseInvalidError, via, there.url())


@pytest.mark.parametrize(
    "answer",
    [
        says(close=True),
        says(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True),
        says(CHUNKED + b"5\r\nab", close=True),
        says(b"HTTP/1.1 100 Continue\r\n\r\n", close=True),
    ],
    ids=["nothing", "in-head", "in-body", "in-chunk", "after-100"],
)
@both_loops
async def test_an_early_close_on_a_new_connection_is_not_resent(answer):
    async with Receiver(answer) as there, client() as via:
        error = await fails(ConnectionClosedError, via, there.url())
        assert (error.code, error.sent) == ("connection_closed", True)
        assert len(there.seen) == 1


# Limits: bytes and time.


@both_loops
async def test_a_huge_body_costs_only_the_limit():
    written = 0

    async def flood(_, writer):
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            written += 1
            await writer.drain()

    async with Receiver(flood) as there, client(max_response_bytes=1000) as via:
        reply = await post(via, there.url())
        assert (len(reply.body), reply.truncated, via.pool.idle_count) == (1000, True, 0)
    assert written < 50


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
@both_loops
async def test_the_limit_is_exact(limit):
    async with Receiver(says(OK)) as there, client(max_response_bytes=limit) as via:
        reply = await post(via, there.url())
    assert reply.body == b"ok"[:limit]
    assert reply.truncated == (limit < 2)


@pytest.mark.parametrize(
    "answer",
    [
        says(gap=60),
        says(*[b"HTTP/1.1 200 OK\r\n", *[b"X: a\r\n"] * 100], gap=0.02),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100, gap=0.02),
        says(CHUNKED, *[b"1\r\nx\r\n"] * 100, gap=0.02),
        says(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100, gap=0.02),
    ],
    ids=["silent", "head", "body", "chunks", "no-length"],
)
@both_loops
async def test_a_slow_drip_ends_at_the_deadline(answer):
    async with Receiver(answer) as there, client() as via:
        began = time.perf_counter()
        error = await fails(CallTimeoutError, via, there.url(), timeout_s=0.25)
        assert 0.2 < time.perf_counter() - began < 1.9  # what drips takes two seconds
        assert (error.code, error.status, error.sent, error.permanent) == ("timeout", 504, True, False)
        assert via.pool.idle_count == 0


@both_loops
async def test_a_peer_that_does_not_read_ends_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with client() as via:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            error = await fails(CallTimeoutError, via, url, b"x" * 16_000_000, timeout_s=0.3)
    assert error.sent


@both_loops
async def test_an_answer_before_the_request_was_read_is_taken_and_the_connection_closed():
    async def hasty(reader, writer):
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await reader.read(100)
        await asyncio.sleep(1)
        writer.close()

    server = await asyncio.start_server(hasty, "127.0.0.1", 0, limit=1000)
    async with client() as via:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        reply = await post(via, url, b"x" * 16_000_000)
        assert (reply.status, via.pool.idle_count) == (413, 0)
    server.close()


@both_loops
async def test_a_cancelled_call_closes_its_connection():
    async with Receiver(says(gap=60)) as there, client() as via:
        call = asyncio.create_task(post(via, there.url()))
        await until(lambda: there.seen)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not via.pool.open_count)
        assert via.pool.idle_count == 0


@both_loops
async def test_what_can_not_be_sent_is_refused_before_anything_is_dialled():
    async with Receiver(says(OK)) as there, client() as via:
        target = parse_target(there.url(), POLICY)
        with pytest.raises(InvalidHeaderError):
            await via.post(target, b"", [("x", "a\r\nb: c")], timeout_s=1)
        assert there.connections == 0
