"""Every page of the site by the paths of its routes, and a world in which each of them has something to show."""

import asyncio
import time
from dataclasses import dataclass, field

import asyncpg

from hookvault.accounts.token import new_token, token_hash
from hookvault.admin.pages import ROUTES
from hookvault.audit.model import Actor
from hookvault.deliveries.model import DeliveryFilter
from hookvault.errors import InvalidError

TENANT = "northwind"
_KINDS = "{tenant}/integrations/{kind}"
_HOOK = "/tenants/{tenant}/webhooks/{webhook:uuid}"
_DELIVERY = "/tenants/{tenantId}/deliveries/{deliveryId:uuid}"

# For everybody: how one comes in.
DOORS = {
    "/login": ["/login"],
    "/password-resets": ["/password-resets"],
    "/password-resets/{token}": ["/password-resets/no-such-token"],
    "/invitations/{token}": ["/invitations/{invited}", "/invitations/no-such-token"],
}
# For whoever is half way in; each is seen as who has yet to give that.
HALF = {"/login/code": ["/login/code"], "/login/password": ["/login/password"]}
# What one reads. With a query where the page looks different by it.
PAGES = {
    "/": ["/"],
    "/analytics": ["/analytics?range=24h", "/analytics?tenantId={tenant}&range=7d"],
    "/api-keys": ["/api-keys"],
    "/audit": ["/audit"],
    "/calls": ["/calls", "/calls?tenantId={tenant}&q=nothing-has-this-name"],
    "/calls/{callId:uuid}": ["/calls/{call}"],
    "/deliveries": ["/deliveries", "/deliveries?tenantId={tenant}"],
    "/deliveries/ledger": ["/deliveries/ledger"],
    _DELIVERY: ["/tenants/{tenant}/deliveries/{delivery}"],
    "/tenants/{tenant}/webhooks/exchange": ["/tenants/{tenant}/webhooks/exchange"],
    "/guide": ["/guide"],
    "/tenants/{tenant}/integrations": ["/tenants/{tenant}/integrations"],
    "/keys": ["/keys"],
    "/tenants/{tenantId}/replays": ["/tenants/{tenant}/replays"],
    "/tenants/{tenant}/integrations/{kind}/rotation": ["/tenants/{tenant}/integrations/sms/rotation"],
    "/settings": ["/settings"],
    "/settings/installation": ["/settings/installation"],
    "/tenants/{tenant}": ["/tenants/{tenant}"],
    "/tenants/{tenant}/settings": ["/tenants/{tenant}/settings"],
    "/tenants": ["/tenants"],
    "/tenants/{tenant}/webhooks": ["/tenants/{tenant}/webhooks"],
    "/users": ["/users"],
    _HOOK: ["/tenants/{tenant}/webhooks/{webhook}"],
}
# What opens as a dialog over a page, and is a page of its own without scripts.
DIALOGS = {
    "/api-keys/new": ["/api-keys/new"],
    "/api-keys/{key_id}/revoke": ["/api-keys/{key}/revoke"],
    "/calls/{callId:uuid}/expunge": ["/calls/{call}/expunge"],
    f"{_DELIVERY}/replay": ["/tenants/{tenant}/deliveries/{delivery}/replay"],
    f"{_DELIVERY}/expunge": ["/tenants/{tenant}/deliveries/{delivery}/expunge"],
    "/tenants/{tenant}/webhooks/new": ["/tenants/{tenant}/webhooks/new"],
    f"{_HOOK}/duplicate": ["/tenants/{tenant}/webhooks/{webhook}/duplicate"],
    f"{_HOOK}/test": ["/tenants/{tenant}/webhooks/{webhook}/test"],
    f"{_HOOK}/edit": ["/tenants/{tenant}/webhooks/{webhook}/edit"],
    f"{_HOOK}/auth": ["/tenants/{tenant}/webhooks/{webhook}/auth"],
    f"{_HOOK}/rotate": ["/tenants/{tenant}/webhooks/{webhook}/rotate"],
    f"{_HOOK}/delete": ["/tenants/{tenant}/webhooks/{webhook}/delete"],
    "/tenants/{tenant}/integrations/{kind}/edit": [
        f"/tenants/{{tenant}}/integrations/{kind}/edit" for kind in ("n8n", "whatsapp", "sms")
    ],
    "/tenants/{tenant}/integrations/{kind}/secrets/{field}": ["/tenants/{tenant}/integrations/sms/secrets/{secret}"],
    "/tenants/{tenant}/integrations/{kind}/remove": ["/tenants/{tenant}/integrations/sms/remove"],
    **{
        f"/tenants/{{tenant}}/integrations/{{kind}}/rotation/{act}": [
            f"/tenants/{{tenant}}/integrations/sms/rotation/{act}"
        ]
        for act in ("stage", "rollback", "revoke", "discard")
    },
    "/keys/rotate": ["/keys/rotate"],
    "/keys/rekey": ["/keys/rekey"],
    "/keys/{fingerprint}/retire": ["/keys/{fingerprint}/retire"],
    "/settings/password": ["/settings/password"],
    "/settings/second-factor": ["/settings/second-factor"],
    "/settings/second-factor/remove": ["/settings/second-factor/remove"],
    **{f"/tenants/{{tenant}}/{act}": [f"/tenants/{{tenant}}/{act}"] for act in ("suspend", "shred", "rekey", "delete")},
    "/new-tenant": ["/new-tenant"],
    "/users/invite": ["/users/invite"],
    "/users/invitations/{invitation_id}/revoke": ["/users/invitations/{invitation}/revoke"],
    **{f"/users/{{user_id}}/{act}": [f"/users/{{user}}/{act}"] for act in ("edit", "disable", "remove")},
}
# What pages ask for by themselves when they load: the sweep sees each of them come.
LAZY = {
    "/analytics/{name}": [],
    "/overview/{name}": [],
    "/tenants/{tenant}/figures": [],
    "/tenant-statistics": [],
    f"{_HOOK}/health": [],
    f"{_HOOK}/counted": [],
    f"{_HOOK}/recent": [],
}
# What pages ask for once something is done on them, as parts.
ASKED = {
    "/analytics/tenants-to-choose": ["/analytics/tenants-to-choose?find=north"],
    "/tenants/{tenant}/webhooks/authfields": ["/tenants/{tenant}/webhooks/authfields?authType=jwt"],
    "/tenants/{tenant}/webhooks/address": ["/tenants/{tenant}/webhooks/address?workflowName=some-name"],
    "/tenants/{tenant}/integrations/{kind}/fields": ["/tenants/{tenant}/integrations/sms/fields?provider=vonage"],
    "/guide/progress": ["/guide/progress?tenantId={tenant}"],
    "/keys/rekey/progress": ["/keys/rekey/progress"],
    "/tenants/{tenantId}/replays/{replayId:uuid}": ["/tenants/{tenant}/replays/{replay}"],
    "/tenants/{tenant}/webhooks/figures": ["/tenants/{tenant}/webhooks/figures"],
}
# Files, and the stream of calls.
FILES = {
    "/analytics/chart.svg": ["/analytics/chart.svg?range=24h"],
    "/tenants/{tenant}/webhooks/export": ["/tenants/{tenant}/webhooks/export"],
}
STREAMS = {"/calls/live": []}
ALL = (DOORS, HALF, PAGES, DIALOGS, LAZY, ASKED, FILES, STREAMS)


def routes():
    """The paths of all that can be asked for by GET."""
    return [route.path for route in ROUTES if "GET" in route.methods]


@dataclass
class World:
    """A scene with something on every page, and the names to fill in."""

    scene: object
    names: dict = field(default_factory=dict)

    def paths(self, section):
        """The addresses of a section."""
        return [path.format(**self.names) for paths in section.values() for path in paths]


async def furnish(scene, calls=1500):
    """Loads the demo, with people, keys, a replay and an invitation."""
    scene.app.demo.calls = calls
    await scene.app.demo.load(actor=Actor("system", "tests"))
    await scene.app.demo.add_people()
    await scene.app.accounts.invitations.invite("to-be-invited@example.com", "viewer")
    invited = new_token().open()  # nobody is told the one that was made
    replay = await _replayed(scene.app.replays)
    connection = await asyncpg.connect(scene.app.settings.database_url.get_secret_value())
    try:
        await connection.execute(_INVITED, token_hash(invited))
        names = {name: str(await connection.fetchval(query, TENANT)) for name, query in _IDS.items()}
        names |= {name: str(await connection.fetchval(query)) for name, query in _OTHERS.items()}
    finally:
        await connection.close()
    return World(
        scene, {**names, "tenant": TENANT, "secret": "authToken", "replay": str(replay.id), "invited": invited}
    )


_INVITED = "UPDATE user_invitations SET token_hash = $1 WHERE email = 'to-be-invited@example.com'"
_IDS = {
    "webhook": "SELECT id FROM n8n_webhooks WHERE tenant_id = $1 AND workflow_name = 'lead-captured'",
    "call": """SELECT a.id FROM webhook_analytics a JOIN n8n_webhooks w ON w.id = a.webhook_id
        WHERE a.tenant_id = $1 AND w.workflow_name = 'invoice-created' ORDER BY a."timestamp" DESC LIMIT 1""",
    "delivery": "SELECT delivery_id FROM webhook_analytics WHERE tenant_id = $1 AND delivery_id IS NOT NULL AND success LIMIT 1",
    "key": "SELECT id FROM api_keys WHERE tenant_id = $1 AND revoked_at IS NULL LIMIT 1",
}
_OTHERS = {
    "user": "SELECT id FROM platform_users WHERE email = 'jonas.weber@example.com'",
    "invitation": "SELECT id FROM user_invitations WHERE email = 'priya.nair@example.com'",
    "fingerprint": "SELECT fingerprint FROM key_history WHERE state = 'active'",
}


async def _replayed(replays):
    """A replay, begun once a delivery has ended."""
    ends = time.monotonic() + 20
    while True:
        try:
            return await replays.start(TENANT, DeliveryFilter(status=("delivered", "failed", "expired")), rate=50)
        except InvalidError:
            assert time.monotonic() < ends
            await asyncio.sleep(0.1)
