"""What an invitation's link leads to: whoever has it chooses a name and a password. For everybody."""

from typing import Any

from starlette.responses import Response

from hookvault.accounts.model import Invitation
from hookvault.admin.ask import Answer, part
from hookvault.admin.pages.users import ROLES
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.errors import NotFoundError

_MAY = {value: may for value, _, may in ROLES}


async def show_invitation(visit: Visit) -> Response:
    """The form of accepting; or that the link does not work, whyever."""
    # Asked of the service: whoever follows a link in a mail comes from another site, or from none, and the API refuses those.
    try:
        return _form(visit, await visit.app.accounts.invitations.look_up(visit.path("token")), {})
    except NotFoundError:
        return _dead(visit)


async def accept_invitation(visit: Visit) -> Response:
    """Makes the admin that was invited, and goes on to signing in."""
    form, token = await visit.form(), visit.path("token")
    try:
        invited = await visit.app.accounts.invitations.look_up(token)
    except NotFoundError:
        return _dead(visit)
    values = {"name": form.text("name")}
    if form.raw("password") != form.raw("again"):
        return _form(visit, invited, values, {"again": "The two are not the same."})
    answer = await visit.ask("POST", f"/api/invitations/{part(token)}", values | {"password": form.raw("password")})
    if answer.ok:
        return visit.done("/login", said=f"Welcome. Sign in as {invited.email} with the password you just chose.")
    return _dead(visit) if answer.code == "link_invalid" else _form(visit, invited, values, answer)


def _dead(visit: Visit) -> Response:
    return visit.render("invitation/dead.html", status=404)


def _form(
    visit: Visit, invited: Invitation, values: dict[str, Any], wrong: Answer | dict[str, str] | None = None
) -> Response:
    errors = dict(wrong.errors if isinstance(wrong, Answer) else wrong or {})
    problem = wrong.message if isinstance(wrong, Answer) and not errors else ""
    status = wrong.status if isinstance(wrong, Answer) else 422 if wrong else 200
    context: dict[str, Any] = {"invited": invited, "may": _MAY[invited.role], "values": values}
    return visit.render(
        "invitation/invitation.html", status=status, errors=errors, problem=problem, failed=wrong is not None, **context
    )


ROUTES = (
    page("/invitations/{token}", show_invitation, who="everybody"),
    deed("/invitations/{token}", accept_invitation, who="everybody"),
)
