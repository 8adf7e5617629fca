"""What pages are dressed in: style sheets, scripts, icons and fonts, read once, under addresses that change with them."""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hookvault.admin.assets import ASSETS, check_assets

_STYLES = (
    *("tokens.css", "layout.css", "parts.css", "forms.css", "tables.css", "charts.css"),
    *("integrations.css", "webhooks.css", "analytics.css", "calls.css", "account.css"),
)
_SCRIPTS = ("app.js", "dialogs.js", "live.js", "charts.js", "zoom.js", "pulse.js", "webhooks.js")
_VENDORED = {
    "htmx.min.js": "text/javascript",
    "icons.svg": "image/svg+xml",
    "inter-latin.woff2": "font/woff2",
    "inter-latin-ext.woff2": "font/woff2",
}
# Comments are for readers of the source; on the way to a browser they would be a tenth of the bytes.
_STYLE_COMMENT = re.compile(rb"[ \t]*/\*.*?\*/\n?", re.DOTALL)
_SCRIPT_COMMENT = re.compile(rb"^[ \t]*//.*\n", re.MULTILINE)
_FOREVER = "public, max-age=31536000, immutable"


class _File(NamedTuple):
    body: bytes
    squeezed: bytes | None
    media_type: str
    version: str


class Static:
    """All files, by name. Making it raises SetupError, code `assets_missing`, where the build left them out."""

    def __init__(self) -> None:
        check_assets()
        own = files("hookvault.admin").joinpath("static")
        vendored = {name: _file((ASSETS / name).read_bytes(), kind) for name, kind in _VENDORED.items()}
        made = {
            "app.css": _file(_styles(own, vendored), "text/css"),
            "app.js": _file(_joined(own, _SCRIPTS, _SCRIPT_COMMENT), "text/javascript"),
            "favicon.svg": _file(own.joinpath("favicon.svg").read_bytes(), "image/svg+xml"),
        }
        self._files = made | vendored
        self.routes = [Route("/static/{name}", self._answer), Route("/favicon.ico", self._favicon)]

    def url(self, name: str) -> str:
        """Where a page finds a file; another address as soon as the file is another one."""
        return f"/static/{name}?v={self._files[name].version}"

    async def _answer(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            return Response("There is no such file.", 404, media_type="text/plain")
        kept = _FOREVER if request.query_params.get("v") == found.version else "public, max-age=86400"
        headers = {"cache-control": kept, "vary": "accept-encoding", "etag": f'"{found.version}"'}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        if found.squeezed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.squeezed, headers=headers | {"content-encoding": "gzip"}, media_type=found.media_type)
        return Response(found.body, headers=headers, media_type=found.media_type)

    async def _favicon(self, request: Request) -> Response:
        request.path_params["name"] = "favicon.svg"
        return await self._answer(request)


def _joined(own: Traversable, names: Sequence[str], comment: re.Pattern[bytes]) -> bytes:
    return b"\n".join(comment.sub(b"", own.joinpath(name).read_bytes()) for name in names)


def _styles(own: Traversable, vendored: Mapping[str, _File]) -> bytes:
    """One sheet of all; the fonts that it names by their addresses, which change with them."""
    text = _joined(own, _STYLES, _STYLE_COMMENT)
    for name, file in vendored.items():
        text = text.replace(f"/static/{name}".encode(), f"/static/{name}?v={file.version}".encode())
    return text


def _file(body: bytes, media_type: str) -> _File:
    squeezed = None if media_type.startswith("font/") else gzip.compress(body, 9, mtime=0)
    return _File(body, squeezed, media_type, hashlib.sha256(body).hexdigest()[:12])
