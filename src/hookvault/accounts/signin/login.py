"""Signing in: by e-mail address and password, then by a code where there is a second factor. And changing the password."""

from collections.abc import Callable

from hookvault.accounts import store
from hookvault.accounts.factor.service import Factors, wrong_code
from hookvault.accounts.model import Enrolment, NewSession, Origin, PlatformUser, Session
from hookvault.accounts.passwords import Passwords, check_password
from hookvault.accounts.signin import store as sessions
from hookvault.accounts.signin.brake import Brake
from hookvault.accounts.signin.sessions import Sessions
from hookvault.accounts.token import Signer
from hookvault.audit import store as audit
from hookvault.audit.model import ANONYMOUS, Actor
from hookvault.audit.tally import Happening
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError, InvalidError, UnauthorizedError, UnavailableError
from hookvault.vault.secret import Secret

_ACTION = "session.created"


class LoginService:
    """Lets platform admins in, and lets them change what they come in with.

    Args:
        database: Where.
        sessions: Begins them.
        factors: Checks codes.
        passwords: Checks passwords.
        brake: Slows guessing down.
        signer: Makes of an unknown address what can be compared and tells nothing.
        note: Takes note of a refusal, for the audit log.
    """

    def __init__(
        self,
        database: Database,
        *,
        sessions: Sessions,
        factors: Factors,
        passwords: Passwords,
        brake: Brake,
        signer: Signer,
        note: Callable[[Happening], object],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._factors = factors
        self._passwords = passwords
        self._brake = brake
        self._signer = signer
        self._note = note

    async def log_in(self, email: str, password: Secret, origin: Origin, *, cookie: str | None = None) -> NewSession:
        """Begins a session; where there is a second factor only half of one, that can do nothing but take the code.

        Args:
            email: The address, in any letter case.
            password: The password.
            origin: Where the request came from.
            cookie: What the browser was signed in with before: that session ends.

        Raises:
            UnauthorizedError: code `login_failed`: no such user, a wrong password, or disabled; they are not told apart.
            TooManyRequestsError: too many failures.
        """
        await self._brake.charge("password", email, origin.ip)
        async with self._database.system() as tx:
            found = await store.find_login(tx, email)
        try:
            right = await self._passwords.matches(password, found.password_hash if found else None)
        except UnavailableError:
            await self._brake.refund("password", email, origin.ip)
            raise
        if found is None or not right or found.user.disabled_at is not None:
            self._refused(email, found.user if found else None, origin)
            raise UnauthorizedError("The e-mail address or the password is wrong.", code="login_failed")
        newer = await self._passwords.hash(password) if self._passwords.is_old(found.password_hash) else None
        return await self._begin(found, newer, origin, cookie)

    async def give_code(self, session: Session, code: str, origin: Origin) -> NewSession:
        """Makes half a session a whole one, under a new token.

        Raises:
            InvalidError: code `wrong_code`.
            TooManyRequestsError: too many failures.
            VaultError: the second factor's secret does not open; a recovery code still is taken.
        """
        user = session.user
        await self._brake.charge("code", str(user.id), origin.ip)
        async with self._database.system() as tx:
            await store.get_user(tx, user.id)
            right = session.stage == "second_factor" and await self._factors.is_right(tx, user.id, code)
            if right:
                await store.note_login(tx, user.id)
                renewed = await self._sessions.renew(tx, session)
                await self._brake.release(tx, "code", str(user.id), origin.ip)
                await self._brake.release(tx, "password", user.email, origin.ip)
                await audit.record(tx, _actor(user, origin), "session.confirmed", ("admin", str(user.id)))
                return renewed
        raise wrong_code()

    async def change_password(self, session: Session, old: Secret, new: Secret, origin: Origin) -> NewSession:
        """Changes the password: all other sessions end, and this one goes on under a new token.

        Raises:
            InvalidError: `wrong_password`, `weak_password`, or `same_password`.
            TooManyRequestsError: too many wrong ones.
        """
        user = session.user
        check_password(new, email=user.email, field="newPassword")
        if old.same_as(new):
            raise InvalidError("The new password is the old one. Choose another.", code="same_password")
        stored = await self._proved(user, old, origin)
        hashed = await self._passwords.hash(new)
        async with self._database.system() as tx:
            if not await store.replace_password(tx, user.id, stored, hashed):
                raise _wrong_password()
            await sessions.end_all(tx, user.id, but=session.id)
            renewed = await self._sessions.renew(tx, session, must_change_password=False)
            await self._brake.release(tx, "password", user.email, origin.ip)
            await audit.record(tx, _actor(user, origin), "admin.password_changed", ("admin", str(user.id)))
        return renewed

    async def enrol(self, session: Session, password: Secret, origin: Origin) -> Enrolment:
        """Makes a second factor that waits for its first code.

        Raises:
            InvalidError: code `wrong_password`.
            ConflictError: code `totp_exists`.
        """
        user = session.user
        await self._proved(user, password, origin)
        async with self._database.system() as tx:
            await store.get_user(tx, user.id)
            made = await self._factors.enrol(tx, user)
            await self._brake.release(tx, "password", user.email, origin.ip)
            await audit.record(tx, _actor(user, origin), "totp.enrolled", ("admin", str(user.id)))
        return made

    async def confirm(self, session: Session, code: str, origin: Origin) -> tuple[NewSession, list[Secret]]:
        """Puts the second factor in force: this session goes on under a new token, all others end. With the recovery codes.

        Raises:
            InvalidError: code `wrong_code`.
            ConflictError: `totp_missing` or `totp_exists`.
        """
        user = session.user
        await self._brake.charge("code", str(user.id), origin.ip)
        async with self._database.system() as tx:
            await store.get_user(tx, user.id)
            codes = await self._factors.confirm(tx, user.id, code)
            await sessions.end_all(tx, user.id, but=session.id)
            renewed = await self._sessions.renew(tx, session, has_totp=True)
            await self._brake.release(tx, "code", str(user.id), origin.ip)
            await audit.record(tx, _actor(user, origin), "totp.confirmed", ("admin", str(user.id)))
        return renewed, codes

    async def remove_factor(self, session: Session, password: Secret, origin: Origin) -> NewSession:
        """Removes the second factor: this session goes on under a new token, all others end.

        Raises:
            InvalidError: code `wrong_password`.
        """
        user = session.user
        await self._proved(user, password, origin)
        async with self._database.system() as tx:
            await store.get_user(tx, user.id)
            await self._factors.remove(tx, user.id)
            await sessions.end_all(tx, user.id, but=session.id)
            renewed = await self._sessions.renew(tx, session, has_totp=False)
            await self._brake.release(tx, "password", user.email, origin.ip)
            await audit.record(tx, _actor(user, origin), "totp.disabled", ("admin", str(user.id)))
        return renewed

    async def _begin(self, found: store.Login, newer: str | None, origin: Origin, cookie: str | None) -> NewSession:
        user = found.user
        async with self._database.system() as tx:
            if not await store.is_still(tx, user.id, found.password_hash):
                raise UnauthorizedError("The e-mail address or the password is wrong.", code="login_failed")
            if newer is not None:
                await store.rehash(tx, user.id, newer)
            await self._sessions.end_by_cookie(tx, cookie)
            made = await self._sessions.begin(tx, user, "second_factor" if user.has_totp else "full", origin)
            if not user.has_totp:  # else who has only the password would be counted as who has both
                await self._brake.release(tx, "password", user.email, origin.ip)
                await store.note_login(tx, user.id)
            detail = {"secondFactor": "asked"} if user.has_totp else {}
            await audit.record(tx, _actor(user, origin), _ACTION, ("admin", str(user.id)), detail=detail)
        return made

    async def _proved(self, user: PlatformUser, password: Secret, origin: Origin) -> str:
        """The stored hash of a user's password, if this is it. Raises InvalidError, code `wrong_password`."""
        await self._brake.charge("password", user.email, origin.ip)
        async with self._database.system() as tx:
            found = await store.find_login(tx, user.email)
        try:
            right = await self._passwords.matches(password, found.password_hash if found else None)
        except HookvaultError:
            await self._brake.refund("password", user.email, origin.ip)
            raise
        if found is None or not right or found.user.id != user.id:
            raise _wrong_password()
        return found.password_hash

    def _refused(self, email: str, user: PlatformUser | None, origin: Origin) -> None:
        """For the audit log: of an unknown address only a keyed hash, since some type their password there."""
        address = self._signer.digest("address", email.casefold())[:6].hex()
        target = ("admin", str(user.id)) if user else ("admin", f"unknown-{address}")
        actor = Actor(ANONYMOUS.kind, ANONYMOUS.id, origin.ip, origin.request_id)
        self._note(Happening(actor, _ACTION, target, "", "denied", {"code": "login_failed"}))


def _actor(user: PlatformUser, origin: Origin) -> Actor:
    return Actor("user", str(user.id), origin.ip, origin.request_id)


def _wrong_password() -> InvalidError:
    message = "The present password is wrong."
    return InvalidError(message, code="wrong_password", errors=[{"field": "password", "message": message}])
