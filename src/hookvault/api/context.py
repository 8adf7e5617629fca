"""What every handler is given: the services, whom the request speaks for, and the common parameters."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request

from hookvault.api.access import Asking
from hookvault.api.schemas import ProblemOut
from hookvault.api.services import App
from hookvault.errors import PreconditionError
from hookvault.ids import NAME_PATTERN


def _services(request: Request) -> App:
    app: App = request.app.state.hookvault
    return app


def asking_of(request: Request) -> Asking:
    """Whom a request speaks for."""
    asking: Asking = request.scope["hookvault.asking"]
    return asking


def _if_version(
    if_match: Annotated[str | None, Header(description='The ETag that the change was made for, such as "3".')] = None,
) -> int | None:
    """The version in If-Match (RFC 9110 section 13.1.1); None when absent or `*`."""
    if if_match is None or if_match.strip() == "*":
        return None
    digits = if_match.strip().removeprefix("W/").strip('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise PreconditionError("If-Match names a version that this was never at.")
    return int(digits)


Services = Annotated[App, Depends(_services)]
Who = Annotated[Asking, Depends(asking_of)]
IfVersion = Annotated[int | None, Depends(_if_version)]
TenantID = Annotated[str, Path(alias="tenantId", pattern=NAME_PATTERN)]
Limit = Annotated[int, Query(ge=1, le=200)]
CallLimit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=1000, description="`nextCursor` of the page before.")]

_TOLD = {
    400: "The body can't be read.",
    401: "No valid API key, and nobody is signed in.",
    403: "Whoever asks may not do this.",
    404: "No such thing, or not in this tenant.",
    405: "The route has no such method.",
    409: "The thing exists, or its state forbids this.",
    412: "If-Match names another version.",
    413: "The body is too long or nested too deep.",
    415: "The body is not JSON.",
    422: "The input is not acceptable; `errors` names the fields.",
    429: "Too many requests.",
    502: "The webhook failed.",
    503: "Something needed is not reachable; try again later.",
    504: "The webhook timed out.",
}
_EVERYWHERE = (400, 401, 403, 413, 415, 422, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries for what a route may answer besides success."""
    content = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}}}
    return {status: {"description": _TOLD[status], "content": content} for status in sorted({*_EVERYWHERE, *statuses})}
