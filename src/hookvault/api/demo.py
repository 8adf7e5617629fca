"""Demo data over HTTP: loaded and removed. Refused in production."""

from fastapi import APIRouter

from hookvault.api.context import Services, Who, problems
from hookvault.api.schemas import Wire

router = APIRouter(prefix="/api/platform/demo", tags=["Demo"])


class DemoOut(Wire):
    """What was loaded."""

    tenants: list[str]
    webhooks: int
    calls: int
    receiver_port: int


@router.post("", status_code=201, responses=problems(409))
async def load_demo(app: Services, who: Who) -> DemoOut:
    """Makes demo tenants with a month of calls, and a receiver on loopback that they call. It takes half a minute."""
    return DemoOut.model_validate(await app.demo.load(actor=who.actor))


@router.delete("", status_code=204, responses=problems(409))
async def remove_demo(app: Services, who: Who) -> None:
    """Deletes the demo tenants; their calls stay in the record until retention. Idempotent."""
    await app.demo.remove(actor=who.actor)
