"""What an invitation's link leads to: whoever has it chooses a name and a password. For everybody."""

from typing import Any

from starlette.responses import Response

from hookvault.admin.ask import Answer, part
from hookvault.admin.pages.users import ROLES
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit

_DEAD = frozenset({"link_invalid", "not_found"})
_MAY = {value: may for value, _, may in ROLES}


async def show_invitation(visit: Visit) -> Response:
    """The form of accepting; or that the link does not work, whyever."""
    answer = await visit.ask("GET", f"/api/invitations/{part(visit.path('token'))}")
    return _dead(visit) if answer.status in (404, 422) else _form(visit, answer.raised, {})


async def accept_invitation(visit: Visit) -> Response:
    """Makes the admin that was invited, and goes on to signing in."""
    form, link = await visit.form(), f"/api/invitations/{part(visit.path('token'))}"
    known = await visit.ask("GET", link)
    if not known.ok:
        return _dead(visit)
    values = {"name": form.text("name")}
    if form.raw("password") != form.raw("again"):
        return _form(visit, known, values, {"again": "The two are not the same."})
    answer = await visit.ask("POST", link, values | {"password": form.raw("password")})
    if answer.ok:
        return visit.done(
            "/login", said=f"Welcome. Sign in as {answer.data['email']} with the password you just chose."
        )
    return _dead(visit) if answer.code in _DEAD else _form(visit, known, values, answer)


def _dead(visit: Visit) -> Response:
    return visit.render("invitation/dead.html", status=404)


def _form(
    visit: Visit, known: Answer, values: dict[str, Any], wrong: Answer | dict[str, str] | None = None
) -> Response:
    errors = dict(wrong.errors if isinstance(wrong, Answer) else wrong or {})
    problem = wrong.message if isinstance(wrong, Answer) and not errors else ""
    status = wrong.status if isinstance(wrong, Answer) else 422 if wrong else 200
    context = {"invited": known.data, "may": _MAY[known.data["role"]], "values": values}
    return visit.render(
        "invitation/invitation.html", status=status, errors=errors, problem=problem, failed=wrong is not None, **context
    )


ROUTES = (
    page("/invitations/{token}", show_invitation, who="everybody"),
    deed("/invitations/{token}", accept_invitation, who="everybody"),
)
