"""How a provider is asked whether it takes a credential: a request described as data, and a verdict on its answer (pure).

What a provider answers may hold secrets (Twilio's account holds its auth token), so a verdict is a code and nothing else.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from hookvault.vault.secret import Secret

Code = Literal[
    "ok", "auth_failed", "scope_missing", "wrong_account", "rate_limited", "unreachable", "unexpected_answer"
]
Config = Mapping[str, str | Secret]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a request is signed for besides its own content: the Host that it goes to, and the moment."""

    host: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """A request that proves a credential. Path, headers and body hold secrets; its repr has none of them."""

    method: Literal["GET", "POST"]
    path: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One call that proves something of a configuration.

    Attributes:
        fields: The secret fields that it proves. Where one of them is not set, the call is left out.
        base: The URL that the path is put behind, worked out from the plain fields.
        request: Describes the call; here the secrets leave their boxes.
        verdict: What an answer means, from the configuration, the status and the beginning of the body.
    """

    fields: tuple[str, ...]
    base: Callable[[Config], str]
    request: Callable[[Config, Occasion], ProofRequest]
    verdict: Callable[[Config, int, bytes], Code]


def text_of(config: Config, name: str) -> str:
    """A field's text, out of its box where it is secret; empty where it is not set."""
    value = config.get(name, "")
    return value.open() if isinstance(value, Secret) else value


def basic(user: str, password: str) -> tuple[tuple[str, str], ...]:
    """The header of Basic authentication (RFC 7617)."""
    return (("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


def by_status(status: int) -> Code:
    """What a status says by itself; `ok` for any success, which a verdict should look at more closely."""
    if 200 <= status < 300:
        return "ok"
    if status >= 500:
        return "unreachable"
    known: Mapping[int, Code] = {401: "auth_failed", 403: "scope_missing", 429: "rate_limited"}
    return known.get(status, "unexpected_answer")


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty one where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
