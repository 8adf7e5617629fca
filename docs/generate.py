# ruff: noqa: INP001 - a script, not a package
"""Writes docs/settings.md from the settings themselves; a test compares the two. Run it with: make docs."""

from pathlib import Path

from pydantic.fields import FieldInfo

from hookvault.settings import Settings

PAGE = Path(__file__).with_name("settings.md")

_HEAD = """\
# Settings

Read once from the environment when a process starts. An empty variable counts as not set. A wrong value stops
the start, and all wrong ones are named at once, without their values.

| environment | default | meaning |
|---|---|---|
"""

_TAIL = """
Options of `hookvault serve` take precedence: `--host` over HOST, `--port` over PORT.

`HOOKVAULT_DEBUG=1` makes the `hookvault` command print the traceback of a failure, with secrets masked.
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    rows = [
        f"| {name.upper()} | {_default(field)} | {field.description} |" for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


def _default(field: FieldInfo) -> str:
    if field.default is None or field.default == ():
        return "-"
    number = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return f"`{number}`"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), "utf-8")
