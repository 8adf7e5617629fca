"""Which page may be visited by whom: everybody, who is signed in, or who is half way in."""

from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hookvault.accounts.model import Session
from hookvault.admin.visit import Handler, Visit, identify
from hookvault.api.cookie import check_origin

Who = Literal["signed_in", "half", "everybody"]


def page(path: str, handler: Handler, *, who: Who = "signed_in") -> Route:
    """A page to be read."""
    return Route(path, _guarded(handler, who), methods=["GET"])


def blank(path: str, handler: Handler) -> Route:
    """A form to be filled in: shown only to who may submit it."""

    async def show(visit: Visit) -> Response:
        visit.require_writer()
        return await handler(visit)

    return page(path, show)


def deed(path: str, handler: Handler, *, who: Who = "signed_in") -> Route:
    """What a form of ours submits. Another site's form is refused by its origin, before anything is read."""
    return Route(path, _guarded(handler, who), methods=["POST"])


def _guarded(handler: Handler, who: Who) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if request.method == "POST":
            check_origin(request.scope, request.app.state.hookvault.settings.app_url, strict=True)
        session = await identify(request)
        visit = Visit(request, session)
        missing = None if who == "everybody" else _missing(session, who)
        return await handler(visit) if missing is None else _led(visit, missing)

    return answer


def _missing(session: Session | None, who: Who) -> str | None:
    """The page that must come first; None where all is there."""
    if session is None:
        return "/login"
    if who == "half":
        return None
    if session.stage != "full":
        return "/login/code"
    return "/login/password" if session.user.must_change_password else None


def _led(visit: Visit, first: str) -> Response:
    """On to what must come first. Where only a part of a page was asked for, it comes as a dialog, and what was typed stays."""
    if visit.is_scripted:
        response = visit.render("parts/signin.html", status=401, first=first, values={}, failed=False, problem="")
        response.headers.update({"hx-retarget": "#signin", "hx-reswap": "innerHTML", "hx-reselect": ".dialog-form"})
        return response
    url = visit.request.url
    wanted = url.path + (f"?{url.query}" if url.query else "")
    return RedirectResponse(
        first if wanted == "/" or visit.request.method != "GET" else f"{first}?next={quote(wanted)}", 303
    )
