"""What slows guessing down, over all processes: pauses that grow with every failure, and that keep nobody else out for long.

Counted is by whom (a network) an account was named, each network over all accounts, and each account over all networks. The
last alone would be a way to keep its owner out; so it does not count for a network from which the owner signed in lately.
"""

from dataclasses import dataclass
from datetime import timedelta

from hookvault.accounts.signin import store
from hookvault.accounts.token import Signer
from hookvault.audit.tally import network
from hookvault.clock import now
from hookvault.db.pool import Database, SystemTx
from hookvault.errors import TooManyRequestsError

_FORGET_S = 900.0
_LONGEST_S = 900.0
_KNOWN = "known"
_KNOWN_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many attempts are free, and the first pause after them, in seconds; each further one is twice as long, up to 15 min."""

    free: int
    first_s: float
    longest_s: float = _LONGEST_S


BY_BOTH = Allowance(5, 30.0)
BY_NETWORK = Allowance(30, 30.0)
BY_ACCOUNT = Allowance(50, 5.0, 60.0)
MAILS_BY_ACCOUNT = Allowance(3, 300.0, 3600.0)
MAILS_BY_NETWORK = Allowance(10, 60.0, 3600.0)

_Charged = list[tuple[str, bytes, Allowance]]


class Brake:
    """Counts attempts before they are made, and takes back those that were right.

    Args:
        database: Where.
        signer: Makes of addresses what can be compared and tells nothing.
    """

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer

    async def charge(self, what: str, account: str, ip: str | None) -> None:
        """Lets one attempt on an account be made.

        Args:
            what: `password` or `code`.
            account: Whoever was named, also somebody unknown.
            ip: From where.

        Raises:
            TooManyRequestsError: with the seconds to wait; nothing was counted then.
        """
        async with self._database.system() as tx:
            known = await store.is_known(tx, _KNOWN, self._pair(_KNOWN, account, ip))
            for kind, subject, allowance in self._counted(what, account, ip):
                if not (known and kind.endswith("account")):
                    await _charge(tx, kind, subject, allowance)

    async def charge_mail(self, account: str, ip: str | None) -> None:
        """Lets one mail be asked for. Raises TooManyRequestsError."""
        address = account.casefold()
        async with self._database.system() as tx:
            net = self._signer.digest("mail network", network(ip) or "")
            await _charge(tx, "mail network", net, MAILS_BY_NETWORK)
            await _charge(tx, "mail account", self._signer.digest("mail account", address), MAILS_BY_ACCOUNT)

    async def release(self, tx: SystemTx, what: str, account: str, ip: str | None) -> None:
        """Forgets the failures of who was right, and remembers from where."""
        for kind, subject, _ in self._counted(what, account, ip):
            if kind.endswith("both"):
                await store.clear(tx, kind, subject)
            else:
                await store.uncharge(tx, kind, subject)
        await store.know(tx, _KNOWN, self._pair(_KNOWN, account, ip), now() + _KNOWN_FOR)

    async def refund(self, what: str, account: str, ip: str | None) -> None:
        """Takes back an attempt that could not be made."""
        async with self._database.system() as tx:
            for kind, subject, _ in self._counted(what, account, ip):
                await store.uncharge(tx, kind, subject)

    def _counted(self, what: str, account: str, ip: str | None) -> _Charged:
        """What counts an attempt, always in this order: two who wait for each other would wait for ever."""
        net = network(ip) or ""
        return [
            (f"{what} account", self._signer.digest(what, account.casefold()), BY_ACCOUNT),
            (f"{what} both", self._pair(what, account, ip), BY_BOTH),
            (f"{what} network", self._signer.digest(what, "network", net), BY_NETWORK),
        ]

    def _pair(self, what: str, account: str, ip: str | None) -> bytes:
        return self._signer.digest(what, account.casefold(), network(ip) or "")


async def _charge(tx: SystemTx, kind: str, subject: bytes, allowance: Allowance) -> None:
    bounds = (_FORGET_S, allowance.free, allowance.longest_s, allowance.first_s)
    open_at = await store.charge(tx, kind, subject, bounds)
    if open_at is not None:
        wait = max((open_at - now()).total_seconds(), 1.0)
        message = f"There were too many attempts. Try again in {int(wait) + 1} seconds."
        raise TooManyRequestsError(message, retry_after_s=wait)
