"""The API's reference for people, made from the OpenAPI document by an own template: no script, nothing from elsewhere."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader, select_autoescape

router = APIRouter(include_in_schema=False)

_environment = Environment(
    loader=PackageLoader("hookvault.api"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE = files("hookvault.api").joinpath("templates/docs.css").read_bytes()


@router.get("/api/docs")
async def docs_page(request: Request) -> Response:
    """Every route, its parameters, its body and its answers."""
    document = request.app.openapi()
    page = _environment.get_template("docs.html").render(document=document, groups=_groups(document))
    return Response(page, media_type="text/html")


@router.get("/api/docs.css")
async def docs_style() -> Response:
    """The page's one stylesheet."""
    return Response(_STYLE, media_type="text/css")


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            entry = {
                "method": method.upper(),
                "path": path,
                "summary": operation.get("description") or operation.get("summary", ""),
                "parameters": operation.get("parameters", []),
                "body": list(_body_fields(document, operation)),
                "answers": operation.get("responses", {}),
            }
            groups.setdefault(operation.get("tags", ["Other"])[-1], []).append(entry)
    return groups


def _body_fields(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        kinds = [_type_name(part) for part in field.get("anyOf", [field])]
        yield {
            "name": name,
            "type": " or ".join(kinds),
            "required": name in required,
            "about": field.get("description", ""),
        }


def _type_name(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2]).removesuffix("In").removesuffix("Out")
    return str(schema.get("format") or schema.get("type", "any JSON"))
