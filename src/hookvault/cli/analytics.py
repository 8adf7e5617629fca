"""`hookvault analytics`: recorded calls."""

import typer

from hookvault.cli import export, retention, rollups

app = typer.Typer(help="Recorded calls.", no_args_is_help=True)
app.command()(rollups.show)
app.command()(rollups.rebuild)
app.command("export")(export.put_out)
app.command()(retention.prune)
app.command()(retention.sizes)
