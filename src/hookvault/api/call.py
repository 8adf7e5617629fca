"""Calling a webhook over HTTP."""

from typing import Any

import msgspec

from hookvault.api.hot import JSON, REPLAYED, Answer, decoded, request_of
from hookvault.api.problem import problem_document
from hookvault.api.services import App
from hookvault.webhooks.model import CallResult

PATH = "/api/tenants/{tenantId}/webhooks/{workflowName}/call"
_BLOCKED = {"address_blocked", "invalid_url", "invalid_header"}


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


async def perform_call(app: App, named: tuple[str, str], body: bytes, key: str | None) -> Answer:
    """Makes a call and answers what became of it."""
    request = request_of(decoded(_decode, body), key)
    return _answer(await app.webhooks.call(*named, request))


def _answer(result: CallResult) -> Answer:
    body = _NULL if result.response_body is None else msgspec.Raw(result.response_body)
    reply = CallReply(
        str(result.call_id), result.success, result.status_code, body, result.response_time, result.attempts
    )
    headers = REPLAYED if result.replayed else JSON
    if result.success:
        return 200, _encode(reply), headers
    status, code = _failure(result)
    document = problem_document(status, code, result.error_message or "The webhook failed.")
    members = {**msgspec.structs.asdict(reply), "errorCode": result.error_code}
    document |= {_CAMEL.get(name, name): value for name, value in members.items()}
    return status, _encode(document), [(b"content-type", b"application/problem+json"), *headers[1:]]


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
