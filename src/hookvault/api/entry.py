"""Who is let in to which route: nobody known, a session as far as it has come, or a key."""

import re

from hookvault.accounts.model import Principal, Session
from hookvault.api.access import ASGIScope, authenticate, authorize, header
from hookvault.api.body import UnsupportedMediaTypeError
from hookvault.api.cookie import check_origin, session_cookie
from hookvault.api.services import App
from hookvault.errors import ForbiddenError, UnauthorizedError, UnavailableError

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# What is for everybody: to sign in, and what a link in a mail leads to. The handlers check what they are given.
_ANYBODYS = re.compile(
    r"POST /api/session|(?:POST|PUT) /api/password-resets|(?:GET|POST) /api/invitations/[^/]+", re.ASCII
)
_OF_SESSIONS = re.compile(r"/api/sessions?(?:/.*)?", re.ASCII | re.DOTALL)
_OF_DELIVERIES = re.compile(r"/api/tenants/[^/]+/deliveries(?:/.*)?", re.ASCII | re.DOTALL)
_OWNERS = re.compile(r"/api/platform/(?:users|invitations)(?:/.*)?", re.ASCII | re.DOTALL)
# As far as half a session goes, and one whose password was somebody else's choice.
_TO_BEGIN = frozenset({"GET /api/session", "DELETE /api/session"})
_TO_CONFIRM = _TO_BEGIN | {"POST /api/session/second-factor"}
_TO_CHANGE = _TO_BEGIN | {"PUT /api/session/password"}


async def identify(app: App, scope: ASGIScope) -> Principal | None:
    """Whom a request speaks for; None where nobody need be known.

    Raises:
        UnauthorizedError: no key and no session, or not a valid one.
        UnavailableError: code `database_unavailable`.
    """
    if _ANYBODYS.fullmatch(_named(scope)):
        return None
    if header(scope, b"authorization") is None:
        cookie = session_cookie(scope, app.settings.app_url)
        if cookie is not None:
            return await app.accounts.sessions.authenticate(cookie)
    return await authenticate(scope, app.api_keys)


def permit(app: App, scope: ASGIScope, principal: Principal | None) -> None:
    """Refuses what whoever asks may not do.

    Raises:
        ForbiddenError: with a code that says why.
        UnsupportedMediaTypeError: a change by cookie whose body is not said to be JSON.
    """
    changes = scope["method"] in CHANGING
    if principal is None:
        if changes:  # a link in a mail leads here from anywhere
            check_origin(scope, app.settings.app_url, strict=False)
        _check_json(scope)
    elif principal.session is not None:
        if changes:
            check_origin(scope, app.settings.app_url, strict=True)
            _check_json(scope)
        _check_session(principal.session, scope)
    else:
        authorize(principal, scope["path"], "call" if changes else "read")
        if _OF_SESSIONS.fullmatch(scope["path"]):
            raise ForbiddenError("This is about who is signed in, and an API key is nobody.", code="session_needed")


async def is_still_allowed(app: App, scope: ASGIScope) -> bool:
    """Whether whoever asked may still be answered, a long answer later. With the database away there is no telling."""
    try:
        permit(app, scope, await identify(app, scope))
    except UnavailableError:
        return True
    except (UnauthorizedError, ForbiddenError):
        return False
    return True


def schemes(method: str, path: str) -> list[str]:
    """By what a route lets somebody in, as the API's description names it; empty where nobody need be known."""
    if _ANYBODYS.fullmatch(f"{method} {path}"):
        return []
    if _OF_SESSIONS.fullmatch(path):
        return ["session"]
    if path.startswith("/api/platform") or _OF_DELIVERIES.fullmatch(path):
        return ["apiKey", "session"]
    return ["apiKey"] if path.startswith("/api/tenants/") else []


def _check_session(session: Session, scope: ASGIScope) -> None:
    named, path = _named(scope), scope["path"]
    if session.stage != "full" and named not in _TO_CONFIRM:
        raise ForbiddenError("The code of the second factor is missing.", code="second_factor_required")
    if session.stage == "full" and session.user.must_change_password and named not in _TO_CHANGE:
        raise ForbiddenError("Choose a password of your own first.", code="password_change_required")
    if scope["method"] not in ("GET", "HEAD") and not _OF_SESSIONS.fullmatch(path):
        if session.user.role == "viewer":
            raise ForbiddenError("A viewer reads, and changes nothing.", code="read_only")
        if session.user.role != "owner" and _OWNERS.fullmatch(path):
            raise ForbiddenError("Only an owner says who may do what.", code="owner_only")


def _check_json(scope: ASGIScope) -> None:
    """A form can be sent by any page; JSON can't without asking first, and we allow nobody that asks."""
    kind = header(scope, b"content-type")
    length = header(scope, b"content-length")
    empty = header(scope, b"transfer-encoding") is None and (length is None or length.strip() in (b"", b"0"))
    if (kind is None and not empty) or (
        kind is not None and kind.split(b";")[0].strip().lower() != b"application/json"
    ):
        raise UnsupportedMediaTypeError("The body must be JSON, with Content-Type: application/json.")


def _named(scope: ASGIScope) -> str:
    return f"{scope['method']} {scope['path']}"
