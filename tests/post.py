"""A real mail server on loopback, and what it was sent."""

import asyncio
import re
import ssl
from email import message_from_bytes
from email.policy import default

import trustme
from aiosmtpd.smtp import SMTP, AuthResult

from canary import CANARY

_LINK = re.compile(r"https?://\S+/(?:invitations|password-resets)/(\S+)")


class PostOffice:
    """Takes mails, or refuses them: `refuses` is what it answers instead.

    Args:
        tls: None, `starttls` (which it then requires) or `tls`.
        login: The name and password that it asks for.
    """

    def __init__(self, *, tls=None, login=None):
        self.mails, self.envelopes, self.logins = [], [], []
        self.refuses = None
        self.authority = trustme.CA()
        self._login = login
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        options = {}
        if tls == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"authenticator": self._judge, "auth_required": True, "auth_require_tls": tls == "starttls"}
        self._server, self._make = None, lambda: SMTP(self, hostname="localhost", **options)
        self._context = context if tls == "tls" else None

    @property
    def port(self):
        return self._server.sockets[0].getsockname()[1]

    @property
    def settings(self):
        """For an installation that sends its mails here."""
        return {"smtp_host": "127.0.0.1", "smtp_port": self.port, "smtp_from": "Hookvault <hookvault@example.com>"}

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make, "127.0.0.1", 0, ssl=self._context)
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.refuses:
            return self.refuses
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def token(self, to):
        """The token of the last link that was sent to an address; nobody else may ever see it."""
        mail = next(mail for mail in reversed(self.mails) if mail["To"] == to)
        token = _LINK.search(mail.get_body(("plain",)).get_content())[1]
        assert f"/{token}</a>" in mail.get_body(("html",)).get_content()
        CANARY.made(token)
        return token

    def count(self, to):
        return sum(mail["To"] == to for mail in self.mails)

    def _judge(self, _server, _session, _envelope, _mechanism, data):
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == self._login)
