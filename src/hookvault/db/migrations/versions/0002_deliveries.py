"""Durable deliveries: their story and queue, holds, limits, idempotency keys, replays, and the ledger.

The SQL stands in 0002_deliveries.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
