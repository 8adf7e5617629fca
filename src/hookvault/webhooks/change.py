"""Turns an admin's fields into a stored webhook: secrets sealed, hints made, destinations guarded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hookvault.audit.diff import Hidden
from hookvault.clock import iso
from hookvault.errors import InvalidError
from hookvault.vault.mask import hint_of
from hookvault.vault.registry import LOST
from hookvault.vault.secret import Secret
from hookvault.vault.service import NO_FAULTS, Faults, TenantCipher
from hookvault.webhooks.edit import (
    auth_type_of,
    check_auth,
    check_fields,
    check_policy,
    check_static_headers,
    check_token,
    fault,
)
from hookvault.webhooks.model import Counters, SecretMark, StoredWebhook, Webhook
from hookvault.webhooks.seal import place, policy_of


@dataclass(frozen=True, slots=True)
class Editing:
    """With what a change is made: the tenant's active cipher, and when and by whom."""

    cipher: TenantCipher
    moment: datetime
    author: str


def apply(webhook: StoredWebhook, fields: Mapping[str, Any], editing: Editing) -> StoredWebhook:
    """The webhook after a change. Its secrets must be under `editing.cipher` already.

    Raises:
        InvalidError: `invalid_input`, `mask_submitted`, or `secrets_required` when the URL changes without the stored
            secrets that would go there.
    """
    check_fields(fields)
    _check_destination(webhook, fields)
    auth_type = auth_type_of(fields, webhook.auth_type)
    changed: dict[str, Any] = {
        name: fields[name] for name in ("workflow_name", "webhook_url", "is_active") if fields.get(name) is not None
    }
    if "description" in fields:
        changed["description"] = fields["description"] or ""
    if "policy" in fields:
        changed["policy"] = check_policy({**webhook.policy, **(fields["policy"] or {})} if fields["policy"] else {})
    changed |= _auth(webhook, fields, auth_type, editing)
    webhook = replace(webhook, **changed)
    if "static_headers" in fields:
        webhook = _with_static_headers(webhook, fields["static_headers"], editing)
    _check_lost_headers(webhook.static_headers)
    _check_header_clash(webhook)
    return replace(webhook, updated_at=editing.moment, updated_by=editing.author)


def with_signing_secret(
    webhook: StoredWebhook, secret: Secret, editing: Editing, *, overlap_s: float | None = None
) -> StoredWebhook:
    """The webhook with a new signing secret. With `overlap_s` it is a change, and the former one signs too for so long."""
    sealed = editing.cipher.seal(place(webhook.id, "signing_secret"), secret)
    hints = _hinted(webhook, "signing_secret", secret, editing)
    if overlap_s is None:
        return replace(webhook, signing_secret=sealed, secret_hints=hints)
    previous, until = None, None
    if overlap_s > 0 and webhook.signing_secret not in (None, LOST):
        former = editing.cipher.open(place(webhook.id, "signing_secret"), webhook.signing_secret or LOST)
        previous = editing.cipher.seal(place(webhook.id, "previous_signing_secret"), former)
        until = editing.moment + timedelta(seconds=overlap_s)
    return replace(
        webhook,
        signing_secret=sealed,
        secret_hints=hints,
        previous_signing_secret=previous,
        previous_signing_until=until,
        config_version=webhook.config_version + 1,
        updated_at=editing.moment,
        updated_by=editing.author,
    )


def view(
    webhook: StoredWebhook, counters: Counters, *, signing_secret: Secret | None = None, faults: Faults = NO_FAULTS
) -> Webhook:
    """What is shown of a stored webhook: no key needed, secrets as marks."""

    def mark(field: str, sealed: str | None) -> SecretMark:
        if sealed is None:
            return SecretMark(set=False)
        hint = webhook.secret_hints.get(field, {})
        fault = faults.of(str(webhook.id), webhook.key_version, field, sealed)
        marked = SecretMark(sealed != LOST, hint.get("hint"), hint.get("updatedAt"))
        return marked if fault is None else replace(marked, needs_reentry=True, key_needed=fault.key_needed)

    shared = {
        name: getattr(webhook, name)
        for name in Webhook.__slots__
        if name in StoredWebhook.__slots__ and name not in ("auth_token", "static_headers", "signing_secret", "policy")
    }
    return Webhook(
        **shared,
        auth_token=mark("auth_token", webhook.auth_token),
        static_headers={name: mark(f"static_headers.{name}", value) for name, value in webhook.static_headers.items()},
        signing_secret=mark("signing_secret", webhook.signing_secret),
        policy=policy_of(webhook.policy),
        total_calls=counters.total_calls,
        successful_calls=counters.successful_calls,
        failed_calls=counters.failed_calls,
        last_called_at=counters.last_called_at,
        new_signing_secret=signing_secret,
    )


def shown_fields(webhook: StoredWebhook) -> dict[str, Any]:
    """A webhook's fields as the audit log compares them, secrets hidden."""
    shown = view(webhook, Counters())
    hidden = {f"staticHeaders.{name}": _hidden(mark) for name, mark in shown.static_headers.items()}
    return {
        "workflowName": webhook.workflow_name,
        "webhookUrl": webhook.webhook_url,
        "description": webhook.description,
        "isActive": webhook.is_active,
        "authType": webhook.auth_type,
        "authConfig": dict(webhook.auth_config),
        "authToken": _hidden(shown.auth_token),
        "signingSecret": _hidden(shown.signing_secret),
        "policy": dict(webhook.policy),
        **hidden,
    }


def _hidden(mark: SecretMark) -> Hidden:
    return Hidden(mark.set, mark.hint, mark.updated_at)


def _auth(webhook: StoredWebhook, fields: Mapping[str, Any], auth_type: str, editing: Editing) -> dict[str, Any]:
    same_type = auth_type == webhook.auth_type
    given = fields.get("auth_config")
    config = dict(given if given is not None else (webhook.auth_config if same_type else {}))
    token: str | None = fields.get("auth_token")
    cleared = "auth_token" in fields and token is None
    keeps = webhook.auth_token is not None and same_type and not cleared and token is None
    if keeps and webhook.auth_token == LOST:
        raise _lost("authToken")
    if keeps and any(config.get(name) != webhook.auth_config.get(name) for name in ("headerName", "user")):
        raise InvalidError(
            "authConfig changed: give authToken again with it, so that a stored secret can't be sent elsewhere unseen.",
            code="secrets_required",
            errors=[{"field": "authToken", "message": "must be given again"}],
        )
    check_auth(auth_type, config, token=token, keeps=keeps)
    changed: dict[str, Any] = {"auth_type": auth_type, "auth_config": config}
    if token is not None:
        check_token(token)
        secret = Secret(token)
        changed["auth_token"] = editing.cipher.seal(place(webhook.id, "auth_token"), secret)
        changed["secret_hints"] = _hinted(webhook, "auth_token", secret, editing)
    elif not keeps:
        changed["auth_token"] = None
    return changed


def _with_static_headers(
    webhook: StoredWebhook, submitted: Mapping[str, Any] | None, editing: Editing
) -> StoredWebhook:
    """Null removes them all; in an object a string sets a header, null removes it, one not named stays."""
    headers = dict(webhook.static_headers) if submitted is not None else {}
    given = {name: value for name, value in (submitted or {}).items() if not isinstance(value, Mapping)}
    check_static_headers(given)
    known = {name.lower(): name for name in headers}
    for name, value in given.items():
        headers.pop(known.get(name.lower(), name), None)
        if value is not None:
            secret = Secret(value)
            headers[name] = editing.cipher.seal(place(webhook.id, f"static_headers.{name}"), secret)
            webhook = replace(webhook, secret_hints=_hinted(webhook, f"static_headers.{name}", secret, editing))
    check_static_headers(dict.fromkeys(headers))
    return replace(webhook, static_headers=headers)


def _check_lost_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if value == LOST:
            raise _lost(f"staticHeaders.{name}")


def _lost(field: str) -> InvalidError:
    message = f"{field} can't be opened any more: its key is gone. Give it again, or remove it."
    return InvalidError(message, code="secrets_required", errors=[{"field": field, "message": "must be given again"}])


def _check_header_clash(webhook: StoredWebhook) -> None:
    header_name = str(webhook.auth_config.get("headerName", "")).lower()
    if header_name and header_name in {name.lower() for name in webhook.static_headers}:
        raise fault("staticHeaders", f"names {header_name}, which the webhook's auth sets")


def _check_destination(webhook: StoredWebhook, fields: Mapping[str, Any]) -> None:
    url = fields.get("webhook_url")
    if url is None or url == webhook.webhook_url:
        return
    missing = []
    if webhook.auth_token is not None and "auth_token" not in fields and fields.get("auth_type") != "none":
        missing.append("authToken")
    given = fields.get("static_headers", {})
    if given is not None:
        repeated = {name.lower() for name, value in given.items() if not isinstance(value, Mapping)}
        missing += [f"staticHeaders.{name}" for name in webhook.static_headers if name.lower() not in repeated]
    if missing:
        raise InvalidError(
            f"webhookUrl changed: give {', '.join(missing)} again with it, so that a stored secret can't be sent to a new "
            "address unseen.",
            code="secrets_required",
            errors=[{"field": name, "message": "must be given again"} for name in missing],
        )


def _hinted(webhook: StoredWebhook, field: str, secret: Secret, editing: Editing) -> dict[str, Any]:
    hint = {"hint": hint_of(secret.open()), "updatedAt": iso(editing.moment)}
    return {**webhook.secret_hints, field: hint}
