"""`hookvault analytics`: recorded calls."""

import typer

from hookvault.cli import rollups

app = typer.Typer(help="Recorded calls.", no_args_is_help=True)
app.command()(rollups.show)
app.command()(rollups.rebuild)
