"""Problem documents (RFC 9457): the one shape of every error that the API answers."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from hookvault.errors import HookvaultError, UnauthorizedError

MEDIA_TYPE = "application/problem+json"

Headers = list[tuple[bytes, bytes]]


def problem_document(status: int, code: str, message: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The members of a problem: type, title, status, detail, a stable `code`, and what else the error tells."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": message,
        **(members or {}),
    }


def problem(error: HookvaultError) -> tuple[int, bytes, Headers]:
    """Status, body and headers of an error. An error of our own making (5xx) tells no more than its code."""
    status = error.status
    document = problem_document(status, error.code, error.message, error.members)
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    if isinstance(error, UnauthorizedError):
        headers.append((b"www-authenticate", b'Bearer realm="hookvault"'))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
    return status, msgspec.json.encode(document), headers


def plain_problem(
    status: int, code: str, message: str, *, errors: Sequence[Mapping[str, str]] | None = None
) -> tuple[int, bytes, Headers]:
    """Status, body and headers of a problem that no error class stands for."""
    members = {"errors": list(errors)} if errors else None
    body = msgspec.json.encode(problem_document(status, code, message, members))
    return status, body, [(b"content-type", MEDIA_TYPE.encode())]
