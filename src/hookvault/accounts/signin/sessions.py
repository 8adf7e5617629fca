"""Sessions: begun, found by their cookie, gone on with under a new token, listed, ended."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hookvault.accounts.model import NewSession, Origin, PlatformUser, Principal, Session, Stage
from hookvault.accounts.signin import store
from hookvault.accounts.token import Signer, new_token, token_hash
from hookvault.audit import store as audit
from hookvault.audit.model import Actor
from hookvault.clock import now
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import UnauthorizedError
from hookvault.ids import new_id
from hookvault.vault.secret import Secret

_HALF = timedelta(minutes=10)  # to give the code in
_TOUCHED = timedelta(minutes=1)
_MOST = 50  # of one user
_AGENT = 200  # characters
_TOKEN = 43
_SCOPES = frozenset({"platform"})


class Sessions:
    """The sessions of platform admins.

    Args:
        database: Where.
        signer: Signs cookies, so that a made-up one is refused before the database is asked.
        idle: A session that was not used for so long has ended.
        longest: And one so old, however much it is used.
    """

    def __init__(self, database: Database, signer: Signer, *, idle: timedelta, longest: timedelta) -> None:
        self._database = database
        self._signer = signer
        self._idle = idle
        self._longest = longest

    async def begin(self, tx: SystemTx, user: PlatformUser, stage: Stage, origin: Origin) -> NewSession:
        """Begins a session, in the caller's transaction."""
        moment = now()
        expires_at = moment + (self._longest if stage == "full" else _HALF)
        agent = "".join(character for character in origin.user_agent if character.isprintable())[:_AGENT]
        session = Session(new_id(), user, stage, moment, moment, expires_at, agent, origin.ip)
        token = new_token()
        await store.insert(tx, session, token_hash(token))
        await store.end_oldest(tx, user.id, _MOST)
        return NewSession(session, self._cookie(token))

    async def renew(self, tx: SystemTx, session: Session, **changed: Any) -> NewSession:
        """Goes on with a session under a new token, as a full one; the old token is nobody's from the commit on.

        Args:
            tx: The transaction of what makes it necessary.
            session: As it was.
            changed: What is otherwise about its user now.

        Raises:
            UnauthorizedError: it has ended meanwhile.
        """
        moment, token = now(), new_token()
        fields: dict[str, Any] = {"created_at": moment, "seen_at": moment, "expires_at": moment + self._longest}
        renewed = replace(session, user=replace(session.user, **changed), stage="full", **fields)
        if not await store.renew(tx, renewed, token_hash(token)):
            raise _ended()
        return NewSession(renewed, self._cookie(token))

    async def authenticate(self, cookie: str) -> Principal:
        """Whom a cookie speaks for.

        Raises:
            UnauthorizedError: it was not made here, or its session has ended.
            UnavailableError: code `database_unavailable`.
        """
        token = self._token(cookie)
        if token is None:
            raise _ended()
        moment = now()
        async with self._database.system() as tx:
            session = await store.find(tx, token_hash(token), moment, moment - self._idle)
            if session is None:
                raise _ended()
            if session.seen_at < moment - _TOUCHED:
                await store.touch(tx, session.id, moment, moment - _TOUCHED)
        return Principal(session.id, None, _SCOPES, session)

    async def list_sessions(self, user_id: UUID) -> list[Session]:
        """A user's sessions, the newest first."""
        moment = now()
        async with self._database.system() as tx:
            return await store.list_of(tx, user_id, moment, moment - self._idle)

    async def end(self, session: Session, session_id: UUID, *, actor: Actor) -> None:
        """Ends one of the user's sessions, its own or another. Idempotent."""
        async with self._database.system() as tx:
            if await store.end(tx, session.user.id, session_id):
                await audit.record(tx, actor, "session.ended", ("session", str(session_id)))

    async def end_others(self, session: Session, *, actor: Actor) -> int:
        """Ends all of the user's sessions but this one; how many."""
        async with self._database.system() as tx:
            ended = await store.end_all(tx, session.user.id, but=session.id)
            detail = {"others": ended}
            await audit.record(tx, actor, "session.ended", ("session", str(session.id)), detail=detail)
        return ended

    async def end_by_cookie(self, tx: SystemTx, cookie: str | None) -> None:
        """Ends the session that a browser had before, if it had one: nobody goes on under a token that was there before."""
        token = self._token(cookie or "")
        if token is not None:
            await store.end_by_hash(tx, token_hash(token))

    async def prune(self) -> None:
        """Removes what has run out."""
        moment = now()
        async with self._database.system() as tx:
            await store.prune(tx, moment, moment - self._idle)

    def _cookie(self, token: Secret) -> Secret:
        text = token.open()
        return Secret(f"{text}.{self._seal(text)}")

    def _token(self, cookie: str) -> str | None:
        """The token of a cookie that was made here, else None. Garbage costs no more than a hash."""
        token, _, seal = cookie.partition(".")
        right = len(cookie) < 3 * _TOKEN and hmac.compare_digest(
            self._seal(token).encode(), seal.encode("utf-8", "surrogatepass")
        )
        return token if right else None

    def _seal(self, token: str) -> str:
        return urlsafe_b64encode(self._signer.digest("session", token)).rstrip(b"=").decode()


def _ended() -> UnauthorizedError:
    return UnauthorizedError("The session has ended. Sign in again.")
