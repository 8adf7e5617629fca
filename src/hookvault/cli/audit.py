"""`hookvault audit`: whether the audit log is still what was written, and the heads by which that can be told."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from hookvault.audit.chain import Head
from hookvault.audit.verify import Kept, Report
from hookvault.cli.output import note
from hookvault.cli.session import finish, opened
from hookvault.errors import InvalidError

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.command()
def heads() -> None:
    """Print the end of every chain, a JSON object a line. Keep them elsewhere: they show what is cut off later."""
    for head in finish(_heads()):
        typer.echo(json.dumps({"tenant": head.tenant_id, "seq": head.seq, "hash": head.hash.hex()}))


@app.command()
def verify(
    *,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="ID", help="Only this tenant's chain.")] = None,
    kept: Annotated[
        Path | None, typer.Option("--heads", metavar="FILE", help="What `audit heads` printed before.")
    ] = None,
) -> None:
    """Verify that no event was changed, removed, added or moved. Ends with 1 where a chain is broken."""
    report = finish(_verify(tenant, _read_heads(kept) if kept else {}))
    for fault in report.faults:
        note(fault.message)
    before = f", {report.before_chain} from before the chain" if report.before_chain else ""
    found = f"{len(report.faults)} broken" if report.faults else "all sound"
    typer.echo(f"{report.events} events in {report.chains} chains verified{before}: {found}.")
    if report.faults:
        raise typer.Exit(1)


async def _heads() -> list[Head]:
    async with opened() as services:
        return [head async for head in services.audit.heads()]


async def _verify(tenant: str | None, kept: Kept) -> Report:
    async with opened() as services:
        total = await services.audit.count(tenant)
        with _bar(total) as progress:
            return await services.audit.verify(tenant, kept=kept, progress=progress)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("Verifying", total=total)
        yield lambda events: bar.advance(task, events)


def _read_heads(file: Path) -> Kept:
    """The hashes of a file of heads, by tenant and number. Of a tenant there may be many: such files may be appended to."""
    found: dict[str, dict[int, bytes]] = {}
    if file.exists() and not file.is_file():
        raise InvalidError(f"{file} is not a regular file.", code="invalid_heads")
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"The file {file} can't be read ({type(error).__name__}).", code="invalid_heads") from None
    for number, line in enumerate(lines, 1):
        try:
            head = json.loads(line)
            kept = Head(str(head["tenant"]), int(head["seq"]), bytes.fromhex(head["hash"]))
        except (ValueError, KeyError, TypeError):
            raise InvalidError(
                f"Line {number} of {file} is not a head as `hookvault audit heads` prints it.", code="invalid_heads"
            ) from None
        same = found.setdefault(kept.tenant_id, {})
        if same.setdefault(kept.seq, kept.hash) != kept.hash:
            raise InvalidError(
                f"Line {number} of {file} names another hash for an event that an earlier line has: one of the two is forged.",
                code="invalid_heads",
            )
    return found
