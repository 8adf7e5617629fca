"""How commands print: people get tables, machines JSON, and a secret stands alone on stdout."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hookvault.clock import iso

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Moved(Protocol):
    """Moves a bar: what is done, and of how much where that was not known before."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """`total` stays as it was where it is None."""


def note(text: str) -> None:
    """A line for the person, on stderr, so that stdout can be used by a script."""
    typer.echo(text, err=True)


def ask(question: str) -> None:
    """Goes on only after a yes on stdin. Else the command ends with 1, and on Ctrl-C as any other does."""
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        note("Nothing was changed.")
        raise typer.Exit(1)


def secret(text: str) -> None:
    """A secret just made: alone on stdout, the only time that it is shown."""
    typer.echo(text)


def show_list(items: Sequence["DataclassInstance"], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Prints items as a table of the named fields (field -> heading), or whole as a JSON array."""
    if as_json:
        typer.echo(json.dumps([wire(item) for item in items], indent=2, ensure_ascii=False))
        return
    table = Table(*columns.values(), box=box.SIMPLE_HEAD, pad_edge=False)
    for item in items:
        table.add_row(*[_cell(getattr(item, name)) for name in columns])
    _print(table)


def show_one(item: "DataclassInstance", *, as_json: bool) -> None:
    """Prints every field of one thing, one a line, or as a JSON object."""
    if as_json:
        typer.echo(json.dumps(wire(item), indent=2, ensure_ascii=False))
        return
    fields = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    width = max(map(len, fields))
    for name, value in fields.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Moved]:
    """A bar on stderr, where that is a terminal; gives the function that says how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)


def _print(table: Table) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:  # a pipe has no width: nothing may be cut or wrapped for it
        console = Console(highlight=False, markup=False, emoji=False, width=10_000)
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def wire(item: "DataclassInstance") -> dict[str, Any]:
    """The fields under their names on the wire, which are camelCase."""
    return {_camel(name): _plain(value) for name, value in dataclasses.asdict(item).items()}


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {_camel(name): _plain(part) for name, part in value.items()}
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
