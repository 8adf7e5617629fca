"""Platform admins: the first one, further ones, their roles, and passwords for one use."""

import re
import secrets
import string
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, get_args
from uuid import UUID

from hookvault.accounts import store
from hookvault.accounts.factor import store as factors
from hookvault.accounts.model import NewPassword, PlatformUser, Role
from hookvault.accounts.passwords import Passwords
from hookvault.accounts.resets import store as resets
from hookvault.accounts.signin import store as sessions
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, SYSTEM, Actor
from hookvault.clock import now
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import ConflictError, InvalidError, NotFoundError
from hookvault.ids import new_id
from hookvault.paging import Page
from hookvault.vault.secret import Secret

_ALPHABET = string.ascii_letters + string.digits
# As browsers check it (WHATWG HTML, "valid e-mail address"); nothing in it can end a header or name a second receiver.
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")
_CHANGEABLE = frozenset({"role", "name", "disabled"})


class AdminService:
    """Makes, lists, changes and deletes platform admins."""

    def __init__(self, database: Database, passwords: Passwords | None = None) -> None:
        self._database = database
        self._passwords = passwords or Passwords()

    async def ensure_first_admin(self, email: str, password: Secret | None) -> NewPassword | None:
        """Makes the first admin while there is none, with a one-time password where none is given; else None."""
        chosen = password or one_time_password()
        async with self._database.system() as tx:
            if await store.count_users(tx):
                return None
        user, hashed = _new_user(email, "owner", must_change=password is None), await self._passwords.hash(chosen)
        async with self._database.system() as tx:
            if not await store.lock_if_no_users(tx):
                return None
            await insert_user(tx, user, hashed, actor=SYSTEM)
        return NewPassword(user, chosen)

    async def create_admin(self, email: str, *, role: str = "admin", actor: Actor = IN_PROCESS) -> NewPassword:
        """Makes an admin with a one-time password.

        Raises:
            InvalidError: not an e-mail address, or no role.
            ConflictError: code `admin_exists`.
        """
        chosen, user = one_time_password(), _new_user(email, checked_role(role), must_change=True)
        hashed = await self._passwords.hash(chosen)
        async with self._database.system() as tx:
            await insert_user(tx, user, hashed, actor=actor)
        return NewPassword(user, chosen)

    async def list_admins(self, *, limit: int = 50, cursor: str | None = None) -> Page[PlatformUser]:
        """A page of admins, the oldest first. Raises InvalidError, code `invalid_cursor`."""
        async with self._database.system() as tx:
            return await store.list_users(tx, limit=limit, cursor=cursor)

    async def name_admins(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """What admins are called, by id: the name, else the address. Those deleted since are absent."""
        if not ids:
            return {}
        async with self._database.system() as tx:
            return {user.id: user.name or user.email for user in await store.named_users(tx, ids)}

    async def find_admin(self, email: str) -> PlatformUser:
        """The admin with an address. Raises NotFoundError, code `admin_not_found`."""
        async with self._database.system() as tx:
            return await _found(tx, email)

    async def get_admin(self, user_id: UUID) -> PlatformUser:
        """An admin. Raises NotFoundError, code `admin_not_found`."""
        async with self._database.system() as tx:
            return await store.get_user(tx, user_id)

    async def update_admin(self, user_id: UUID, changes: dict[str, Any], *, actor: Actor = IN_PROCESS) -> PlatformUser:
        """Changes an admin. Another role, or being disabled, ends all of the admin's sessions.

        Args:
            user_id: Whom.
            changes: `role`, `name`, `disabled`; what is absent stays.
            actor: Who does it.

        Raises:
            NotFoundError: code `admin_not_found`.
            ConflictError: code `last_owner`: nobody would be left who may say who may do what.
            InvalidError: a field that can't be changed, or not to that.
        """
        _check(changes)
        async with self._database.system() as tx:
            owners = await store.lock_owners(tx)
            before = await store.get_user(tx, user_id)
            after = _changed(before, changes)
            if owners == [user_id] and (after.role != "owner" or after.disabled_at is not None):
                raise _last_owner()
            if after == before:
                return before
            await store.change_user(tx, user_id, after.role, after.name, after.disabled_at)
            if after.role != before.role or after.disabled_at is not None:
                await sessions.end_all(tx, user_id)
            if after.disabled_at is not None:
                await resets.delete_of(tx, user_id)
            await audit.record(
                tx, actor, "admin.updated", ("admin", str(user_id)), detail={"changes": _told(before, after)}
            )
        return after

    async def delete_admin(self, user_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Deletes an admin; what the audit log has of the admin stays. Idempotent. Raises ConflictError, code `last_owner`."""
        async with self._database.system() as tx:
            owners = await store.lock_owners(tx)
            if owners == [user_id]:
                raise _last_owner()
            try:
                user = await store.get_user(tx, user_id)
            except NotFoundError:
                return
            await store.delete_user(tx, user_id)
            detail = {"email": user.email, "role": user.role}
            await audit.record(tx, actor, "admin.deleted", ("admin", str(user_id)), detail=detail)

    async def reset_password(self, email: str, *, actor: Actor = IN_PROCESS) -> NewPassword:
        """Replaces a password by a one-time one, and ends the admin's sessions. Raises NotFoundError, `admin_not_found`."""
        password = one_time_password()
        hashed = await self._passwords.hash(password)
        async with self._database.system() as tx:
            user = await _found(tx, email)
            await store.set_password(tx, user.id, hashed, must_change=True)
            await sessions.end_all(tx, user.id)
            await resets.delete_of(tx, user.id)
            await audit.record(tx, actor, "admin.password_reset", ("admin", str(user.id)))
        return NewPassword(replace(user, must_change_password=True), password)

    async def reset_totp(self, email: str, *, actor: Actor = IN_PROCESS) -> bool:
        """Removes an admin's second factor, and ends the admin's sessions; whether there was one.

        Raises:
            NotFoundError: code `admin_not_found`.
        """
        async with self._database.system() as tx:
            user = await _found(tx, email)
            removed = await factors.delete(tx, user.id)
            await sessions.end_all(tx, user.id)
            if removed:
                await audit.record(tx, actor, "totp.disabled", ("admin", str(user.id)))
        return removed


def checked_email(email: str) -> str:
    """An e-mail address. Raises InvalidError."""
    if not _EMAIL.match(email):
        raise InvalidError(
            "That is not an e-mail address.", errors=[{"field": "email", "message": "is not an e-mail address"}]
        )
    return email


def checked_role(role: str) -> Role:
    """A role. Raises InvalidError."""
    for known in get_args(Role):
        if role == known:
            return known  # type: ignore[no-any-return]
    raise InvalidError("A role is one of owner, admin and viewer.", errors=[{"field": "role", "message": "is unknown"}])


def checked_name(name: str) -> str:
    """A person's name: up to 200 characters, all of them printable. Raises InvalidError."""
    if len(name) > 200 or not name.isprintable():
        message = "must have 200 printable characters or fewer"
        raise InvalidError(f"The name {message}.", errors=[{"field": "name", "message": message}])
    return name.strip()


async def insert_user(tx: SystemTx, user: PlatformUser, password_hash: str, *, actor: Actor) -> None:
    """Stores a new admin, with its event. Raises ConflictError, code `admin_exists`."""
    await store.insert_user(tx, user, password_hash)
    detail = {"email": user.email, "role": user.role}
    await audit.record(tx, actor, "admin.created", ("admin", str(user.id)), detail=detail)


def one_time_password() -> Secret:
    """A password for one use: 119 random bits in four groups."""
    return Secret("-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4)))


def _new_user(email: str, role: Role, *, must_change: bool) -> PlatformUser:
    return PlatformUser(new_id(), checked_email(email), "", role, must_change, now(), None, None)


async def _found(tx: SystemTx, email: str) -> PlatformUser:
    user = await store.find_user(tx, email)
    if user is None:
        raise NotFoundError(f"There is no admin with the address {email}.", code="admin_not_found")
    return await store.get_user(tx, user.id)


def _check(changes: dict[str, Any]) -> None:
    if unknown := sorted(set(changes) - _CHANGEABLE):
        raise InvalidError(f"{unknown[0]} of an admin can't be changed.")
    if "role" in changes:
        checked_role(changes["role"])
    if "name" in changes:
        checked_name(changes["name"])


def _changed(user: PlatformUser, changes: dict[str, Any]) -> PlatformUser:
    disabled_at = user.disabled_at
    if "disabled" in changes:
        disabled_at = (disabled_at or now()) if changes["disabled"] else None
    name = checked_name(changes.get("name", user.name))
    return replace(user, role=changes.get("role", user.role), name=name, disabled_at=disabled_at)


def _told(before: PlatformUser, after: PlatformUser) -> list[dict[str, Any]]:
    values = [
        ("role", before.role, after.role),
        ("name", before.name, after.name),
        ("disabled", before.disabled_at is not None, after.disabled_at is not None),
    ]
    return [{"field": field, "before": old, "after": new} for field, old, new in values if old != new]


def _last_owner() -> ConflictError:
    message = "This is the last owner who can sign in. Make somebody else an owner first."
    return ConflictError(message, code="last_owner")
