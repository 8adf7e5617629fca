"""Gathers what the inspector shows of a call: its webhook, its other attempts, its delivery, and what it means."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from markupsafe import Markup

from hookvault.admin.advice import ADVICE, Said, read_answer
from hookvault.admin.charts.timing import phased
from hookvault.admin.curl import curl_of
from hookvault.admin.trail import Step, told, why_held
from hookvault.analytics.model import CallFilter, WebhookCall
from hookvault.api.services import App
from hookvault.deliveries.model import Story
from hookvault.errors import NotFoundError
from hookvault.ids import id_time
from hookvault.webhooks.model import Webhook

_MOST_ATTEMPTS = 50
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Bar:
    """An attempt on the line of time: from where to where, in percent of the whole."""

    call: WebhookCall
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Inspected:
    """A call and what belongs to it. `webhook` and `story` are None where they are gone, or there is none."""

    call: WebhookCall
    webhook: Webhook | None
    story: Story | None
    attempts: Sequence[WebhookCall]
    longest_body: int

    @property
    def advice(self) -> str:
        """What to do; empty where it succeeded."""
        return ADVICE.get(self.call.cause or "", "")

    @property
    def said(self) -> Said | None:
        """What n8n itself says of a failure."""
        return None if self.call.success else read_answer(self.call.response_body)

    @property
    def steps(self) -> Sequence[Step]:
        """The delivery's trail in words."""
        return told(self.story.trail) if self.story else ()

    @property
    def held(self) -> str:
        """Why its delivery waits; empty where it does not, or that is not known."""
        return why_held(self.story.trail) if self.story else ""

    @property
    def timing(self) -> Markup:
        """What its time went into; empty where it was not timed."""
        return phased(self.call.timing) if self.call.timing else Markup()

    @property
    def bars(self) -> Sequence[Bar]:
        """The attempts along the line of time, where there are several."""
        return _bars(self.attempts) if len(self.attempts) > 1 else ()

    @property
    def span_ms(self) -> float:
        """From the first attempt to the end of the last."""
        first, last = _ends(self.attempts)
        return (last - first) / timedelta(milliseconds=1)

    @property
    def hides(self) -> bool:
        """Whether the webhook's policy keeps something of its payloads out of the record."""
        policy = self.webhook.policy if self.webhook else None
        return policy is not None and bool(policy.redact_paths or not policy.keep_payloads)

    @property
    def was_cut(self) -> bool:
        """Whether the answer was longer than what is read of one."""
        body = self.call.response_body
        return self.call.altered and isinstance(body, str) and len(body.encode("utf-8", "replace")) >= self.longest_body

    @property
    def curl(self) -> str:
        """The call as a command; empty without its webhook."""
        whole = self.call.expunged_at is None and not self.call.altered and self.call.request_payload is not None
        if self.webhook is None:
            return ""
        return curl_of(self.webhook, self.call.request_headers, self.call.request_payload, whole=whole)

    @property
    def headers(self) -> Mapping[str, Any]:
        """The request's headers as they were recorded."""
        return self.call.request_headers if isinstance(self.call.request_headers, dict) else {}

    @property
    def texts(self) -> Mapping[str, str]:
        """Request and answer as they are copied."""
        parts = {"request": self.call.request_payload, "response": self.call.response_body}
        return {name: value if isinstance(value, str) else _json(value) for name, value in parts.items()}


async def inspect_call(app: App, call_id: UUID) -> Inspected:
    """Everything about one call, whatever its tenant. Raises NotFoundError, code `call_not_found`."""
    call = await app.analytics.get_platform_call(call_id)
    story = await _story(app, call)
    return Inspected(
        call,
        await _webhook(app, call),
        story,
        await _attempts(app, call, story),
        app.settings.webhook_max_response_bytes,
    )


async def _webhook(app: App, call: WebhookCall) -> Webhook | None:
    try:
        return await app.webhooks.get_n8n_webhook(call.tenant_id, call.webhook_id)
    except NotFoundError:
        return None


async def _story(app: App, call: WebhookCall) -> Story | None:
    if call.delivery_id is None:
        return None
    try:
        return await app.deliveries.get_delivery(call.tenant_id, call.delivery_id)
    except NotFoundError:  # past retention, or of another tenant that had this id before
        return None


async def _attempts(app: App, call: WebhookCall, story: Story | None) -> Sequence[WebhookCall]:
    """The attempts of the same delivery or call, oldest first."""
    if call.delivery_id is None and call.retry_of is None and call.success and call.attempt == 1:
        return [call]  # nothing came before it, and nothing after
    first = call.delivery_id or call.retry_of or call.id
    since = min(id_time(first), call.timestamp)
    last = story.delivery.finished_at if story else None
    which = CallFilter(start=since, end=(last or call.timestamp) + 30 * _DAY, call_id=first, tenant_id=call.tenant_id)
    found = await app.analytics.browse_calls(which, limit=_MOST_ATTEMPTS)
    return sorted(found.items, key=lambda item: (item.timestamp, item.id)) or [call]


def _bars(attempts: Sequence[WebhookCall]) -> list[Bar]:
    first, last = _ends(attempts)
    whole = max((last - first) / timedelta(milliseconds=1), 1.0)
    return [
        Bar(
            call,
            round((call.timestamp - first) / timedelta(milliseconds=1) / whole * 100, 3),
            round(max(call.response_time / whole * 100, 0.4), 3),
        )
        for call in attempts
    ]


def _ends(attempts: Sequence[WebhookCall]) -> tuple[datetime, datetime]:
    ended = [call.timestamp + timedelta(milliseconds=call.response_time) for call in attempts]
    return min(call.timestamp for call in attempts), max(ended)


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
