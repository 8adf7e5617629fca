"""Invitations of further admins: sent, sent again, revoked, accepted."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hookvault.accounts import store as accounts
from hookvault.accounts.admins import checked_email, checked_name, checked_role, insert_user
from hookvault.accounts.invitations import store
from hookvault.accounts.model import Invitation, NewInvitation, Origin, PlatformUser
from hookvault.accounts.passwords import Passwords, check_password
from hookvault.accounts.resets.service import link_invalid
from hookvault.accounts.token import new_token, token_hash
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import ConflictError, UnavailableError
from hookvault.ids import new_id
from hookvault.mail.compose import invitation as invitation_mail
from hookvault.mail.mailer import Mailer
from hookvault.paging import Page
from hookvault.vault.secret import Secret

_VALID = timedelta(hours=72)
_KEPT = timedelta(days=365)


class InvitationService:
    """Invites by mail. Where no mail can be sent, production gives the link to whoever invites, once.

    Args:
        database: Where.
        mailer: Sends the links.
        passwords: Hashes the passwords of those who accept.
        app_url: Where the links lead.
    """

    def __init__(self, database: Database, *, mailer: Mailer, passwords: Passwords, app_url: str) -> None:
        self._database = database
        self._mailer = mailer
        self._passwords = passwords
        self._app_url = app_url

    async def invite(self, email: str, role: str, *, by: str = "", actor: Actor = IN_PROCESS) -> NewInvitation:
        """Invites somebody.

        Args:
            email: Whom.
            role: What they will be.
            by: The name of who invites, for the mail.
            actor: Who does it.

        Raises:
            InvalidError: not an e-mail address, or no role.
            ConflictError: `admin_exists` or `invitation_exists`.
            UnavailableError: code `mail_unavailable`; the invitation stays, and can be sent again.
        """
        moment, token = now(), new_token()
        fields = (moment, actor.label, moment, moment + _VALID)
        made = Invitation(new_id(), checked_email(email), checked_role(role), *fields, "pending")
        async with self._database.system() as tx:
            if await accounts.find_user(tx, email) is not None:
                raise ConflictError(f"There is already an admin with the address {email}.", code="admin_exists")
            await store.insert(tx, made, token_hash(token))
            detail = {"email": email, "role": role}
            await audit.record(tx, actor, "invitation.created", ("invitation", str(made.id)), detail=detail)
        return await self._sent(made, token, by)

    async def list_invitations(self, *, limit: int = 50, cursor: str | None = None) -> Page[Invitation]:
        """A page of invitations, the newest first. Raises InvalidError, code `invalid_cursor`."""
        async with self._database.system() as tx:
            return await store.list_page(tx, limit=limit, cursor=cursor)

    async def resend(self, invitation_id: UUID, *, by: str = "", actor: Actor = IN_PROCESS) -> NewInvitation:
        """Sends an invitation again, with another link; the one before is dead.

        Raises:
            NotFoundError: code `invitation_not_found`.
            ConflictError: code `invitation_ended`: it was accepted or revoked.
            UnavailableError: code `mail_unavailable`.
        """
        moment, token = now(), new_token()
        async with self._database.system() as tx:
            found = await store.get(tx, invitation_id)
            if found.state in ("accepted", "revoked"):
                raise ConflictError(f"The invitation was {found.state}. Make another one.", code="invitation_ended")
            await store.resend(tx, invitation_id, token_hash(token), moment, moment + _VALID)
            await audit.record(tx, actor, "invitation.resent", ("invitation", str(invitation_id)))
        found = replace(found, state="pending", sent_at=moment, expires_at=moment + _VALID)
        return await self._sent(found, token, by)

    async def revoke(self, invitation_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Revokes an invitation. Idempotent."""
        async with self._database.system() as tx:
            if await store.revoke(tx, invitation_id):
                await audit.record(tx, actor, "invitation.revoked", ("invitation", str(invitation_id)))

    async def look_up(self, token: str) -> Invitation:
        """The invitation of a link. Raises NotFoundError, code `link_invalid`."""
        async with self._database.system() as tx:
            found = await store.find(tx, token_hash(token))
        if found is None:
            raise link_invalid()
        return found

    async def accept(self, token: str, name: str, password: Secret, origin: Origin) -> PlatformUser:
        """Makes the admin that was invited. It signs nobody in: the password was typed twice a moment ago.

        Raises:
            NotFoundError: code `link_invalid`.
            InvalidError: code `weak_password`, or a name that can't be shown; the link still works then.
            ConflictError: code `admin_exists`: the address became an admin's otherwise.
        """
        found = await self.look_up(token)
        check_password(password, email=found.email)
        user = PlatformUser(new_id(), found.email, checked_name(name), found.role, False, now(), None, None)
        hashed = await self._passwords.hash(password)
        async with self._database.system() as tx:
            if not await store.accept(tx, token_hash(token)):
                raise link_invalid()
            actor = Actor("user", str(user.id), origin.ip, origin.request_id)
            await insert_user(tx, user, hashed, actor=actor)
            await audit.record(tx, actor, "invitation.accepted", ("invitation", str(found.id)))
        return user

    async def prune(self) -> None:
        """Deletes invitations that ran out a year ago."""
        async with self._database.system() as tx:
            await store.prune(tx, now() - _KEPT)

    async def _sent(self, made: Invitation, token: Secret, by: str) -> NewInvitation:
        link = Secret(f"{self._app_url}/invitations/{token.open()}")
        if not self._mailer.can_send:
            return NewInvitation(made, "not_set_up", link)
        try:
            await self._mailer.send(invitation_mail(made.email, made.role, link, by=by))
        except UnavailableError as error:
            error.members["invitationId"] = str(made.id)
            raise
        return NewInvitation(made, "sent" if self._mailer.has_server else "logged", None)
