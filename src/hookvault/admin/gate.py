"""In front of the pages: strict headers on every answer, one line in the log, and every error as a page."""

import time
from collections.abc import MutableMapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.render import Renderer
from hookvault.admin.static import Static
from hookvault.admin.visit import fault_page
from hookvault.api.access import request_id
from hookvault.api.guard import ASGIApp, Message, Receive, Send, shown_path
from hookvault.api.services import App
from hookvault.errors import HookvaultError, NotFoundError
from hookvault.log import get_logger

# No page may run, show or send anything but what this server itself serves; none may be framed.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_log = get_logger()


class Gate:
    """ASGI application in front of the pages."""

    def __init__(self, app: App, routes: Sequence[BaseRoute], *, api: ASGIApp, static: Static) -> None:
        pages = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _on_no_page, HookvaultError: _on_own_error, Exception: _on_fault},
        )
        pages.router.redirect_slashes = False
        pages.state.hookvault = app
        pages.state.api = api
        pages.state.renderer = Renderer(app, static)
        self._inner: ASGIApp = GZipMiddleware(pages, minimum_size=1000, compresslevel=5)
        self._headers = _headers(secure=app.settings.app_url.startswith("https://"))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        began, identifier = time.monotonic(), request_id(scope)
        scope["hookvault.request_id"] = identifier
        status = 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = {name for name, _ in message.get("headers", ())}
                own = [(name, value) for name, value in self._headers if name not in named]
                headers = [*message.get("headers", ()), *own, (b"x-request-id", identifier.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._inner(scope, receive, dressed)
        except Exception:  # Starlette answers a fault and raises it again for whoever serves; it is logged already
            if not status:
                raise
        elapsed = round((time.monotonic() - began) * 1000, 1)
        path = shown_path(scope["path"])
        if not path.startswith("/static/"):
            _log.info("page", method=scope["method"], path=path, status=status, ms=elapsed, request_id=identifier)


def _headers(*, secure: bool) -> list[tuple[bytes, bytes]]:
    found = {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",  # none at all would take the Origin of our own forms away
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "cache-control": "no-store",
    }
    if secure:
        found["strict-transport-security"] = "max-age=31536000"
    return [(name.encode(), value.encode()) for name, value in found.items()]


async def _on_no_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    fault = NotFoundError("There is no such page.") if status == 404 else HookvaultError("This can't be answered.")
    return await fault_page(request, fault, status=status)


async def _on_own_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HookvaultError):
        raise error
    if error.status >= 500:
        _log.error("page_failed", code=error.code, path=shown_path(request.url.path), message=error.message)
    return await fault_page(request, error)


async def _on_fault(request: Request, error: Exception) -> Response:
    identifier = request.scope["hookvault.request_id"]
    _log.error(
        "internal_error",
        path=shown_path(request.url.path),
        error=type(error).__name__,
        request_id=identifier,
        exc_info=error,
    )
    message = "Something went wrong on our side; the log tells more under the request's id."
    return await fault_page(request, HookvaultError(message))
