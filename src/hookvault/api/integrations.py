"""A tenant's integrations over HTTP. Secrets go in and never come out."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response

from hookvault.api.context import IfVersion, Services, TenantID, Who, problems
from hookvault.clock import iso
from hookvault.errors import NotFoundError
from hookvault.integrations.model import KINDS, Integration, Kind
from hookvault.providers.registry import ALL
from hookvault.vault.mask import masked_hint

router = APIRouter(prefix="/api/platform/tenants/{tenantId}/integrations", tags=["Integrations"])

_FIELDS = "\n".join(
    f"- **{provider.kind}**: "
    + ", ".join(
        f"`{field.name}`" + ("*" if field.required else "") + (" (secret)" if field.secret else "")
        for field in provider.fields
    )
    for provider in ALL
)
_SENTENCE = (
    "The configuration's fields at top level, plus `enabled` (default true) and for sms `provider` (twilio, vonage, aws_sns; "
    f"default twilio). Required ones carry a star.\n\n{_FIELDS}"
)
KindPath = Annotated[str, Path(description="whatsapp, sms or n8n", max_length=32)]
ConfigBody = Annotated[dict[str, Any], Body(description=_SENTENCE)]


@router.get("", responses=problems(404))
async def get_integrations(app: Services, tenant_id: TenantID) -> dict[str, dict[str, Any] | None]:
    """All integrations, null where not configured. A secret shows as `{set, hint, updatedAt}`."""
    found = await app.integrations.get_tenant_integration(tenant_id)
    shown = {kind: getattr(found, kind) if found else None for kind in KINDS}
    return {kind: None if integration is None else _out(integration) for kind, integration in shown.items()}


@router.post("/{kind}", status_code=201, responses=problems(404, 409), description=_SENTENCE)
async def create_integration(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, body: ConfigBody, *, response: Response
) -> dict[str, Any]:
    """Configures an integration. What was generated, such as the verify token, is shown in this answer only."""
    made = await app.integrations.configure(tenant_id, kind_of(kind), body, create=True, actor=who.actor)
    response.headers["etag"] = f'"{made.version}"'
    return _out(made)


@router.put("/{kind}", responses=problems(404, 412), description=_SENTENCE)
async def update_integration(
    app: Services,
    who: Who,
    tenant_id: TenantID,
    kind: KindPath,
    body: ConfigBody,
    *,
    if_version: IfVersion,
    response: Response,
) -> dict[str, Any]:
    """Changes an integration: an absent field keeps its value, a string replaces it, null clears it."""
    changed = await app.integrations.configure(
        tenant_id, kind_of(kind), body, create=False, if_version=if_version, actor=who.actor
    )
    response.headers["etag"] = f'"{changed.version}"'
    return _out(changed)


@router.delete("/{kind}", status_code=204, responses=problems(404, 412))
async def delete_integration(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, *, if_version: IfVersion
) -> None:
    """Removes an integration with its secrets. Idempotent."""
    await app.integrations.remove(tenant_id, kind_of(kind), if_version=if_version, actor=who.actor)


def kind_of(text: str) -> Kind:
    """The kind that a path names. Raises NotFoundError, code `integration_not_found`."""
    if text not in KINDS:
        raise NotFoundError(
            f"There is no integration of that kind; there are {', '.join(KINDS)}.",
            code="integration_not_found",
        )
    return text


def _out(integration: Integration) -> dict[str, Any]:
    secrets = {
        name: {
            "set": secret.set,
            "hint": masked_hint(secret.hint),
            "updatedAt": iso(secret.updated_at) if secret.updated_at else None,
            **({"needsReentry": True} if secret.needs_reentry else {}),
            **({"keyNeeded": secret.key_needed} if secret.key_needed else {}),
        }
        for name, secret in integration.secrets.items()
    }
    shown = {
        "enabled": integration.enabled,
        **integration.values,
        **secrets,
        "version": integration.version,
        "updatedAt": iso(integration.updated_at),
        "warnings": [dict(warning) for warning in integration.warnings],
    }
    return {**shown, "generated": dict(integration.generated)} if integration.generated else shown
