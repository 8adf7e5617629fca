"""`hookvault api-key`: keys for backends, shown once when they are made."""

from typing import Annotated
from uuid import UUID

import typer

from hookvault.accounts.model import APIKey, NewAPIKey
from hookvault.cli.output import note, secret, show_list
from hookvault.cli.session import actor, finish, opened
from hookvault.errors import NotFoundError
from hookvault.wiring import App

_PAGE = 200
_COLUMNS = {
    "id": "Key",
    "tenant_id": "Tenant",
    "name": "Name",
    "hint": "Ends in",
    "scopes": "Scopes",
    "created_at": "Created",
    "last_used_at": "Last used",
    "revoked_at": "Revoked",
}

app = typer.Typer(help="API keys of the platform and of tenants.", no_args_is_help=True)


@app.command()
def create(
    *,
    platform: Annotated[bool, typer.Option("--platform", help="A key for everything.")] = False,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="A key for one tenant: call, send and read.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What the key is for.")] = "command line",
) -> None:
    """Make a key and print it, this once, as the last word on stdout."""
    if platform == (tenant is not None):
        raise typer.BadParameter("give either --platform or --tenant ID")
    made = finish(_create(name, tenant))
    owner = f"tenant {tenant}" if tenant else "the platform"
    note(f"API key {made.key.id} of {owner}; it is shown only now:")
    secret(made.token.open())


@app.command("list")
def list_keys(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="ID", help="Only this tenant's keys.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """List keys, newest first, revoked ones included; never the keys themselves."""
    show_list(finish(_list(tenant)), _COLUMNS, as_json=as_json)


@app.command()
def revoke(key_id: Annotated[UUID, typer.Argument(metavar="ID", help="The key's id, as listed.")]) -> None:
    """Revoke a key: it is refused everywhere within a second."""
    finish(_revoke(key_id))
    note(f"API key {key_id} is revoked.")


async def _create(name: str, tenant_id: str | None) -> NewAPIKey:
    async with opened() as services:
        return await services.api_keys.create_api_key(name, tenant_id=tenant_id, actor=actor())


async def _list(tenant_id: str | None) -> list[APIKey]:
    async with opened() as services:
        return await _all(services, tenant_id)


async def _all(services: App, tenant_id: str | None) -> list[APIKey]:
    page = await services.api_keys.list_api_keys(tenant_id=tenant_id, limit=_PAGE)
    found = list(page.items)
    while page.next_cursor:
        page = await services.api_keys.list_api_keys(tenant_id=tenant_id, limit=_PAGE, cursor=page.next_cursor)
        found += page.items
    return found


async def _revoke(key_id: UUID) -> None:
    async with opened() as services:
        if key_id not in {key.id for key in await _all(services, None)}:
            raise NotFoundError(f"There is no API key {key_id}. See: hookvault api-key list", code="api_key_not_found")
        await services.api_keys.revoke_api_key(key_id, actor=actor())
