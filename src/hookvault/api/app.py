"""The API: all routes, and every error as a problem document."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from hookvault import __version__
from hookvault.api import (
    analytics,
    audit,
    calls,
    custody,
    deliveries,
    demo,
    docs,
    figures,
    health,
    integrations,
    keys,
    live,
    retention,
    rotation,
    session,
    tenants,
    trial,
    users,
    webhooks,
)
from hookvault.api.cookie import cookie_name
from hookvault.api.download import Places
from hookvault.api.entry import schemes
from hookvault.api.guard import Guard
from hookvault.api.problem import Headers, plain_problem, problem
from hookvault.api.schemas import ProblemOut
from hookvault.api.services import App
from hookvault.api.trail import record_failed
from hookvault.errors import HookvaultError

DESCRIPTION = (
    "Credentials, webhooks and their records for every tenant of a platform. Every error is a problem document (RFC 9457) "
    "with a stable `code`."
)
_ROUTERS = (
    tenants.router,
    audit.router,
    integrations.router,
    rotation.testing,
    rotation.router,
    live.router,
    calls.router,
    analytics.router,
    figures.router,
    trial.router,
    webhooks.router,
    webhooks.calling,
    deliveries.accepting,
    deliveries.router,
    keys.router,
    session.router,
    users.router,
    users.links,
    custody.router,
    retention.router,
    demo.router,
    health.router,
    docs.router,
)


def create_app(app: App) -> Guard:
    """The ASGI application on a built `App`."""
    inner = FastAPI(
        title="Hookvault",
        version=__version__,
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            HookvaultError: _on_own_error,
            RequestValidationError: _on_invalid,
            HTTPException: _on_http_error,
        },
    )
    inner.state.hookvault = app
    inner.state.exports = Places()
    inner.state.metrics = health.Metrics(app)
    for router in _ROUTERS:
        inner.include_router(router)
    inner.openapi = lambda: _openapi(inner)  # type: ignore[method-assign]
    return Guard(app, inner)


def _openapi(inner: FastAPI) -> dict[str, Any]:
    if inner.openapi_schema is None:
        document = get_openapi(
            title=inner.title, version=inner.version, description=inner.description, routes=inner.routes
        )
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas["ProblemOut"] = ProblemOut.model_json_schema()
        schemas["LiveCallOut"] = live.LiveCallOut.model_json_schema(mode="serialization")
        components["securitySchemes"] = {
            "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "hv_..."},
            "session": {"type": "apiKey", "in": "cookie", "name": cookie_name(inner.state.hookvault.settings.app_url)},
        }
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                operation["security"] = [{scheme: []} for scheme in schemes(method.upper(), path)]
        inner.openapi_schema = document
    return inner.openapi_schema


async def _on_own_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HookvaultError):
        raise error
    await _record(request, error.status, error.code)
    return _response(*problem(error))


async def _on_invalid(request: Request, error: Exception) -> Response:
    """FastAPI's and Pydantic's findings, without the input that they would quote."""
    await _record(request, 422, "invalid_input")
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(item["type"] == "json_invalid" for item in found):
        return _response(*plain_problem(400, "malformed_body", "The body is not JSON."))
    errors = [_field_error(item) for item in found[:20]]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors) or "The request is not acceptable."
    return _response(*plain_problem(422, "invalid_input", detail, errors=errors))


async def _record(request: Request, status: int, code: str) -> None:
    await record_failed(request.app.state.hookvault, request.scope, status, code)


def _field_error(item: Any) -> dict[str, str]:
    where = [str(part)[:64] for part in item["loc"] if part not in ("body", "query", "path", "header")]
    return {
        "field": ".".join(where) or "body",
        "message": str(item["msg"]).removeprefix("Value error, ")[:300],
    }


async def _on_http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    codes = {
        404: ("not_found", "There is no such route."),
        405: ("method_not_allowed", "The route has no such method."),
    }
    code, message = codes.get(error.status_code, ("http_error", "The request can't be answered."))
    response = _response(*plain_problem(error.status_code, code, message))
    response.headers.update(error.headers or {})
    return response


def _response(status: int, body: bytes, headers: Headers) -> Response:
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})
