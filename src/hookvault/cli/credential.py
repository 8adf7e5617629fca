"""`hookvault credential`: rotating the secrets of a tenant's integration. New ones come in on stdin and never go out."""

import dataclasses
import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from hookvault.cli.output import note, show_list, show_one
from hookvault.cli.session import actor, finish, opened
from hookvault.errors import MalformedError
from hookvault.integrations.model import CredentialVersion, Kind, OpenState, Rotation, TestResult
from hookvault.integrations.rotation import DEFAULT_GRACE_S, MAX_GRACE_S
from hookvault.vault.mask import masked_hint

_COLUMNS = {
    "number": "Version",
    "state": "State",
    "provider": "Provider",
    "secrets": "Secrets",
    "created_at": "Created",
    "tested_at": "Tested",
    "test_code": "Test",
    "grace_until": "Known until",
}

app = typer.Typer(help="Credentials of integrations: stage, test, switch, roll back, revoke.", no_args_is_help=True)


class KindName(StrEnum):
    """Which integration."""

    WHATSAPP = "whatsapp"
    SMS = "sms"
    N8N = "n8n"


class VersionName(StrEnum):
    """Which version of its secrets."""

    STAGED = "staged"
    CURRENT = "current"
    PREVIOUS = "previous"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A version as it is printed."""

    number: int
    state: str
    provider: str
    secrets: list[str]
    created_at: object
    created_by: str
    tested_at: object
    test_code: str | None
    switched_at: object
    grace_until: object


Tenant = Annotated[str, typer.Option("--tenant", metavar="ID", help="The tenant's id.")]
KindOption = Annotated[KindName, typer.Option("--kind", help="The integration.")]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command()
def status(*, tenant: Tenant, kind: KindOption, as_json: AsJSON = False) -> None:
    """Show the current, staged and previous secrets by their hints."""
    _show(finish(_status(tenant, kind.value)), as_json=as_json)


@app.command()
def stage(
    *,
    tenant: Tenant,
    kind: KindOption,
    replace: Annotated[bool, typer.Option("--replace", help="Discard what is staged already.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Stage new secrets, read from stdin as a JSON object: {"authToken": "..."}."""
    _show(finish(_stage(tenant, kind.value, _read_secrets(), replace=replace)), as_json=as_json)


@app.command("test")
def try_version(
    *,
    tenant: Tenant,
    kind: KindOption,
    version: Annotated[VersionName, typer.Option("--version", help="Which secrets.")] = VersionName.STAGED,
    as_json: AsJSON = False,
) -> None:
    """Ask the provider whether it takes them. Exits with 1 when it does not."""
    result = finish(_test(tenant, kind.value, version.value))
    show_one(result, as_json=as_json)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def switch(
    *,
    tenant: Tenant,
    kind: KindOption,
    grace: Annotated[
        int, typer.Option("--grace", min=0, max=MAX_GRACE_S, help="Seconds that the former secrets stay known.")
    ] = DEFAULT_GRACE_S,
    force: Annotated[bool, typer.Option("--force", help="Switch to secrets that no test found good.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Make the staged secrets the current ones."""
    _show(finish(_switch(tenant, kind.value, grace, force=force)), as_json=as_json)


@app.command()
def rollback(*, tenant: Tenant, kind: KindOption, as_json: AsJSON = False) -> None:
    """Make the previous secrets the current ones again."""
    _show(finish(_rollback(tenant, kind.value)), as_json=as_json)


@app.command()
def revoke(*, tenant: Tenant, kind: KindOption, as_json: AsJSON = False) -> None:
    """End the previous secrets before their grace does."""
    _show(finish(_revoke(tenant, kind.value)), as_json=as_json)


@app.command()
def discard(*, tenant: Tenant, kind: KindOption) -> None:
    """Throw the staged secrets away."""
    finish(_discard(tenant, kind.value))
    note("Nothing is staged now.")


def _read_secrets() -> dict[str, Any]:
    """The JSON object on stdin. What is wrong with it is said without quoting it."""
    if sys.stdin.isatty():
        note('The new secrets as JSON, such as {"authToken": "..."}, then Ctrl-D:')
    try:
        found = json.loads(sys.stdin.read())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MalformedError("stdin must hold a JSON object: the names of the secret fields, each with its new value.")
    return found


def _show(rotation: Rotation, *, as_json: bool) -> None:
    for warning in rotation.warnings:
        note(f"warning: {warning['field']}: {warning['message']}")
    versions = (rotation.current, rotation.staged, rotation.previous)
    show_list([_line(version) for version in versions if version is not None], _COLUMNS, as_json=as_json)


def _line(version: CredentialVersion) -> Line:
    shown = [f"{name} {masked_hint(info.hint) or '(set)'}" for name, info in version.secrets.items()]
    fields = {field.name: getattr(version, field.name) for field in dataclasses.fields(Line) if field.name != "secrets"}
    return Line(secrets=shown, **fields)


async def _status(tenant: str, kind: Kind) -> Rotation:
    async with opened() as services:
        return await services.rotations.status(tenant, kind)


async def _stage(tenant: str, kind: Kind, secrets: dict[str, Any], *, replace: bool) -> Rotation:
    async with opened() as services:
        return await services.rotations.stage(tenant, kind, secrets, replace_staged=replace, actor=actor())


async def _test(tenant: str, kind: Kind, version: OpenState) -> TestResult:
    async with opened() as services:
        return await services.rotations.test(tenant, kind, version, actor=actor())


async def _switch(tenant: str, kind: Kind, grace_s: int, *, force: bool) -> Rotation:
    async with opened() as services:
        return await services.rotations.switch(tenant, kind, grace_s=grace_s, force=force, actor=actor())


async def _rollback(tenant: str, kind: Kind) -> Rotation:
    async with opened() as services:
        return await services.rotations.rollback(tenant, kind, actor=actor())


async def _revoke(tenant: str, kind: Kind) -> Rotation:
    async with opened() as services:
        return await services.rotations.revoke(tenant, kind, actor=actor())


async def _discard(tenant: str, kind: Kind) -> None:
    async with opened() as services:
        await services.rotations.discard(tenant, kind, actor=actor())
