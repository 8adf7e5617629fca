"""The mails that Hookvault sends, each as plain text and as a little HTML that says the same."""

from html import escape

from hookvault.mail.model import Mail
from hookvault.vault.secret import Secret

_HTML = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{subject}</title>
<body style="font: 16px/1.5 system-ui, sans-serif; color: #1c2024; max-width: 34em; margin: 2em auto; padding: 0 1em">
{paragraphs}
</body></html>
"""


def invitation(to: str, role: str, link: Secret, *, by: str = "") -> Mail:
    """An invitation to become an admin."""
    who = _one_line(by)
    first = (
        f"{who} invites you to Hookvault, as {_article(role)}."
        if who
        else f"You are invited to Hookvault, as {_article(role)}."
    )
    lines = [first, "Choose a name and a password here:"]
    last = "The link works once, for 72 hours. If you did not expect this mail, leave it alone."
    return _mail(to, "Your invitation to Hookvault", lines, link, last)


def password_reset(to: str, link: Secret) -> Mail:
    """A link to a new password."""
    lines = [
        "Somebody, hopefully you, asked for a new password for Hookvault under this address.",
        "Choose it here:",
    ]
    last = "The link works once, for one hour. If it was not you, leave this mail alone: your password stays as it is."
    return _mail(to, "A new password for Hookvault", lines, link, last)


def _mail(to: str, subject: str, lines: list[str], link: Secret, last: str) -> Mail:
    url = link.open()
    text = "\n\n".join([*lines, f"  {url}", last]) + "\n"
    shown = f'<p><a href="{escape(url)}">{escape(url)}</a></p>'
    paragraphs = "\n".join([*(f"<p>{escape(line)}</p>" for line in lines), shown, f"<p>{escape(last)}</p>"])
    return Mail(to, subject, Secret(text), Secret(_HTML.format(subject=escape(subject), paragraphs=paragraphs)))


def _article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


def _one_line(name: str) -> str:
    """A name as it may stand in a mail: nothing in it ends a line, or looks like an address to go to."""
    plain = "".join(character if character.isprintable() else " " for character in name)
    return " ".join(plain.replace("://", " ").split())[:100]
