"""Mails as a real server receives them: over TLS, signed in, in two forms; and as the log has them where there is none."""

import logging

import pytest

from hookvault import log
from hookvault.errors import SetupError, UnavailableError
from hookvault.mail.compose import invitation, password_reset
from hookvault.mail.mailer import Mailer, tls_of
from hookvault.settings import Settings, load_settings
from hookvault.vault.secret import Secret
from post import PostOffice

LINK = Secret("https://hookvault.example.com/invitations/abc-DEF_123")
PLAIN = {"smtp_host": "mail.example.com", "smtp_from": "a@example.com"}


def mailer(office, **more):
    return Mailer(Settings(**(office.settings | more)))


@pytest.fixture
def trusting(monkeypatch, tmp_path):
    """Has this process trust a server's own authority."""

    def trust(office):
        path = tmp_path / "ca.pem"
        office.authority.cert_pem.write_to_path(path)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))

    return trust


async def test_a_mail_has_two_forms_that_say_the_same():
    async with PostOffice() as office:
        await mailer(office).send(invitation("guest@example.com", "owner", LINK, by="Ann <b> & Co"))
        (mail,) = office.mails
    assert mail.get_content_type() == "multipart/alternative"
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Ann <b> & Co invites you to Hookvault, as an owner." in text
    assert "Ann &lt;b&gt; &amp; Co invites you" in html
    assert LINK.open() in text
    assert f'<a href="{LINK.open()}">' in html
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@example.com>")
    assert office.envelopes[0].rcpt_tos == ["guest@example.com"]


@pytest.mark.parametrize(
    "name", ["Ann\r\nBcc: eve@example.com", "Ann\n\nSee https://evil.example", "\x00\x1b[31m", "x" * 500]
)
async def test_a_name_is_one_short_line_and_no_address(name):
    async with PostOffice() as office:
        await mailer(office).send(invitation("guest@example.com", "admin", LINK, by=name))
        (mail,) = office.mails
    assert mail["Bcc"] is None
    assert office.envelopes[0].rcpt_tos == ["guest@example.com"]
    text = mail.get_body(("plain",)).get_content()
    first = text.partition("\n")[0]
    assert len(first) < 160
    assert "://" not in first
    assert "\x1b" not in text
    assert "\x00" not in text


@pytest.mark.parametrize(
    "to", ["a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com", "no address", ""]
)
async def test_a_receiver_that_is_none_is_refused(to):
    async with PostOffice() as office:
        with pytest.raises(UnavailableError):
            await mailer(office).send(password_reset(to, LINK))
        assert office.mails == []


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_over_tls_it_signs_in_and_sends(trusting, kind):
    async with PostOffice(tls=kind, login=("me", "a secret word")) as office:
        trusting(office)
        await mailer(office, smtp_tls=kind, smtp_user="me", smtp_pass="a secret word").send(
            password_reset("a@example.com", LINK)
        )
        assert office.logins == [("me", "a secret word")]
        assert len(office.mails) == 1
        with pytest.raises(UnavailableError) as caught:
            await mailer(office, smtp_tls=kind, smtp_user="me", smtp_pass="wrong-word").send(
                password_reset("a@example.com", LINK)
            )
        assert caught.value.code == "mail_unavailable"
        assert "wrong-word" not in caught.value.message


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_a_server_that_nobody_vouches_for_gets_nothing(kind):
    async with PostOffice(tls=kind, login=("me", "a secret word")) as office:
        with pytest.raises(UnavailableError):
            await mailer(office, smtp_tls=kind, smtp_user="me", smtp_pass="a secret word").send(
                password_reset("a@example.com", LINK)
            )
        assert (office.logins, office.mails) == ([], [])


async def test_a_server_without_tls_gets_no_password():
    async with PostOffice(login=("me", "a secret word")) as office:
        with pytest.raises(UnavailableError):
            await mailer(office, smtp_tls="starttls", smtp_user="me", smtp_pass="a secret word").send(
                password_reset("a@example.com", LINK)
            )
        assert (office.logins, office.mails) == ([], [])


async def test_where_no_server_is_it_says_so():
    with pytest.raises(UnavailableError) as caught:
        await Mailer(Settings(smtp_host="127.0.0.1", smtp_port=1, smtp_from="a@example.com")).send(
            password_reset("a@x.com", LINK)
        )
    assert caught.value.code == "mail_unavailable"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, "starttls"),
        ({"smtp_port": 465}, "tls"),
        ({"smtp_port": 25}, "starttls"),
        ({"smtp_host": "127.0.0.1"}, "none"),
        ({"smtp_host": "::1"}, "none"),
        ({"smtp_host": "localhost"}, "none"),
        ({"smtp_host": "localhost.example.com"}, "starttls"),
        ({"smtp_host": "127.0.0.1", "smtp_tls": "starttls"}, "starttls"),
        ({"smtp_tls": "none"}, "none"),
    ],
)
def test_tls_is_left_out_on_this_machine_only(more, kind):
    assert tls_of(Settings(**(PLAIN | more))) == kind


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"SMTP_HOST": "mail.example.com"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail.example.com", "SMTP_FROM": "nobody"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail.example.com", "SMTP_FROM": "a@example.com\nBcc: b@example.com"}, "SMTP_FROM"),
        ({"SMTP_HOST": "mail.example.com", "SMTP_FROM": "a@example.com", "SMTP_USER": "me"}, "SMTP_PASS"),
        (
            {
                "SMTP_HOST": "mail.example.com",
                "SMTP_FROM": "a@b.c",
                "SMTP_USER": "me",
                "SMTP_PASS": "x-7f",
                "SMTP_TLS": "none",
            },
            "SMTP_TLS",
        ),
        ({"APP_URL": "hookvault.example.com"}, "APP_URL"),
        ({"APP_URL": "https://user@hookvault.example.com"}, "APP_URL"),
        ({"APP_URL": "javascript://x"}, "APP_URL"),
    ],
)
def test_settings_that_do_not_fit_are_named(monkeypatch, environment, name):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError) as caught:
        load_settings()
    assert caught.value.message.startswith(f"{name}: ")
    assert "x-7f" not in caught.value.message


@pytest.mark.parametrize("production", [True, False])
async def test_without_a_server_development_logs_a_link_that_works(production):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(log._formatter(production=production, colors=False).format(record))
    logger = logging.getLogger("hookvault")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        for mail in (invitation("a@example.com", "admin", LINK), password_reset("a@example.com", LINK)):
            await Mailer(Settings()).send(mail)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert sum(LINK.open() in line for line in lines) == 2
    with pytest.raises(UnavailableError) as caught:
        await Mailer(Settings(app_env="production")).send(mail)
    assert caught.value.code == "mail_not_set_up"
