"""Puts the services on platform admins together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hookvault.accounts.admins import AdminService
from hookvault.accounts.factor.service import Factors
from hookvault.accounts.invitations.service import InvitationService
from hookvault.accounts.passwords import Passwords
from hookvault.accounts.resets.service import ResetService
from hookvault.accounts.signin.brake import Brake
from hookvault.accounts.signin.login import LoginService
from hookvault.accounts.signin.sessions import Sessions
from hookvault.accounts.token import Signer
from hookvault.audit.tally import Happening
from hookvault.db.pool import Database
from hookvault.log import register_secret
from hookvault.mail.mailer import Mailer
from hookvault.settings import Settings
from hookvault.vault.keyfile import kept_key
from hookvault.vault.secret import Secret
from hookvault.vault.service import Vault

_SESSION_FILE = "session.key"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The services on platform admins. Make it with `assemble`."""

    admins: AdminService
    sessions: Sessions
    logins: LoginService
    invitations: InvitationService
    resets: ResetService

    async def prune(self) -> None:
        """Removes what has run out."""
        await self.sessions.prune()
        await self.resets.prune()
        await self.invitations.prune()


def assemble(settings: Settings, database: Database, vault: Vault, note: Callable[[Happening], object]) -> Accounts:
    """The services on platform admins.

    Args:
        settings: Of this process.
        database: Where.
        vault: Seals second factors.
        note: Takes note for the audit log, of what anybody can cause.

    Raises:
        SetupError: the file of the session secret can't be read or written.
    """
    passwords, mailer, signer = Passwords(), Mailer(settings), Signer(_session_secret(settings))
    idle, longest = timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_max_hours)
    sessions = Sessions(database, signer, idle=idle, longest=longest)
    checks: dict[str, Any] = {
        "passwords": passwords,
        "brake": Brake(database, signer),
        "signer": signer,
        "note": note,
    }
    mailing: dict[str, Any] = {"mailer": mailer, "app_url": settings.app_url}
    return Accounts(
        admins=AdminService(database, passwords),
        sessions=sessions,
        logins=LoginService(database, sessions=sessions, factors=Factors(vault), **checks),
        invitations=InvitationService(database, passwords=passwords, **mailing),
        resets=ResetService(database, **mailing, **checks),
    )


def _session_secret(settings: Settings) -> Secret:
    """SESSION_SECRET; in development one is made once and kept in the data directory."""
    given = settings.session_secret
    text = (
        given.get_secret_value() if given else kept_key(settings.hookvault_data_dir / _SESSION_FILE, "SESSION_SECRET")
    )
    register_secret(text)
    return Secret(text)
