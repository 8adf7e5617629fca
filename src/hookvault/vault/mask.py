"""What may be shown of a secret, and how to tell that somebody sent such a mask back in a secret's place."""

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, overload
from urllib.parse import unquote

from hookvault.vault.cipher import is_ciphertext
from hookvault.vault.fields import COMMON_PLAIN, PLAIN_FIELDS, sms_kind
from hookvault.vault.secret import HIDDEN

BULLETS = "\u2022" * 4
HINT_FROM = 16  # characters; of a shorter secret, four more known ones would be too many
LONG_TOKENS = frozenset({"accessToken"})

_MASK = re.compile(
    r"""
      [\u2022\u2219\u25a0\u25aa\u25cf\u25e6\u2981\u2b24\u2588]  # bullets and blocks, our own hints with them
    | [*\u2217\uff0a]{2,}                       # sk_live_***xyz789; a single star may be part of a password
    | \u00b7{2,}                                # middle dots
    | \u2026 | \.{3,}                           # an ellipsis; two dots occur in a JWE (RFC 7516, 7.1)
    | REDACTED
    | [\[<({](?i:redacted|hidden|masked|filtered|removed|encrypted|secret|unchanged)[\]>)}]
    | \A(?i:redacted)\Z
    | \A__\w*BLANK[\w-]*\Z                      # n8n's placeholder for a value that it doesn't show
    | \A(?:\*|[xX\#_\-\s]{4,})\Z
    | \A(?=.{1,64}\Z)([xX\#_\-])\1{3,}.{0,8}\Z               # XXXXXXXX4Kd8, of which the end is a hint
    | \A(?=.{1,64}\Z).{0,8}([xX\#_\-])\2{3,}\Z
    | \A(?i:set)\Z                              # what the audit log says of a secret
    """,
    re.VERBOSE,
)

_SIGNS = re.compile(r"([^\w\s\x21-\x7e])\1{2,}")  # any other sign three times: circles, squares, dots
_LONGEST = 4096  # no mask is longer; a longer text is refused for its length


def mask_token(value: str) -> str:
    """`sk_live_abc123xyz789` as `sk_live_***xyz789`.

    From 20 characters on the first 8 and last 6 are shown, from 16 on the last 4, of shorter ones nothing.
    """
    if len(value) >= 20:
        return f"{value[:8]}{HIDDEN}{value[-6:]}"
    return f"{HIDDEN}{value[-4:]}" if len(value) >= 16 else HIDDEN


def mask_long_token(value: str) -> str:
    """The first 10 and last 6 characters of a token of 40 or more; a shorter one as `mask_token` shows it."""
    return f"{value[:10]}{HIDDEN}{value[-6:]}" if len(value) >= 40 else mask_token(value)


def hint_of(value: str) -> str | None:
    """The last four characters, by which a person recognises a secret; None below 16 characters."""
    return value[-4:] if len(value) >= HINT_FROM else None


@overload
def masked_hint(hint: str) -> str: ...
@overload
def masked_hint(hint: None) -> None: ...
def masked_hint(hint: str | None) -> str | None:
    """A hint as it is shown: four bullets, however long the secret, then the hint. None stays None."""
    return None if hint is None else BULLETS + hint


def looks_masked(value: str) -> bool:
    """Whether a text is a mask, so that storing it would destroy the secret it stands for.

    Recognised are bullets, two or more stars in a row, an ellipsis, `REDACTED` and bracketed words like it, n8n's blank value,
    four or more of x, #, - or _ with a hint at most, and any other sign three times in a row; also escaped. Random tokens of
    the usual alphabets never are.
    """
    return any(_MASK.search(form.strip()) or (len(form) <= _LONGEST and _SIGNS.search(form)) for form in _forms(value))


def _forms(value: str) -> set[str]:
    """A text, and what it was before somebody escaped it for HTML or a URL, or read its UTF-8 as Latin letters."""
    forms = {value, html.unescape(value), unquote(value)}
    with suppress(UnicodeError):
        forms.add(value.encode("cp1252").decode())
    return forms


def mask_whatsapp_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy to show: secret and unknown fields masked, those that are encrypted as `***`."""
    return _masked(config, PLAIN_FIELDS["whatsapp"])


def mask_sms_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy to show, by the fields of its `provider`; with an unknown provider all are secret."""
    kind = sms_kind(config)
    return _masked(config, PLAIN_FIELDS[kind] if kind else COMMON_PLAIN)


def _masked(config: Mapping[str, Any], plain: frozenset[str]) -> dict[str, Any]:
    return {name: _shown(name, value, plain) for name, value in config.items()}


def _shown(name: str, value: Any, plain: frozenset[str]) -> Any:
    if value is None or (name in plain and isinstance(value, str | int | float)):
        return value
    if not isinstance(value, str) or is_ciphertext(value):
        return HIDDEN
    return mask_long_token(value) if name in LONG_TOKENS else mask_token(value)
