"""A mail before it is sent."""

from dataclasses import dataclass

from hookvault.vault.secret import Secret


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one person. Its texts hold a link that lets somebody in, and so stay boxed."""

    to: str
    subject: str
    text: Secret
    html: Secret
