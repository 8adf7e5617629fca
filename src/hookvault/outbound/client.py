"""The one HTTP client: every outbound URL of the service goes through here.

It follows no redirect, reads no proxy setting from the environment, asks for no compression, and dials only
addresses that were checked a moment before. One deadline covers a whole call, from the name to the last byte.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Sequence
from time import perf_counter
from typing import Any

from hookvault.outbound.dial import Dialler
from hookvault.outbound.errors import (
    CallTimeoutError,
    ConnectError,
    ConnectionClosedError,
    InvalidURLError,
    OutboundError,
)
from hookvault.outbound.guard import HTTP_REFUSED, AddressPolicy, Target, is_literal
from hookvault.outbound.pool import Pool
from hookvault.outbound.resolve import Resolver
from hookvault.outbound.timing import RESOLVED, Stopwatch
from hookvault.outbound.wire import Connection, Reply, encode_request

RESOLVE_S = 10.0  # a name server that takes longer is broken; the call's own deadline is often earlier


def secure_context() -> ssl.SSLContext:
    """TLS 1.2 or newer, the system's authorities, names checked, HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class OutboundClient:
    """Calls targets that its policy allows. Belongs to the event loop it is first used on.

    Args:
        policy: Which addresses may be dialled, and whether http may be used.
        max_response_bytes: Where a response's body is cut; what follows is never read.
        ssl_context: TLS settings instead of `secure_context()`.
        resolver: Names to addresses instead of the platform's resolver; its answers are checked alike.
        max_idle_per_origin: How many idle connections are kept for one origin.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        max_response_bytes: int = 65536,
        ssl_context: ssl.SSLContext | None = None,
        resolver: Resolver | None = None,
        max_idle_per_origin: int = 256,
    ) -> None:
        self.policy = policy
        self.pool = Pool(max_idle_per_origin)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resolver = resolver or Resolver()
        self._dialler = Dialler(self.pool, ssl_context or secure_context(), max_response_bytes)

    def post(
        self, target: Target, body: bytes, headers: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> Coroutine[Any, Any, Reply]:
        """POST `body` as it is. Gives the coroutine of `request`, which says more."""
        return self.request("POST", target, body, headers, timeout_s=timeout_s)

    async def request(
        self,
        method: str,
        target: Target,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        *,
        timeout_s: float,
    ) -> Reply:
        """Call `target` once and give its response, whatever its status; redirects are not followed.

        A kept connection that the peer closes before a single byte of its response is replaced by a new one,
        and the request sent a second time; that is the only resend.

        Args:
            method: Such as "POST".
            target: From `parse_target`.
            body: The body's bytes, sent unchanged.
            headers: Further fields. The client sets Host, Content-Length and Accept-Encoding itself and sends
                no User-Agent or Content-Type of its own.
            timeout_s: Seconds for everything together.

        Raises:
            OutboundError: one of its subclasses; `sent` tells whether the request may have arrived.
        """
        began = perf_counter()
        message = encode_request(method, target, body, headers)
        loop = self._loop
        if loop is None:  # kept, since asking for the running loop costs a system call in Python 3.11
            loop = self._loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        connection = self.pool.take(target.origin) or await self._dial(target, deadline, timeout_s)
        while True:  # twice at most
            connection.set_deadline(deadline, timeout_s)
            future = connection.start(message, began, head=method == "HEAD")
            try:
                return await future
            except asyncio.CancelledError:
                connection.drop(future)
                raise
            except ConnectionClosedError:
                # RFC 9112 section 9.3.1: a kept connection may close while our request is on its way. Once a
                # byte came, or on a new connection, the request may well have been acted on.
                if connection.heard or connection.uses == 1 or self.pool.closed:
                    raise
            try:
                connection = await self._dial(target, deadline, timeout_s)
            except OutboundError as error:
                error.sent = True  # by the first attempt, for all we know
                raise

    async def check(self, target: Target) -> list[str]:
        """The checked addresses of `target`: the guard's whole verdict without a call.

        Raises:
            AddressBlockedError: any one of them is forbidden.
            InvalidURLError: it is plain http, which is not allowed.
            NameResolutionError: its name has no address, or no name server answered within 10 seconds.
        """
        if target.scheme != "https" and not self.policy.allow_http:
            raise InvalidURLError(HTTP_REFUSED)
        host = target.host
        literal = is_literal(host)
        found = [host] if literal else await self._resolver.resolve(host, target.port, timeout=RESOLVE_S)
        return self.policy.vet(host, found)

    async def close(self) -> None:
        """Close all connections, kept and serving; calls under way end with `connection_closed`."""
        await self.pool.close()
        self._resolver.close()

    async def _dial(self, target: Target, deadline: float, timeout_s: float) -> Connection:
        if self.pool.closed:
            raise ConnectError("the client is closed")
        step = "resolving its name"
        watch = Stopwatch(named=not is_literal(target.host), secure=target.scheme == "https")
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self.check(target)
                watch.reach(RESOLVED)
                step = "connecting"
                return await self._dialler.connect(target, addresses, watch)
        except TimeoutError:
            error = CallTimeoutError(f"{target.host}:{target.port}: time ran out after {timeout_s:.3g} s while {step}")
            error.phases = watch.phases(failed=True)
            raise error from None
        except OutboundError as error:
            error.phases = watch.phases(failed=True)
            raise
