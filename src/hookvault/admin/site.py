"""The whole site: the API as it is, and beside it the pages."""

from collections.abc import MutableMapping
from typing import Any

from hookvault.admin.gate import Gate
from hookvault.admin.pages import ROUTES
from hookvault.admin.static import Static
from hookvault.api.app import create_app
from hookvault.api.guard import ASGIApp, Receive, Send
from hookvault.api.services import App

_OF_THE_API = ("/api/", "/hooks/")
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class Site:
    """ASGI application: hands on by path."""

    def __init__(self, app: App) -> None:
        self._api: ASGIApp = create_app(app)
        static = Static()
        self._pages: ASGIApp = Gate(app, [*static.routes, *ROUTES], api=self._api, static=static)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        path = scope.get("path", "")
        is_page = scope["type"] == "http" and path not in _PROBES and not path.startswith(_OF_THE_API)
        await (self._pages if is_page else self._api)(scope, receive, send)


def create_site(app: App) -> Site:
    """The API and the pages on a built `App`."""
    return Site(app)
