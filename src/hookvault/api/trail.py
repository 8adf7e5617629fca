"""What the API itself leaves in the audit log: who was refused, what failed, who read the log. Changes leave their own events."""

import asyncio
from typing import Any

from hookvault.accounts.model import Principal
from hookvault.api.access import ASGIScope, Asking, client_ip, request_id
from hookvault.api.coverage import Route, route_of
from hookvault.api.services import App
from hookvault.audit.model import ANONYMOUS, Actor
from hookvault.audit.tally import Happening
from hookvault.errors import HookvaultError
from hookvault.ids import is_name
from hookvault.log import get_logger

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_NOT_FAILED = frozenset({401, 403, 405, 503})  # refused, which is noted; or nothing that could be written now
_WAIT_S = 3.0
_UUID = 36
_log = get_logger()


def note_denied(app: App, scope: ASGIScope, error: HookvaultError, principal: Principal | None) -> None:
    """Takes note of a refusal: of a key that may not do this, or (without a principal) of nobody known.

    What was claimed is not believed: without a valid key it is an anonymous one's, and always in the log of whoever asked.
    """
    ip, identifier = client_ip(scope, app.settings.trusted_proxies), request_id(scope)
    if principal is None:
        actor, owner = Actor(ANONYMOUS.kind, ANONYMOUS.id, ip, identifier), ""
    else:
        actor, owner = Asking(principal, ip, identifier).actor, principal.tenant_id or ""
    route = route_of(scope["method"], scope["path"])
    detail = {"code": error.code} | _tenant_named(route)
    action = route.action or "route.requested"
    app.audit.tally.note(Happening(actor, action, ("route", route.route), owner, "denied", detail))


async def record_failed(app: App, scope: ASGIScope, status: int, code: str) -> None:
    """Records that a change failed, after its own transaction was rolled back: its code, and nothing of what was submitted.

    The first of its kind in a minute at once; what fails so again is counted, or one key could make the log grow without end.
    It never fails itself, and never takes long: the answer is owed to the caller either way.
    """
    asking: Asking | None = scope.get("hookvault.asking")
    if asking is None or scope["method"] not in _CHANGING or status in _NOT_FAILED:
        return
    route = route_of(scope["method"], scope["path"])
    if route.action is None:
        return
    kind = route.action.partition(".")[0]
    named = [text for name, text in route.named.items() if name != "token"]
    target = (kind, next((text for text in reversed(named) if is_name(text)), ""))
    owner, detail = _tenant_named(route).get("tenantId", ""), {"code": code, "status": status, "route": route.route}
    counted = (
        ("route", route.route) if len(target[1]) == _UUID else target
    )  # of any number of made-up ids one is as good
    if not app.audit.tally.note(
        Happening(asking.actor, route.action, counted, owner, "failed", detail), first_too=False
    ):
        return
    try:
        async with asyncio.timeout(_WAIT_S):
            await app.audit.record_apart(
                asking.actor, route.action, target, tenant_id=owner, outcome="failed", detail=detail
            )
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller's answer is another one
        _log.warning("audit_not_written", action=route.action, code=code, error=type(error).__name__)


def note_read(app: App, who: Asking, deed: str, owner: str | None, /, **which: Any) -> None:
    """Takes note of who reads what only few should: a tenant's, or (None) all. `which` says how it was narrowed."""
    detail = {name: value for name, value in which.items() if value is not None}
    target = (deed.partition(".")[0], owner or "all")
    app.audit.tally.note(Happening(who.actor, deed, target, owner or "", "success", detail))


def _tenant_named(route: Route) -> dict[str, str]:
    named = route.named.get("tenantId", "")
    return {"tenantId": named} if is_name(named) else {}
