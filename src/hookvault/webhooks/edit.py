"""What an admin may write into a webhook, checked field by field (pure)."""

import re
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec

from hookvault.admission.model import MAX_CONCURRENCY, check_rate_limit, is_whole
from hookvault.errors import InvalidError
from hookvault.ids import NAME_PATTERN, is_name
from hookvault.integrations.change import check_secret
from hookvault.outbound.errors import InvalidURLError
from hookvault.outbound.guard import AddressPolicy, parse_target
from hookvault.webhooks.headers import HEADER_NAME, OWN_PREFIX, RESERVED
from hookvault.webhooks.model import MAX_BUDGET_MS, MAX_RETRIES
from hookvault.webhooks.redact import check_paths
from hookvault.webhooks.seal import POLICY_FIELDS

EDITABLE = frozenset(
    {
        "workflow_name",
        "webhook_url",
        "description",
        "is_active",
        "auth_type",
        "auth_config",
        "auth_token",
        "static_headers",
        "policy",
    }
)
_DAY_S = 86_400
_AUTH_TYPES = ("none", "bearer", "header", "basic", "jwt")
_CONFIG_FIELDS: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "bearer": frozenset(),
    "header": frozenset({"headerName"}),
    "basic": frozenset({"user"}),
    "jwt": frozenset({"algorithm", "claims"}),
}
_MAX_STATIC_HEADERS = 20
_MAX_SECRET = 4096
_MAX_CLAIMS = 8192
_ANY_KEY = "0" * 64  # stands for a stored key where only the claims are checked
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?\Z")


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refuses names that a webhook does not have, and values out of bounds."""
    unknown = sorted(set(fields) - EDITABLE)
    if unknown:
        raise fault(unknown[0], "is not a field of a webhook")
    if "workflow_name" in fields and not is_name(str(fields["workflow_name"])):
        raise fault("workflowName", f"must match {NAME_PATTERN}")
    if len(fields.get("description") or "") > 2000:
        raise fault("description", "must have 2,000 characters or fewer")


def check_url(url: str, policy: AddressPolicy) -> None:
    """Refuses an address that could never be called, and n8n's test addresses, which work only while an editor waits.

    Raises:
        InvalidURLError: code `invalid_url`.
        AddressBlockedError: code `address_blocked`, for an address literal in a forbidden network.
    """
    if "/webhook-test/" in parse_target(url, policy).path:
        raise InvalidURLError(
            "This is n8n's test URL (/webhook-test/), which listens only while the editor waits for one call. "
            "Store the production URL (/webhook/)."
        )


def auth_type_of(fields: Mapping[str, Any], before: str) -> str:
    """The auth type that a change leads to: a token given alone means bearer.

    Raises:
        InvalidError: an unknown type.
    """
    chosen: str = fields.get("auth_type") or ("bearer" if fields.get("auth_token") and before == "none" else before)
    if chosen not in _AUTH_TYPES:
        raise fault("authType", f"must be one of {', '.join(_AUTH_TYPES)}")
    return chosen


def check_auth(auth_type: str, config: Mapping[str, Any], *, token: str | None, keeps: bool) -> None:
    """Refuses an auth type without what it needs, or with what it has no use for.

    Args:
        auth_type: What the change leads to.
        config: Its authConfig.
        token: The token given with the change.
        keeps: Whether the stored token stays.

    Raises:
        InvalidError: naming the field.
    """
    extra = sorted(set(config) - _CONFIG_FIELDS[auth_type])
    if extra:
        raise fault("authConfig", f"has a field {extra[0][:64]!r} that auth type {auth_type} does not use")
    has_token = token is not None or keeps
    if auth_type == "none" and has_token:
        raise fault("authToken", "is not used with auth type none; leave one of the two out")
    if auth_type != "none" and not has_token:
        raise fault("authToken", f"is required with auth type {auth_type}")
    if auth_type == "header":
        check_header_name("authConfig.headerName", config.get("headerName"), reserved=RESERVED - {"authorization"})
    if auth_type == "basic":
        _check_user(config.get("user"))
    if auth_type == "jwt":
        _check_jwt(config, token or _ANY_KEY)


def check_token(value: str) -> None:
    """Refuses an auth token that can't travel in a header. Raises InvalidError; `mask_submitted` for a mask."""
    check_secret("authToken", value)
    if not value.strip() or len(value) > _MAX_SECRET:
        raise fault("authToken", f"must have 1 to {_MAX_SECRET} characters")
    if not _HEADER_VALUE.match(value):
        raise fault("authToken", "may hold printable ASCII only, without white space around it")


def check_static_headers(headers: Mapping[str, str | None]) -> None:
    """Refuses header names of ours or of HTTP itself, and values that can't travel."""
    if len(headers) > _MAX_STATIC_HEADERS:
        raise fault("staticHeaders", f"may hold {_MAX_STATIC_HEADERS} headers or fewer")
    if len({name.lower() for name in headers}) < len(headers):
        raise fault("staticHeaders", "holds one name twice in different letter case")
    for name, value in headers.items():
        check_header_name("staticHeaders", name, reserved=RESERVED)
        if value is not None:
            check_secret(f"staticHeaders.{name}", value)
            if len(value) > _MAX_SECRET or not _HEADER_VALUE.match(value):
                raise fault(f"staticHeaders.{name}", f"must be 1 to {_MAX_SECRET} printable ASCII characters")


def check_header_name(field: str, name: object, *, reserved: frozenset[str]) -> None:
    """Refuses what is not a header name, or is reserved."""
    if not isinstance(name, str) or not HEADER_NAME.match(name):
        raise fault(field, "needs a header name of 1 to 64 letters, digits and -_.")
    if name.lower() in reserved or name.lower().startswith(OWN_PREFIX):
        raise fault(field, f"may not name {name.lower()}, which Hookvault or HTTP itself sets")


def check_policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy to store, null values left out. Raises InvalidError, naming the field."""
    unknown = sorted(set(policy) - set(POLICY_FIELDS))
    if unknown:
        raise fault("policy", f"has no field {unknown[0][:64]!r}")
    kept = {name: value for name, value in policy.items() if value is not None}
    whole = (("timeoutMs", MAX_BUDGET_MS, 1), ("maxRetries", MAX_RETRIES, 0), ("concurrency", MAX_CONCURRENCY, 1))
    for name, highest, lowest in whole:
        if not is_whole(kept.get(name, lowest), lowest, highest):
            raise fault(f"policy.{name}", f"must be a whole number from {lowest} to {highest}")
    for name in ("retryOnTimeout", "retryOnWorkflowError", "keepPayloads"):
        if not isinstance(kept.get(name, True), bool):
            raise fault(f"policy.{name}", "must be true or false")
    schedule = kept.get("schedule", [1])
    if not isinstance(schedule, list) or not 1 <= len(schedule) <= MAX_RETRIES:
        raise fault("policy.schedule", f"must be a list of 1 to {MAX_RETRIES} pauses in seconds")
    if not all(is_whole(pause, 1, _DAY_S) for pause in schedule):
        raise fault("policy.schedule", f"must hold whole seconds from 1 to {_DAY_S}")
    check_paths(kept.get("redactPaths", []))
    if kept.get("redactPaths") == []:
        del kept["redactPaths"]
    if "rateLimit" in kept:
        check_rate_limit("policy.rateLimit", kept["rateLimit"])
    return kept


def kebab_case(name: str) -> str:
    """A workflow name as it stands in a derived URL: `ContactForm_new` becomes `contact-form-new`."""
    spaced = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", _hyphenated, name)
    return re.sub(r"[-_]+", "-", spaced).strip("-").lower()


def fault(field: str, message: str) -> InvalidError:
    """The error for one field."""
    return InvalidError(f"{field} {message}.", errors=[{"field": field, "message": message}])


def _hyphenated(match: re.Match[str]) -> str:
    return "-".join(part for part in match.groups() if part)


def _check_user(user: object) -> None:
    if not isinstance(user, str) or not 1 <= len(user) <= 256 or ":" in user or not user.isprintable():
        raise fault("authConfig.user", "is required with auth type basic: 1 to 256 printable characters, no colon")


def _check_jwt(config: Mapping[str, Any], key: str) -> None:
    if config.get("algorithm", "HS256") != "HS256":
        raise fault("authConfig.algorithm", "must be HS256")
    claims = config.get("claims", {})
    if not isinstance(claims, Mapping):
        raise fault("authConfig.claims", "must be an object")
    try:
        if len(msgspec.json.encode(claims)) > _MAX_CLAIMS:
            raise fault("authConfig.claims", f"must have {_MAX_CLAIMS} bytes of JSON or fewer")
        jwt.encode(dict(claims), key, algorithm="HS256")  # what can't be signed now could not be signed at a call
    except jwt.InvalidKeyError:
        raise fault("authToken", "can't be a key of HS256; it looks like a public key or certificate") from None
    except (TypeError, ValueError, jwt.PyJWTError):
        raise fault("authConfig.claims", "can't be signed; iss, for one, must be text") from None
