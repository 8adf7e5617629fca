"""A new password by mail: asking for the link, and what the link leads to. For everybody, and the same for everybody."""

from typing import Any

from starlette.responses import Response

from hookvault.admin.ask import Answer
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit


async def show_ask(visit: Visit) -> Response:
    """The form of asking for a link."""
    return _ask_page(visit, {"email": visit.query.get("email", "")[:320]})


async def ask_for_link(visit: Visit) -> Response:
    """Asks for a link; says the same whether or not anybody has the address."""
    form = await visit.form()
    values = {"email": form.text("email")}
    answer = await visit.ask("POST", "/api/password-resets", values)
    if answer.ok:
        return visit.render("reset/asked.html", message=answer.data["message"])
    return _ask_page(visit, values, answer)


async def show_reset(visit: Visit) -> Response:
    """The form of a new password. Whether the link works is told once it is used."""
    return visit.render("reset/reset.html", **_wrong({}))


async def reset(visit: Visit) -> Response:
    """Sets the new password, and goes on to signing in."""
    form = await visit.form()
    if form.raw("password") != form.raw("again"):
        return visit.render("reset/reset.html", status=422, **_wrong({"again": "The two are not the same."}))
    body = {"token": visit.path("token"), "password": form.raw("password")}
    answer = await visit.ask("PUT", "/api/password-resets", body)
    if answer.ok:
        return visit.done("/login", said="Your password is set, and you are signed out everywhere. Sign in with it.")
    if answer.code == "link_invalid" or "token" in answer.errors:
        return visit.render("reset/dead.html", status=404)
    return visit.render("reset/reset.html", status=answer.status, **_wrong(answer.errors, answer.message))


def _wrong(errors: Any, message: str = "") -> dict[str, Any]:
    return {"errors": errors, "problem": "" if errors else message}


def _ask_page(visit: Visit, values: dict[str, str], answer: Answer | None = None) -> Response:
    wrong = _wrong(answer.errors, answer.message) if answer else _wrong({})
    return visit.render("reset/ask.html", status=answer.status if answer else 200, values=values, **wrong)


ROUTES = (
    page("/password-resets", show_ask, who="everybody"),
    deed("/password-resets", ask_for_link, who="everybody"),
    page("/password-resets/{token}", show_reset, who="everybody"),
    deed("/password-resets/{token}", reset, who="everybody"),
)
