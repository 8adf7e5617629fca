"""Rotating an integration's credentials over HTTP, and testing them. Secrets go in and never come out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Response
from pydantic import Field

from hookvault.api.context import Cursor, IfVersion, Limit, Services, TenantID, Who, problems
from hookvault.api.integrations import KindPath, kind_of
from hookvault.api.schemas import Moment, PageOut, SecretOut, Wire
from hookvault.errors import InvalidError
from hookvault.integrations.model import CredentialVersion, Rotation, TestResult
from hookvault.integrations.rotation import DEFAULT_GRACE_S, MAX_GRACE_S
from hookvault.vault.mask import masked_hint

_PREFIX = "/api/platform/tenants/{tenantId}/integrations/{kind}"
testing = APIRouter(prefix=_PREFIX, tags=["Integrations"])
router = APIRouter(prefix=f"{_PREFIX}/rotation", tags=["Rotation"])

_STAGED = (
    "The new secrets by field, as in the integration itself; those left out stay. `replace` (default false) takes the place of a "
    "version that is staged already. Fields that are no secrets can't be changed here."
)
_DRAFT = "Changes to try, as for a PUT; without a body the integration as it is stored. Nothing is saved."
StagedBody = Annotated[dict[str, Any], Body(description=_STAGED)]
DraftBody = Annotated[dict[str, Any] | None, Body(description=_DRAFT)]


class WhichIn(Wire):
    """Which version to test."""

    version: Literal["staged", "current", "previous"] = "staged"


class SwitchIn(Wire):
    """How long the former secrets stay known; `force` switches to secrets that no test found good."""

    grace_seconds: int = Field(DEFAULT_GRACE_S, ge=0, le=MAX_GRACE_S, strict=True)
    force: bool = Field(False, strict=True)


class TestResultOut(Wire):
    """What the provider said; `code` is `ok` or why not."""

    ok: bool
    code: Literal[
        "ok", "auth_failed", "scope_missing", "wrong_account", "rate_limited", "unreachable", "unexpected_answer"
    ]
    message: str
    checked_at: Moment


class VersionOut(Wire):
    """One generation of an integration's secrets. `set` is false once it has ended; the hints stay."""

    number: int
    state: Literal["staged", "current", "previous", "revoked", "discarded"]
    provider: str
    secrets: Mapping[str, SecretOut]
    created_at: Moment
    created_by: str
    tested_at: Moment | None
    test_code: str | None
    switched_at: Moment | None
    grace_until: Moment | None
    ended_at: Moment | None


class RotationOut(Wire):
    """How a rotation stands. `version` is the integration's, for If-Match."""

    kind: str
    provider: str
    version: int
    current: VersionOut
    staged: VersionOut | None
    previous: VersionOut | None
    warnings: list[Mapping[str, str]]


@testing.post("/test", responses=problems(404, 409, 429))
async def try_integration(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, body: DraftBody = None
) -> TestResultOut:
    """Asks the provider whether it takes the integration, with changes that are not saved. At most ten times a minute."""
    return _result(await app.integration_trials.test(tenant_id, kind_of(kind), body, actor=who.actor))


@router.get("", responses=problems(404))
async def get_rotation(app: Services, tenant_id: TenantID, kind: KindPath, *, response: Response) -> RotationOut:
    """The current secrets, the staged ones, and the previous ones while they are still known."""
    return _tagged(await app.rotations.status(tenant_id, kind_of(kind)), response)


@router.post("", status_code=201, responses=problems(404, 409, 412))
async def stage_credentials(
    app: Services,
    who: Who,
    tenant_id: TenantID,
    kind: KindPath,
    body: StagedBody,
    *,
    if_version: IfVersion,
    response: Response,
) -> RotationOut:
    """Stages new secrets beside the present ones. Nothing uses them before the switch."""
    fields = {name: value for name, value in body.items() if name != "replace"}
    replace = body.get("replace", False)
    if not isinstance(replace, bool):
        fault = {"field": "replace", "message": "must be true or false"}
        raise InvalidError("replace must be true or false.", errors=[fault])
    staged = await app.rotations.stage(
        tenant_id, kind_of(kind), fields, replace_staged=replace, if_version=if_version, actor=who.actor
    )
    return _tagged(staged, response)


@router.delete("", status_code=204, responses=problems(404, 412))
async def discard_credentials(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, *, if_version: IfVersion
) -> None:
    """Throws the staged secrets away. Idempotent."""
    await app.rotations.discard(tenant_id, kind_of(kind), if_version=if_version, actor=who.actor)


@router.post("/test", responses=problems(404, 409, 429))
async def try_credentials(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, body: WhichIn | None = None
) -> TestResultOut:
    """Asks the provider whether it takes a version, and keeps what it said. At most ten times a minute."""
    which = (body or WhichIn()).version
    return _result(await app.rotations.test(tenant_id, kind_of(kind), which, actor=who.actor))


@router.post("/switch", responses=problems(404, 409, 412))
async def switch_credentials(
    app: Services,
    who: Who,
    tenant_id: TenantID,
    kind: KindPath,
    body: SwitchIn | None = None,
    *,
    if_version: IfVersion,
    response: Response,
) -> RotationOut:
    """Makes the staged secrets the current ones; the former ones stay known until the grace ends."""
    given = body or SwitchIn()
    switched = await app.rotations.switch(
        tenant_id,
        kind_of(kind),
        grace_s=given.grace_seconds,
        force=given.force,
        if_version=if_version,
        actor=who.actor,
    )
    return _tagged(switched, response)


@router.post("/rollback", responses=problems(404, 409, 412))
async def roll_back_credentials(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, *, if_version: IfVersion, response: Response
) -> RotationOut:
    """Makes the previous secrets the current ones again; those that were switched to end."""
    rolled = await app.rotations.rollback(tenant_id, kind_of(kind), if_version=if_version, actor=who.actor)
    return _tagged(rolled, response)


@router.post("/revoke", responses=problems(404, 409, 412))
async def revoke_credentials(
    app: Services, who: Who, tenant_id: TenantID, kind: KindPath, *, if_version: IfVersion, response: Response
) -> RotationOut:
    """Ends the previous secrets before their grace does."""
    revoked = await app.rotations.revoke(tenant_id, kind_of(kind), if_version=if_version, actor=who.actor)
    return _tagged(revoked, response)


@router.get("/versions", responses=problems(404))
async def list_credential_versions(
    app: Services, tenant_id: TenantID, kind: KindPath, limit: Limit = 50, cursor: Cursor = None
) -> PageOut[VersionOut]:
    """All versions there ever were, newest first, without values."""
    page = await app.rotations.list_versions(tenant_id, kind_of(kind), limit=limit, cursor=cursor)
    return PageOut(items=[_version(item) for item in page.items], next_cursor=page.next_cursor)


def _tagged(rotation: Rotation, response: Response) -> RotationOut:
    response.headers["etag"] = f'"{rotation.version}"'
    return RotationOut(
        kind=rotation.kind,
        provider=rotation.provider,
        version=rotation.version,
        current=_version(rotation.current),
        staged=_version(rotation.staged) if rotation.staged else None,
        previous=_version(rotation.previous) if rotation.previous else None,
        warnings=[dict(warning) for warning in rotation.warnings],
    )


def _version(version: CredentialVersion) -> VersionOut:
    secrets = {
        name: SecretOut(
            set=info.set,
            hint=masked_hint(info.hint),
            updated_at=info.updated_at,
            needs_reentry=info.needs_reentry,
        )
        for name, info in version.secrets.items()
    }
    fields = {name: getattr(version, name) for name in VersionOut.model_fields if name != "secrets"}
    return VersionOut(secrets=secrets, **fields)


def _result(result: TestResult) -> TestResultOut:
    return TestResultOut.model_validate(result)
