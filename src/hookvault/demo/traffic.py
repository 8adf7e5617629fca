"""Live traffic: calls and deliveries, one or two a second at first, through everybody's services; a replay now and then."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID

from hookvault.audit.model import Actor
from hookvault.clock import now
from hookvault.deliveries.model import DeliveryFilter
from hookvault.demo import payload as payloads
from hookvault.demo.model import House, Services, Workflow
from hookvault.errors import HookvaultError
from hookvault.log import get_logger
from hookvault.loop import Loop
from hookvault.webhooks.model import CallRequest
from hookvault.webhooks.payload import encode_payload

EVERY_S = 0.5
_IN_FLIGHT = 24
_LIVELY, _CALMER = 240, 6  # after two minutes a sixth of it: a day of it must not dwarf the days before
_FIRST_REPLAY, _NEXT_REPLAY = 30, 900  # in steps
_KEPT_SLOW, _CANCELLED_AFTER = 45, 120
_log = get_logger()


class Traffic:
    """Makes traffic for tenants of the demo from `start` to `close`.

    Args:
        app: The services.
        actor: Who starts replays, for the audit log.
    """

    def __init__(self, app: Services, actor: Actor) -> None:
        self._app = app
        self._actor = actor
        self._random = random.Random()  # noqa: S311 - invents traffic, guards nothing
        self._loop = Loop("demo traffic", EVERY_S, self.step)
        self._houses: dict[str, House] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._steps = 0
        self._slow: UUID | None = None

    def start(self, houses: dict[str, House]) -> None:
        """Starts, for these tenants by id; suspended ones are left alone."""
        self._houses = {tenant_id: house for tenant_id, house in houses.items() if not house.suspended}
        self._loop.start()

    async def close(self) -> None:
        """Stops, and lets go what is under way."""
        await self._loop.close()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def step(self) -> None:
        """None to three calls or deliveries, in the background: a slow receiver holds up nobody."""
        self._steps += 1
        await self._replay()
        if self._steps > _LIVELY and self._steps % _CALMER:
            return
        for _ in range(self._random.choices((0, 1, 2, 3), (35, 45, 15, 5))[0]):
            if self._houses and len(self._under_way) < _IN_FLIGHT:
                task = asyncio.create_task(self._one(), name="demo call")
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)

    async def _one(self) -> None:
        tenant_id, workflow = self._chosen()
        try:
            if self._random.random() < workflow.deliver:
                await self._app.deliveries.enqueue(tenant_id, workflow.name, delivery_of(self._random, workflow))
            else:
                await self._app.webhooks.call(tenant_id, workflow.name, request_of(self._random, workflow))
        except HookvaultError as error:  # an open circuit, a limit, a webhook that somebody deleted: all part of life
            _log.debug("demo_call_refused", workflow=workflow.name, code=error.code)

    def _chosen(self) -> tuple[str, Workflow]:
        tenants = list(self._houses)
        tenant_id = self._random.choices(tenants, [self._houses[name].share for name in tenants])[0]
        living = [item for item in self._houses[tenant_id].workflows if item.active and not item.ended]
        # Flatter than in the history: in a minute of watching everybody shall be seen.
        return tenant_id, self._random.choices(living, [item.weight**0.7 for item in living])[0]

    async def _replay(self) -> None:
        """At the start, and then every few minutes, makes failed deliveries again; one slow replay is cancelled."""
        if not self._houses:
            return
        tenant_id = max(self._houses, key=lambda name: self._houses[name].share)
        try:
            if self._steps % _NEXT_REPLAY == _FIRST_REPLAY:
                await self._started(tenant_id, 1.0)
            elif self._steps == _KEPT_SLOW:
                self._slow = await self._started(tenant_id, 0.1)
            elif self._steps == _KEPT_SLOW + _CANCELLED_AFTER and self._slow is not None:
                await self._app.replays.cancel(tenant_id, self._slow, actor=self._actor)
        except HookvaultError as error:  # nothing has failed yet, or the tenant is gone
            _log.debug("demo_replay_refused", code=error.code)

    async def _started(self, tenant_id: str, rate: float) -> UUID:
        which = DeliveryFilter(status=("failed",), start=now() - timedelta(minutes=10))
        return (await self._app.replays.start(tenant_id, which, rate=rate, actor=self._actor)).id


def request_of(rng: random.Random, workflow: Workflow) -> CallRequest:
    """A call as the platform would make it."""
    return CallRequest(
        encode_payload(payloads.payload(workflow.payload, rng, now())),
        triggered_by=workflow.by,
        metadata=payloads.metadata(rng) if rng.random() < 0.5 else None,
        max_retries=workflow.policy.get("maxRetries") or (1 if rng.random() < 0.5 else 0),
    )


def delivery_of(rng: random.Random, workflow: Workflow, *, within_s: float | None = None) -> CallRequest:
    """A delivery as the platform would ask for it: some keep an order, some are worth nothing after a while.

    Args:
        rng: Chance.
        workflow: To which.
        within_s: In how many seconds it must arrive; by chance when absent.
    """
    content = payloads.payload(workflow.payload, rng, now())
    if within_s is None and rng.random() < 0.15:
        within_s = rng.choice((8, 60, 600, 3600))
    patient = content.get("patient")
    return CallRequest(
        encode_payload(content),
        triggered_by=workflow.by,
        metadata=payloads.metadata(rng) if rng.random() < 0.5 else None,
        idempotency_key=f"{workflow.name}-{rng.randrange(16**10):010x}" if rng.random() < 0.5 else None,
        ordering_key=patient["id"] if patient and rng.random() < 0.3 else None,
        deliver_before=None if within_s is None else now() + timedelta(seconds=within_s),
    )
