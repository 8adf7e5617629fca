"""Accepting a delivery over HTTP."""

from datetime import datetime
from typing import Any

import msgspec

from hookvault.api.hot import JSON, REPLAYED, Answer, decoded, request_of
from hookvault.api.services import App

PATH = "/api/tenants/{tenantId}/webhooks/{workflowName}/deliveries"


class DeliveryBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of a delivery. `payload` stays JSON text: it is sent byte for byte."""

    payload: msgspec.Raw
    triggered_by: str | None = None
    metadata: dict[str, Any] | None = None
    timeout_ms: int | None = None
    max_retries: int | None = None
    ordering_key: str | None = None
    deliver_before: datetime | None = None


_decode = msgspec.json.Decoder(DeliveryBody).decode


async def perform_delivery(app: App, named: tuple[str, str], body: bytes, key: str | None) -> Answer:
    """Accepts a delivery; it is committed when this answers."""
    parsed = decoded(_decode, body)
    request = request_of(parsed, key, ordering_key=parsed.ordering_key, deliver_before=parsed.deliver_before)
    accepted = await app.deliveries.enqueue(*named, request)
    answer = b'{"deliveryId":"%b"}' % str(accepted.delivery_id).encode()
    return 202, answer, REPLAYED if accepted.deduplicated else JSON
