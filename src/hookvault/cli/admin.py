"""`hookvault admin`: people who may sign in, and one-time passwords for them."""

from typing import Annotated

import typer

from hookvault.accounts.model import NewPassword
from hookvault.cli.output import note, secret
from hookvault.cli.session import actor, finish, opened

app = typer.Typer(help="Platform admins.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The admin's e-mail address.")]


@app.command()
def create(email: Email) -> None:
    """Make an admin and print a one-time password as the last word on stdout."""
    _show(finish(_create(email)))


@app.command("reset-password")
def reset_password(email: Email) -> None:
    """Replace an admin's password by a one-time one, printed as the last word on stdout."""
    _show(finish(_reset(email)))


def _show(made: NewPassword) -> None:
    note(f"One-time password of {made.user.email}; it is shown only now, and asks for a new one at sign-in:")
    secret(made.password.open())


async def _create(email: str) -> NewPassword:
    async with opened() as services:
        return await services.admins.create_admin(email, actor=actor())


async def _reset(email: str) -> NewPassword:
    async with opened() as services:
        return await services.admins.reset_password(email, actor=actor())
