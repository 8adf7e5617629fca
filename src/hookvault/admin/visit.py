"""One visit to a page: who comes, from which time zone, and what is answered."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hookvault.accounts.model import Session
from hookvault.admin.ask import Answer, ask
from hookvault.admin.form import Form, read_form
from hookvault.admin.render import Renderer
from hookvault.analytics.period import find_zone
from hookvault.api.cookie import session_cookie
from hookvault.api.services import App
from hookvault.errors import ForbiddenError, HookvaultError, InvalidError, UnauthorizedError, UnavailableError

_MOST_SAID = 300


@dataclass(slots=True)
class Visit:
    """A visitor's request.

    Attributes:
        request: As it came.
        session: Who is signed in; None on the pages for everybody.
    """

    request: Request
    session: Session | None
    _cookies: list[str] = field(default_factory=list)

    @property
    def app(self) -> App:
        """The services."""
        app: App = self.request.app.state.hookvault
        return app

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters, without the empty ones that a form of filters submits."""
        return {name: value for name, value in self.request.query_params.items() if value.strip()}

    @property
    def zone(self) -> tzinfo:
        """The reader's time zone, as the browser told it; else UTC."""
        try:
            return find_zone(unquote(self.request.cookies.get("tz", "UTC")))
        except InvalidError:
            return UTC

    @property
    def is_scripted(self) -> bool:
        """Whether our script asks, which can be told where to put the answer."""
        headers = self.request.headers
        return headers.get("hx-request") == "true" and "hx-history-restore-request" not in headers

    @property
    def is_partial(self) -> bool:
        """Whether it asks for a part of a page; else it selects one of a whole page itself."""
        return self.is_scripted and self.request.headers.get("hx-request-type") != "full"

    @property
    def may_write(self) -> bool:
        """Whether the visitor may change anything: what is not offered is refused all the same, by the API."""
        return self.session is not None and self.session.user.role != "viewer"

    @property
    def is_owner(self) -> bool:
        """Whether the visitor says who may do what."""
        return self.session is not None and self.session.user.role == "owner"

    def require_writer(self) -> None:
        """Refuses a form to who may not submit it. Raises ForbiddenError, code `read_only`."""
        if not self.may_write:
            message = "You may read everything and change nothing. Ask an owner for the role admin."
            raise ForbiddenError(message, code="read_only")

    def path(self, name: str) -> str:
        """A parameter of the path."""
        return str(self.request.path_params[name])

    async def form(self) -> Form:
        """What was submitted. Raises TooLargeError and MalformedError."""
        return await read_form(self.request)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> Answer:
        """Asks the API in the visitor's name; see `hookvault.admin.ask.ask`. Its cookies go on to the browser."""
        answer = await ask(self.request, method, path, body, query=query, version=version)
        self._cookies += answer.cookies
        return answer

    def render(
        self, template: str, *, status: int = 200, events: Mapping[str, Any] | None = None, **context: Any
    ) -> Response:
        """A page or a part of one.

        Args:
            template: Its file under `templates/`.
            status: Of the answer.
            events: What the scripts of the page are told (HX-Trigger).
            context: What the template is given, besides `visit` and what the renderer gives every one.
        """
        text = self._renderer.render(template, self, **{"said": self._said(), **context})
        response = HTMLResponse(text.encode("utf-8", "replace"), status)  # a lone surrogate is nothing to fail by
        if events:
            response.headers["hx-trigger"] = json.dumps(events)
        if self._said() and not self.is_scripted:
            response.delete_cookie(self._said_in, path="/", secure=self._is_secure)
        response.headers["vary"] = "HX-Request"
        return self._with_cookies(response)

    def text(self, template: str, **context: Any) -> str:
        """A part of a page that goes out by itself, such as an event of a stream."""
        return self._renderer.render(template, self, **context)

    def show_form(self, template: str, heading: str, *, answer: Answer | None = None, **context: Any) -> Response:
        """A form as a dialog, or as a page of its own; with what is wrong where the API refused what was submitted.

        Args:
            template: The form's own, which is given `errors` by field, `problem` (what concerns no field), and `failed`.
            heading: What it is called.
            answer: What the API said, if that was no.
            context: What the template is given, such as `values`.
        """
        errors = dict(answer.errors) if answer else {}
        problem = answer.message if answer and not errors else ""
        context |= {"errors": errors, "problem": problem, "failed": answer is not None, "heading": heading}
        status = answer.status if answer else 200
        if self.is_partial:
            return self.render(template, status=status, **context)
        return self.render("form.html", status=status, form_template=template, **context)

    def show_part(self, template: str, heading: str, back: tuple[str, str], **context: Any) -> Response:
        """A part of a page; as a page of its own where it is opened by its address, or without scripts.

        Args:
            template: The part's own.
            heading: What it is called as a page.
            back: The page that it belongs to: its address and what it is called.
            context: What the template is given.
        """
        if self.is_partial:
            return self.render(template, **context)
        return self.render("alone.html", part_template=template, heading=heading, back=back, **context)

    def done(self, url: str | None = None, *, said: str = "") -> Response:
        """After a change: goes on to a page, or to the one that is shown again, and says there what was done."""
        if not self.is_scripted:
            response: Response = RedirectResponse(url or self._came_from(), 303)
        else:
            response = Response(status_code=200, headers={"hx-redirect": url} if url else {"hx-refresh": "true"})
        if said:
            name, kept = self._said_in, quote(said[:_MOST_SAID])
            response.set_cookie(name, kept, max_age=60, httponly=True, samesite="lax", secure=self._is_secure)
        return self._with_cookies(response)

    @property
    def _renderer(self) -> Renderer:
        renderer: Renderer = self.request.app.state.renderer
        return renderer

    @property
    def _is_secure(self) -> bool:
        return self.app.settings.app_url.startswith("https://")

    @property
    def _said_in(self) -> str:
        """The cookie of what is said once, on the next page; over https one that no other host can set."""
        return "__Host-said" if self._is_secure else "said"

    def _said(self) -> str:
        return unquote(self.request.cookies.get(self._said_in, ""))[:_MOST_SAID]

    def _came_from(self) -> str:
        """The page that a form stood on, if it is one of ours."""
        try:
            found = urlsplit(self.request.headers.get("referer", ""))
        except ValueError:
            return "/"
        return own_path(found.path + (f"?{found.query}" if found.query else ""))

    def _with_cookies(self, response: Response) -> Response:
        for cookie in self._cookies:
            response.headers.append("set-cookie", cookie)
        return response


def own_path(text: str) -> str:
    """A path of ours, as it was given; `/` in place of anything that would lead elsewhere."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain and not urlsplit(text).netloc else "/"


async def identify(request: Request) -> Session | None:
    """Who is signed in; None where nobody is."""
    app: App = request.app.state.hookvault
    cookie = session_cookie(request.scope, app.settings.app_url)
    if cookie is None:
        return None
    try:
        principal = await app.accounts.sessions.authenticate(cookie)
    except UnauthorizedError:
        return None
    return principal.session


async def fault_page(request: Request, error: HookvaultError, *, status: int | None = None) -> Response:
    """An error as a page, or where a part was asked for as a notice in its place."""
    try:
        session = await identify(request)
    except HookvaultError:  # the database may be what is missing
        session = None
    visit = Visit(request, session if session and session.stage == "full" else None)
    shown = status or error.status
    if session is None and shown == 503:  # what helps whoever runs this is in the log, and nobody else's matter
        error = UnavailableError("Hookvault can't answer now. Try again in a moment.", code=error.code)
    template = "parts/fault.html" if visit.is_partial else "fault.html"
    response = visit.render(template, status=shown, error=error, title=HTTPStatus(shown).phrase, code=shown)
    if visit.is_scripted and (request.method != "GET" or not visit.is_partial):
        response.headers["hx-reswap"] = "none"  # what was typed or read stays; the notice says what is wrong
        response.headers["hx-trigger"] = json.dumps({"toast": {"text": error.message, "kind": "bad"}})
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return response


Handler = Callable[[Visit], Awaitable[Response]]
