"""What the time of a call went into.

The SQL stands in 0007_timing.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the columns."""
    run_beside(__file__)
