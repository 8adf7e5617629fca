"""Analytics: rollups by five minutes, hour and day, the call log's indexes, retention by tenant, and expunging.

The SQL stands in 0004_analytics.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
