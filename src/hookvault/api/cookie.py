"""The session's cookie, and whether a browser's request comes from our own pages."""

from urllib.parse import urlsplit

from hookvault.accounts.model import NewSession
from hookvault.api.access import ASGIScope, header
from hookvault.clock import now
from hookvault.errors import ForbiddenError

_PORTS = {"http": 80, "https": 443}


def cookie_name(app_url: str) -> str:
    """The cookie's name: over https one that no other host and no plain http can set (RFC 6265bis section 4.1.3.2)."""
    return "__Host-hookvault" if app_url.startswith("https://") else "hookvault"


def session_cookie(scope: ASGIScope, app_url: str) -> str | None:
    """The value of the session's cookie; None when it is absent, or there twice: somebody else put one of them there."""
    name = cookie_name(app_url)
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie"]
    pairs = [part.strip().partition("=") for line in lines for part in line.split(";")]
    found = [value for key, _, value in pairs if key == name]
    return found[0] if len(found) == 1 else None


def set_cookie(new: NewSession, app_url: str) -> str:
    """The Set-Cookie header that a browser keeps a session by."""
    seconds = max(0, int((new.session.expires_at - now()).total_seconds()))
    return f"{cookie_name(app_url)}={new.cookie.open()}; Max-Age={seconds}{_attributes(app_url)}"


def drop_cookie(app_url: str) -> str:
    """The Set-Cookie header that makes a browser forget it."""
    return f"{cookie_name(app_url)}=; Max-Age=0{_attributes(app_url)}"


def check_origin(scope: ASGIScope, app_url: str, *, strict: bool) -> None:
    """Refuses a change that another site's page asks for. Our own origin is APP_URL's; the Host header says nothing.

    Args:
        scope: The request's.
        app_url: APP_URL.
        strict: Whether a request that says nothing of its origin is refused too: every one that a cookie speaks for.

    Raises:
        ForbiddenError: code `foreign_origin`.
    """
    origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
    own = (origin is None or _is_own(origin, app_url)) and (site is None or site == b"same-origin")
    if not own or (strict and origin is None and site is None):
        raise ForbiddenError(
            f"This was not asked by a page of {origin_of(app_url)}, which is what APP_URL says. Open Hookvault there.",
            code="foreign_origin",
        )


def origin_of(url: str) -> str:
    """The origin of a URL as browsers write it (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    return f"{parts.scheme}://{shown}" + ("" if port in (None, _PORTS.get(parts.scheme)) else f":{port}")


def _is_own(origin: bytes, app_url: str) -> bool:
    return origin.decode("latin-1") == origin_of(app_url)


def _attributes(app_url: str) -> str:
    return "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if app_url.startswith("https://") else "")
