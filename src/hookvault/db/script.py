"""Runs the SQL that stands beside a migration: a paragraph is a statement, a line that starts with -- is left out."""

from pathlib import Path

from alembic import op


def run_beside(migration: str) -> None:
    """Runs the .sql file of the same name as a migration's own file (`__file__`)."""
    text = Path(migration).with_suffix(".sql").read_text("utf-8")
    lines = (line for line in text.split("\n") if not line.startswith("--"))
    for statement in "\n".join(lines).split("\n\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
