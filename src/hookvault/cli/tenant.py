"""`hookvault tenant`: the platform's tenants."""

from typing import Annotated

import typer

from hookvault.cli.output import note, show_list, show_one
from hookvault.cli.session import actor, finish, opened
from hookvault.tenants.model import Tenant

_PAGE = 200
_COLUMNS = {"id": "Tenant", "slug": "Slug", "name": "Name", "status": "Status", "created_at": "Created"}

app = typer.Typer(help="Tenants of the platform.", no_args_is_help=True)
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command("list")
def list_tenants(*, as_json: AsJSON = False) -> None:
    """List all tenants, by id."""
    show_list(finish(_all()), _COLUMNS, as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The name that people read.")],
    tenant_id: Annotated[
        str | None, typer.Option("--id", help="The id, for ever; made from the slug or name when absent.")
    ] = None,
    slug: Annotated[str | None, typer.Option("--slug", help="A short name for URLs; the id when absent.")] = None,
    *,
    retention_days: Annotated[
        int | None, typer.Option(help="Days that its calls are kept, where fewer than the platform's.")
    ] = None,
    as_json: AsJSON = False,
) -> None:
    """Make a tenant, with a data key of its own."""
    tenant = finish(_create(name, tenant_id, slug, retention_days))
    note(f"Tenant {tenant.id} is made.")
    show_one(tenant, as_json=as_json)


@app.command()
def show(
    tenant_id: Annotated[str, typer.Argument(metavar="ID", help="The tenant's id.")],
    *,
    as_json: AsJSON = False,
) -> None:
    """Show one tenant."""
    show_one(finish(_get(tenant_id)), as_json=as_json)


async def _all() -> list[Tenant]:
    found: list[Tenant] = []
    async with opened() as services:
        page = await services.tenants.list_tenants(limit=_PAGE)
        found += page.items
        while page.next_cursor:
            page = await services.tenants.list_tenants(limit=_PAGE, cursor=page.next_cursor)
            found += page.items
    return found


async def _create(name: str, tenant_id: str | None, slug: str | None, retention_days: int | None) -> Tenant:
    async with opened() as services:
        return await services.tenants.create_tenant(
            name, tenant_id=tenant_id, slug=slug, retention_days=retention_days, actor=actor()
        )


async def _get(tenant_id: str) -> Tenant:
    async with opened() as services:
        return await services.tenants.get_tenant(tenant_id)
