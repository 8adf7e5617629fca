"""Platform admins and whom they invited. Whoever is signed in sees them; only an owner says who may do what."""

from typing import Any
from uuid import UUID

from starlette.responses import Response

from hookvault.accounts.model import PlatformUser
from hookvault.admin.ask import Answer, part
from hookvault.admin.people import look_up, named_label
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.errors import ForbiddenError, InvalidError, NotFoundError

_USERS = "/api/platform/users"
_INVITATIONS = "/api/platform/invitations"
ROLES = (
    ("owner", "Owner", "Everything, and alone says who may do what: users, roles, invitations, platform API keys."),
    ("admin", "Admin", "Everything else: tenants, integrations, webhooks, calls, encryption keys, tenants' API keys."),
    ("viewer", "Viewer", "Reads everything that has no secret in it, and changes nothing."),
)


async def show_users(visit: Visit) -> Response:
    """All admins and all invitations; a further part of either where that is asked for."""
    after, invited = visit.query.get("cursor"), visit.query.get("invitations")
    accounts = visit.app.accounts
    if visit.is_partial and invited:
        return visit.render(
            "users/invited.html", invitations=await accounts.invitations.list_invitations(cursor=invited)
        )
    users = await accounts.admins.list_admins(cursor=after)
    if visit.is_partial:
        return visit.render("users/rows.html", users=users)
    invitations = await accounts.invitations.list_invitations(cursor=invited)
    people = await look_up(visit, [one.created_by for one in invitations.items])
    by = {one.id: named_label(one.created_by, people) for one in invitations.items}
    return visit.render("users/users.html", users=users, invitations=invitations, by=by, roles=ROLES)


async def show_invite(visit: Visit) -> Response:
    """The form of inviting somebody."""
    _check_owner(visit)
    return _invite_form(visit, {"role": "admin"})


async def invite(visit: Visit) -> Response:
    """Invites somebody; shows the link where no mail carries it."""
    form = await visit.form()
    body = {"email": form.text("email"), "role": form.text("role")}
    answer = await visit.ask("POST", _INVITATIONS, body)
    return _sent(visit, answer) if answer.ok else _invite_form(visit, body, answer)


async def resend(visit: Visit) -> Response:
    """Sends an invitation once more, with another link."""
    answer = await visit.ask("POST", f"{_INVITATIONS}/{part(visit.path('invitation_id'))}/resend")
    return _sent(visit, answer.require())


async def show_revoke(visit: Visit) -> Response:
    """Asks whether an invitation is to be revoked."""
    _check_owner(visit)
    return visit.show_form("users/revoke.html", "Revoke invitation", invitation_id=_uuid(visit, "invitation_id"))


async def revoke(visit: Visit) -> Response:
    """Revokes an invitation."""
    (await visit.ask("DELETE", f"{_INVITATIONS}/{part(visit.path('invitation_id'))}")).require()
    return visit.done("/users", said="The invitation is revoked; its link is dead.")


async def show_edit(visit: Visit) -> Response:
    """The form of somebody's name and role."""
    _check_owner(visit)
    return _edit_form(visit, await _user(visit))


async def edit(visit: Visit) -> Response:
    """Changes somebody's name and role."""
    user, form = await _user(visit), await visit.form()
    body = {"name": form.text("name"), "role": form.text("role")}
    answer = await visit.ask("PATCH", f"{_USERS}/{user.id}", body)
    if not answer.ok:
        return _edit_form(visit, user, body, answer)
    ended = " All of their sessions ended." if body["role"] != user.role else ""
    return visit.done("/users", said=f"{body['name'] or user.email} is saved.{ended}")


async def show_disable(visit: Visit) -> Response:
    """Asks whether somebody is to be disabled."""
    _check_owner(visit)
    return visit.show_form("users/disable.html", "Disable user", target=await _user(visit))


async def disable(visit: Visit) -> Response:
    """Disables somebody: their sessions end, and they can't sign in."""
    user = await _user(visit)
    answer = await visit.ask("PATCH", f"{_USERS}/{user.id}", {"disabled": True})
    if not answer.ok:
        return visit.show_form("users/disable.html", "Disable user", answer=answer, target=user)
    return visit.done("/users", said=f"{user.email} is disabled, and signed out everywhere.")


async def enable(visit: Visit) -> Response:
    """Lets somebody sign in again."""
    user = await _user(visit)
    (await visit.ask("PATCH", f"{_USERS}/{user.id}", {"disabled": False})).require()
    return visit.done("/users", said=f"{user.email} may sign in again.")


async def show_remove(visit: Visit) -> Response:
    """Asks for the address of whoever is to be removed."""
    _check_owner(visit)
    return visit.show_form("users/remove.html", "Remove user", target=await _user(visit))


async def remove(visit: Visit) -> Response:
    """Removes somebody, once the address was typed."""
    user, form = await _user(visit), await visit.form()
    if form.text("confirm") != user.email:
        raise InvalidError("The address that was typed is another one. Nothing was removed.", code="not_confirmed")
    answer = await visit.ask("DELETE", f"{_USERS}/{user.id}")
    if not answer.ok:
        return visit.show_form("users/remove.html", "Remove user", answer=answer, target=user)
    return visit.done("/users", said=f"{user.email} is removed.")


def _check_owner(visit: Visit) -> None:
    if not visit.is_owner:
        raise ForbiddenError("Only an owner says who may do what.", code="owner_only")


def _uuid(visit: Visit, name: str) -> UUID:
    try:
        return UUID(visit.path(name))
    except ValueError:
        raise NotFoundError("There is nobody here.", code="admin_not_found") from None


async def _user(visit: Visit) -> PlatformUser:
    """The user of the path. Raises NotFoundError, code `admin_not_found`."""
    return await visit.app.accounts.admins.get_admin(_uuid(visit, "user_id"))


def _invite_form(visit: Visit, values: dict[str, Any], answer: Answer | None = None) -> Response:
    return visit.show_form("users/invite.html", "Invite somebody", answer=answer, values=values, roles=ROLES)


def _edit_form(
    visit: Visit, user: PlatformUser, values: dict[str, Any] | None = None, answer: Answer | None = None
) -> Response:
    values = values or {"name": user.name, "role": user.role}
    return visit.show_form("users/edit.html", "Edit user", answer=answer, target=user, values=values, roles=ROLES)


def _sent(visit: Visit, answer: Answer) -> Response:
    """After an invitation was made: its link, once, where no mail could carry it."""
    made = answer.data
    if made["link"] is not None:
        return visit.show_form("users/link.html", "Hand over this link", made=made)
    by_log = " No mail server is set up: the mail with the link stands in the log of this server."
    said = f"{made['email']} is invited as {made['role']}.{by_log if made['mail'] == 'logged' else ''}"
    return visit.done("/users", said=said)


ROUTES = (
    page("/users", show_users),
    page("/users/invite", show_invite),
    deed("/users/invite", invite),
    deed("/users/invitations/{invitation_id}/resend", resend),
    page("/users/invitations/{invitation_id}/revoke", show_revoke),
    deed("/users/invitations/{invitation_id}/revoke", revoke),
    page("/users/{user_id}/edit", show_edit),
    deed("/users/{user_id}/edit", edit),
    page("/users/{user_id}/disable", show_disable),
    deed("/users/{user_id}/disable", disable),
    deed("/users/{user_id}/enable", enable),
    page("/users/{user_id}/remove", show_remove),
    deed("/users/{user_id}/remove", remove),
)
