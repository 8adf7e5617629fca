"""Durable deliveries: their story and queue, holds, limits, idempotency keys, replays, and the ledger.

The SQL stands in 0002_deliveries.sql beside this file: a paragraph is a statement.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes everything."""
    text = Path(__file__).with_suffix(".sql").read_text("utf-8")
    lines = (line for line in text.split("\n") if not line.startswith("--"))
    for statement in "\n".join(lines).split("\n\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
