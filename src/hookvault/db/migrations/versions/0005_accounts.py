"""Accounts of platform admins: sessions, second factors, invitations, links to a new password, and what slows guessing down.

The SQL stands in 0005_accounts.sql beside this file.
"""

from hookvault.db.script import run_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes everything."""
    run_beside(__file__)
