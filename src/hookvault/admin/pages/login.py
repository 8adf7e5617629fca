"""Signing in: the password, the code where there is a second factor, and a password of one's own where it was somebody else's."""

from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response

from hookvault.admin.ask import Answer
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit, own_path

_NEXT = {"second_factor": "/login/code", "password_change": "/login/password"}


async def show_login(visit: Visit) -> Response:
    """The form of signing in."""
    if visit.session is not None and visit.session.stage == "full":
        return RedirectResponse(_wanted(visit), 303)
    return _login_page(visit, {})


async def log_in(visit: Visit) -> Response:
    """Checks address and password, and goes on to the code where one is needed."""
    form = await visit.form()
    answer = await visit.ask("POST", "/api/session", {"email": form.text("email"), "password": form.raw("password")})
    if answer.ok:
        return _on(visit, answer, form.text("next"))
    values = {"email": form.text("email"), "next": form.text("next")}
    if visit.is_scripted:
        return visit.render("parts/signin.html", status=answer.status, first="/login", values=values, **_wrong(answer))
    return _login_page(visit, values, answer)


async def show_code(visit: Visit) -> Response:
    """The form of the second factor's code."""
    if visit.session is None or visit.session.stage == "full":
        return RedirectResponse(_wanted(visit), 303)
    return visit.render("login/code.html", next=_wanted(visit), failed=False, problem="")


async def give_code(visit: Visit) -> Response:
    """Checks the code."""
    form = await visit.form()
    answer = await visit.ask("POST", "/api/session/second-factor", {"code": form.text("code")})
    if answer.ok:
        return _on(visit, answer, form.text("next"))
    if visit.is_scripted:
        return visit.render("parts/signin.html", status=answer.status, first="/login/code", values={}, **_wrong(answer))
    return visit.render("login/code.html", status=answer.status, next=own_path(form.text("next")), **_wrong(answer))


async def show_password(visit: Visit) -> Response:
    """The form of choosing a password of one's own."""
    return visit.render("login/password.html", next=_wanted(visit), errors={}, failed=False, problem="")


async def set_password(visit: Visit) -> Response:
    """Changes the password that somebody else chose."""
    form = await visit.form()
    body = {"password": form.raw("password"), "newPassword": form.raw("newPassword")}
    if form.raw("newPassword") != form.raw("again"):
        wrong: dict[str, Any] = {"errors": {"again": "The two are not the same."}, "failed": True, "problem": ""}
        return visit.render("login/password.html", status=422, next=own_path(form.text("next")), **wrong)
    answer = await visit.ask("PUT", "/api/session/password", body)
    if answer.ok:
        return _on(visit, answer, form.text("next"))
    wrong = _wrong(answer) | {"errors": answer.errors}
    return visit.render("login/password.html", status=answer.status, next=own_path(form.text("next")), **wrong)


async def log_out(visit: Visit) -> Response:
    """Ends the session."""
    await visit.ask("DELETE", "/api/session")
    return visit.done("/login", said="You are signed out.")


def _login_page(visit: Visit, values: dict[str, str], answer: Answer | None = None) -> Response:
    wanted = own_path(values["next"]) if values.get("next") else _wanted(visit)
    wrong = _wrong(answer) if answer else {"failed": False, "problem": ""}
    return visit.render(
        "login/login.html", status=answer.status if answer else 200, next=wanted, email=values.get("email", ""), **wrong
    )


def _wanted(visit: Visit) -> str:
    """Where the visitor was going to, if that is a page of ours."""
    return own_path(visit.query.get("next", "/"))


def _wrong(answer: Answer) -> dict[str, Any]:
    return {"failed": True, "problem": answer.message}


def _on(visit: Visit, answer: Answer, wanted: str) -> Response:
    """On to what is still missing, else to where the visitor was going."""
    after = own_path(wanted or "/")
    missing = _NEXT.get(answer.data.get("missing") or "")
    if visit.is_scripted:  # in a dialog over a page whose form waits
        if missing is not None:
            return visit.render("parts/signin.html", first=missing, values={}, failed=False, problem="")
        said = {"text": "You are signed in again. What you typed is still here.", "kind": ""}
        return visit.render("parts/nothing.html", events={"signed-in": {}, "toast": said})
    return visit.done(f"{missing}?next={quote(after)}" if missing and after != "/" else missing or after)


ROUTES = (
    page("/login", show_login, who="everybody"),
    deed("/login", log_in, who="everybody"),
    page("/login/code", show_code, who="half"),
    deed("/login/code", give_code, who="half"),
    page("/login/password", show_password, who="half"),
    deed("/login/password", set_password, who="half"),
    deed("/logout", log_out, who="half"),
)
