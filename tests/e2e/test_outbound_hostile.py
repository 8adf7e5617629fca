"""Receivers, names and URLs made to harm the caller: none reaches what is forbidden, costs more than its limit, or hangs."""

import asyncio
import contextlib
import functools
import gzip
import ipaddress
import itertools
import select
import socket
import ssl
import struct
import threading
import time
import tracemalloc

import pytest
import trustme
from receivers import OK, Receiver, says
from stories import CONTEXT, LOOPBACK, both_loops, client, fails, names, post

from hookvault.outbound import dial as dial_module
from hookvault.outbound import resolve as resolve_module
from hookvault.outbound.client import secure_context
from hookvault.outbound.errors import (
    AddressBlockedError,
    CallTimeoutError,
    ConnectError,
    ConnectionClosedError,
    InvalidURLError,
    NameResolutionError,
    ResponseInvalidError,
    TLSError,
)
from hookvault.outbound.guard import AddressPolicy, Target
from hookvault.outbound.resolve import Resolver

CLOSED = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GIB = 1 << 30
LIMIT = 65536
NOTHING = AddressPolicy(allow_http=True)
# 127.0.0.1 and 127.0.1.0/24 stand for the outside world; 127.0.0.2 is a service inside.
OUTSIDE = AddressPolicy(True, (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("127.0.1.0/24")))
INSIDE = "127.0.0.2"


@contextlib.contextmanager
def threaded(serve, *, tls=None):
    """A receiver on a thread of its own, so that nothing but the client slows it down. Gives its port.

    It serves one connection after another by `serve(socket)`; whatever it meets ends only that connection.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def run():
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                plain, _ = listener.accept()
                with contextlib.suppress(OSError), plain if tls is None else tls.wrap_socket(plain, True) as peer:
                    serve(peer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)
        assert not thread.is_alive(), "the client did not hang up"


def server_context(ca, *hosts, **dates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*hosts, **dates).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(ca):
    context = secure_context()
    ca.configure_trust(context)
    return context


# Where a call goes: every way to write an address that must not be reached.

FULLWIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}  # IDNA maps these to ASCII, as browsers do
SPELLINGS = [
    "127.0.0.1", "127.0.0.1.", "127.0.0.1..", "127.1", "127.1.", "127.0.1", "127.0x1", "0x7f.1", "0177.1", "2130706433",
    "2130706433.", "0x7f000001", "0x7F000001.", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "00000177.0.0.1",
    "127.000.000.001", "0", "0.0.0.0",  # noqa: S104 - Linux dials loopback for it
    "127.0.0.1".translate(FULLWIDTH), "127.1".translate(FULLWIDTH), "2130706433".translate(FULLWIDTH),
    "0x7f000001".translate(FULLWIDTH), "127\u30020\u30020\u30021", "127\uff610\uff610\uff611", "\u2460\u2461\u2466.0.0.1",
    "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1", "\u0967\u0968\u096d.0.0.1", "127.0.0.%31", "%31%32%37.0.0.1",
    "127.0.0.1%00.example.com", "127.0.0.1\\.example.com", "127.0.0\u200b.1", "127.0.0.1\t", "user@127.0.0.1",
    "user:pw@127.0.0.1", "@127.0.0.1", "8.8.8.8@127.0.0.1", "8.8.8.8:80@127.0.0.1", "8.8.8.8\\@127.0.0.1",
    "127.0.0.1#@8.8.8.8", "127.0.0.1?@8.8.8.8", "127.0.0.1\\@8.8.8.8", "localhost", "LOCALHOST.",
    "localhost".translate(FULLWIDTH), "loc\u00adalhost", "localho\u017ft", "[::1]", "[::0001]", "[0:0:0:0:0:0:0:1]",
    "[::1]:80@8.8.8.8", "[::1].", "[127.0.0.1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]", "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2002:7f00:1::7f00:1]", "[2001:0:7f00:1::]",
    "[2606:4700::5efe:127.0.0.1]", "[2606:4700::200:5efe:7f00:1]", "[fe80::1]", "[fe80::1%25lo]", "[fe80::1%lo]",
    "[::1%25lo]", "[::1%lo]", "[::1%251]", "[v1.127.0.0.1]", "[\uff1a\uff1a1]",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS, ids=ascii)
@both_loops
async def test_no_spelling_of_a_private_address_is_called(host):
    """Neither by IPv4 nor by IPv6, whichever of its forms a parser, the platform's resolver or the kernel would unwrap."""
    async with Receiver(says(OK)) as four, Receiver(says(OK), host="::1") as six, client(policy=NOTHING) as via:
        for there in (four, six):
            with pytest.raises((AddressBlockedError, InvalidURLError, NameResolutionError)) as caught:
                await post(via, there.url(host=host))
            assert not caught.value.sent
        assert (four.connections, six.connections, via.pool.open_count) == (0, 0, 0)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "::ffff:127.0.0.1", "::7f00:1"]
)
@both_loops
async def test_a_target_made_by_hand_is_judged_by_where_it_leads(host):
    """Targets that never met the URL's grammar, such as stored ones; glibc takes all of these for 127.0.0.1."""
    async with Receiver(says(OK)) as there, client(policy=NOTHING) as via:
        shown = f"[{host}]" if ":" in host else host
        target = Target("http", host, there.port, "/", f"{shown}:{there.port}")
        with pytest.raises((AddressBlockedError, NameResolutionError)):
            await via.post(target, b"", [], timeout_s=2)
        assert there.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2606:4700::5efe:7f00:1",
        "2606:4700::200:5efe:7f00:1", "::1%lo", "fe80::1%lo", "fe80::1", "::ffff:0.0.0.0", "::ffff:169.254.169.254", "0.0.0.0",  # noqa: S104
        "::", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "[::1]", "localhost", "",
    ],
    ids=ascii,
)  # fmt: skip
@both_loops
async def test_a_resolver_can_hide_no_address_even_where_loopback_is_listed(address):
    """Last, first and alone: one such answer refuses the whole name."""
    policy = AddressPolicy(allow_http=True, allowed_networks=LOOPBACK)
    for found in ([address], [address, "127.0.0.1"], ["127.0.0.1", "::1", address]):
        async with Receiver(says(OK)) as there, client(policy=policy, resolver=names(hook=found)) as via:
            error = await fails(AddressBlockedError, via, there.url(host="hook.test"))
            assert (error.sent, error.permanent, there.connections) == (False, True, 0)


def knocked(listener):
    """Whether anybody ever connected to a listener that nobody serves."""
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1", INSIDE],
        [INSIDE, "127.0.0.1"],
        ["127.0.0.1", f"::ffff:{INSIDE}"],
        [*[f"127.0.1.{number}" for number in range(1, 251)], INSIDE],
    ],
    ids=["last", "first", "mapped", "after-hundreds"],
)
@both_loops
async def test_a_name_with_one_forbidden_address_reaches_none(found):
    async with Receiver(says(OK)) as there, client(policy=OUTSIDE, resolver=names(hook=found)) as via:
        with socket.create_server((INSIDE, there.port)) as inside:
            await fails(AddressBlockedError, via, there.url(host="hook.test"))
            assert not knocked(inside)
        assert there.connections == 0


@both_loops
async def test_a_rebinding_resolver_gets_one_answer_for_check_and_dial(monkeypatch):
    """Every answer is forgotten at once, and every second one is forbidden: a second look-up for the dial would find it."""
    monkeypatch.setattr(resolve_module, "TTL_S", 0.0)
    asked, answers = [], itertools.cycle([["127.0.0.1"], [INSIDE]])
    resolver = Resolver(lambda host: asked.append(host) or next(answers))
    async with Receiver(says(CLOSED)) as there, client(policy=OUTSIDE, resolver=resolver) as via:
        with socket.create_server((INSIDE, there.port)) as inside:
            for number in range(1, 6):
                assert (await post(via, there.url(host="hook.test"))).address == "127.0.0.1"
                await fails(AddressBlockedError, via, there.url(host="hook.test"))
                assert len(asked) == number * 2
            assert not knocked(inside)
        assert there.connections == 5


@both_loops
async def test_a_redirect_inside_is_told_and_not_followed():
    async with client(policy=OUTSIDE) as via:
        with socket.create_server((INSIDE, 0)) as inside:
            aim = f"http://{INSIDE}:{inside.getsockname()[1]}/latest/meta-data"
            for status in (301, 302, 303, 307, 308):
                moved = (
                    f"HTTP/1.1 {status} Moved\r\nLocation: {aim}\r\nRefresh: 0;url={aim}\r\nContent-Length: 0\r\n\r\n"
                )
                async with Receiver(says(moved.encode())) as there:
                    assert (await post(via, there.url())).status == status
            assert not knocked(inside)


@both_loops
async def test_a_name_with_many_silent_addresses_is_knocked_at_a_few_times(monkeypatch, trusting):
    monkeypatch.setattr(dial_module, "HEAD_START_S", 0.01)
    hosts = [f"127.0.1.{number}" for number in range(1, 21)]
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server((hosts[0], 0)))]
        port = listeners[0].getsockname()[1]
        listeners += [stack.enter_context(socket.create_server((host, port))) for host in hosts[1:]]
        async with client(policy=OUTSIDE, ssl_context=trusting, resolver=names(hook=hosts)) as via:
            await fails(CallTimeoutError, via, f"https://hook.test:{port}/", timeout_s=0.4)
        assert sum(knocked(listener) for listener in listeners) == dial_module.MAX_ADDRESSES


@both_loops
async def test_names_that_hang_are_bounded_and_end_with_the_client(monkeypatch):
    monkeypatch.setattr(resolve_module, "MAX_WAITING", 3)
    hang, running = threading.Event(), []

    def lookup(host):
        running.append(host)
        hang.wait(10)
        return ["127.0.0.1"]

    try:
        async with client(resolver=Resolver(lookup, threads=2)) as via:
            calls = [
                asyncio.create_task(fails(NameResolutionError, via, f"http://hang{number}.test/", timeout_s=10.0))
                for number in range(5)
            ]
            await asyncio.sleep(0.05)
            error = await fails(NameResolutionError, via, "http://hang6.test/", timeout_s=10.0)
            assert "too many slow names" in error.message
            assert (len(running), sum(call.done() for call in calls)) == (2, 0)
            began = time.perf_counter()
            await via.close()
            assert {"the client was closed" in (await call).message for call in calls} == {True}
            assert time.perf_counter() - began < 5
    finally:
        hang.set()


@both_loops
async def test_an_ipv6_address_that_refuses_gives_way_to_ipv4_and_a_mapped_one_is_dialled_as_ipv4():
    resolver = names(both=["::1", "127.0.0.1"], mapped=["::ffff:127.0.0.1"])
    async with Receiver(says(OK)) as there, client(resolver=resolver) as via:
        assert (await post(via, there.url(host="both.test"))).address == "127.0.0.1"
        assert (await post(via, there.url(host="mapped.test"))).address == "127.0.0.1"
        assert (await post(via, there.url(host="[::ffff:127.0.0.1]"))).address == "127.0.0.1"


# What comes back: endless, slow, cut, or no HTTP.

STREAMS = {
    "length": (f"HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n".encode(), b"x" * 1_000_000),
    "no-length": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000_000),
    "one-chunk": (CHUNKED + b"%x\r\n" % GIB, b"x" * 1_000_000),
    "chunks": (CHUNKED, b"%x\r\n" % 100_000 + b"x" * 100_000 + b"\r\n"),
    "tiny-chunks": (CHUNKED, b"1\r\nx\r\n" * 50_000),
    "gzip": (f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {GIB}\r\n\r\n".encode(), b"x" * 1_000_000),
}


class Flood:
    """Sends a head and then a piece again and again, a gigabyte in all, as fast as the client takes it."""

    def __init__(self, head, piece):
        self._head, self._piece = head, piece
        self.sent = 0

    def __call__(self, peer):
        peer.recv(65536)
        peer.sendall(self._head)
        while self.sent < GIB:
            peer.sendall(self._piece)
            self.sent += len(self._piece)


@contextlib.contextmanager
def memory(most):
    """Fails if more than `most` bytes are allocated at any moment inside, by whatever thread."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("stream", STREAMS)
@both_loops
async def test_a_gigabyte_costs_its_first_bytes(ca, trusting, stream, secured):
    flood = Flood(*STREAMS[stream])
    tls = server_context(ca, "127.0.0.1") if secured else None
    async with client(ssl_context=trusting, max_response_bytes=LIMIT) as via:
        with threaded(flood, tls=tls) as port, memory(16_000_000):
            began = time.perf_counter()
            reply = await post(via, f"{'https' if secured else 'http'}://127.0.0.1:{port}/")
            assert time.perf_counter() - began < 3
            assert (reply.status, reply.body, reply.truncated) == (200, b"x" * LIMIT, True)
    assert flood.sent < 64_000_000  # what the kernel's buffers took on both sides


@both_loops
async def test_twenty_gigabytes_at_once_cost_twenty_times_the_first_bytes():
    async def flood(_, writer):
        writer.write(STREAMS["length"][0])
        for _ in range(1000):
            writer.write(STREAMS["length"][1])
            await writer.drain()

    async with Receiver(flood) as there, client(max_response_bytes=LIMIT) as via:
        replies = await asyncio.gather(*(post(via, there.url()) for _ in range(20)))
        assert {(len(reply.body), reply.truncated) for reply in replies} == {(LIMIT, True)}
        await there.until_ended(20)
        assert via.pool.open_count == 0


@both_loops
async def test_chunk_extensions_between_bytes_of_body_end():
    flood = Flood(CHUNKED, (b"1;" + b"e" * 60_000 + b"\r\nx\r\n") * 10)
    async with client() as via:
        with threaded(flood) as port:
            await fails(ResponseInvalidError, via, f"http://127.0.0.1:{port}/", timeout_s=1.0)
    assert flood.sent < 64_000_000


BEYOND = 600_000  # more than the loops read at once, so that not all of it is at hand before the limit is looked at


@pytest.mark.parametrize(
    "answer",
    [
        says(CHUNKED + b"0" * BEYOND + b"2\r\nok\r\n0\r\n\r\n"),
        says(CHUNKED + b"0\r\n" + b"X: a\r\n" * (BEYOND // 6) + b"\r\n"),
        says(*[b"HTTP/1.1 103 Early Hints\r\nLink: " + b"a" * 10_000 + b"\r\n\r\n"] * 10, OK),
        says(b"HTTP/1.1 200 " + b"O" * BEYOND + b"\r\nContent-Length: 0\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\n" + b"X" * BEYOND + b": a\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["chunk-size", "trailers", "interim", "reason", "name"],
)
@both_loops
async def test_what_is_no_body_is_limited_too(answer):
    async with Receiver(answer) as there, client() as via:
        with memory(16_000_000):
            await fails(ResponseInvalidError, via, there.url())
        await there.until_ended(1)


@functools.cache
def compressed(size):
    return gzip.compress(bytes(size), 9, mtime=0)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Encoding: gzip",
        b"Content-Encoding: gzip, gzip",
        b"Content-Encoding: x-gzip\r\nContent-Type: application/json",
        b"Content-Encoding: deflate",
        b"Content-Encoding: br",
        b"Content-Encoding: zstd",
    ],
)
@both_loops
async def test_a_compressed_bomb_is_kept_as_it_came(fields):
    bomb = compressed(50_000_000)
    head = b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n" % (fields, len(bomb))
    async with Receiver(says(head + bomb)) as there, client(max_response_bytes=LIMIT) as via:
        with memory(2_000_000):
            reply = await post(via, there.url())
        assert there.seen[0].header("accept-encoding") == ["identity"]
    assert (reply.body, reply.truncated) == (bomb, False)
    assert dict(reply.headers)["content-encoding"].encode() in fields


@both_loops
async def test_a_compressed_transfer_is_not_inflated_either():
    bomb = compressed(5_000_000)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    answer = says(head + b"%x\r\n" % len(bomb) + bomb + b"\r\n0\r\n\r\n")
    async with Receiver(answer) as there, client(max_response_bytes=1000) as via:
        reply = await post(via, there.url())
    assert (reply.body, reply.truncated) == (bomb[:1000], True)


@pytest.mark.parametrize(
    "answer",
    [
        says(*[bytes([byte]) for byte in b"HTTP/1.1 200 OK and so on and on and on"], gap=0.06),
        says(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 16, gap=0.13),
        says(CHUNKED, *[b"0"] * 100, gap=0.02),
        says(CHUNKED + b"1;", *[b"e"] * 100, gap=0.02),
        says(CHUNKED + b"0\r\n", *[b"X: a\r\n"] * 100, gap=0.02),
    ],
    ids=["status", "interim", "chunk-size", "extension", "trailers"],
)
@both_loops
async def test_a_slow_drip_of_anything_ends_at_the_deadline(answer):
    async with Receiver(answer) as there, client() as via:
        began = time.perf_counter()
        await fails(CallTimeoutError, via, there.url(), timeout_s=0.25)
        assert 0.2 < time.perf_counter() - began < 1.9  # what drips takes two seconds


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        *[
            HEAD + b"Content-Length: %s\r\n\r\nok" % value
            for value in (b"+2", b"0x2", b"2, 2", b"2 2", b"", b"2;", b"\xb2")
        ],
        *[CHUNKED + size + b"\r\nok\r\n0\r\n\r\n" for size in (b"+2", b"0x2", b"2 ", b" 2", b"-2", b"", b"f" * 17)],
        *[
            HEAD + b"Transfer-Encoding: %s\r\n\r\n0\r\n\r\n" % value
            for value in (b"xchunked", b"chunked, gzip", b"\x0bchunked")
        ],
        HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"Content-Length : 2\r\n\r\nok",
        HEAD + b" Content-Length: 2\r\n\r\nok",
        HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"X\x00: a\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"X: a\rContent-Length: 2\r\n\r\nok",
        HEAD + b": a\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok",
        CHUNKED + b"2\nok\n0\n\n",
        CHUNKED + b"2\r\nok0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.10 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok" + OK,
        b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"\r\n" + OK,
        b" " + OK,
        b"\xef\xbb\xbf" + OK,
        b"<html>200 OK</html>",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x00" * 100,
    ],
    ids=lambda answer: ascii(answer.removeprefix(CHUNKED)[-60:]),
)
@both_loops
async def test_what_could_be_read_in_two_ways_is_refused(answer):
    async with Receiver(says(answer)) as there, client() as via:
        await fails(ResponseInvalidError, via, there.url())
        await there.until_ended(1)
        assert via.pool.idle_count == 0


@both_loops
async def test_a_reset_in_the_middle_is_told_as_such():
    async def reset(_, writer):
        writer.write(HEAD + b"Content-Length: 9\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with Receiver(reset) as there, client() as via:
        error = await fails(ConnectionClosedError, via, there.url())
        assert "reset the connection before its response was complete" in error.message
        assert error.sent


def closes(_):
    """Hang up without having read a byte."""


def resets(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def greets(peer):
    """Speaks first, as servers of SMTP, FTP and SSH do."""
    peer.sendall(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize(
    ("found", "serve"),
    [
        pytest.param(["127.0.0.1"], closes, id="closes"),
        pytest.param(["127.0.0.1"], greets, id="greets"),
        pytest.param(["127.0.0.1", "127.0.0.9"], closes, id="closes-one-of-two"),
        pytest.param(["127.0.0.1", "127.0.0.9"], greets, id="greets-one-of-two"),
    ],
)
@both_loops
async def test_a_peer_that_ends_before_it_was_asked_is_told_at_once(found, serve):
    """A thousand of them, since what is tested is a race: no time-out, no blocked address, no error of another kind."""
    allowed = {ConnectError, ConnectionClosedError, ResponseInvalidError}
    async with client(resolver=names(hook=found)) as via:
        with threaded(serve) as port:
            for _ in range(20):
                calls = (post(via, f"http://hook.test:{port}/", timeout_s=8.0) for _ in range(50))
                ends = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(end) for end in ends} <= allowed


@both_loops
async def test_a_peer_that_reset_at_once_is_not_taken_for_another_address():
    """The kernel knows no peer of a connection that was reset; here the reset comes before anybody looks."""
    with threaded(resets) as port:
        there = socket.create_connection(("127.0.0.1", port))
        select.select([there], [], [], 3)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=there)
        target = Target("http", "hook.test", port, "/", f"hook.test:{port}")
        with pytest.raises((ConnectError, ConnectionClosedError)):
            dial_module._check_peer(target, "127.0.0.1", transport)


# TLS beyond names and dates.


@both_loops
async def test_tls_by_ipv6_address_and_a_certificate_for_another_address(ca, trusting):
    asked_for = []
    good = server_context(ca, "::1")
    good.sni_callback = lambda _, name, __: asked_for.append(name)
    async with Receiver(says(OK), host="::1", tls=good) as there, client(ssl_context=trusting) as via:
        assert (await post(via, there.url())).address == "::1"
    assert asked_for == [None]  # RFC 6066 section 3: an address is no server name
    async with Receiver(says(OK), tls=server_context(ca, "127.0.0.9")) as there, client(ssl_context=trusting) as via:
        error = await fails(TLSError, via, there.url())
        assert "is for another address" in error.message
        assert there.seen == []


@both_loops
async def test_a_certificate_that_vouches_for_itself_is_refused(ca):
    lone = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with ca.cert_pem.tempfile() as certificate, ca.private_key_pem.tempfile() as key:
        lone.load_cert_chain(certificate, key)
    async with Receiver(says(OK), tls=lone) as there, client(ssl_context=CONTEXT) as via:
        error = await fails(TLSError, via, there.url())
        assert "self-signed" in error.message
        assert there.seen == []


@pytest.mark.parametrize(
    "names_of", [["other.test"], ["hook.test.example"], ["test"], ["127.0.0.1"], ["*.hook.test"]], ids=str
)
@both_loops
async def test_no_address_of_a_name_makes_up_for_its_certificate(ca, trusting, names_of):
    """A name with two addresses: the check of the certificate is against the name, at each of them."""
    server = server_context(ca, *names_of)
    resolver = names(hook=["127.0.0.1", "127.0.0.9"])
    async with Receiver(says(OK), tls=server) as there, client(ssl_context=trusting, resolver=resolver) as via:
        error = await fails(TLSError, via, there.url(host="hook.test"))
        assert "is for another name" in error.message
        assert there.seen == []


@both_loops
async def test_a_body_that_is_cut_under_tls_is_not_taken_for_whole(ca, trusting):
    def cut(peer):
        peer.recv(65536)
        peer.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf of it")

    async with client(ssl_context=trusting) as via:
        with threaded(cut, tls=server_context(ca, "127.0.0.1")) as port:
            error = await fails(ConnectionClosedError, via, f"https://127.0.0.1:{port}/")
    assert error.sent
