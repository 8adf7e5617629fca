"""The audit log by who did it.

The SQL stands in 0006_audit.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
