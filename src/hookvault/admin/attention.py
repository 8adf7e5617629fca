"""What of a tenant needs somebody's attention, the worst first."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hookvault.admin.ask import part
from hookvault.api.services import App
from hookvault.deliveries.model import DeliveryFilter
from hookvault.integrations.layout import provider_of
from hookvault.integrations.model import KINDS, Integration, Kind, Rotation
from hookvault.tenants.model import Tenant

Level = Literal["bad", "warn", "accent"]
NAMES: dict[Kind, str] = {"whatsapp": "WhatsApp", "sms": "SMS", "n8n": "n8n"}
_MOST_COUNTED = 100
_LEVELS: tuple[Level, ...] = ("bad", "warn", "accent")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be looked at: how bad it is, in a word, what it is, why, and where to do something about it."""

    level: Level
    word: str
    title: str
    reason: str
    href: str


async def list_notices(app: App, tenant: Tenant) -> Sequence[Notice]:
    """All that is not as it should be: webhooks, deliveries that wait, secrets that are missing or wait to be used."""
    found = [notice async for notice in _notices(app, tenant)]
    return sorted(found, key=lambda notice: _LEVELS.index(notice.level))


async def _notices(app: App, tenant: Tenant) -> AsyncIterator[Notice]:
    base = f"/tenants/{part(tenant.id)}"
    if tenant.status == "suspended":
        why = "Its webhooks are not called, and its deliveries wait."
        yield Notice("warn", "Suspended", "The tenant is suspended", why, f"{base}/settings")
    stored = await app.integrations.get_tenant_integration(tenant.id)
    for kind in KINDS:
        integration: Integration | None = getattr(stored, kind) if stored else None
        if integration is not None:
            rotation = await app.rotations.status(tenant.id, kind)
            for notice in _of_integration(kind, integration, rotation, base):
                yield notice
    for each in await app.figures.list_health(tenant.id):
        if each.health.status in ("failing", "degraded"):
            level: Level = "bad" if each.health.status == "failing" else "warn"
            href = f"{base}/webhooks/{each.webhook_id}"
            yield Notice(level, each.health.status.capitalize(), each.workflow_name, each.health.reason, href)
    held = await app.deliveries.list_deliveries(tenant.id, DeliveryFilter(status=("held",)), limit=_MOST_COUNTED)
    if held.items:
        count = f"{len(held.items)}{' or more' if held.next_cursor else ''}"
        title = f"{count} {'delivery waits' if count == '1' else 'deliveries wait'}"
        href = f"/deliveries?tenantId={part(tenant.id)}&status=held"
        yield Notice("warn", "Held", title, "What holds them is shown with each; they go on when it ends.", href)


def _of_integration(kind: Kind, integration: Integration, rotation: Rotation, base: str) -> Sequence[Notice]:
    found = []
    name, here = NAMES[kind], f"{base}/integrations"
    missing = [field for field, secret in integration.secrets.items() if secret.needs_reentry]
    if missing:
        labels = {field.name: field.label for field in provider_of(kind, integration.values).fields}
        why = f"{', '.join(labels.get(field, field) for field in missing)} can't be opened any more."
        found.append(Notice("bad", "No secret", f"{name} needs its secrets again", why, here))
    if integration.last_test and not integration.last_test.ok:
        found.append(Notice("warn", "Failed", f"The last test of {name} failed", integration.last_test.message, here))
    if rotation.staged:
        told = {None: "They were not tested yet.", "ok": "Their test was ok: switch to them."}
        why = told.get(rotation.staged.test_code, "Their last test failed.")
        found.append(Notice("accent", "Staged", f"New secrets of {name} wait", why, f"{here}/{kind}/rotation"))
    return found
