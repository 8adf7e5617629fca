"""Platform admins: the first one, further ones, a new one-time password."""

import re
import secrets
import string

from argon2 import PasswordHasher

from hookvault.accounts import store
from hookvault.accounts.model import NewPassword, PlatformUser
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, SYSTEM, Actor
from hookvault.clock import now
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import new_id
from hookvault.vault.secret import Secret

_ALPHABET = string.ascii_letters + string.digits
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,255}\Z")
_hasher = PasswordHasher()  # argon2id with the library's parameters (RFC 9106, low-memory profile)


class AdminService:
    """Makes platform admins and their one-time passwords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ensure_first_admin(self, email: str, password: Secret | None) -> NewPassword | None:
        """Makes the first admin while there is none, with a one-time password where none is given; else None."""
        async with self._database.system() as tx:
            if not await store.lock_if_no_users(tx):
                return None
            return await self._create(tx, email, role="owner", password=password, actor=SYSTEM)

    async def create_admin(self, email: str, *, actor: Actor = IN_PROCESS) -> NewPassword:
        """Makes an admin with a one-time password.

        Raises:
            InvalidError: not an e-mail address.
            ConflictError: code `admin_exists`.
        """
        async with self._database.system() as tx:
            return await self._create(tx, email, role="admin", password=None, actor=actor)

    async def reset_password(self, email: str, *, actor: Actor = IN_PROCESS) -> NewPassword:
        """Replaces an admin's password by a one-time one. Raises NotFoundError, code `admin_not_found`."""
        password = _one_time_password()
        async with self._database.system() as tx:
            user = await store.find_user(tx, email)
            if user is None:
                raise NotFoundError(f"There is no admin with the address {email}.", code="admin_not_found")
            await store.set_password(tx, user.id, _hasher.hash(password.open()))
            await audit.record(tx, actor, "admin.password_reset", ("admin", str(user.id)))
        return NewPassword(user, password)

    async def _create(
        self, tx: SystemTx, email: str, *, role: str, password: Secret | None, actor: Actor
    ) -> NewPassword:
        if not _EMAIL.match(email):
            raise InvalidError("That is not an e-mail address.")
        chosen = password or _one_time_password()
        user = PlatformUser(new_id(), email, "", role, password is None, now(), None, None)
        await store.insert_user(tx, user, _hasher.hash(chosen.open()))
        await audit.record(tx, actor, "admin.created", ("admin", str(user.id)), detail={"email": email, "role": role})
        return NewPassword(user, chosen)


def _one_time_password() -> Secret:
    return Secret("-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4)))
