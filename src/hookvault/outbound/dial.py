"""From checked addresses to a connection: TCP, TLS, and what went wrong in words that help."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from hookvault.outbound.errors import AddressBlockedError, ConnectError, OutboundError, TLSError
from hookvault.outbound.guard import Target
from hookvault.outbound.pool import Pool
from hookvault.outbound.timing import CONNECTED, SECURED, Stopwatch
from hookvault.outbound.wire import Connection

HEAD_START_S = 0.25  # RFC 8305 section 5: how long one address is alone before the next is tried beside it
MAX_ADDRESSES = 8  # a name may list hundreds; nobody's call should knock at all of them

_CERTIFICATE_FAULTS = {
    9: "its certificate is not valid yet; check the clocks on both sides",
    10: "its certificate has expired; it must be renewed there",
    18: "its certificate is self-signed, so nobody vouches for it",
    19: "its certificate comes from an authority that is not known here",
    20: "its certificate comes from an authority that is not known here, or the server leaves out the chain",
    21: "its certificate comes from an authority that is not known here, or the server leaves out the chain",
    23: "its certificate was revoked",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
_TLS_FAULTS = {
    "WRONG_VERSION_NUMBER": "it doesn't speak TLS on this port; is the URL meant to be http://?",
    "RECORD_LAYER_FAILURE": "it doesn't speak TLS on this port; is the URL meant to be http://?",
    "HTTP_REQUEST": "it doesn't speak TLS on this port; is the URL meant to be http://?",
    "UNSUPPORTED_PROTOCOL": "it offers no TLS 1.2 or newer",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers no TLS 1.2 or newer",
    "TLSV1_UNRECOGNIZED_NAME": "it doesn't know the name it was called by",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection during the TLS handshake",
}
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


class Dialler(NamedTuple):
    """Makes connections.

    Attributes:
        pool: Who owns them.
        context: The TLS settings for https targets.
        limit: The most body bytes that a response is given.
    """

    pool: Pool
    context: ssl.SSLContext
    limit: int

    async def connect(self, target: Target, addresses: Sequence[str], watch: Stopwatch) -> Connection:
        """A new connection to the first of `addresses`, all of them checked, that accepts one, timed by `watch`.

        Raises:
            ConnectError: none could be reached; the first one's reason is given.
            TLSError: the connection could not be secured.
        """
        if len(addresses) == 1:
            return await self._open(target, addresses[0], watch)
        waiting = list(addresses[:MAX_ADDRESSES])
        attempts: set[asyncio.Task[Connection]] = set()
        fault: OutboundError | None = None
        try:
            while waiting or attempts:
                if waiting:
                    attempts.add(asyncio.create_task(self._open(target, waiting.pop(0), watch)))
                done, _ = await asyncio.wait(
                    attempts, timeout=HEAD_START_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in done:
                    attempts.discard(attempt)
                    failed = attempt.exception()
                    if failed is None:
                        return attempt.result()
                    if not isinstance(failed, OutboundError):
                        raise failed
                    fault = fault or failed
        finally:
            for attempt in attempts:
                attempt.add_done_callback(_discard)
                attempt.cancel()
        raise fault or ConnectError(f"{target.host} has no address")

    async def _open(self, target: Target, address: str, watch: Stopwatch) -> Connection:
        connection = Connection(self.pool, target, address, self.limit)
        tls = target.scheme == "https"
        where = f"{target.host}:{target.port}" + ("" if target.host == address else f" ({address})")
        try:
            # An address literal is dialled as it is, while SNI and the certificate's check keep the name.
            loop = asyncio.get_running_loop()
            if tls:
                reached = await _reach(address, target.port)
                watch.reach(CONNECTED)
                transport, _ = await loop.create_connection(
                    lambda: connection, sock=reached, ssl=self.context, server_hostname=target.host
                )
                watch.reach(SECURED)
            else:  # in one, since what a hasty server says before it was asked must not come before our ears are open
                transport, _ = await loop.create_connection(lambda: connection, address, target.port)
                watch.reach(CONNECTED)
            _check_peer(target, address, transport)
        except ssl.SSLError as error:
            raise TLSError(f"no secure connection to {where}: {_tls_fault(error)}") from None
        except OSError as error:
            raise ConnectError(f"can't connect to {where}: {_fault(error, tls=tls)}") from None
        except BaseException:
            connection.abort()
            raise
        if self.pool.closed:
            connection.abort()
            raise ConnectError("the client is closed")
        self.pool.add(connection)
        connection.dialled = watch.phases()
        return connection


async def _reach(address: str, port: int) -> socket.socket:
    """A TCP connection to an IP address."""
    reached = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        reached.setblocking(False)
        await asyncio.get_running_loop().sock_connect(reached, (address, port))
    except BaseException:
        reached.close()
        raise
    return reached


def _discard(attempt: asyncio.Task[Connection]) -> None:
    """Close the connection of an attempt that succeeded too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()


def _check_peer(target: Target, address: str, transport: asyncio.BaseTransport) -> None:
    """The last wall: whatever lies between the check and the socket, the peer must be who was checked."""
    peer = transport.get_extra_info("peername")
    if peer is None:  # reset already: the kernel knows no peer then
        raise ConnectError(f"can't connect to {target.host}:{target.port}: it closed the connection at once")
    if ipaddress.ip_address(peer[0]) != ipaddress.ip_address(address):
        raise AddressBlockedError(f"blocked: {target.host} was reached at another address than the checked {address}")


def _fault(error: OSError, *, tls: bool) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused; nothing listens there, or a firewall rejects it"
    if isinstance(error, TimeoutError):
        return "it doesn't answer; it may be down, or a firewall drops the packets"
    if error.errno in _NO_ROUTE:
        return "there is no route to it from here"
    if tls and isinstance(error, ConnectionError):
        return "it closed the connection during the TLS handshake"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "this process has too many open files; raise its limit (ulimit -n) or lower WEBHOOK_CONCURRENCY"
    return error.strerror or type(error).__name__


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_FAULTS.get(error.verify_code) or f"its certificate is not accepted: {error.verify_message}"
    reason = error.reason or ""
    return (
        _TLS_FAULTS.get(reason) or f"the TLS handshake failed ({reason.replace('_', ' ').lower() or 'no reason given'})"
    )
