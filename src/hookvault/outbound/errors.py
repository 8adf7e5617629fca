"""Why an outbound call brought no reply. Every message names the host and the cause in plain words.

OutboundError                    502
├── InvalidURLError              422  invalid_url         permanent
├── InvalidHeaderError           422  invalid_header      permanent
├── AddressBlockedError          422  address_blocked     permanent
├── NameResolutionError          502  dns_error
├── ConnectError                 502  connection_error
├── TLSError                     502  tls_error
├── CallTimeoutError             504  timeout
├── ResponseInvalidError         502  response_invalid
└── ConnectionClosedError        502  connection_closed

No message holds a header, a body, a path or a query string: all of these may carry secrets.
"""

from typing import Any, ClassVar

from hookvault.errors import HookvaultError, InvalidError
from hookvault.outbound.timing import NONE, Phases


class OutboundError(HookvaultError):
    """A call that brought no reply.

    Attributes:
        permanent: Whether the same call can't succeed until somebody changes the target or the settings.
        sent: Whether the request, or a part of it, may have reached the peer; a retry may then repeat it.
        phases: How long it took to come so far.
    """

    default_code = "connection_error"
    status = 502
    permanent: ClassVar[bool] = False

    def __init__(self, message: str, *, sent: bool = False, code: str | None = None, **members: Any) -> None:
        super().__init__(message, code=code, **members)
        self.sent = sent
        self.phases: Phases = NONE


class InvalidURLError(OutboundError, InvalidError):
    """The URL can't be called: not absolute, another scheme, userinfo, or a host that is written oddly."""

    default_code = "invalid_url"
    status = 422
    permanent = True


class InvalidHeaderError(OutboundError, InvalidError):
    """A header can't be sent: characters that break the message, or a name that the client itself sets."""

    default_code = "invalid_header"
    status = 422
    permanent = True


class AddressBlockedError(OutboundError, InvalidError):
    """The host is, or resolves to, an address that must not be called."""

    default_code = "address_blocked"
    status = 422
    permanent = True


class NameResolutionError(OutboundError):
    """The host's name could not be resolved."""

    default_code = "dns_error"


class ConnectError(OutboundError):
    """No connection could be made; nothing was sent."""


class TLSError(OutboundError):
    """The connection could not be secured, such as by an expired certificate; nothing was sent."""

    default_code = "tls_error"


class CallTimeoutError(OutboundError):
    """The call's whole time was used up: name, connection, TLS, request, answer and body together."""

    default_code = "timeout"
    status = 504


class ResponseInvalidError(OutboundError):
    """What came back is not an HTTP/1.1 response (RFC 9112), or one that could be read in two ways."""

    default_code = "response_invalid"


class ConnectionClosedError(OutboundError):
    """The peer closed the connection before its response was complete."""

    default_code = "connection_closed"
