"""The headers of a call: Standard Webhooks, our own, the tenant's static ones and its auth."""

import base64
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote
from uuid import UUID

import jwt
import msgspec

from hookvault.vault.secret import Secret
from hookvault.webhooks.endpoint import Endpoint
from hookvault.webhooks.signing import sign, signing_key

USER_AGENT = "Hookvault/1"
RESERVED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
OWN_PREFIX = "x-hookvault-"
_JWT_LIFE_S = 300
_MASK = b"***"

Headers = list[tuple[str, str]]


def wire_headers(endpoint: Endpoint, message_id: UUID, call_id: UUID, body: bytes) -> Headers:
    """All headers of one attempt.

    Args:
        endpoint: The webhook.
        message_id: The same on every retry: the value of `webhook-id`.
        call_id: This attempt's own id.
        body: The exact bytes sent, which the signature covers.
    """
    timestamp = int(time.time())
    headers = [
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        ("webhook-id", str(message_id)),
        ("webhook-timestamp", str(timestamp)),
    ]
    if endpoint.signing_secret is not None:
        key = signing_key(endpoint.signing_secret)
        headers.append(("webhook-signature", sign(key, str(message_id), timestamp, body)))
    headers.append(("x-hookvault-tenant", endpoint.tenant_id))
    headers.append(("x-hookvault-call", str(call_id)))
    headers.extend((name, value.open()) for name, value in endpoint.static_headers)
    headers.extend(_auth_headers(endpoint))
    return headers


def recorded_headers(endpoint: Endpoint, headers: Headers) -> bytes:
    """What the record keeps of a call's headers, as JSON: no auth, no signature, static values hidden."""
    hidden = {name for name, _ in endpoint.static_headers}
    left_out = {"webhook-signature", "authorization", str(endpoint.auth_config.get("headerName", "")).lower()}
    kept = {name: "***" if name in hidden else value for name, value in headers if name.lower() not in left_out}
    return msgspec.json.encode(kept)


def without_secrets(data: bytes, endpoint: Endpoint) -> bytes:
    """A response's body without the webhook's own secrets, should the receiver echo them in any usual form."""
    for secret in endpoint.secrets:
        for form in echo_forms(secret):
            if form in data:
                data = data.replace(form, _MASK)
    return data


def echo_forms(secret: Secret) -> tuple[bytes, ...]:
    """A secret as a receiver may echo it: raw, base64, URL- and JSON-escaped. Empty for one too short to tell apart."""
    text = secret.open()
    if len(text) < 6:
        return ()
    raw = text.encode()
    escaped = msgspec.json.encode(text)[1:-1]
    forms = {
        raw,
        base64.b64encode(raw),
        quote(text, safe="").encode(),
        escaped,
        escaped.replace(b"/", b"\\/"),
    }
    return tuple(sorted(forms, key=len, reverse=True))


def _auth_headers(endpoint: Endpoint) -> Headers:
    if endpoint.auth_token is None:
        return []
    return _AUTH[endpoint.auth_type](endpoint.auth_config, endpoint.auth_token)


def _bearer(_config: Mapping[str, object], token: Secret) -> Headers:
    return [("authorization", f"Bearer {token.open()}")]


def _header(config: Mapping[str, object], token: Secret) -> Headers:
    return [(str(config["headerName"]), token.open())]


def _basic(config: Mapping[str, object], token: Secret) -> Headers:
    """RFC 7617, in UTF-8."""
    pair = base64.b64encode(f"{config['user']}:{token.open()}".encode()).decode()
    return [("authorization", f"Basic {pair}")]


def _jwt(config: Mapping[str, object], token: Secret) -> Headers:
    """RFC 7519, HS256: the tenant's claims, issued now, good for five minutes."""
    issued = int(time.time())
    stored = config.get("claims")
    claims = {"iat": issued, "exp": issued + _JWT_LIFE_S, **(stored if isinstance(stored, dict) else {})}
    return [("authorization", f"Bearer {jwt.encode(claims, token.open(), algorithm='HS256')}")]


def _no_auth(_config: Mapping[str, object], _token: Secret) -> Headers:
    return []


_AUTH: Mapping[str, Callable[[Mapping[str, object], Secret], Headers]] = {
    "none": _no_auth,
    "bearer": _bearer,
    "header": _header,
    "basic": _basic,
    "jwt": _jwt,
}

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z")
