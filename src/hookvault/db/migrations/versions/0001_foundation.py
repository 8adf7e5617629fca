"""Tenants, vault, webhooks, recorded calls, accounts and audit, each behind row-level security.

The SQL stands in 0001_foundation.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
