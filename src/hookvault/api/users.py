"""Platform admins and their invitations over HTTP, and what the links in mails lead to."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import Field

from hookvault.accounts.model import NewInvitation, Role
from hookvault.api.context import Cursor, Limit, Services, Who, problems
from hookvault.api.schemas import Moment, PageOut, Wire
from hookvault.api.session import Password, origin_of

router = APIRouter(prefix="/api/platform", tags=["Users"])
links = APIRouter(prefix="/api", tags=["Links in mails"])

Email = Annotated[str, Field(min_length=3, max_length=320)]
Token = Annotated[str, Path(min_length=1, max_length=200)]
UserID = Annotated[UUID, Path(alias="userId")]
InvitationID = Annotated[UUID, Path(alias="invitationId")]


class UserOut(Wire):
    """A platform admin."""

    id: UUID
    email: str
    name: str
    role: Role
    has_totp: bool
    must_change_password: bool
    created_at: Moment
    last_login_at: Moment | None
    disabled_at: Moment | None


class UserPatch(Wire):
    """Changes to an admin; what is absent stays."""

    role: Role = "viewer"
    name: str = Field("", max_length=200)
    disabled: bool = Field(default=False, strict=True)


class InvitationIn(Wire):
    """Whom to invite, as what."""

    email: Email
    role: Role


class InvitationOut(Wire):
    """An invitation."""

    id: UUID
    email: str
    role: Role
    state: Literal["pending", "expired", "accepted", "revoked"]
    created_at: Moment
    created_by: str
    sent_at: Moment
    expires_at: Moment


class NewInvitationOut(InvitationOut):
    """An invitation just made. Where no mail server is set up, `link` is there, once, to be handed over by other means."""

    mail: Literal["sent", "logged", "not_set_up"]
    link: str | None


class InvitedOut(Wire):
    """What an invitation's link leads to."""

    email: str
    role: Role
    expires_at: Moment


class AcceptIn(Wire):
    """Who accepts: a name and a password of 12 to 1000 characters."""

    name: str = Field(max_length=200)
    password: Password


class AcceptedOut(Wire):
    """Who may sign in now."""

    id: UUID
    email: str
    role: Role


class ResetAskIn(Wire):
    """For whom a link to a new password is asked."""

    email: Email


class AskedOut(Wire):
    """What is said whether or not anybody has the address."""

    message: str


class ResetUseIn(Wire):
    """The token of the link, and the new password."""

    token: str = Field(min_length=1, max_length=200)
    password: Password


@router.get("/users", responses=problems())
async def list_users(app: Services, limit: Limit = 50, cursor: Cursor = None) -> PageOut[UserOut]:
    """All platform admins, the oldest first."""
    page = await app.accounts.admins.list_admins(limit=limit, cursor=cursor)
    return PageOut(items=[UserOut.model_validate(user) for user in page.items], next_cursor=page.next_cursor)


@router.patch("/users/{userId}", responses=problems(404, 409))
async def update_user(app: Services, who: Who, user_id: UserID, body: UserPatch) -> UserOut:
    """Changes an admin. Another role, or being disabled, ends all of the admin's sessions. For owners."""
    changes = body.model_dump(exclude_unset=True)
    return UserOut.model_validate(await app.accounts.admins.update_admin(user_id, changes, actor=who.actor))


@router.delete("/users/{userId}", status_code=204, responses=problems(409))
async def delete_user(app: Services, who: Who, user_id: UserID) -> None:
    """Deletes an admin. For owners. Idempotent."""
    await app.accounts.admins.delete_admin(user_id, actor=who.actor)


@router.get("/invitations", responses=problems())
async def list_invitations(app: Services, limit: Limit = 50, cursor: Cursor = None) -> PageOut[InvitationOut]:
    """All invitations with what became of them, the newest first."""
    page = await app.accounts.invitations.list_invitations(limit=limit, cursor=cursor)
    return PageOut(items=[InvitationOut.model_validate(one) for one in page.items], next_cursor=page.next_cursor)


@router.post("/invitations", status_code=201, responses=problems(409))
async def invite(app: Services, who: Who, body: InvitationIn) -> NewInvitationOut:
    """Invites somebody by mail. For owners."""
    return _made(await app.accounts.invitations.invite(body.email, body.role, by=_name(who), actor=who.actor))


@router.post("/invitations/{invitationId}/resend", responses=problems(404, 409))
async def resend_invitation(app: Services, who: Who, invitation_id: InvitationID) -> NewInvitationOut:
    """Sends an invitation again, with another link; the one before is dead. For owners."""
    return _made(await app.accounts.invitations.resend(invitation_id, by=_name(who), actor=who.actor))


@router.delete("/invitations/{invitationId}", status_code=204, responses=problems())
async def revoke_invitation(app: Services, who: Who, invitation_id: InvitationID) -> None:
    """Revokes an invitation. For owners. Idempotent."""
    await app.accounts.invitations.revoke(invitation_id, actor=who.actor)


@links.get("/invitations/{token}", responses=problems(404))
async def get_invitation(app: Services, token: Token) -> InvitedOut:
    """What an invitation's link leads to."""
    return InvitedOut.model_validate(await app.accounts.invitations.look_up(token))


@links.post("/invitations/{token}", status_code=201, responses=problems(404, 409))
async def accept_invitation(app: Services, token: Token, body: AcceptIn, request: Request) -> AcceptedOut:
    """Accepts an invitation; whoever did can sign in then."""
    origin = origin_of(request, app)
    return AcceptedOut.model_validate(await app.accounts.invitations.accept(token, body.name, body.password, origin))


@links.post("/password-resets", status_code=202, responses=problems(429))
async def ask_for_reset(app: Services, body: ResetAskIn, request: Request) -> AskedOut:
    """Has a link to a new password sent, if an admin has this address. The answer is the same if none has."""
    await app.accounts.resets.ask(body.email, origin_of(request, app))
    return AskedOut(message="If somebody who may sign in has this address, a mail is on its way.")


@links.put("/password-resets", status_code=204, responses=problems(404))
async def use_reset(app: Services, body: ResetUseIn, request: Request) -> None:
    """Sets a new password by a link; all of the user's sessions end."""
    await app.accounts.resets.use(body.token, body.password, origin_of(request, app))


def _name(who: Who) -> str:
    session = who.principal.session if who.principal else None
    return "" if session is None else session.user.name or session.user.email


def _made(made: NewInvitation) -> NewInvitationOut:
    shown = InvitationOut.model_validate(made.invitation).model_dump()
    link = None if made.link is None else made.link.open()
    return NewInvitationOut(**shown, mail=made.mail, link=link)
