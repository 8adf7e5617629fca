"""Trying webhooks over HTTP: before they are saved, and after."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field, field_validator

from hookvault.api.context import Services, TenantID, Who, problems
from hookvault.api.schemas import Moment, WebhookIn, WebhookPut, Wire
from hookvault.api.webhooks import fields_of
from hookvault.db.codec import decode_json
from hookvault.webhooks.trial import Trial

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/webhooks", tags=["Webhooks"])

_EXAMPLE = {"test": True}


class DryRunIn(WebhookIn):
    """A webhook as it would be saved, and what to send. With `call` it is sent."""

    payload: Any = Field(default_factory=lambda: dict(_EXAMPLE))
    call: bool = Field(False, strict=True)


class TestIn(WebhookPut):
    """Changes to try without saving them, and what to send. Without `call` nothing is sent."""

    payload: Any = Field(default_factory=lambda: dict(_EXAMPLE))
    call: bool = Field(True, strict=True)


class AddressOut(Wire):
    """Whether the address may be called, and which addresses would be dialled."""

    allowed: bool
    host: str
    addresses: list[str]
    code: str | None
    message: str | None


class HeaderOut(Wire):
    """A header of the request; values that hold or follow from a secret are hidden."""

    name: str
    value: str


class RequestOut(Wire):
    """The request as it would go out."""

    method: str
    url: str
    headers: list[HeaderOut]
    body: Any


class RetryOut(Wire):
    """When a delivery that always fails would be tried, were it accepted now; retries stray by 20 %."""

    attempt: int
    at: Moment


class ResultOut(Wire):
    """What the webhook answered."""

    call_id: UUID
    success: bool
    status_code: int | None
    response_body: Any
    response_time: int = Field(description="Milliseconds.")
    error_code: str | None
    error_message: str | None

    @field_validator("response_body", mode="before")
    @classmethod
    def _parsed(cls, value: object) -> object:
        return decode_json(value) if isinstance(value, bytes) else value


class TrialOut(Wire):
    """What a trial found. `result` is null where nothing was called."""

    address: AddressOut
    request: RequestOut
    timeline: list[RetryOut]
    result: ResultOut | None


@router.post("/dry-run", responses=problems(404, 409))
async def dry_run(app: Services, who: Who, tenant_id: TenantID, body: DryRunIn) -> TrialOut:
    """Tries a webhook before it is saved: address, signed request, retries, and with `call` what it answers."""
    fields = _fields(body)
    return _out(await app.trials.dry_run(tenant_id, fields, body.payload, call=body.call, actor=who.actor))


@router.post("/{webhookId}/test", responses=problems(404, 409, 429))
async def try_webhook(
    app: Services,
    who: Who,
    tenant_id: TenantID,
    webhook_id: Annotated[UUID, Path(alias="webhookId")],
    body: TestIn | None = None,
) -> TrialOut:
    """Calls a saved webhook for a test, with changes that are not saved. The call is recorded, triggered by `test`."""
    given = body or TestIn()
    trial = await app.trials.test(
        tenant_id, webhook_id, _fields(given), given.payload, call=given.call, actor=who.actor
    )
    return _out(trial)


def _fields(body: DryRunIn | TestIn) -> dict[str, Any]:
    fields = fields_of(body)
    return {name: value for name, value in fields.items() if name not in ("payload", "call")}


def _out(trial: Trial) -> TrialOut:
    headers = [HeaderOut(name=name, value=value) for name, value in trial.headers]
    return TrialOut(
        address=AddressOut.model_validate(trial.verdict),
        request=RequestOut(method="POST", url=trial.url, headers=headers, body=decode_json(trial.body)),
        timeline=[RetryOut(attempt=number, at=at) for number, at in enumerate(trial.timeline, 1)],
        result=None if trial.result is None else ResultOut.model_validate(trial.result),
    )
