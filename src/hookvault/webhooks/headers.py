"""The headers of a call: Standard Webhooks, our own, the tenant's static ones and its auth."""

import base64
import re
import time
import warnings
from collections.abc import Callable, Mapping
from uuid import UUID

import jwt
import msgspec

from hookvault.vault.secret import Secret
from hookvault.webhooks.endpoint import Endpoint

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
        "proxy-connection",
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

# How long a tenant's key is was decided in its n8n; a warning at every call would tell nobody who could change it.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

Headers = list[tuple[str, str]]


def own_headers(endpoint: Endpoint, message_id: UUID, call_id: UUID) -> dict[str, str]:
    """The headers of one attempt that hold no secret: what the record may keep.

    Args:
        endpoint: The webhook.
        message_id: The same on every retry: the value of `webhook-id`.
        call_id: This attempt's own id.
    """
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(time.time())),
        "x-hookvault-tenant": endpoint.tenant_id,
        "x-hookvault-call": str(call_id),
    }


def wire_headers(endpoint: Endpoint, own: Mapping[str, str], body: bytes) -> Headers:
    """All headers of one attempt: its own, the signature over exactly these bytes, the tenant's static ones and its auth."""
    headers = list(own.items())
    if signers := endpoint.signers:
        message = own["webhook-id"], own["webhook-timestamp"], body
        headers.append(("webhook-signature", " ".join([signer.sign(*message) for signer in signers])))
    headers.extend([(name, value.open()) for name, value in endpoint.static_headers])
    if endpoint.auth_token is not None:
        headers.extend(_AUTH[endpoint.auth_type](endpoint.auth_config, endpoint.auth_token))
    return headers


def recorded_headers(endpoint: Endpoint, own: Mapping[str, str]) -> bytes:
    """What the record keeps of a call's headers, as JSON: no auth, no signature, static values hidden."""
    return msgspec.json.encode({**own, **endpoint.masked})


def credentials(headers: Headers) -> Secret:
    """What follows the scheme in an attempt's Authorization header, which is the last that `wire_headers` puts."""
    return Secret(headers[-1][1].partition(" ")[2])


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
