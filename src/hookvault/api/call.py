"""The hot route: calling a webhook. Plain ASGI and msgspec, in front of the same application and its checks."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from hookvault.api.access import ASGIScope, authenticate, authorize
from hookvault.api.body import Receive, check_json, read_body
from hookvault.api.problem import Headers, problem, problem_document
from hookvault.api.services import App
from hookvault.errors import HookvaultError, InvalidError, MalformedError
from hookvault.ids import is_name
from hookvault.log import get_logger
from hookvault.webhooks.model import CallRequest, CallResult

PATH = "/api/tenants/{tenantId}/webhooks/{workflowName}/call"
ROUTE = re.compile(r"/api/tenants/([^/]+)/webhooks/([^/]+)/call")
_log = get_logger()
_WRAPPING = 65_536  # bytes that a body may have beside its payload
_BLOCKED = {"address_blocked", "invalid_url", "invalid_header"}

Answer = tuple[int, bytes, Headers]


class CallBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of a call. `payload` stays JSON text: it is sent byte for byte."""

    payload: msgspec.Raw
    triggered_by: str | None = None
    metadata: dict[str, Any] | None = None
    timeout_ms: int | None = None
    max_retries: int | None = None


class CallReply(msgspec.Struct, rename="camel"):
    """The answer to a call that the receiver answered with 2xx."""

    call_id: str
    success: bool
    status_code: int | None
    response_body: msgspec.Raw
    response_time: int
    attempts: int


_decode = msgspec.json.Decoder(CallBody).decode
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_JSON: Headers = [(b"content-type", b"application/json")]


async def answer_call(app: App, scope: ASGIScope, receive: Receive, named: tuple[str, str]) -> Answer:
    """Answers one call: status, body and headers. Never raises for bad input, a failing receiver or a lost database.

    Args:
        app: The services.
        scope: The request's.
        receive: The request's body.
        named: The tenant and the workflow that the path names.
    """
    try:
        principal = await authenticate(scope, app.api_keys)
        authorize(principal, scope["path"], "call")
        return await _call(app, scope, receive, named)
    except HookvaultError as error:
        if error.status >= 500:
            _log.error("call_failed", code=error.code, path=scope["path"], message=error.message)
        return problem(error)


async def _call(app: App, scope: ASGIScope, receive: Receive, named: tuple[str, str]) -> Answer:
    tenant_id, workflow_name = named
    if not (is_name(tenant_id) and is_name(workflow_name)):
        raise InvalidError("The path names no tenant and workflow as they may be called.")
    body = await read_body(scope, receive, app.settings.webhook_max_payload_bytes + _WRAPPING)
    check_json(scope, body)
    result = await app.webhooks.call(tenant_id, workflow_name, _request(body))
    return _answer(result)


def _request(body: bytes) -> CallRequest:
    try:
        parsed = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidError(f"The body is not a call: {_told(error)}.") from None
    except msgspec.DecodeError:
        raise MalformedError("The body is not JSON.") from None
    for name, value in (("triggeredBy", parsed.triggered_by),):
        if value is not None and (len(value) > 200 or not value.isprintable()):
            raise InvalidError(f"{name} must have 200 printable characters or fewer.")
    return CallRequest(
        payload=bytes(parsed.payload),
        triggered_by=parsed.triggered_by,
        metadata=_checked_metadata(parsed.metadata),
        timeout_ms=parsed.timeout_ms,
        max_retries=parsed.max_retries,
    )


def _checked_metadata(metadata: dict[str, Any] | None) -> Mapping[str, Any] | None:
    if metadata is not None and len(_encode(metadata)) > 16_384:
        raise InvalidError("metadata must have 16,384 bytes of JSON or fewer.")
    return metadata


def _told(error: msgspec.ValidationError) -> str:
    """Msgspec's message, which names types and paths and never quotes a value; unknown names are the caller's own."""
    return str(error)[:200]


def _answer(result: CallResult) -> Answer:
    body = _NULL if result.response_body is None else msgspec.Raw(result.response_body)
    reply = CallReply(
        str(result.call_id), result.success, result.status_code, body, result.response_time, result.attempts
    )
    if result.success:
        return 200, _encode(reply), _JSON
    status, code = _failure(result)
    document = problem_document(status, code, result.error_message or "The webhook failed.")
    members = {**msgspec.structs.asdict(reply), "errorCode": result.error_code}
    document |= {_CAMEL.get(name, name): value for name, value in members.items()}
    return status, _encode(document), [(b"content-type", b"application/problem+json")]


def _failure(result: CallResult) -> tuple[int, str]:
    """The status and code of a failed call: the address refused, the time used up, or anything else at the target."""
    if result.error_code in _BLOCKED:
        return 422, str(result.error_code)
    if result.error_code == "timeout":
        return 504, "webhook_timeout"
    return 502, "webhook_failed"


_CAMEL = {
    "call_id": "callId",
    "status_code": "statusCode",
    "response_body": "responseBody",
    "response_time": "responseTime",
}
