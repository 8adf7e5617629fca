"""API keys over HTTP."""

from contextlib import suppress
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from hookvault.api.context import Cursor, Limit, Services, Who, problems
from hookvault.api.schemas import APIKeyIn, APIKeyOut, NewAPIKeyOut, PageOut
from hookvault.errors import ForbiddenError, NotFoundError
from hookvault.ids import NAME_PATTERN

router = APIRouter(prefix="/api/platform/api-keys", tags=["API keys"])

OfTenant = Annotated[str | None, Query(alias="tenantId", pattern=NAME_PATTERN)]


@router.get("", responses=problems())
async def list_api_keys(
    app: Services, tenant_id: OfTenant = None, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[APIKeyOut]:
    """All API keys, newest first, revoked ones included."""
    page = await app.api_keys.list_api_keys(tenant_id=tenant_id, limit=limit, cursor=cursor)
    return PageOut(items=[APIKeyOut.model_validate(key) for key in page.items], next_cursor=page.next_cursor)


@router.post("", status_code=201, responses=problems(404))
async def create_api_key(app: Services, who: Who, body: APIKeyIn) -> NewAPIKeyOut:
    """Makes an API key; this answer is the only one that holds it. Of those who are signed in, only owners make platform keys."""
    if body.tenant_id is None and not (who.principal and who.principal.is_owner):
        raise ForbiddenError("A platform key may do what an owner may; only an owner makes one.", code="owner_only")
    new = await app.api_keys.create_api_key(body.name, tenant_id=body.tenant_id, scopes=body.scopes, actor=who.actor)
    return NewAPIKeyOut(**APIKeyOut.model_validate(new.key).model_dump(), key=new.token.open())


@router.delete("/{keyId}", status_code=204, responses=problems())
async def revoke_api_key(app: Services, who: Who, key_id: Annotated[UUID, Path(alias="keyId")]) -> None:
    """Revokes an API key: refused here at once and everywhere within a second. Idempotent. Only owners revoke platform keys."""
    if not (who.principal and who.principal.is_owner):
        with suppress(NotFoundError):
            if (await app.api_keys.get_api_key(key_id)).tenant_id is None:
                raise ForbiddenError("Only an owner revokes a platform key.", code="owner_only")
    await app.api_keys.revoke_api_key(key_id, actor=who.actor)
