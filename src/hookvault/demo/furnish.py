"""Furnishes a demo tenant through the same services as everybody's: integrations, webhooks, keys, deliveries; and its people."""

import random
from contextlib import suppress
from typing import Any

from hookvault.audit.model import Actor
from hookvault.demo.model import House, Services, Workflow
from hookvault.demo.story import N8N_API_KEY, STAGED_TOKEN, auth_of
from hookvault.demo.traffic import delivery_of
from hookvault.errors import ConflictError

DEMO = Actor("system", "demo")
_PEOPLE = (
    ("mara.lindqvist@example.com", "Mara Lindqvist", "admin"),
    ("jonas.weber@example.com", "Jonas Weber", "viewer"),
)
_INVITED = "priya.nair@example.com"
_SEEDS = 2  # deliveries of each workflow
_SHAKY_SEEDS = 10  # of one that often fails in a way that is tried again: some wait for their next attempt
_BREAKING = 14  # of one whose receiver is down: enough to open its circuit
_SHAKY = 0.1
_HELD = 4  # of those that wait, since somebody switched them off


class Furnisher:
    """Makes what a demo tenant has."""

    def __init__(self, app: Services) -> None:
        self._app = app
        self._random = random.Random()  # noqa: S311 - invents deliveries, guards nothing

    async def build(self, tenant_id: str, house: House, base_url: str) -> None:
        """Makes a tenant with its integrations, webhooks and keys; everything switched on.

        Raises: as the services, such as InvalidError where plain http or loopback may not be called.
        """
        app = self._app
        await app.tenants.create_tenant(house.name, tenant_id=tenant_id, actor=DEMO)
        bodies: dict[Any, Any] = {"n8n": {"baseUrl": base_url, "apiKey": N8N_API_KEY}}
        bodies |= {kind: body for kind, body in (("whatsapp", house.whatsapp), ("sms", house.sms)) if body}
        for kind, body in bodies.items():
            await app.integrations.configure(tenant_id, kind, body, create=True, actor=DEMO)
        for workflow in house.workflows:
            fields: dict[str, Any] = {
                "description": workflow.description,
                "policy": dict(workflow.policy),
                **auth_of(workflow),
            }
            await app.webhooks.create_n8n_webhook(tenant_id, workflow.name, actor=DEMO, **fields)
        await self._add_keys(tenant_id, house)

    async def settle(self, tenant_id: str, house: House) -> None:
        """After its past is told: deliveries that end in every way, and what is switched off, limited and suspended."""
        app = self._app
        for workflow in [] if house.suspended else house.workflows:
            await self._seed(tenant_id, workflow)
        for workflow in [item for item in house.workflows if not item.active]:
            found = await app.webhooks.get_n8n_webhook_by_name(tenant_id, workflow.name)
            await app.webhooks.update_n8n_webhook(tenant_id, found.id, {"is_active": False}, actor=DEMO)
            await self._deliver(tenant_id, workflow, _HELD)
        changes: dict[str, Any] = {"rate_limit": dict(house.rate_limit)} if house.rate_limit else {}
        if house.suspended:
            changes["status"] = "suspended"
        if changes:
            await app.tenants.update_tenant(tenant_id, changes, actor=DEMO)
            app.webhooks.forget(tenant_id)
        if house.suspended:
            await self._deliver(tenant_id, house.workflows[0], _HELD)
        if house.whatsapp is not None:
            await app.rotations.stage(tenant_id, "sms", {"authToken": STAGED_TOKEN}, actor=DEMO)

    async def add_people(self) -> None:
        """Two more platform users, whose passwords nobody knows, and an invitation; those that exist stay as they are."""
        accounts = self._app.accounts
        for email, name, role in _PEOPLE:
            with suppress(ConflictError):
                made = await accounts.admins.create_admin(email, role=role, actor=DEMO)
                await accounts.admins.update_admin(made.user.id, {"name": name}, actor=DEMO)
        if self._app.settings.smtp_host is None:  # nobody is written to
            with suppress(ConflictError):
                await accounts.invitations.invite(_INVITED, "admin", by="the demo", actor=DEMO)

    async def _add_keys(self, tenant_id: str, house: House) -> None:
        keys = self._app.api_keys
        used = await keys.create_api_key(f"{house.name}: backend", tenant_id=tenant_id, actor=DEMO)
        await keys.authenticate(used.token.open())  # so that it shows when it was used
        await keys.create_api_key(f"{house.name}: reports", tenant_id=tenant_id, scopes=["read"], actor=DEMO)
        former = await keys.create_api_key(f"{house.name}: backend, former", tenant_id=tenant_id, actor=DEMO)
        await keys.revoke_api_key(former.key.id, actor=DEMO)

    async def _seed(self, tenant_id: str, workflow: Workflow) -> None:
        if workflow.ended or not workflow.active:
            return
        if "busy" in workflow.answers:
            await self._deliver(tenant_id, workflow, _BREAKING)
            await self._deliver(tenant_id, workflow, 3, within_s=12.0)
        else:
            shaky = sum(workflow.answers.get(kind, 0.0) for kind in ("workflow_error", "limited")) >= _SHAKY
            await self._deliver(tenant_id, workflow, _SHAKY_SEEDS if shaky else _SEEDS)

    async def _deliver(self, tenant_id: str, workflow: Workflow, number: int, *, within_s: float | None = None) -> None:
        for _ in range(number):
            request = delivery_of(self._random, workflow, within_s=within_s)
            await self._app.deliveries.enqueue(tenant_id, workflow.name, request)
