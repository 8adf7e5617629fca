"""From a name to the one address that is dialled, and no other."""

import asyncio
import socket
import threading
import time

import pytest
from receivers import OK, Receiver, says
from stories import LOOPBACK, POLICY, both_loops, client, fails, names, post

from hookvault.outbound import resolve as resolve_module
from hookvault.outbound.errors import (
    AddressBlockedError,
    CallTimeoutError,
    ConnectError,
    InvalidURLError,
    NameResolutionError,
)
from hookvault.outbound.guard import AddressPolicy, parse_target
from hookvault.outbound.resolve import Resolver


@both_loops
async def test_one_forbidden_address_refuses_the_name():
    resolver = names(mixed=["127.0.0.1", "10.0.0.5"], meta=["169.254.169.254"], mapped=["::ffff:10.0.0.5"])
    async with Receiver(says(OK)) as there, client(resolver=resolver) as via:
        error = await fails(AddressBlockedError, via, there.url(host="mixed.test"))
        assert "mixed.test resolves to 10.0.0.5, which is a private address" in error.message
        assert (error.sent, error.permanent) == (False, True)
        await fails(AddressBlockedError, via, there.url(host="meta.test"))
        await fails(AddressBlockedError, via, there.url(host="mapped.test"))
        with pytest.raises(AddressBlockedError):
            await via.check(parse_target(there.url(host="mixed.test"), POLICY))
        assert there.connections == 0


@both_loops
async def test_a_name_that_changes_its_mind_is_judged_each_time_it_is_dialled():
    answers = [["127.0.0.1"], ["10.0.0.5"]]
    resolver = Resolver(lambda _: answers.pop(0))
    async with Receiver(says(OK + b"extra")) as there, client(resolver=resolver) as via:
        for _ in range(3):  # new connections, the remembered answer
            reply = await post(via, there.url(host="hook.test"))
            assert (reply.address, reply.reused) == ("127.0.0.1", False)
        assert there.seen[0].header("host") == [f"hook.test:{there.port}"]
        resolver._answers.clear()
        await fails(AddressBlockedError, via, there.url(host="hook.test"))
        assert there.connections == 3


@both_loops
async def test_the_policy_of_the_client_holds_for_targets_of_another():
    async with Receiver(says(OK)) as there, client(policy=AddressPolicy(allow_http=True)) as via:
        with pytest.raises(AddressBlockedError):
            await via.post(parse_target(there.url(), POLICY), b"", [], timeout_s=1)
        with pytest.raises(AddressBlockedError):  # by the platform's own resolver
            await post(via, there.url(host="localhost"))
        async with client(policy=AddressPolicy(allow_http=False, allowed_networks=LOOPBACK)) as strict:
            with pytest.raises(InvalidURLError):
                await strict.post(parse_target(there.url(), POLICY), b"", [], timeout_s=1)
        assert there.connections == 0


@both_loops
async def test_localhost_by_the_platforms_resolver():
    async with Receiver(says(OK)) as there, client() as via:
        target = parse_target(there.url(host="localhost"), POLICY)
        assert "127.0.0.1" in await via.check(target)
        assert (await via.post(target, b"", [], timeout_s=5)).address == "127.0.0.1"


@both_loops
async def test_ipv6_loopback():
    async with Receiver(says(OK), host="::1") as there, client() as via:
        reply = await post(via, there.url())
        assert (reply.status, reply.address) == (200, "::1")
        assert there.seen[0].header("host") == [f"[::1]:{there.port}"]


@both_loops
async def test_the_next_address_is_tried():
    resolver = names(two=["127.0.0.9", "127.0.0.1"], none=["127.0.0.9", "127.0.0.8"])
    async with Receiver(says(OK)) as there, client(resolver=resolver) as via:
        assert (await post(via, there.url(host="two.test"))).address == "127.0.0.1"
        error = await fails(ConnectError, via, there.url(host="none.test"))
        assert "127.0.0.9" in error.message
        assert "refused" in error.message
        assert not error.sent
        await asyncio.sleep(0.05)
        assert via.pool.open_count == 1


@both_loops
async def test_a_redirect_is_a_reply():
    async with Receiver(says(OK)) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other.url()}\r\nContent-Length: 0\r\n\r\n".encode()
        async with Receiver(says(moved)) as there, client() as via:
            assert (await post(via, there.url())).status == 307
            assert other.connections == 0


@both_loops
async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    async with Receiver(says(OK)) as proxy, Receiver(says(OK)) as there, client() as via:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url("/"))
        assert (await post(via, there.url())).status == 200
        assert (proxy.connections, there.connections) == (0, 1)


# Names.


@both_loops
async def test_a_resolver_that_hangs_delays_nobody_else():
    hang = threading.Event()

    def lookup(host):
        if host == "slow.test":
            hang.wait(10)
        return ["127.0.0.1"]

    try:
        async with Receiver(says(OK)) as there, client(resolver=Resolver(lookup)) as via:
            slow = asyncio.gather(
                *(fails(CallTimeoutError, via, there.url(host="slow.test"), timeout_s=1.0) for _ in range(20))
            )
            await asyncio.gather(*(post(via, there.url(host=f"quick{number}.test")) for number in range(10)))
            assert not slow.done()
            errors = await slow
            assert not any(error.sent for error in errors)
            assert "resolving" in errors[0].message
    finally:
        hang.set()


@both_loops
async def test_look_ups_are_shared_bounded_and_remembered(monkeypatch):
    running, most, asked = 0, 0, []
    lock = threading.Lock()

    def lookup(host):
        nonlocal running, most
        with lock:
            running, asked[:] = running + 1, [*asked, host]
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return ["127.0.0.1"]

    resolver = Resolver(lookup, threads=3)
    hosts = [f"h{number % 8}.test" for number in range(80)]
    await asyncio.gather(*(resolver.resolve(host, 443, timeout=5) for host in hosts))
    assert sorted(asked) == sorted(set(hosts))
    assert most == 3
    await resolver.resolve("h0.test", 443, timeout=5)
    assert len(asked) == 8
    monkeypatch.setattr(resolve_module, "MAX_NAMES", 8)
    oldest = next(iter(resolver._answers))
    await resolver.resolve("h8.test", 443, timeout=5)
    assert len(resolver._answers) == 8
    await resolver.resolve(oldest, 443, timeout=5)
    assert asked[8:] == ["h8.test", oldest]


@pytest.mark.parametrize(
    ("fault", "says_why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "there is no host named"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "the DNS server gave no answer"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (RuntimeError("odd"), "could not be asked for"),
        (None, "has no address"),
    ],
)
@both_loops
async def test_a_name_without_an_address(fault, says_why):
    def lookup(_):
        if fault is not None:
            raise fault
        return []

    async with client(resolver=Resolver(lookup)) as via:
        error = await fails(NameResolutionError, via, "http://hook.test/")
    assert says_why in error.message
    assert (error.code, error.sent, error.permanent) == ("dns_error", False, False)
