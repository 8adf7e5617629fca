"""`hookvault analytics export`: recorded calls as a file."""

import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO, NoReturn, get_args

import typer

from hookvault.analytics.export import Format, Writer, export, writer_of
from hookvault.analytics.filter import check, parse
from hookvault.analytics.model import CallFilter
from hookvault.cli.output import note, progress
from hookvault.cli.session import finish, opened
from hookvault.errors import InvalidError

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}

Text = str | None


def put_out(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - is stdout. An existing file is replaced.")],
    *,
    tenant: Annotated[Text, typer.Option(metavar="ID", help="Only this tenant's calls; else everybody's.")] = None,
    form: Annotated[Text, typer.Option("--format", help="csv, ndjson or parquet; by default as FILE ends.")] = None,
    start: Annotated[Text, typer.Option(metavar="TIME", help="ISO 8601; by default 30 days before the end.")] = None,
    end: Annotated[Text, typer.Option(metavar="TIME", help="ISO 8601, exclusive; by default now.")] = None,
    status: Annotated[Text, typer.Option(help="success, failed, a class such as 5xx, or a code such as 404.")] = None,
    webhook: Annotated[Text, typer.Option(metavar="ID", help="Only this webhook's calls.")] = None,
    triggered_by: Annotated[Text, typer.Option(help="Who asked for them, exactly.")] = None,
    cause: Annotated[Text, typer.Option(help="Why they failed, such as timeout.")] = None,
    min_time: Annotated[Text, typer.Option(metavar="MS", help="Response time, at least.")] = None,
    max_time: Annotated[Text, typer.Option(metavar="MS", help="Response time, at most.")] = None,
    call: Annotated[Text, typer.Option(metavar="ID", help="A call and its retries, or a delivery's calls.")] = None,
) -> None:
    """Write recorded calls to FILE, newest first, while the service runs."""
    narrowed = {"status": status, "triggered_by": triggered_by, "cause": cause}
    which = parse(
        start=start, end=end, webhook_id=webhook, min_time=min_time, max_time=max_time, call_id=call, **narrowed
    )
    check(which)
    calls = finish(_export(file, tenant, which, writer_of(_format(form, file))))
    note(f"{calls} calls are in {'what was printed' if _is_stdout(file) else file}.")


async def _export(file: Path, tenant: str | None, which: CallFilter, writer: Writer) -> int:
    written = 0

    async with opened() as services:
        if tenant is None:
            reader = await services.analytics.read_platform_calls(which)
        else:
            reader = await services.analytics.read_tenant_calls(tenant, which)
        with progress("Exporting") as moved:

            def count(calls: int) -> None:
                nonlocal written
                written = calls
                moved(calls)

            with _Target(file) as write:
                async for data in export(reader, writer, count):
                    write(data)
    return written


class _Target:
    """Where the bytes go: a file that is there only when it is whole, readable by its owner only; or stdout, a device, a pipe."""

    def __init__(self, file: Path) -> None:
        if not file.name:
            raise InvalidError(f"{file} is no file name.", code="file_unwritable")
        self._file = file.resolve() if file.is_symlink() else file  # the link stays
        self._is_file = not _is_stdout(file) and (self._file.is_file() or not self._file.exists())
        self._draft = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        self._out: BinaryIO = sys.stdout.buffer

    def __enter__(self) -> Callable[[bytes], int]:
        if not _is_stdout(self._file):
            path, flags = (self._draft, os.O_CREAT | os.O_EXCL) if self._is_file else (self._file, 0)
            try:
                self._out = os.fdopen(os.open(path, os.O_WRONLY | flags, 0o600), "wb")
            except OSError as error:
                raise _unwritable(self._file, error) from None
        return self._write

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._out.flush()
            if self._is_file:
                with self._out:
                    if kind is None:
                        os.fsync(self._out.fileno())
                if kind is None:
                    self._draft.replace(self._file)
        except BrokenPipeError:
            self._stop()
        except OSError as error:
            raise _unwritable(self._file, error) from None
        finally:
            with suppress(OSError):
                self._draft.unlink(missing_ok=True)

    def _write(self, data: bytes) -> int:
        try:
            return self._out.write(data)
        except BrokenPipeError:
            self._stop()
        except OSError as error:
            raise _unwritable(self._file, error) from None

    def _stop(self) -> NoReturn:
        """Whoever reads has seen enough, as `head` does; nor can Python say anything to it when it ends."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())
        raise typer.Exit(0)


def _format(asked: str | None, file: Path) -> Format:
    for form in get_args(Format):
        if asked == form:
            return form  # type: ignore[no-any-return]
    if asked is not None:
        raise InvalidError(f"--format is one of {', '.join(get_args(Format))}.")
    return _SUFFIXES.get(file.suffix.lower(), "csv")


def _is_stdout(file: Path) -> bool:
    return str(file) == "-"


def _unwritable(file: Path, error: OSError) -> InvalidError:
    return InvalidError(f"{file} can't be written: {error.strerror}.", code="file_unwritable")
