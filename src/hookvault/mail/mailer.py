"""Sends mails by SMTP (RFC 5321), over TLS wherever they leave the machine; without a server, development logs them."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from typing import Literal

import aiosmtplib

from hookvault.clock import now
from hookvault.errors import UnavailableError
from hookvault.log import get_logger
from hookvault.mail.model import Mail
from hookvault.settings import Settings, is_loopback

_TIMEOUT_S = 10.0
_log = get_logger()

TLS = Literal["tls", "starttls", "none"]


class Mailer:
    """Sends mails as the settings say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def has_server(self) -> bool:
        """Whether there is a mail server."""
        return self._settings.smtp_host is not None

    @property
    def can_send(self) -> bool:
        """Whether a mail reaches anybody: by a server, or in development by the log."""
        return self.has_server or not self._settings.production

    async def send(self, mail: Mail) -> None:
        """Sends a mail; the server has taken it when this returns.

        Raises:
            UnavailableError: `mail_not_set_up` (production without SMTP_HOST), or `mail_unavailable`, which never quotes the mail.
        """
        settings = self._settings
        if settings.smtp_host is None:
            if settings.production:
                message = "No mail can be sent: SMTP_HOST is not set. See docs/settings.md."
                raise UnavailableError(message, code="mail_not_set_up")
            _log.info(
                "mail_not_sent", why="SMTP_HOST is not set", to=mail.to, subject=mail.subject, text=mail.text.open()
            )
            return
        try:
            await self._deliver(settings.smtp_host, _message(mail, settings.smtp_from or ""))
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError, LookupError) as error:
            _log.error("mail_unavailable", host=settings.smtp_host, error=type(error).__name__, status=_status(error))
            raise UnavailableError(
                "The mail server did not take the mail. Nothing else was undone; try sending it again later.",
                code="mail_unavailable",
            ) from None

    async def _deliver(self, host: str, message: EmailMessage) -> None:
        settings = self._settings
        kind = tls_of(settings)
        password = settings.smtp_pass
        await aiosmtplib.send(
            message,
            hostname=host,
            port=settings.smtp_port,
            use_tls=kind == "tls",
            start_tls=kind == "starttls",
            username=settings.smtp_user,
            password=password.get_secret_value() if password and settings.smtp_user else None,
            timeout=_TIMEOUT_S,
        )


def tls_of(settings: Settings) -> TLS:
    """How the connection is protected: as SMTP_TLS says, else by the port; only on this machine itself it need not be."""
    if settings.smtp_tls != "auto":
        return settings.smtp_tls
    if settings.smtp_port == 465:
        return "tls"
    return "none" if is_loopback(settings.smtp_host or "") else "starttls"


def _message(mail: Mail, sender: str) -> EmailMessage:
    """The message. Header values with a line break in them are refused by the library (ValueError)."""
    message = EmailMessage(SMTP)
    name, address = parseaddr(sender)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = Address(addr_spec=mail.to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(now())
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers from people on leave
    message.set_content(mail.text.open())
    message.add_alternative(mail.html.open(), subtype="html")
    return message


def _status(error: Exception) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else None
