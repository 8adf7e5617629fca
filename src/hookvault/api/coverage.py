"""What each route leaves in the audit log, or why nothing. A route that is not here fails a test."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TENANT = "/api/platform/tenants/{tenantId}"
_INTEGRATION = f"{_TENANT}/integrations/{{kind}}"
_WEBHOOK = f"{_TENANT}/webhooks/{{webhookId}}"
_DELIVERIES = "/api/tenants/{tenantId}/deliveries"
_HOT = "/api/tenants/{tenantId}/webhooks/{workflowName}"


@dataclass(frozen=True, slots=True)
class Unaudited:
    """Why what a route does is no event. Whoever is refused there is noted all the same."""

    why: str


_OPEN = Unaudited("open to everybody, and says nothing of any tenant")
_READ = Unaudited("shows no secret, and may be asked many times a second")

AUDIT: Mapping[tuple[str, str], str | Unaudited] = {
    ("GET", "/healthz"): _OPEN,
    ("GET", "/readyz"): _OPEN,
    ("GET", "/metrics"): Unaudited("counts only, and asked every few seconds"),
    ("GET", "/api/docs"): _OPEN,
    ("GET", "/api/docs.css"): _OPEN,
    ("GET", "/api/openapi.json"): _OPEN,
    ("GET", "/api/platform/tenants"): _READ,
    ("POST", "/api/platform/tenants"): "tenant.created",
    ("GET", _TENANT): _READ,
    ("PATCH", _TENANT): "tenant.updated",
    ("DELETE", _TENANT): "tenant.deleted",
    ("GET", f"{_TENANT}/audit"): "audit.listed",
    ("GET", "/api/platform/audit"): "audit.listed",
    ("GET", f"{_TENANT}/integrations"): _READ,
    ("POST", _INTEGRATION): "integration.created",
    ("PUT", _INTEGRATION): "integration.updated",
    ("DELETE", _INTEGRATION): "integration.deleted",
    ("POST", f"{_INTEGRATION}/test"): "integration.tested",
    ("GET", f"{_INTEGRATION}/rotation"): _READ,
    ("POST", f"{_INTEGRATION}/rotation"): "credential.staged",
    ("DELETE", f"{_INTEGRATION}/rotation"): "credential.discarded",
    ("POST", f"{_INTEGRATION}/rotation/test"): "credential.tested",
    ("POST", f"{_INTEGRATION}/rotation/switch"): "credential.switched",
    ("POST", f"{_INTEGRATION}/rotation/rollback"): "credential.rolled_back",
    ("POST", f"{_INTEGRATION}/rotation/revoke"): "credential.revoked",
    ("GET", f"{_INTEGRATION}/rotation/versions"): _READ,
    ("GET", f"{_TENANT}/webhooks"): _READ,
    ("POST", f"{_TENANT}/webhooks"): "webhook.created",
    ("GET", f"{_TENANT}/webhooks/analytics"): _READ,
    ("GET", f"{_TENANT}/webhooks/analytics/export"): "calls.exported",
    ("GET", f"{_TENANT}/calls/{{callId}}"): _READ,
    ("GET", "/api/platform/calls"): _READ,
    ("GET", "/api/platform/calls/export"): "calls.exported",
    ("GET", "/api/platform/calls/live"): _READ,
    ("GET", "/api/platform/calls/{callId}"): _READ,
    **{
        ("GET", f"{_TENANT}/webhooks/analytics/{question}"): _READ
        for question in ("summary", "series", "errors", "slowest", "failing", "heatmap", "health")
    },
    **{
        ("GET", f"/api/platform/analytics/{question}"): _READ
        for question in ("summary", "series", "errors", "heatmap", "tenants")
    },
    ("GET", f"{_TENANT}/webhooks/analytics/live"): _READ,
    ("POST", f"{_TENANT}/webhooks/dry-run"): "webhook.tried",
    ("GET", _WEBHOOK): _READ,
    ("PUT", _WEBHOOK): "webhook.updated",
    ("DELETE", _WEBHOOK): "webhook.deleted",
    ("POST", f"{_WEBHOOK}/signing-secret/rotate"): "webhook.signing_secret_rotated",
    ("POST", f"{_WEBHOOK}/test"): "webhook.tried",
    ("GET", f"{_WEBHOOK}/analytics"): _READ,
    ("POST", f"{_HOT}/call"): Unaudited("every call is recorded itself, with who triggered it"),
    ("POST", f"{_HOT}/deliveries"): Unaudited("every delivery is recorded itself, with who triggered it"),
    ("GET", _DELIVERIES): _READ,
    ("GET", f"{_DELIVERIES}/replays"): _READ,
    ("GET", f"{_DELIVERIES}/replays/{{replayId}}"): _READ,
    ("POST", f"{_DELIVERIES}/replays/{{replayId}}/cancel"): "replay.cancelled",
    ("POST", f"{_DELIVERIES}/replay"): "replay.started",
    ("GET", f"{_DELIVERIES}/{{deliveryId}}"): _READ,
    ("POST", f"{_DELIVERIES}/{{deliveryId}}/replay"): "delivery.replayed",
    ("POST", f"{_TENANT}/shred"): "tenant.shredded",
    ("GET", "/api/platform/storage"): _READ,
    ("POST", f"{_TENANT}/calls/{{callId}}/expunge"): "call.expunged",
    ("POST", f"{_TENANT}/deliveries/{{deliveryId}}/expunge"): "delivery.expunged",
    ("GET", "/api/platform/keys"): _READ,
    ("POST", "/api/platform/keys/rotate"): "key.rotated",
    ("POST", "/api/platform/keys/{fingerprint}/retire"): "key.retired",
    ("GET", "/api/platform/keys/rekey"): _READ,
    ("POST", "/api/platform/keys/rekey"): "rekey.started",
    ("DELETE", "/api/platform/keys/rekey"): "rekey.cancelled",
    ("GET", "/api/platform/keys/scan"): _READ,
    ("POST", "/api/platform/keys/scan"): Unaudited("changes nothing, and is a record itself, with who started it"),
    ("POST", "/api/platform/demo"): "demo.loaded",
    ("DELETE", "/api/platform/demo"): "demo.removed",
    ("GET", "/api/platform/api-keys"): _READ,
    ("POST", "/api/platform/api-keys"): "api_key.created",
    ("DELETE", "/api/platform/api-keys/{keyId}"): "api_key.revoked",
    ("GET", "/api/platform/users"): _READ,
    ("PATCH", "/api/platform/users/{userId}"): "admin.updated",
    ("DELETE", "/api/platform/users/{userId}"): "admin.deleted",
    ("GET", "/api/platform/invitations"): _READ,
    ("POST", "/api/platform/invitations"): "invitation.created",
    ("POST", "/api/platform/invitations/{invitationId}/resend"): "invitation.resent",
    ("DELETE", "/api/platform/invitations/{invitationId}"): "invitation.revoked",
    ("POST", "/api/session"): "session.created",
    ("GET", "/api/session"): _READ,
    ("DELETE", "/api/session"): "session.ended",
    ("POST", "/api/session/second-factor"): "session.confirmed",
    ("PUT", "/api/session/password"): "admin.password_changed",
    ("POST", "/api/session/totp"): "totp.enrolled",
    ("PUT", "/api/session/totp"): "totp.confirmed",
    ("DELETE", "/api/session/totp"): "totp.disabled",
    ("GET", "/api/sessions"): _READ,
    ("DELETE", "/api/sessions"): "session.ended",
    ("DELETE", "/api/sessions/{sessionId}"): "session.ended",
    ("POST", "/api/password-resets"): "password_reset.asked",
    ("PUT", "/api/password-resets"): "password_reset.used",
    ("GET", "/api/invitations/{token}"): Unaudited("shows what the mail said already, to whoever has its link"),
    ("POST", "/api/invitations/{token}"): "invitation.accepted",
}


@dataclass(frozen=True, slots=True)
class Route:
    """A route as the audit log names it: `route` is its method and path, `action` what it leaves there."""

    route: str
    action: str | None
    named: Mapping[str, str]


_UNKNOWN = "another path"
_PARAMETER = re.compile(r"\\\{(\w+)\\\}")
_PATHS = [
    (method, re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)) + r"\Z"), path, kept)
    for (method, path), kept in AUDIT.items()
]


def route_of(method: str, path: str) -> Route:
    """The route that a request asks for, by its declaration above; never the caller's own words."""
    for known, pattern, template, kept in _PATHS:
        if known == method and (found := pattern.match(path)):
            action = None if isinstance(kept, Unaudited) else kept
            return Route(f"{method} {template}", action, found.groupdict())
    return Route(_UNKNOWN, None, {})
