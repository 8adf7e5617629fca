"""Links to a new password. Whoever asks for one learns nothing: what depends on the address happens after the answer."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from hookvault.accounts import store as accounts
from hookvault.accounts.model import Origin
from hookvault.accounts.passwords import Passwords, check_password
from hookvault.accounts.resets import store
from hookvault.accounts.signin import store as sessions
from hookvault.accounts.signin.brake import Brake
from hookvault.accounts.token import Signer, new_token, token_hash
from hookvault.audit import store as audit
from hookvault.audit.model import ANONYMOUS, Actor
from hookvault.audit.tally import Happening
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError, NotFoundError, TooManyRequestsError
from hookvault.log import get_logger
from hookvault.mail.compose import password_reset
from hookvault.mail.mailer import Mailer
from hookvault.vault.secret import Secret

_VALID = timedelta(hours=1)
_AT_ONCE = 100  # mails that wait in one process
_log = get_logger()


class ResetService:
    """Sends links to a new password, and takes them.

    Args:
        database: Where.
        mailer: Sends them.
        passwords: Hashes the new one.
        brake: Bounds how many are sent.
        signer: Makes of an address what can be compared and tells nothing.
        note: Takes note for the audit log, of what anybody can cause.
        app_url: Where the links lead.
    """

    def __init__(
        self,
        database: Database,
        *,
        mailer: Mailer,
        passwords: Passwords,
        brake: Brake,
        signer: Signer,
        note: Callable[[Happening], object],
        app_url: str,
    ) -> None:
        self._database = database
        self._mailer = mailer
        self._passwords = passwords
        self._brake = brake
        self._signer = signer
        self._note = note
        self._app_url = app_url
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, email: str, origin: Origin) -> None:
        """Has a link sent, if somebody who may sign in has this address; does not wait for that.

        Raises:
            TooManyRequestsError: too many were asked for.
        """
        if len(self._tasks) >= _AT_ONCE:
            raise TooManyRequestsError("Too many mails wait to be sent. Try again in a minute.", retry_after_s=60.0)
        await self._brake.charge_mail(email, origin.ip)
        target = f"address-{self._signer.digest('address', email.casefold())[:6].hex()}"
        actor = Actor(ANONYMOUS.kind, ANONYMOUS.id, origin.ip, origin.request_id)
        self._note(Happening(actor, "password_reset.asked", ("admin", target), "", "success", {}))
        task = asyncio.create_task(self._send(email))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def use(self, token: str, password: Secret, origin: Origin) -> None:
        """Sets a new password, which ends all of the user's sessions. A second factor is asked for as before.

        Raises:
            NotFoundError: code `link_invalid`: it was never given out, was used, or has run out.
            InvalidError: code `weak_password`; the link still works then.
        """
        hashed_token = token_hash(token)
        async with self._database.system() as tx:
            user_id = await store.find(tx, hashed_token)
            if user_id is None:
                raise link_invalid()
            user = await accounts.get_user(tx, user_id)
        check_password(password, email=user.email)
        hashed = await self._passwords.hash(password)
        async with self._database.system() as tx:
            user = await accounts.get_user(tx, user_id)
            if await store.take(tx, hashed_token) is None or user.disabled_at is not None:
                raise link_invalid()
            await accounts.set_password(tx, user_id, hashed, must_change=False)
            await sessions.end_all(tx, user_id)
            await store.delete_of(tx, user_id)
            await self._brake.release(tx, "password", user.email, origin.ip)
            actor = Actor("user", str(user_id), origin.ip, origin.request_id)
            await audit.record(tx, actor, "password_reset.used", ("admin", str(user_id)))

    async def prune(self) -> None:
        """Deletes links that have run out."""
        async with self._database.system() as tx:
            await store.prune(tx)

    async def settle(self) -> None:
        """Waits for the mails under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _send(self, email: str) -> None:
        try:
            async with self._database.system() as tx:
                user = await accounts.find_user(tx, email)
                if user is None or user.disabled_at is not None:
                    return
                token = new_token()
                await store.insert(tx, token_hash(token), user.id, now() + _VALID)
            link = Secret(f"{self._app_url}/password-resets/{token.open()}")
            await self._mailer.send(password_reset(user.email, link))
        except HookvaultError as error:  # whoever asked has had the answer
            _log.error("mail_failed", code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task, so it is told here
            _log.error("mail_failed", code="internal_error", error=type(error).__name__)


def link_invalid() -> NotFoundError:
    """What is said of a link that does not work, whyever."""
    return NotFoundError("This link was used, was revoked, or has run out. Ask for another.", code="link_invalid")
