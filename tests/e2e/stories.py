"""What the stories about the outbound client share: both kinds of loop, a client, names, and how a call fails."""

import asyncio
import contextlib
import functools
import inspect
import ipaddress

import pytest
import uvloop

from hookvault.outbound.client import OutboundClient, secure_context
from hookvault.outbound.guard import AddressPolicy, parse_target
from hookvault.outbound.resolve import Resolver

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
POLICY = AddressPolicy(allow_http=True, allowed_networks=LOOPBACK)
CONTEXT = secure_context()  # made once: loading the system's authorities takes longer than most stories here
HEADERS = [("content-type", "application/json"), ("authorization", "Bearer s3cret")]


def both_loops(test):
    """Run a story on each kind of loop, in a loop of its own, for 15 seconds at most."""

    @functools.wraps(test)
    def run(loop_factory, **fixtures):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(asyncio.wait_for(test(**fixtures), 60))

    parameters = list(inspect.signature(test).parameters.values())
    extra = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*parameters, extra])
    return pytest.mark.parametrize(
        "loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
    )(run)


@contextlib.asynccontextmanager
async def client(**options):
    made = OutboundClient(options.pop("policy", POLICY), **{"ssl_context": CONTEXT, **options})
    try:
        yield made
    finally:
        await made.close()
        assert made.pool.open_count == made.pool.idle_count == 0


def names(**addresses):
    """A resolver that knows these names, and counts how often it was asked."""
    asked = []

    def lookup(host):
        asked.append(host)
        return list(addresses[host.removesuffix(".test")])

    resolver = Resolver(lookup)
    resolver.asked = asked
    return resolver


async def post(via, url, body=b"{}", *, timeout_s=5.0):
    return await via.post(parse_target(url, via.policy), body, HEADERS, timeout_s=timeout_s)


async def until(condition):
    """Wait for what other parts of the loop bring about, for 3 seconds at most."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def fails(kind, via, url, body=b"{}", *, timeout_s=5.0):
    """The error of a call; no error's message holds anything of the request's secrets."""
    with pytest.raises(kind) as caught:
        await post(via, f"{url}?token=s3cret", body, timeout_s=timeout_s)
    assert "s3cret" not in str(caught.value)
    assert parse_target(url, via.policy).host in caught.value.message
    return caught.value
