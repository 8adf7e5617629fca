"""Loads the demo, brings its receiver back after a restart, makes traffic, and removes it all."""

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

from hookvault.audit import store as audit
from hookvault.audit.model import Actor
from hookvault.clock import now
from hookvault.demo import history, store
from hookvault.demo import payload as payloads
from hookvault.demo.answer import Answer, answer
from hookvault.demo.furnish import DEMO, Furnisher
from hookvault.demo.model import House, Loaded, Services, Workflow
from hookvault.demo.receiver import Receiver
from hookvault.demo.store import DemoTenant
from hookvault.demo.story import HOUSES
from hookvault.demo.traffic import Traffic
from hookvault.errors import ConflictError
from hookvault.log import get_logger

CALLS = 40_000
DAYS = 30
_PORT = 5680  # beside n8n's own 5678 and 5679, which a developer's machine may well have in use
_ROLL_S = 10.0  # what is not rolled up by then the roller builds in the background; figures are exact meanwhile
_LIVE = {
    "timeout": "hang",
    "connection_error": "closed",
    "dns_error": "closed",
}  # failures, as a receiver can make them
_WORKFLOWS: Mapping[str, Workflow] = {item.name: item for house in reversed(HOUSES) for item in house.workflows}
_log = get_logger()


class DemoService:
    """The commands on demo data. One per process: it owns the receiver.

    Args:
        app: The services.
        calls: How many calls about a load records.
    """

    def __init__(self, app: Services, *, calls: int = CALLS) -> None:
        self._app = app
        self.calls = calls
        self._random = random.Random()  # noqa: S311 - chooses answers, guards nothing
        self.receiver = Receiver(self._judged)
        self._traffic = Traffic(app, DEMO)
        self._furnisher = Furnisher(app)
        self._one = asyncio.Lock()

    async def load(self, *, actor: Actor) -> Loaded:
        """Makes the demo's tenants with all that they have, a month of calls, and a receiver for them in this process.

        Args:
            actor: Who does it, for the audit log; what it makes is the demo's own doing there.

        Raises:
            ConflictError: `demo_exists`, or in production `demo_not_here`.
            InvalidError: the settings don't let loopback be called by plain http.
        """
        self._refuse_production()
        async with self._one:
            if await self._tenants():
                raise ConflictError(
                    "The demo data is here already. Remove it first to load it anew.", code="demo_exists"
                )
            port = await self._listen(_PORT, or_any=True)
            houses = await self._free_ids()
            try:
                calls = await self._filled(houses, port)
            except BaseException:
                await self._clear(houses, DEMO)
                await self.receiver.close()
                raise
            webhooks = sum(len(house.workflows) for house in HOUSES)
            loaded = Loaded(tuple(houses), webhooks, calls, port)
            await self._note(actor, "demo.loaded", {"tenants": list(houses), "calls": calls})
        return loaded

    async def remove(self, *, actor: Actor) -> None:
        """Deletes the demo's tenants with all that they have; their calls stay in the record until retention. Idempotent.

        Raises:
            ConflictError: in production, code `demo_not_here`.
        """
        self._refuse_production()
        async with self._one:
            tenants = [tenant.id for tenant in await self._tenants()]
            if not tenants:
                return
            await self._traffic.close()
            await self._clear(tenants, actor)
            await self.receiver.close()
            await self._note(actor, "demo.removed", {"tenants": tenants})

    async def exists(self) -> bool:
        """Whether demo data is here."""
        return bool(await self._tenants())

    async def resume(self) -> None:
        """At the start of a server: where demo data is here, its receiver listens again, on the port that it had."""
        if self._app.settings.production:
            return
        port = next((tenant.port for tenant in await self._tenants() if tenant.port), None)
        if port is None:
            return
        try:
            await self._listen(port, or_any=False)
        except OSError:
            _log.warning("demo_receiver_not_started", port=port, reason="the port is in use; the demo's calls may fail")

    async def play(self) -> None:
        """Makes traffic from now on, until `quiet`."""
        found = {tenant.id: house for tenant in await self._tenants() if (house := _house_of(tenant.id)) is not None}
        self._traffic.start(found)

    async def add_people(self) -> None:
        """Makes further users and an invitation, so that their page shows life; where they are already, nothing."""
        self._refuse_production()
        await self._furnisher.add_people()

    async def quiet(self) -> None:
        """Ends the traffic, and has the receiver answer at once, so that nothing under way takes long."""
        await self._traffic.close()
        self.receiver.hurry()

    async def close(self) -> None:
        """Stops everything of the demo in this process."""
        await self.quiet()
        await self.receiver.close()

    async def _filled(self, houses: Mapping[str, House], port: int) -> int:
        app, present = self._app, now()
        days = min(DAYS, app.settings.analytics_retention_days)
        start = present - timedelta(days=days)
        for tenant_id, house in houses.items():
            await self._furnisher.build(tenant_id, house, f"http://127.0.0.1:{port}/webhook")
            async with app.database.system() as tx:
                await store.make_older(tx, tenant_id, start - timedelta(hours=1))
            app.webhooks.forget(tenant_id)
        endpoints = {
            tenant_id: {item.name: await app.endpoints.find(tenant_id, item.name) for item in house.workflows}
            for tenant_id, house in houses.items()
        }
        past = history.Past(start, present, round(self.calls * days / DAYS))
        calls = await history.tell(app.database, houses, endpoints, past)
        for tenant_id, house in houses.items():
            await self._furnisher.settle(tenant_id, house)
        await app.roller.advance()
        await app.roller.build(for_s=_ROLL_S)
        return calls

    async def _free_ids(self) -> dict[str, House]:
        """The houses by the ids that they get: their own, or with a number where somebody has or had that one."""
        found: dict[str, House] = {}
        async with self._app.database.system() as tx:
            for house in HOUSES:
                number, name = 1, house.id
                while await store.is_taken(tx, name):
                    number += 1
                    name = f"{house.id}-{number}"
                found[name] = house
        return found

    async def _clear(self, tenant_ids: object, actor: Actor) -> None:
        for tenant_id in list(tenant_ids):  # type: ignore[call-overload]
            await self._app.tenants.delete_tenant(tenant_id, actor=actor)
            self._app.webhooks.forget(tenant_id)
        self._app.api_keys.forget()

    async def _tenants(self) -> list[DemoTenant]:
        async with self._app.database.system() as tx:
            return await store.list_tenants(tx, DEMO.label)

    async def _listen(self, port: int, *, or_any: bool) -> int:
        try:
            return await self.receiver.start(port)
        except OSError:
            if not or_any:
                raise
            return await self.receiver.start(0)

    async def _note(self, actor: Actor, action: str, detail: Mapping[str, object]) -> None:
        async with self._app.database.system() as tx:
            await audit.record(tx, actor, action, ("demo", "demo"), detail=detail)

    def _judged(self, path: str, _body: bytes) -> tuple[Answer, float]:
        """What the receiver answers to a path, and after how many seconds."""
        workflow = _WORKFLOWS.get(path.rpartition("/")[2])
        if workflow is None:
            return answer("not_active", path), 0.0
        kind = history.pick(self._random, workflow.answers)
        seconds = workflow.typical_ms / 1000 * self._random.lognormvariate(0.0, 0.45)
        result = payloads.result(self._random)
        return answer(_LIVE.get(kind, kind), path, result), seconds

    def _refuse_production(self) -> None:
        if self._app.settings.production:
            message = "Demo data is for trying things out, and is never loaded in production (APP_ENV)."
            raise ConflictError(message, code="demo_not_here")


def _house_of(tenant_id: str) -> House | None:
    """The house of a tenant's id, with or without its number."""
    base, _, number = tenant_id.partition("-")
    return next((house for house in HOUSES if house.id == base and (not number or number.isdecimal())), None)
