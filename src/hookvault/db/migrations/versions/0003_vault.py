"""Keys that rotate online: who holds which, rekeying, shredding, rotated credentials, scans, backups, and the audit chain.

The SQL stands in 0003_vault.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
