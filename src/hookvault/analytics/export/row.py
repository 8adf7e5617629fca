"""A recorded call as a row of plain values, under the names it has on the wire (pure)."""

import json
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from hookvault.analytics.model import Timing, WebhookCall
from hookvault.clock import iso

Kind = Literal["id", "text", "number", "truth", "time", "json"]


class Column(NamedTuple):
    """A column of an export: the call's field, its name on the wire, and what it holds."""

    field: str
    name: str
    kind: Kind


COLUMNS: Sequence[Column] = (
    Column("id", "id", "id"),
    Column("tenant_id", "tenantId", "text"),
    Column("webhook_id", "webhookId", "id"),
    Column("workflow_name", "workflowName", "text"),
    Column("timestamp", "timestamp", "time"),
    Column("request_payload", "requestPayload", "json"),
    Column("request_headers", "requestHeaders", "json"),
    Column("status_code", "statusCode", "number"),
    Column("response_body", "responseBody", "json"),
    Column("response_time", "responseTime", "number"),
    Column("timing", "timing", "json"),
    Column("success", "success", "truth"),
    Column("error_code", "errorCode", "text"),
    Column("error_message", "errorMessage", "text"),
    Column("cause", "cause", "text"),
    Column("cause_text", "causeText", "text"),
    Column("triggered_by", "triggeredBy", "text"),
    Column("metadata", "metadata", "json"),
    Column("delivery_id", "deliveryId", "id"),
    Column("attempt", "attempt", "number"),
    Column("retry_of", "retryOf", "id"),
    Column("altered", "altered", "truth"),
    Column("expunged_at", "expungedAt", "time"),
)
_TIMES = ("resolveMs", "connectMs", "tlsMs", "waitMs", "downloadMs")


def plain(call: WebhookCall) -> dict[str, Any]:
    """A call as the API answers it, ready for JSON."""
    return {column.name: _plain(value_of(call, column), column.kind) for column in COLUMNS}


def value_of(call: WebhookCall, column: Column) -> Any:
    """What a column holds of a call; JSON as lists and mappings."""
    value = getattr(call, column.field)
    if not isinstance(value, Timing):
        return value
    times = value.resolve_ms, value.connect_ms, value.tls_ms, value.wait_ms, value.download_ms
    return dict(zip(_TIMES, times, strict=True))


def compact(value: Any) -> str:
    """JSON text without spaces, of whatever the database can hold; a number too large for JSON's readers is null."""
    try:
        return msgspec.json.encode(value).decode()
    except (OverflowError, msgspec.MsgspecError):  # an integer of more than 64 bits
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind == "id":
        return str(value)
    return iso(value) if kind == "time" else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
