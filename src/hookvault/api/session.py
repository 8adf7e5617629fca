"""Signing in and out over HTTP, and what somebody who is signed in may change about that."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from hookvault.accounts.model import NewSession, Origin, Role, Session
from hookvault.api.access import client_ip, header, request_id
from hookvault.api.context import Services, Who, problems
from hookvault.api.cookie import drop_cookie, session_cookie, set_cookie
from hookvault.api.schemas import Moment, Wire
from hookvault.api.services import App
from hookvault.errors import UnauthorizedError
from hookvault.vault.secret import Secret

router = APIRouter(prefix="/api", tags=["Sessions"])

Password = Annotated[Secret, Field(description="A password.")]
Code = Annotated[str, Field(min_length=1, max_length=64, description="Six digits, or a recovery code.")]


class LoginIn(Wire):
    """Who wants in."""

    email: str = Field(min_length=1, max_length=320)
    password: Password


class CodeIn(Wire):
    """A code of the authenticator; where it is asked for at sign-in, also a recovery code."""

    code: Code


class PasswordIn(Wire):
    """The password, once more."""

    password: Password


class PasswordChangeIn(Wire):
    """The present password and a new one of 12 to 1000 characters."""

    password: Password
    new_password: Password


class MeOut(Wire):
    """Who is signed in."""

    id: UUID
    email: str
    name: str
    role: Role
    has_totp: bool


class SessionOut(Wire):
    """A session, and what is still missing before it can do anything: a code, or a password of one's own."""

    id: UUID
    user: MeOut
    missing: Literal["second_factor", "password_change"] | None
    created_at: Moment
    expires_at: Moment


class SignedInOut(Wire):
    """One of the user's sessions, as listed."""

    id: UUID
    current: bool
    created_at: Moment
    seen_at: Moment
    expires_at: Moment
    user_agent: str
    ip: str | None


class SessionsOut(Wire):
    """All of the user's sessions."""

    items: list[SignedInOut]


class EnrolmentOut(Wire):
    """A new second factor's secret, shown only now, as text and as an authenticator reads it from a QR code."""

    secret: str
    uri: str


class RecoveryOut(Wire):
    """Recovery codes, each for one use, shown only now."""

    recovery_codes: list[str]


class EndedOut(Wire):
    """How many other sessions were ended."""

    ended: int


def origin_of(request: Request, app: App) -> Origin:
    """Where a request came from."""
    agent = (header(request.scope, b"user-agent") or b"").decode("latin-1")
    return Origin(client_ip(request.scope, app.settings.trusted_proxies), agent, request_id(request.scope))


@router.post("/session", status_code=201, responses=problems(429))
async def sign_in(app: Services, body: LoginIn, request: Request, response: Response) -> SessionOut:
    """Signs in. With a second factor the session can do nothing before its code is given. The answer sets the cookie."""
    before = session_cookie(request.scope, app.settings.app_url)
    new = await app.accounts.logins.log_in(body.email, body.password, origin_of(request, app), cookie=before)
    return _entered(app, new, response)


@router.get("/session", responses=problems())
async def get_session(who: Who) -> SessionOut:
    """Who is signed in."""
    return _shown(_own(who))


@router.delete("/session", status_code=204, responses=problems())
async def sign_out(app: Services, who: Who, response: Response) -> None:
    """Signs out: the session ends, and the browser forgets its cookie."""
    session = _own(who)
    await app.accounts.sessions.end(session, session.id, actor=who.actor)
    response.headers["set-cookie"] = drop_cookie(app.settings.app_url)


@router.post("/session/second-factor", responses=problems(409, 429))
async def give_code(app: Services, who: Who, body: CodeIn, request: Request, response: Response) -> SessionOut:
    """Gives the code of the second factor; the session goes on under another cookie."""
    new = await app.accounts.logins.give_code(_own(who), body.code, origin_of(request, app))
    return _entered(app, new, response)


@router.put("/session/password", responses=problems(429))
async def change_password(
    app: Services, who: Who, body: PasswordChangeIn, request: Request, response: Response
) -> SessionOut:
    """Changes the password: all other sessions end, and this one goes on under another cookie."""
    origin = origin_of(request, app)
    new = await app.accounts.logins.change_password(_own(who), body.password, body.new_password, origin)
    return _entered(app, new, response)


@router.post("/session/totp", status_code=201, responses=problems(409, 429))
async def enrol_totp(app: Services, who: Who, body: PasswordIn, request: Request) -> EnrolmentOut:
    """Makes a second factor; it is in force once a code of it was given."""
    made = await app.accounts.logins.enrol(_own(who), body.password, origin_of(request, app))
    return EnrolmentOut(secret=made.secret.open(), uri=made.uri.open())


@router.put("/session/totp", responses=problems(409, 429))
async def confirm_totp(app: Services, who: Who, body: CodeIn, request: Request, response: Response) -> RecoveryOut:
    """Puts the second factor in force: all other sessions end, and this one goes on under another cookie."""
    new, codes = await app.accounts.logins.confirm(_own(who), body.code, origin_of(request, app))
    _entered(app, new, response)
    return RecoveryOut(recovery_codes=[code.open() for code in codes])


@router.delete("/session/totp", responses=problems(429))
async def remove_totp(app: Services, who: Who, body: PasswordIn, request: Request, response: Response) -> SessionOut:
    """Removes the second factor with its recovery codes: all other sessions end, and this one goes on under another cookie."""
    new = await app.accounts.logins.remove_factor(_own(who), body.password, origin_of(request, app))
    return _entered(app, new, response)


@router.get("/sessions", responses=problems())
async def list_sessions(app: Services, who: Who) -> SessionsOut:
    """Where the user is signed in, the newest first."""
    own = _own(who)
    found = await app.accounts.sessions.list_sessions(own.user.id)
    names = ("id", "created_at", "seen_at", "expires_at", "user_agent", "ip")
    return SessionsOut(
        items=[SignedInOut(current=one.id == own.id, **{name: getattr(one, name) for name in names}) for one in found]
    )


@router.delete("/sessions", responses=problems())
async def end_other_sessions(app: Services, who: Who) -> EndedOut:
    """Ends all of the user's sessions but this one."""
    return EndedOut(ended=await app.accounts.sessions.end_others(_own(who), actor=who.actor))


@router.delete("/sessions/{sessionId}", status_code=204, responses=problems())
async def end_session(app: Services, who: Who, session_id: Annotated[UUID, Path(alias="sessionId")]) -> None:
    """Ends one of the user's sessions. Idempotent."""
    await app.accounts.sessions.end(_own(who), session_id, actor=who.actor)


def _own(who: Who) -> Session:
    """The session that asks. The guard lets nobody else through."""
    if who.principal is None or who.principal.session is None:
        raise UnauthorizedError("Sign in first.")
    return who.principal.session


def _entered(app: App, new: NewSession, response: Response) -> SessionOut:
    response.headers["set-cookie"] = set_cookie(new, app.settings.app_url)
    return _shown(new.session)


def _shown(session: Session) -> SessionOut:
    missing: Literal["second_factor", "password_change"] | None = None
    if session.stage == "second_factor":
        missing = "second_factor"
    elif session.user.must_change_password:
        missing = "password_change"
    return SessionOut(
        id=session.id,
        user=MeOut.model_validate(session.user),
        missing=missing,
        created_at=session.created_at,
        expires_at=session.expires_at,
    )
