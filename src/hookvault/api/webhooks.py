"""A tenant's webhooks over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from hookvault.api.call import PATH, perform_call
from hookvault.api.context import Cursor, IfVersion, Limit, Services, TenantID, Who, problems
from hookvault.api.deliveries import KEY_HEADER
from hookvault.api.hot import answer_hot
from hookvault.api.schemas import (
    CallBodyIn,
    CallReplyOut,
    PageOut,
    RotateIn,
    SecretOut,
    WebhookFields,
    WebhookIn,
    WebhookOut,
    WebhookPut,
)
from hookvault.ids import NAME_PATTERN
from hookvault.vault.mask import masked_hint
from hookvault.webhooks.model import SecretMark, Webhook
from hookvault.webhooks.seal import POLICY_FIELDS

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/webhooks", tags=["Webhooks"])
calling = APIRouter(tags=["Calling"])

WebhookID = Annotated[UUID, Path(alias="webhookId")]
TenantWorkflow = Annotated[str, Path(alias="workflowName", pattern=NAME_PATTERN)]


@router.get("", responses=problems(404))
async def list_webhooks(
    app: Services, tenant_id: TenantID, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[WebhookOut]:
    """A tenant's webhooks with their counters, by workflow name."""
    page = await app.webhooks.list_webhooks(tenant_id, limit=limit, cursor=cursor)
    return PageOut(items=[webhook_out(webhook) for webhook in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201, responses=problems(404, 409))
async def create_webhook(
    app: Services, who: Who, tenant_id: TenantID, body: WebhookIn, response: Response
) -> WebhookOut:
    """Makes a webhook. `signingSecret` is shown in this answer only."""
    fields = fields_of(body)
    name = fields.pop("workflow_name")
    made = await app.webhooks.create_n8n_webhook(tenant_id, name, actor=who.actor, **fields)
    response.headers["etag"] = f'"{made.config_version}"'
    return webhook_out(made)


@router.get("/{webhookId}", responses=problems(404))
async def get_webhook(app: Services, tenant_id: TenantID, webhook_id: WebhookID, response: Response) -> WebhookOut:
    """One webhook with its counters."""
    webhook = await app.webhooks.get_n8n_webhook(tenant_id, webhook_id)
    response.headers["etag"] = f'"{webhook.config_version}"'
    return webhook_out(webhook)


@router.put("/{webhookId}", responses=problems(404, 409, 412))
async def update_webhook(
    app: Services,
    who: Who,
    tenant_id: TenantID,
    webhook_id: WebhookID,
    body: WebhookPut,
    *,
    if_version: IfVersion,
    response: Response,
) -> WebhookOut:
    """Changes a webhook: an absent field keeps its value, null clears it. The next call uses it."""
    changed = await app.webhooks.update_n8n_webhook(
        tenant_id, webhook_id, fields_of(body), if_version=if_version, actor=who.actor
    )
    response.headers["etag"] = f'"{changed.config_version}"'
    return webhook_out(changed)


@router.delete("/{webhookId}", status_code=204, responses=problems())
async def delete_webhook(app: Services, who: Who, tenant_id: TenantID, webhook_id: WebhookID) -> None:
    """Deletes a webhook; its calls stay readable, its workflow name is free at once. Idempotent."""
    await app.webhooks.delete_n8n_webhook(tenant_id, webhook_id, actor=who.actor)


@router.post("/{webhookId}/signing-secret/rotate", responses=problems(404))
async def rotate_signing_secret(
    app: Services, who: Who, tenant_id: TenantID, webhook_id: WebhookID, body: RotateIn | None = None
) -> WebhookOut:
    """Replaces the signing secret; the new one is shown in this answer only. For a while calls are signed with both."""
    hours = (body or RotateIn()).overlap_hours
    rotated = await app.webhooks.rotate_signing_secret(tenant_id, webhook_id, overlap_hours=hours, actor=who.actor)
    return webhook_out(rotated)


@calling.post(
    PATH,
    response_model=CallReplyOut,
    responses=problems(404, 409, 429, 502, 504),
    openapi_extra={
        "parameters": [KEY_HEADER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": CallBodyIn.model_json_schema()}},
        },
    },
)
async def call_webhook(app: Services, tenant_id: TenantID, workflow_name: TenantWorkflow, request: Request) -> Response:
    """Calls a webhook now and answers what it answered. The call is recorded before this returns."""
    named = (tenant_id, workflow_name)
    status, body, headers = await answer_hot(app, request.scope, request.receive, named, perform_call)
    return Response(body, status, headers={name.decode(): value.decode() for name, value in headers})


def webhook_out(webhook: Webhook) -> WebhookOut:
    """What is shown of a webhook; the signing secret itself only right after it was made."""
    new = webhook.new_signing_secret
    policy = {name: getattr(webhook.policy, field) for name, field in POLICY_FIELDS.items()}
    if webhook.policy.rate_limit is not None:
        policy["rateLimit"] = webhook.policy.rate_limit._asdict()
    shown = {name: getattr(webhook, name) for name in WebhookOut.model_fields if hasattr(webhook, name)}
    return WebhookOut(
        **shown
        | {
            "auth_token": _secret(webhook.auth_token),
            "static_headers": {name: _secret(mark) for name, mark in webhook.static_headers.items()},
            "signing_secret": _secret(webhook.signing_secret) if new is None else new.open(),
            "policy": policy,
        }
    )


def _secret(mark: SecretMark) -> SecretOut:
    return SecretOut.model_validate(
        {
            "set": mark.set,
            "hint": masked_hint(mark.hint),
            "updated_at": mark.updated_at,
            "needs_reentry": mark.needs_reentry,
            "key_needed": mark.key_needed,
        }
    )


def fields_of(body: WebhookFields) -> dict[str, Any]:
    """The submitted fields in snake_case; a secret sent back as it was shown counts as absent."""
    fields = body.model_dump(exclude_unset=True, mode="python")
    if body.policy is not None:
        fields["policy"] = body.policy.model_dump(exclude_unset=True, by_alias=True)
    if isinstance(body.auth_token, SecretOut):
        del fields["auth_token"]
    if body.static_headers is not None:
        kept = {name: value for name, value in body.static_headers.items() if not isinstance(value, SecretOut)}
        fields["static_headers"] = kept
    return fields
