"""A recorded call as a command for a terminal, with placeholders where secrets were sent (pure)."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

from hookvault.vault.secret import HIDDEN
from hookvault.webhooks.model import Webhook

_LONGEST = 100_000  # characters of a payload in a command
_AUTH = {
    "bearer": "authorization: Bearer YOUR_TOKEN",
    "jwt": "authorization: Bearer YOUR_JWT",
    "basic": "authorization: Basic YOUR_USER_AND_PASSWORD_IN_BASE64",
}


def curl_of(webhook: Webhook, headers: Any, payload: Any, *, whole: bool) -> str:
    """The command.

    Args:
        webhook: As it is now; the URL and the kind of auth are its.
        headers: As they were recorded, secrets hidden.
        payload: As it was recorded.
        whole: Whether that is what was sent; else the body stays to be filled in.
    """
    lines = ["curl -X POST " + shlex.quote(webhook.webhook_url)]
    lines += ["-H " + shlex.quote(header) for header in _headers(webhook, headers)]
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    inline = whole and len(body) <= _LONGEST
    lines.append("--data-raw " + shlex.quote(body) if inline else "--data-binary @payload.json")
    return " \\\n  ".join(lines)


def _headers(webhook: Webhook, recorded: Any) -> Iterator[str]:
    known = recorded if isinstance(recorded, dict) else {"content-type": "application/json"}
    for name, value in known.items():
        yield f"{name}: {'YOUR_VALUE' if value == HIDDEN else value}"
    if webhook.auth_type == "header":
        yield f"{webhook.auth_config.get('headerName')}: YOUR_TOKEN"
    elif webhook.auth_type in _AUTH:
        yield _AUTH[webhook.auth_type]
