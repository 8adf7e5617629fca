"""`hookvault admin`: people who may sign in, what they may do, and one-time passwords for them."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from hookvault.accounts.model import NewPassword, PlatformUser
from hookvault.cli.output import note, secret, show_list
from hookvault.cli.session import actor, finish, opened

app = typer.Typer(help="Platform admins.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The admin's e-mail address.")]
_COLUMNS = {
    "email": "E-mail",
    "name": "Name",
    "role": "Role",
    "has_totp": "Second factor",
    "last_login_at": "Last sign-in",
    "disabled_at": "Disabled",
}
_PAGE = 200


class Role(StrEnum):
    """What an admin may do."""

    OWNER = "owner"
    ADMIN = "admin"
    VIEWER = "viewer"


@app.command()
def create(email: Email, *, role: Annotated[Role, typer.Option(help="What the admin may do.")] = Role.ADMIN) -> None:
    """Make an admin and print a one-time password as the last word on stdout."""
    _show(finish(_create(email, role.value)))


@app.command("reset-password")
def reset_password(email: Email) -> None:
    """Replace an admin's password by a one-time one, printed as the last word on stdout, and end the admin's sessions."""
    _show(finish(_reset(email)))


@app.command("list")
def list_admins(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False) -> None:
    """List the platform admins."""
    show_list(finish(_list()), _COLUMNS, as_json=as_json)


@app.command()
def disable(email: Email) -> None:
    """Keep an admin from signing in, and end the admin's sessions."""
    finish(_change(email, disabled=True))
    note(f"{email} can't sign in any more.")


@app.command()
def enable(email: Email) -> None:
    """Let an admin sign in again."""
    finish(_change(email, disabled=False))
    note(f"{email} can sign in.")


@app.command("role")
def set_role(email: Email, role: Annotated[Role, typer.Argument(help="owner, admin or viewer.")]) -> None:
    """Change what an admin may do, and end the admin's sessions."""
    finish(_change(email, role=role.value))
    note(f"{email} is {role.value} now.")


@app.command("reset-totp")
def reset_totp(email: Email) -> None:
    """Remove an admin's second factor, and end the admin's sessions."""
    removed = finish(_reset_totp(email))
    note(f"{email} signs in with the password alone now." if removed else f"{email} has no second factor.")


def _show(made: NewPassword) -> None:
    note(f"One-time password of {made.user.email}; it is shown only now, and asks for a new one at sign-in:")
    secret(made.password.open())


async def _create(email: str, role: str) -> NewPassword:
    async with opened() as services:
        return await services.admins.create_admin(email, role=role, actor=actor())


async def _reset(email: str) -> NewPassword:
    async with opened() as services:
        return await services.admins.reset_password(email, actor=actor())


async def _reset_totp(email: str) -> bool:
    async with opened() as services:
        return await services.admins.reset_totp(email, actor=actor())


async def _list() -> list[PlatformUser]:
    async with opened() as services:
        page = await services.admins.list_admins(limit=_PAGE)
        found = list(page.items)
        while page.next_cursor:
            page = await services.admins.list_admins(limit=_PAGE, cursor=page.next_cursor)
            found += page.items
    return found


async def _change(email: str, **changes: Any) -> None:
    async with opened() as services:
        user = await services.admins.find_admin(email)
        await services.admins.update_admin(user.id, changes, actor=actor())
