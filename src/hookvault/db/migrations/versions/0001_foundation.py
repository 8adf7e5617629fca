"""Tenants, vault, webhooks, recorded calls, accounts and audit, each behind row-level security.

The SQL stands in 0001_foundation.sql beside this file: a paragraph is a statement.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes everything."""
    text = Path(__file__).with_suffix(".sql").read_text("utf-8")
    lines = (line for line in text.split("\n") if not line.startswith("--"))
    for statement in "\n".join(lines).split("\n\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
