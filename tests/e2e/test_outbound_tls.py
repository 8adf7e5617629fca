"""TLS: the name is kept while the address is dialled, and what is wrong is said in plain words."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from receivers import OK, Receiver, says
from stories import CONTEXT, both_loops, client, fails, names, post

from hookvault.outbound.client import secure_context
from hookvault.outbound.errors import CallTimeoutError, TLSError


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self):
        self.ca = trustme.CA()

    def server(self, *names, **dates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **dates).configure_cert(context)
        return context

    def client(self):
        context = secure_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def authority():
    return Authority()


@both_loops
async def test_tls_keeps_the_name_while_the_address_is_dialled(authority):
    asked_for = []
    server = authority.server("hook.test")
    server.sni_callback = lambda _, name, __: asked_for.append(name)
    options = {"ssl_context": authority.client(), "resolver": names(hook=["127.0.0.1"])}
    async with Receiver(says(OK), tls=server) as there, client(**options) as via:
        reply = await post(via, there.url(host="hook.test"))
        again = await post(via, there.url(host="hook.test"))
    assert (reply.status, reply.address, again.reused) == (200, "127.0.0.1", True)
    assert asked_for == ["hook.test"]


@both_loops
async def test_tls_by_address_and_a_body_without_length(authority):
    answer = says(b"HTTP/1.1 200 OK\r\n\r\nto the end", close=True)
    server = authority.server("127.0.0.1")
    async with Receiver(answer, tls=server) as there, client(ssl_context=authority.client()) as via:
        assert (await post(via, there.url())).body == b"to the end"


@pytest.mark.parametrize(
    ("issued", "trusted", "says_why"),
    [
        ({"names": ["other.test"]}, True, "is for another name"),
        ({"names": ["hook.test"], "not_after": datetime.now(UTC) - timedelta(days=1)}, True, "has expired"),
        (
            {"names": ["hook.test"], "not_before": datetime.now(UTC) + timedelta(days=1)},
            True,
            "is not valid yet",
        ),
        ({"names": ["hook.test"]}, False, "authority that is not known"),
    ],
    ids=["wrong-name", "expired", "early", "unknown"],
)
@both_loops
async def test_certificates_that_are_not_accepted(authority, issued, trusted, says_why):
    dates = {key: value for key, value in issued.items() if key != "names"}
    server = authority.server(*issued["names"], **dates)
    options = {"ssl_context": authority.client() if trusted else CONTEXT, "resolver": names(hook=["127.0.0.1"])}
    async with Receiver(says(OK), tls=server) as there, client(**options) as via:
        error = await fails(TLSError, via, there.url(host="hook.test"))
        assert says_why in error.message
        assert (error.code, error.sent, error.permanent) == ("tls_error", False, False)
        assert there.seen == []


@both_loops
async def test_https_to_a_port_without_tls(authority):
    async with Receiver(says(OK)) as there, client(ssl_context=authority.client()) as via:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
            error = await fails(CallTimeoutError, via, url, timeout_s=0.2)
            assert "connecting" in error.message
            assert not error.sent
        server = await asyncio.start_server(lambda _, w: w.write(b"HTTP/1.1 400 Bad\r\n\r\n"), "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        error = await fails(TLSError, via, url)
        assert "doesn't speak TLS" in error.message
        server.close()
        assert there.connections == 0


@both_loops
async def test_an_address_that_hangs_does_not_hold_up_the_next(authority):
    async with Receiver(says(OK), tls=authority.server("hook.test")) as there:
        # Accepts TCP on the same port and never says a word of TLS.
        with socket.create_server(("127.0.0.2", there.port)):
            resolver = names(hook=["127.0.0.2", "127.0.0.1"])
            async with client(ssl_context=authority.client(), resolver=resolver) as via:
                reply = await post(via, there.url(host="hook.test"))
                assert reply.address == "127.0.0.1"
                assert 200 < reply.elapsed_ms < 2000
