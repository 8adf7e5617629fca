"""Master keys, rekeying, shredding and the health scan over HTTP. Keys are named by fingerprint; none is ever shown or taken."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Path
from pydantic import Field

from hookvault.api.context import Services, TenantID, Who, problems
from hookvault.api.schemas import Moment, Wire
from hookvault.errors import InvalidError, NotFoundError
from hookvault.ids import NAME_PATTERN

router = APIRouter(prefix="/api/platform", tags=["Keys"])

Fingerprint = Annotated[str, Path(pattern=r"^mk_[0-9a-f]{16}$")]


class MasterKeyOut(Wire):
    """A master key, by fingerprint."""

    fingerprint: str
    state: Literal["active", "previous", "retired"]
    data_keys: int
    held: bool
    first_seen_at: Moment
    activated_at: Moment | None
    superseded_at: Moment | None
    retired_at: Moment | None
    retired_by: str | None
    retired_why: str | None


class HolderOut(Wire):
    """A living process and the master keys that it holds."""

    process: UUID
    kind: str
    host: str
    fingerprints: list[str]
    started_at: Moment
    seen_at: Moment


class RekeyOut(Wire):
    """A rekeying and how far it came."""

    id: UUID
    tenant_id: str | None
    state: Literal["running", "finished", "cancelled"]
    total: int
    done: int
    unreadable: int
    started_at: Moment
    started_by: str
    finished_at: Moment | None


class ScanOut(Wire):
    """What a health scan found."""

    id: UUID
    started_at: Moment
    started_by: str
    finished_at: Moment | None
    secrets: int
    unreadable: int


class FaultOut(Wire):
    """A stored secret that does not open, and why."""

    tenant_id: str
    table_name: str
    row_id: str
    field: str
    reason: Literal["key_missing", "key_destroyed", "key_lost", "does_not_open", "malformed"]
    key_needed: str | None


class ScanReportOut(Wire):
    """The last health scan, and the first 100 secrets that did not open."""

    scan: ScanOut | None
    faults: list[FaultOut]


class KeysOut(Wire):
    """Every master key known, who holds which, the last rekeying and the last scan."""

    keys: list[MasterKeyOut]
    processes: list[HolderOut]
    rekey: RekeyOut | None
    scan: ScanOut | None


class RotationOut(Wire):
    """What a rotation came to."""

    previous: str
    active: str
    rewrapped: int


class RetireIn(Wire):
    """Why a key goes although something still needs it."""

    reason: str | None = Field(None, min_length=1, max_length=500)


class RekeyIn(Wire):
    """What is rekeyed: one tenant, or all."""

    tenant_id: str | None = Field(None, pattern=NAME_PATTERN)


class ShredIn(Wire):
    """The tenant's id once more, so that nobody shreds by a slip."""

    confirm: str = Field(max_length=64)


class ShredOut(Wire):
    """How many data keys were destroyed."""

    destroyed: int


@router.get("/keys", responses=problems())
async def list_keys(app: Services) -> KeysOut:
    """The master keys, by fingerprint, and all that concerns them."""
    return KeysOut.model_validate(await app.keys.status())


@router.post("/keys/rotate", responses=problems(409))
async def rotate_key(app: Services, who: Who) -> RotationOut:
    """Makes ENCRYPTION_KEY_NEXT the active master key, once every living process holds it."""
    return RotationOut.model_validate(await app.keys.rotate(actor=who.actor))


@router.post("/keys/{fingerprint}/retire", status_code=204, responses=problems(404, 409))
async def retire_key(
    app: Services, who: Who, fingerprint: Fingerprint, body: Annotated[RetireIn | None, Body()] = None
) -> None:
    """Retires a previous master key. Refused while anything needs it, unless a reason is given."""
    await app.keys.retire(fingerprint, reason=body.reason if body else None, actor=who.actor)


@router.get("/keys/rekey", responses=problems(404))
async def get_rekey(app: Services) -> RekeyOut:
    """The rekeying that runs, or else the last one."""
    found = await app.rekeys.progress()
    if found is None:
        raise NotFoundError("There never was a rekeying here.", code="no_rekey")
    return RekeyOut.model_validate(found)


@router.post("/keys/rekey", status_code=202, responses=problems(404, 409))
async def start_rekey(app: Services, who: Who, body: Annotated[RekeyIn | None, Body()] = None) -> RekeyOut:
    """Begins to seal everything anew under new data keys; workers go on with it."""
    return RekeyOut.model_validate(await app.rekeys.start(body.tenant_id if body else None, actor=who.actor))


@router.delete("/keys/rekey", status_code=204, responses=problems(404))
async def cancel_rekey(app: Services, who: Who) -> None:
    """Stops the rekeying that runs; what is sealed anew stays so."""
    await app.rekeys.cancel(actor=who.actor)


@router.get("/keys/scan", responses=problems())
async def get_scan(app: Services) -> ScanReportOut:
    """What the last health scan found."""
    scan, faults = await app.scans.last(), await app.scans.faults()
    return ScanReportOut(
        scan=None if scan is None else ScanOut.model_validate(scan),
        faults=[FaultOut.model_validate(fault) for fault in faults],
    )


@router.post("/keys/scan", responses=problems())
async def run_scan(app: Services, who: Who) -> ScanReportOut:
    """Opens every stored secret to prove that it opens."""
    scan = await app.scans.scan(actor=who.actor)
    faults = [FaultOut.model_validate(fault) for fault in await app.scans.faults()]
    return ScanReportOut(scan=ScanOut.model_validate(scan), faults=faults)


@router.post("/tenants/{tenantId}/shred", responses=problems(404))
async def shred_tenant(app: Services, who: Who, tenant_id: TenantID, body: ShredIn) -> ShredOut:
    """Destroys a tenant's data keys: its stored secrets never open again. They can be entered anew."""
    if body.confirm != tenant_id:
        message = "confirm must be the tenant's id once more."
        raise InvalidError(message, errors=[{"field": "confirm", "message": "must be the tenant's id"}])
    return ShredOut(destroyed=await app.keys.shred(tenant_id, actor=who.actor))
