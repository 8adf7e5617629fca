"""The admin's pages as a browser asks for them: how long the server takes, and how many bytes a first visit costs.

A server process with 1,000 tenants of 24 webhooks each and a million calls of thirty days; everything by HTTP on loopback.
"""

import asyncio
import re
import secrets
import statistics
import time

import httpx

import history
import stage as stages
from history import History
from hookvault.vault.secret import Secret
from hookvault.wiring import build
from processes import VoidError

TENANTS, MADE, WEBHOOKS, CALLS = 1000, 20, 24, 1_000_000
BUSY = 0.9  # of the calls are those of MADE tenants
EMAIL = "bench@example.com"
_MORE = """
INSERT INTO n8n_webhooks (tenant_id, id, workflow_name, webhook_url, key_version, created_at, created_by, updated_at, updated_by)
SELECT n, md5(n || w)::uuid, 'flow-' || lpad(w::text, 3, '0'), $2 || w, 1, now(), 'bench', now(), 'bench'
FROM unnest($1::text[]) AS n, generate_series(0, $3::int - 1) AS w RETURNING tenant_id, id
"""
_TENANTS = """
INSERT INTO tenants (id, slug, name, created_at, updated_at)
SELECT n, n, 'Tenant ' || n, now(), now() FROM unnest($1::text[]) AS n
"""
_LOADED = re.compile(r'(?:hx-get="([^"]+)"[^>]*hx-trigger="load|hx-trigger="load[^"]*"[^>]*hx-get="([^"]+)")')
_LINKED = re.compile(r'(?:href|src)="(/static/[^"]+)"')


def paths(tenant_id, webhook_id, call_id):
    """Every page that is asked for, by its name in the table."""
    tenant = f"/tenants/{tenant_id}"
    return {
        "overview": "/",
        "tenants": "/tenants",
        "tenants, searched": "/tenants?q=tenant-00",
        "tenant": tenant,
        "integrations": f"{tenant}/integrations",
        "webhooks": f"{tenant}/webhooks",
        "webhook": f"{tenant}/webhooks/{webhook_id}",
        "analytics": "/analytics",
        "analytics of a tenant": f"/analytics?tenantId={tenant_id}&range=30d",
        "calls": "/calls",
        "failed calls of a tenant": f"/calls?tenantId={tenant_id}&status=failed",
        "call": f"/calls/{call_id}",
        "deliveries": f"/deliveries?tenantId={tenant_id}",
        "audit log": "/audit",
        "users": "/users",
        "API keys": "/api-keys",
        "encryption keys": "/keys",
        "settings": "/settings",
    }


def measure(rounds, _seconds):
    """Seconds and bytes of each page and of each part that it loads afterwards."""
    with stages.opened(MADE, WEBHOOKS) as stage:
        return asyncio.run(_measured(stage, rounds))


async def _measured(stage, rounds):
    busy, others = [webhook[:2] for webhook in stage.webhooks], await _more(stage)
    await history.tell(stage, History(round(CALLS * BUSY), busy))
    await history.tell(stage, History(round(CALLS * (1 - BUSY)), others))
    _, built = await history.roll(stage)
    await history.analyze(stage)
    history.note(f"{len(busy + others)} webhooks, {CALLS} calls, {built} rollups")
    password = await _admin(stage)
    _, port = stage.server("--no-worker")
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, headers={"origin": base}, timeout=60) as client:
        entered = await client.post("/login", data={"email": EMAIL, "password": password, "next": "/"})
        if entered.status_code != 303:
            raise VoidError(f"nobody is let in: {entered.status_code}")
        async with stages.owner(stage) as connection:
            call = await connection.fetchrow(
                'SELECT tenant_id, webhook_id, id FROM webhook_analytics ORDER BY "timestamp" DESC LIMIT 1'
            )
        return await _asked(client, paths(call["tenant_id"], call["webhook_id"], call["id"]), rounds)


async def _asked(client, pages, rounds):
    found = {}
    for name, path in pages.items():
        page = await _timed(client, path, rounds)
        text = page.pop("text")
        parts = {first or second for first, second in _LOADED.findall(text)}
        loaded = [await _timed(client, part.replace("&amp;", "&"), rounds, scripted=True) for part in sorted(parts)]
        linked = {link.partition("#")[0] for link in _LINKED.findall(text)}
        page["dress"] = sum([await _weight(client, link) for link in sorted(linked)])
        page["parts"] = [{key: part[key] for key in ("seconds", "bytes")} for part in loaded]
        found[name] = page
    return found


async def _timed(client, path, rounds, *, scripted=False):
    """The median time of some askings after one, and the compressed bytes of the last."""
    headers = {"hx-request": "true", "hx-request-type": "partial"} if scripted else {}
    taken = []
    for _ in range(max(rounds, 1) * 3 + 1):
        began = time.perf_counter()
        async with client.stream("GET", path, headers=headers) as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
        taken.append(time.perf_counter() - began)
        if answer.status_code != 200:
            raise VoidError(f"{path}: {answer.status_code}")
    whole = await client.get(path, headers=headers)
    return {"seconds": statistics.median(taken[1:]), "bytes": len(raw), "text": whole.text}


async def _weight(client, link):
    """Compressed bytes of a file that a page names; the font is among them."""
    async with client.stream("GET", link) as answer:
        return len(b"".join([chunk async for chunk in answer.aiter_raw()]))


async def _more(stage):
    names = [f"tenant-{number:05}" for number in range(MADE, TENANTS)]
    async with stages.owner(stage) as connection:
        await connection.execute(_TENANTS, names)
        rows = await connection.fetch(_MORE, names, f"http://127.0.0.1:{stage.port}/webhook/", WEBHOOKS)
    return [tuple(row) for row in rows]


async def _admin(stage):
    """An owner; the password is this run's own."""
    app = await build(stages.settings(stage), migrate=False)
    password = secrets.token_hex(16)
    await app.admins.ensure_first_admin(EMAIL, Secret(password))
    await app.close()
    return password
