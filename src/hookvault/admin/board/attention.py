"""What needs attention, the worst first: each one line that leads straight to the place."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from hookvault.admin.ask import part
from hookvault.admin.shown import plural, size
from hookvault.analytics.census import Unwell
from hookvault.api.services import App
from hookvault.custody.model import Fault
from hookvault.errors import UnavailableError

Kind = Literal["bad", "warn", "info"]

_MOST_LINES = 6  # of one sort; the others are counted
_MOST_WEBHOOKS = 4  # that fail
_MOST_OF_ONE = 2  # tenant
_MOST_HELD = 3  # tenants whose deliveries are
_FAULTS = 1000
_LOW_DISK = 2_000_000_000  # bytes
_BEHIND_S = 1800.0  # some 500 while all is well
_INTEGRATIONS = {"whatsapp": "WhatsApp", "sms": "SMS", "n8n": "n8n"}
_HELD = "player-pause"  # the icon of what waits
_WORST_FIRST = ("bad", "warn", "info")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that needs attention.

    Attributes:
        kind: How bad it is.
        icon: Its picture.
        title: What it is about.
        text: What is wrong.
        href: Where to go.
        label: What is done there.
    """

    kind: Kind
    icon: str
    title: str
    text: str
    href: str
    label: str = "Open"


async def gather(app: App) -> list[Line]:
    """All that needs attention at this moment, of the whole platform."""
    # Two at a time, one question after the other: connections are there for calls first.
    webhooks, others = await asyncio.gather(_webhooks(app), _others(app))
    told = {line.href for line in webhooks}
    lines = [*webhooks, *(line for line in others if line.icon != _HELD or line.href not in told)]
    return sorted(lines, key=lambda line: _WORST_FIRST.index(line.kind))


async def _others(app: App) -> list[Line]:
    asked = (_circuits, _deliveries, _ledger, _secrets, _keys, _staged, _machine)
    return [line for ask in asked for line in await ask(app)]


async def _webhooks(app: App) -> list[Line]:
    """Failing and degraded webhooks: some of each tenant, and how many others there are."""
    shown: list[Unwell] = []
    others: list[Unwell] = []
    told: Counter[str] = Counter()
    for each in await app.census.list_unwell():
        told[each.tenant_id] += 1
        fits = len(shown) < _MOST_WEBHOOKS and told[each.tenant_id] <= _MOST_OF_ONE
        (shown if fits else others).append(each)
    return [*map(_webhook, shown), *_further(others)]


def _webhook(webhook: Unwell) -> Line:
    title = f"{webhook.workflow_name} is {webhook.health.status}"
    href = f"/tenants/{part(webhook.tenant_id)}/webhooks/{webhook.webhook_id}"
    return Line(_kind(webhook), "webhook", title, f"{webhook.tenant_name} \N{MIDDLE DOT} {webhook.health.reason}", href)


def _kind(webhook: Unwell) -> Kind:
    return "bad" if webhook.health.status == "failing" else "warn"


def _further(webhooks: Sequence[Unwell]) -> list[Line]:
    """What is not named one by one, in a line that leads to the only tenant's webhooks, or to all of analytics."""
    if not webhooks:
        return []
    names = {each.tenant_id: each.tenant_name for each in webhooks}
    title = f"{plural(len(webhooks), 'further webhook is', 'further webhooks are')} failing or degraded"
    href = f"/tenants/{part(next(iter(names)))}/integrations" if len(names) == 1 else "/analytics"
    return [Line(min(map(_kind, webhooks)), "webhook", title, f"Of {_listed(list(names.values()))}.", href, "See all")]


def _listed(names: Sequence[str]) -> str:
    """The first names in words, and how many more."""
    more = f" and {plural(len(names) - 3, 'further tenant')}" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


async def _circuits(app: App) -> list[Line]:
    holds = await app.deliveries.list_open_circuits(_MOST_LINES + 1)
    lines = [
        Line(
            "bad",
            _HELD,
            f"Deliveries to {hold.workflow_name or 'a webhook'} are held",
            f"{hold.tenant_name} \N{MIDDLE DOT} Its circuit is open: it broke too often, and is tried again by itself.",
            f"/tenants/{part(hold.tenant_id)}/webhooks/{hold.webhook_id}",
        )
        for hold in holds[:_MOST_LINES]
    ]
    if len(holds) > _MOST_LINES:
        lines.append(Line("bad", _HELD, "More circuits are open", "See what is held.", "/deliveries?status=held"))
    return lines


async def _deliveries(app: App) -> list[Line]:
    """Deliveries that ended without having arrived."""
    failed = await app.deliveries.count_failed()
    if not failed:
        return []
    names = {tenant.id: tenant.name for tenant in await app.tenants.list_named([key for key, _ in failed[:3]])}
    of_whom = ", ".join(f"{count:,} of {names.get(key, key)}" for key, count in failed[:3])
    more = f", and of {plural(len(failed) - 3, 'further tenant')}" if len(failed) > 3 else ""
    query = {"status": "failed"} | ({"tenantId": failed[0][0]} if len(failed) == 1 else {})
    total = sum(count for _, count in failed)
    title = f"{plural(total, 'delivery', 'deliveries')} failed in 24 h"
    return [Line("bad", "send", title, f"{of_whom}{more}.", f"/deliveries?{urlencode(query)}", "Look and replay")]


async def _ledger(app: App) -> list[Line]:
    ledger = await app.ledger()
    lines = []
    if ledger.balance:
        text = f"Accepted deliveries and what became of them differ by {ledger.balance:,}. Keep the logs, and look into it."
        lines.append(Line("bad", "alert-triangle", "The account of deliveries does not balance", text, "/deliveries"))
    if ledger.held:
        lines += await _held(app)
    return lines


async def _held(app: App) -> list[Line]:
    """Deliveries that are held, by tenant: there is a list of each tenant's."""
    counted = await app.deliveries.count_held()
    names = {
        tenant.id: tenant.name for tenant in await app.tenants.list_named([key for key, _ in counted[:_MOST_HELD]])
    }
    lines = [
        Line(
            "warn",
            _HELD,
            f"{plural(count, 'delivery', 'deliveries')} of {names.get(key, key)} {'is' if count == 1 else 'are'} held",
            "For a webhook or tenant that is switched off, or until a circuit closes.",
            f"/deliveries?{urlencode({'tenantId': key, 'status': 'held'})}",
        )
        for key, count in counted[:_MOST_HELD]
    ]
    if more := counted[_MOST_HELD:]:
        count = sum(count for _, count in more)
        title = f"{plural(count, 'delivery', 'deliveries')} of {plural(len(more), 'further tenant')} held"
        lines.append(Line("warn", _HELD, title, "Choose a tenant there.", "/deliveries?status=held"))
    return lines


async def _secrets(app: App) -> list[Line]:
    """Stored secrets that did not open when the health scan tried them."""
    faults = await app.scans.faults(_FAULTS)
    missing = sorted({fault.key_needed for fault in faults if fault.reason == "key_missing" and fault.key_needed})
    lines = [
        Line(
            "bad",
            "key",
            f"The master key {key} is missing",
            "Secrets are sealed under it. Give it to every process.",
            "/keys",
        )
        for key in missing
    ]
    lost = [fault for fault in faults if fault.reason != "key_missing"]
    counted = Counter(fault.tenant_id for fault in lost)
    names = {tenant.id: tenant.name for tenant in await app.tenants.list_named(list(counted))} if counted else {}
    known = [(key, count) for key, count in counted.most_common() if key in names]
    lines += [_unreadable(key, names[key], count, lost) for key, count in known[:_MOST_LINES]]
    if more := known[_MOST_LINES:]:
        text = f"Secrets of {plural(len(more), 'further tenant')} must be entered again."
        lines.append(Line("bad", "lock", "More secrets do not open", text, "/keys"))
    return lines


def _unreadable(tenant_id: str, name: str, count: int, faults: Sequence[Fault]) -> Line:
    destroyed = all(fault.reason == "key_destroyed" for fault in faults if fault.tenant_id == tenant_id)
    why = "Their keys were destroyed." if destroyed else "They do not open any more."
    title = f"{plural(count, 'secret')} of {name} must be entered again"
    return Line("bad", "lock", title, why, f"/tenants/{part(tenant_id)}/integrations", "Enter again")


async def _keys(app: App) -> list[Line]:
    lines = []
    try:
        app.presence.check()
    except UnavailableError as error:
        lines.append(Line("bad", "key", "This process lacks the active master key", error.message, "/keys"))
    job = await app.rekeys.progress()
    if job is not None and job.state == "running":
        text = f"{job.done:,} of {job.total:,} done. Calls go on meanwhile."
        lines.append(Line("info", "key", "Secrets are being sealed anew", text, "/keys", "Follow"))
    status = await app.keys.status()
    active = next((key.fingerprint for key in status.keys if key.state == "active"), None)
    behind = [one for one in status.processes if active is not None and active not in one.fingerprints]
    if behind:
        text = f"{plural(len(behind), 'process lacks', 'processes lack')} the active master key. Restart with it."
        lines.append(Line("bad", "key", "A key rotation is not everywhere yet", text, "/keys"))
    return lines


async def _staged(app: App) -> list[Line]:
    staged = await app.rotations.list_staged(_MOST_LINES + 1)
    lines = [
        Line(
            "info",
            "replace",
            f"New {_INTEGRATIONS.get(each.kind, each.kind)} credentials of {each.tenant_name} wait",
            "They are staged and nothing uses them yet. Test them and switch, or discard them.",
            f"/tenants/{part(each.tenant_id)}/integrations",
            "Switch",
        )
        for each in staged[:_MOST_LINES]
    ]
    if len(staged) > _MOST_LINES:
        lines.append(Line("info", "replace", "More credentials are staged", "Look at each tenant.", "/tenants"))
    return lines


async def _machine(app: App) -> list[Line]:
    """What this installation lacks."""
    settings, lines = app.settings, []
    rolling, storage = await app.roller.state(), await app.retention.storage()
    if storage.disk_free is not None and storage.disk_free < _LOW_DISK:
        text = f"{size(storage.disk_free)} are left for the database. Keep less, or give it more room."
        lines.append(Line("bad", "database", "The disk is nearly full", text, "/settings"))
    if rolling.behind_s is not None and rolling.behind_s > _BEHIND_S:
        text = "Figures are right all the same, and slower. Does a process deliver (hookvault worker)?"
        lines.append(Line("warn", "clock", "Figures are not rolled up", text, "/settings"))
    if settings.production and settings.database_url is None:
        text = "Production is better off with a PostgreSQL of its own that is backed up (DATABASE_URL)."
        lines.append(Line("warn", "database", "The database is the embedded one", text, "/settings"))
    if settings.smtp_host is None:
        text = "Invitations and links to reset passwords must be passed on by hand (SMTP_HOST)."
        kind: Kind = "warn" if settings.production else "info"
        lines.append(Line(kind, "mail", "Mail is not set up", text, "/settings"))
    return lines
