"""Who asks, and what they may: the one place where the API checks keys."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hookvault.accounts.keys import APIKeyService
from hookvault.accounts.model import Principal, Scope
from hookvault.audit.model import Actor
from hookvault.errors import ForbiddenError, UnauthorizedError, UnavailableError
from hookvault.ids import new_id
from hookvault.settings import Network

_TENANT_ROUTE = re.compile(r"/api/tenants/([^/]+)/")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_MAX_KEY = 256
_PROXY_HEADERS = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)

ASGIScope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom a request speaks for, and from where."""

    principal: Principal
    ip: str | None
    request_id: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor("api_key", str(self.principal.key_id), self.ip, self.request_id)


def header(scope: ASGIScope, name: bytes) -> bytes | None:
    """A request's header by its lower-case name; None when it is absent."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


async def authenticate(scope: ASGIScope, keys: APIKeyService) -> Principal:
    """Whom the request's `Authorization: Bearer hv_...` speaks for (RFC 6750 section 2.1).

    Raises:
        UnauthorizedError: no key, or not a valid one.
        UnavailableError: code `database_unavailable`.
    """
    found = header(scope, b"authorization")
    if found is None:
        raise UnauthorizedError("This needs an API key, in the header: Authorization: Bearer hv_...")
    scheme, _, token = found.partition(b" ")
    if scheme.lower() != b"bearer" or not token.startswith(b"hv_") or len(token) > _MAX_KEY:
        raise UnauthorizedError("The Authorization header must be: Bearer hv_... (an API key of Hookvault)")
    return await keys.authenticate(token.decode("latin-1"))


def authorize(principal: Principal, path: str, scope: Scope | None = None) -> None:
    """Refuses what a key may not do: platform routes with a tenant's key, and another tenant's routes.

    Raises:
        ForbiddenError: the same for every tenant that is not the key's, whether it exists or not.
    """
    tenant_route = _TENANT_ROUTE.match(path)
    if tenant_route is None:
        if not principal.is_platform:
            raise ForbiddenError("This route needs a platform key; the key given is a tenant's.")
    elif not principal.may(scope or "read", tenant_route[1]):
        raise ForbiddenError(f"The key may not {scope or 'read'} for this tenant.")


async def is_still_allowed(scope: ASGIScope, keys: APIKeyService) -> bool:
    """Whether the key of a request that is being answered is still good. With the database away there is no telling."""
    try:
        authorize(await authenticate(scope, keys), scope["path"])
    except UnavailableError:
        return True
    except (UnauthorizedError, ForbiddenError):
        return False
    return True


def client_ip(scope: ASGIScope, trusted: tuple[Network, ...]) -> str | None:
    """The address that a request came from: X-Forwarded-For counts only as far as trusted proxies wrote it."""
    peer = scope.get("client")
    address: str | None = peer[0] if peer else None
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    hops = ",".join(lines).split(",")
    while address and hops and _within(address, trusted):
        hop = _address(hops.pop())
        if hop is None:
            return address  # the last one that a trusted proxy vouches for
        address = hop
    return address


def is_direct_loopback(scope: ASGIScope) -> bool:
    """Whether a request comes from this machine itself and through no proxy."""
    peer = scope.get("client")
    if not peer or any(name in _PROXY_HEADERS for name, _ in scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(peer[0]).is_loopback
    except ValueError:
        return False


def request_id(scope: ASGIScope) -> str:
    """The caller's X-Request-Id where it is a plain one, else a new one."""
    given = (header(scope, b"x-request-id") or b"").decode("latin-1")
    return given if _REQUEST_ID.match(given) else str(new_id())


def _address(hop: str) -> str | None:
    """The IP address of a hop of X-Forwarded-For, which may carry a port; None when it is none."""
    text = hop.strip()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
