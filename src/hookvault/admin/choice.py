"""What a list can be narrowed to: the tenants there are, and a tenant's webhooks."""

from collections.abc import Sequence
from typing import NamedTuple

from hookvault.api.services import App
from hookvault.errors import NotFoundError

MOST = 200  # in a list to choose from; beyond, an id can be typed


class Choice(NamedTuple):
    """What there is to choose from, as (value, text); and what is chosen, which may be gone. `whole` says that it is all."""

    options: Sequence[tuple[str, str]]
    chosen: str | None
    whole: bool = True


async def choose_tenant(app: App, chosen: str | None) -> Choice:
    """The tenants, by their names."""
    found = await app.tenants.list_tenants(limit=MOST)
    options = sorted(((tenant.id, tenant.name) for tenant in found.items), key=lambda option: option[1].casefold())
    return _with(options, chosen, whole=found.next_cursor is None)


async def choose_webhook(app: App, tenant_id: str, chosen: str | None, *, by_name: bool = False) -> Choice:
    """A tenant's webhooks, none where it is deleted; by their ids, or by their names where a list is narrowed by these."""
    try:
        found = await app.webhooks.list_webhooks(tenant_id, limit=MOST)
    except NotFoundError:
        return _with([], chosen, whole=True)
    options = [(item.workflow_name if by_name else str(item.id), item.workflow_name) for item in found.items]
    return _with(options, chosen, whole=found.next_cursor is None)


def _with(options: list[tuple[str, str]], chosen: str | None, *, whole: bool) -> Choice:
    if chosen is not None and chosen not in (value for value, _ in options):
        options.append((chosen, chosen))
    return Choice(options, chosen, whole)
