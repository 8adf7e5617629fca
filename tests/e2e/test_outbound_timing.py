"""What a call's time went into: each phase by itself, and how far one came that brought no reply."""

import asyncio
import socket
import ssl
import time

import pytest
import trustme
from receivers import OK, Receiver, says
from stories import both_loops, client, fails, names, post

from hookvault.outbound.client import secure_context
from hookvault.outbound.errors import CallTimeoutError, ConnectError, NameResolutionError, TLSError
from hookvault.outbound.resolve import Resolver


def slow_name(seconds, *addresses):
    """A resolver that takes its time."""

    def lookup(_):
        time.sleep(seconds)
        return list(addresses)

    return Resolver(lookup)


@pytest.fixture(scope="module")
def secured():
    """TLS for a server of the name hook.test, and for whoever calls it."""
    authority = trustme.CA()
    server, caller = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), secure_context()
    authority.issue_cert("hook.test").configure_cert(server)
    authority.configure_trust(caller)
    return server, caller


@both_loops
async def test_a_new_connection_has_every_phase_and_a_kept_one_only_waits(secured):
    server, caller = secured
    options = {"ssl_context": caller, "resolver": slow_name(0.05, "127.0.0.1")}
    async with Receiver(says(OK, gap=0.1), tls=server) as there, client(**options) as via:
        first = await post(via, there.url(host="hook.test"))
        again = await post(via, there.url(host="hook.test"))
    assert (first.reused, again.reused) == (False, True)
    resolve, connect, tls, wait = first.phases
    assert resolve >= 50
    assert connect > 0
    assert tls > 0
    assert sum(first.phases) <= first.elapsed_ms
    assert wait >= 0
    assert again.phases[:3] == (None, None, None)
    assert again.phases.wait_ms <= again.elapsed_ms


@both_loops
async def test_plain_http_has_no_tls():
    async with Receiver(says(OK)) as there, client() as via:
        phases = (await post(via, there.url())).phases
    assert (phases.resolve_ms, phases.tls_ms) == (None, None)  # nor has an address to be resolved
    assert phases.connect_ms > 0


@both_loops
async def test_a_name_that_is_not_found_came_no_further():
    def lookup(_):
        time.sleep(0.05)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with client(resolver=Resolver(lookup)) as via:
        error = await fails(NameResolutionError, via, "http://nowhere.test/")
    assert error.phases.resolve_ms >= 50
    assert error.phases[1:] == (None, None, None)


@both_loops
async def test_a_refused_connection_came_as_far_as_connecting():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with client(resolver=names(hook=["127.0.0.1", "127.0.0.2"])) as via:
        error = await fails(ConnectError, via, f"http://hook.test:{port}/")
    resolve, connect, tls, wait = error.phases
    assert min(resolve, connect) >= 0
    assert (tls, wait) == (None, None)


@both_loops
async def test_a_handshake_that_hangs_is_timed_as_tls(secured):
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client(ssl_context=secured[1], resolver=names(hook=["127.0.0.1"])) as via:
        error = await fails(CallTimeoutError, via, f"https://hook.test:{port}/", timeout_s=0.3)
    server.close()
    resolve, connect, tls, wait = error.phases
    assert tls >= 200
    assert resolve + connect < tls
    assert wait is None


@both_loops
async def test_a_certificate_that_is_not_accepted_came_as_far_as_tls(secured):
    options = {"ssl_context": secured[1], "resolver": names(other=["127.0.0.1"])}
    async with Receiver(says(OK), tls=secured[0]) as there, client(**options) as via:
        error = await fails(TLSError, via, there.url(host="other.test"))
    assert error.phases.tls_ms > 0
    assert error.phases.wait_ms is None


@both_loops
async def test_who_never_answers_was_waited_for_to_the_end():
    async with Receiver(says(gap=60)) as there, client() as via:
        error = await fails(CallTimeoutError, via, there.url(), timeout_s=0.3)
    assert error.phases.connect_ms > 0
    assert error.phases.wait_ms >= 250
