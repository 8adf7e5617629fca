"""The account."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ledger:
    """The whole account, from one snapshot. It balances when nothing was lost or made up."""

    accepted: int
    delivered: int
    failed: int
    expired: int
    pending: int
    held: int

    @property
    def balance(self) -> int:
        """0 when accepted = delivered + pending + held + failed + expired."""
        return self.accepted - self.delivered - self.pending - self.held - self.failed - self.expired
