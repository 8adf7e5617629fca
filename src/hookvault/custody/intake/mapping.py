"""From rows of the former system to what our services take (pure). Liberal in names and types, strict with ciphertexts."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hookvault.custody.intake.model import OldIntegration, OldRow, OldTenant, OldWebhook, Remark, Value, plain_name
from hookvault.custody.intake.unseal import Opener
from hookvault.ids import is_name
from hookvault.integrations.model import Kind
from hookvault.providers.base import Provider
from hookvault.providers.registry import N8N, SMS, WHATSAPP
from hookvault.tenants.model import TenantStatus
from hookvault.webhooks.model import Counters

_TRUE = frozenset({"t", "true", "1", "y", "yes", "on"})
_ACTIVE = frozenset({"", "active", "enabled", "trial", "live"})
_SUSPENDED = frozenset({"suspended", "inactive", "disabled", "paused", "blocked", "cancelled", "canceled", "archived"})
_NAME_LENGTH = 200

# What stands in auth_config, under whatever name, and where it belongs. The last one is the auth token itself.
_AUTH_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "headerName": ("headername", "header", "name"),
    "user": ("user", "username"),
    "algorithm": ("algorithm", "alg"),
    "claims": ("claims", "payload"),
    "token": ("token", "value", "headervalue", "password", "secret", "apikey", "key"),
}
_AUTH_TYPES: Mapping[str, str] = {
    "": "none",
    "none": "none",
    "noauth": "none",
    "bearer": "bearer",
    "bearertoken": "bearer",
    "token": "bearer",
    "header": "header",
    "apikey": "header",
    "basic": "basic",
    "jwt": "jwt",
}


def read_tenant(row: OldRow) -> OldTenant:
    """A row of `tenants`."""
    tenant_id = (_first(row, "id", "tenantid") or "").strip()
    remarks: list[Remark] = []
    given = _first(row, "name", "displayname", "companyname") or ""
    name = "".join(character for character in given if character.isprintable()).strip()[:_NAME_LENGTH]
    if name != given.strip():
        remarks.append(Remark("name", "noted", "name_changed"))
    slug = (row.get("slug") or "").strip() or None
    if slug is not None and not is_name(slug):
        slug = None
        remarks.append(Remark("slug", "noted", "slug_unusable"))
    status, known = _status(row)
    if not known:
        remarks.append(Remark("status", "noted", "status_unknown"))
    return OldTenant(tenant_id, name or tenant_id, slug, status, _is_deleted(row), tuple(remarks))


def read_integrations(row: OldRow, opener: Opener) -> list[OldIntegration]:
    """The integrations of a row of `tenant_integrations`; those that are not set are missing."""
    found = []
    values = {"baseUrl": row.get("n8nbaseurl"), "apiKey": row.get("n8napikey")}
    if any((value or "").strip() for value in values.values()):
        n8n = OldIntegration("n8n", {"enabled": _is_on(row, "n8nenabled")})
        _take_members(n8n, values, N8N, opener)
        found.append(n8n)
    for kind in ("whatsapp", "sms"):
        config, reason = _object(row.get(f"{kind}config"), opener)
        if config or reason:
            found.append(_configured(row, kind, config, reason, opener))
    return found


def _configured(row: OldRow, kind: Kind, config: dict[str, Any], reason: str | None, opener: Opener) -> OldIntegration:
    made = OldIntegration(kind, lacking=reason)
    if reason:
        return made
    inner = config.pop("enabled", True)
    made.body["enabled"] = _is_on(row, f"{kind}enabled") if f"{kind}enabled" in row else _is_true(inner)
    named = config.pop("provider", None) or row.get("smsprovider") or "twilio"
    provider = WHATSAPP if kind == "whatsapp" else _sms_provider(str(named))
    if provider is None:
        made.lacking = "unknown_provider"
        return made
    if kind == "sms":
        made.body["provider"] = provider.kind
    _take_members(made, config, provider, opener)
    return made


def _sms_provider(named: str) -> Provider | None:
    return next((item for item in SMS.values() if plain_name(item.kind) == plain_name(named)), None)


def _take_members(into: OldIntegration, values: Mapping[str, Any], provider: Provider, opener: Opener) -> None:
    """A configuration's members under their own names, opened; one that can't be taken leaves a remark."""
    known = {plain_name(item.name): item for item in provider.fields}
    for name, value in sorted(values.items(), key=lambda item: not any(f.name == item[0] for f in provider.fields)):
        field = known.get(plain_name(name))
        if value is None or value == "":
            continue
        if field is None or field.name in into.body:
            into.remarks.append(Remark(_shown(name), "left_out", "unknown_field" if field is None else "twice"))
            continue
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        _take(into.body, into.remarks, field.name, text, opener, secret=field.secret)


def read_webhook(row: OldRow, opener: Opener) -> OldWebhook:
    """A row of `n8n_webhooks`."""
    name = (_first(row, "workflowname", "name") or "").strip()
    made = OldWebhook((row.get("tenantid") or "").strip(), name, deleted=_is_deleted(row))
    if made.deleted:
        return made
    made.counters = _counters(row)
    made.fields["is_active"] = next((_is_on(row, key) for key in ("isactive", "active", "enabled") if key in row), True)
    for key, columns in {"webhook_url": ("webhookurl", "url"), "description": ("description",)}.items():
        text = (_first(row, *columns) or "").strip()
        if text:
            made.fields[key] = text
    _take_auth(made, row, opener)
    headers, reason = _object(_first(row, "staticheaders", "customheaders", "headers"), opener)
    if reason:
        made.remarks.append(Remark("staticHeaders", "left_out", reason))
    kept: dict[str, Value] = {}
    for header, value in headers.items():
        _take(kept, made.remarks, header, value, opener, secret=True, within="staticHeaders.")
    if kept:
        made.fields["static_headers"] = kept
    return made


def _take_auth(made: OldWebhook, row: OldRow, opener: Opener) -> None:
    members, reason = _object(row.get("authconfig"), opener)
    if reason:
        made.remarks.append(Remark("authConfig", "left_out", reason))
    config, token = _sorted_auth(made, members)
    token = (row.get("authtoken") or "").strip() or token
    stated = plain_name(row.get("authtype") or "")
    auth_type = _AUTH_TYPES.get(stated.removesuffix("auth") or stated, stated)
    if not stated and token is not None:
        auth_type = "bearer"  # such a system sends a token that stands alone as a bearer's
    made.fields["auth_type"] = auth_type
    if auth_type == "none":
        if token is not None:
            made.remarks.append(Remark("authToken", "noted", "unused"))
        return
    opened: dict[str, Value] = {}
    for name, value in config.items():
        _take(opened, made.remarks, name, value, opener, secret=False, within="authConfig.")
    wanted = {"header": {"headerName"}, "basic": {"user"}, "jwt": {"algorithm", "claims"}}.get(auth_type, set())
    made.fields["auth_config"] = {name: value for name, value in opened.items() if name in wanted}
    _take(made.fields, made.remarks, "auth_token", token, opener, secret=True, shown="authToken")


def _sorted_auth(made: OldWebhook, members: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """What of auth_config is configuration, and the token that may stand among it."""
    names = {spelling: name for name, spellings in _AUTH_MEMBERS.items() for spelling in spellings}
    found: dict[str, Any] = {}
    for member, value in members.items():
        name = names.get(plain_name(member))
        if name is None:
            made.remarks.append(Remark(f"authConfig.{_shown(member)}", "left_out", "unknown_field"))
        elif value not in (None, ""):
            found.setdefault(name, value)
    return {name: value for name, value in found.items() if name != "token"}, found.get("token")


def _take(
    into: dict[str, Value],
    remarks: list[Remark],
    name: str,
    value: Any,
    opener: Opener,
    *,
    secret: bool,
    within: str = "",
    shown: str | None = None,
) -> None:
    """Puts a value where it belongs, or a remark on why not."""
    label = f"{within}{_shown(shown or name)}"
    if not isinstance(value, str):
        if value is not None and not secret:
            into[name] = value  # a JWT's claims, for one; the service says whether it may be
        elif value is not None:
            remarks.append(Remark(label, "left_out", "not_text"))
        return
    opened = opener.open(value)
    if opened.reason == "mask" and not secret:
        into[name] = value
    elif opened.reason is not None:
        remarks.append(Remark(label, "left_out", opened.reason))
    elif opened.secret is not None:
        into[name] = opened.secret
        if secret and opened.plain:
            remarks.append(Remark(label, "noted", "plaintext"))


def _object(text: str | None, opener: Opener) -> tuple[dict[str, Any], str | None]:
    """A JSON object, be it jsonb, text, JSON inside a JSON string, or encrypted as a whole; or why there is none."""
    for _ in range(3):
        if text is None or not text.strip():
            return {}, None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            opened = opener.open(text, nested=True)
            if opened.secret is None or opened.plain:
                return {}, opened.reason if opened.reason not in (None, "mask") else "not_json"
            value = opened.secret.open()
        if value is None:
            return {}, None
        if isinstance(value, dict):
            return value, None
        if not isinstance(value, str):
            break
        text = value
    return {}, "not_an_object"


def _counters(row: OldRow) -> Counters:
    won, lost = (_whole(row.get(name)) for name in ("successfulcalls", "failedcalls"))
    total = max(_whole(row.get("totalcalls")), won + lost)
    return Counters(total, won, lost, _moment(row.get("lastcalledat")))


def _whole(text: str | None) -> int:
    """A number of calls; nothing that could not be one."""
    return min(int(text), 2**62) if text is not None and re.fullmatch(r"[0-9]{1,19}", text) else 0


def _moment(text: str | None) -> datetime | None:
    """A moment; one without a time zone is in UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _status(row: OldRow) -> tuple[TenantStatus, bool]:
    """A tenant's status, and whether it was one that is known. Whoever is in doubt is suspended: nothing is sent then."""
    stated = plain_name(row.get("status") or "")
    if stated in _SUSPENDED or ("isactive" in row and not _is_on(row, "isactive")):
        return "suspended", True
    return ("active", True) if stated in _ACTIVE else ("suspended", False)


def _is_deleted(row: OldRow) -> bool:
    return row.get("deletedat") is not None or _is_true(row.get("isdeleted"))


def _is_on(row: OldRow, column: str) -> bool:
    """Whether a switch is on; without such a column it is."""
    return column not in row or _is_true(row[column])


def _is_true(value: Any) -> bool:
    return str(value).lower() in _TRUE


def _first(row: OldRow, *columns: str) -> str | None:
    return next((row[column] for column in columns if row.get(column) is not None), None)


def _shown(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:64])
