"""A form's fields as the API takes a webhook, and a webhook as the form's fields (pure)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from hookvault.admin.ask import Answer
from hookvault.admin.form import Form, read_json
from hookvault.vault.mask import masked_hint
from hookvault.webhooks.model import SecretMark, Webhook

AUTH_TYPES = (
    ("none", "None"),
    ("bearer", "Bearer token"),
    ("header", "Header"),
    ("basic", "Basic: user and password"),
    ("jwt", "JWT, signed for each call"),
)
_SWITCHES = ("retryOnTimeout", "retryOnWorkflowError", "keepPayloads")  # on unless switched off
_NUMBERS = ("timeoutMs", "maxRetries", "concurrency")
_HEADER = re.compile(r"header\.(\d{1,3})\.name\Z")
# Where what the API says of a webhook as a whole belongs.
_PLACES = {"webhook_exists": "workflowName", "invalid_url": "webhookUrl", "address_blocked": "webhookUrl"}
_AGAIN = "Enter it again: a stored secret is never sent anywhere new unseen."
_SECRETS = re.compile(r"authToken\Z|header\.\d+\.value\Z|staticHeaders\.")


class Mark(NamedTuple):
    """What a form shows of a stored secret."""

    set: bool
    hint: str | None
    needs_reentry: bool


def mark_of(mark: SecretMark) -> Mark:
    """A stored secret's mark with its hint as it is shown."""
    return Mark(mark.set, masked_hint(mark.hint), mark.needs_reentry)


def values_of(webhook: Webhook) -> dict[str, str]:
    """What stands in the form's fields before anything is typed."""
    policy, config = webhook.policy, webhook.auth_config
    rate = policy.rate_limit
    claims = config.get("claims")
    values = {
        "workflowName": webhook.workflow_name,
        "webhookUrl": webhook.webhook_url,
        "description": webhook.description,
        "authType": webhook.auth_type,
        "authConfig.headerName": str(config.get("headerName", "")),
        "authConfig.user": str(config.get("user", "")),
        "authConfig.claims": json.dumps(claims, indent=2, ensure_ascii=False) if claims else "",
        "policy.timeoutMs": _text(policy.timeout_ms),
        "policy.maxRetries": _text(policy.max_retries),
        "policy.schedule": ", ".join(map(str, policy.schedule or ())),
        "policy.concurrency": _text(policy.concurrency),
        "policy.rateLimit.calls": _text(rate.calls if rate else None),
        "policy.rateLimit.seconds": _text(rate.seconds if rate else None),
        "policy.redactPaths": "\n".join(policy.redact_paths or ()),
    }
    switches = (policy.retry_on_timeout, policy.retry_on_workflow_error, policy.keep_payloads)
    on = {f"policy.{name}": "on" for name, switch in zip(_SWITCHES, switches, strict=True) if switch}
    return values | on | ({"isActive": "on"} if webhook.is_active else {})


def blank_values(name: str = "") -> dict[str, str]:
    """What stands in the fields of a new webhook's form."""
    return {"workflowName": name, "authType": "none", "isActive": "on", **{f"policy.{key}": "on" for key in _SWITCHES}}


def typed_values(form: Form) -> Mapping[str, str]:
    """What was typed, secrets excepted."""
    return form.values(but=[name for name, _ in form.pairs if _SECRETS.match(name)])


def header_rows(form: Form) -> list[tuple[str, str]]:
    """The rows of new headers that were typed: the row's number and the header's name."""
    found = [(match.group(1), value.strip()) for name, value in form.pairs if (match := _HEADER.match(name))]
    return [(number, name) for number, name in found if name or form.raw(f"header.{number}.value")]


def body_of(form: Form, *, before: Webhook | None = None) -> dict[str, Any]:
    """What was typed as the API takes it. A secret left empty is absent, so that the stored one stays.

    Args:
        form: What was submitted.
        before: The webhook as it is, where one is changed.
    """
    body: dict[str, Any] = {
        "workflowName": form.text("workflowName"),
        "webhookUrl": form.text("webhookUrl") or None,
        "description": form.raw("description").strip() or None,
        "isActive": form.is_on("isActive"),
        "authType": form.text("authType") or "none",
        "policy": _policy(form),
    }
    return body | auth_of(form) | _headers(form, before)


def auth_of(form: Form) -> dict[str, Any]:
    """How a webhook authenticates itself, as typed."""
    kind = form.text("authType") or "none"
    config: dict[str, Any] = {}
    if kind == "header":
        config["headerName"] = form.text("authConfig.headerName")
    elif kind == "basic":
        config["user"] = form.text("authConfig.user")
    elif kind == "jwt" and (claims := form.text("authConfig.claims")):
        config["claims"] = parsed(claims)
    token = form.raw("authToken") if kind != "none" else ""
    return {"authType": kind, "authConfig": config, **({"authToken": token} if token else {})}


def parsed(text: str) -> Any:
    """A text as JSON; as it is where it is none, so that the API says so."""
    try:
        return read_json(text)
    except ValueError:
        return text


def landed(answer: Answer, headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """The API's refusal with each finding at a field that the form has.

    Args:
        answer: What the API said.
        headers: The rows of new headers, as `header_rows` has them.
    """
    rows = {f"staticHeaders.{name}": f"header.{number}.value" for number, name in headers}
    found: dict[str, str] = {}
    for field, message in answer.errors.items():
        place = rows.get(field, field)
        for whole in ("policy.schedule", "policy.redactPaths", "authConfig.claims", "authToken"):
            place = whole if place.startswith((f"{whole}.", f"{whole}[")) else place
        place = "policy.rateLimit.calls" if place == "policy.rateLimit" else place
        found.setdefault(place, message)
    if not found and answer.code in _PLACES:
        found[_PLACES[answer.code]] = answer.message
    if not found:
        return answer
    moved = answer.code == "secrets_required" and "changed" in answer.message
    errors = [{"field": place, "message": _AGAIN if moved else _sentence(said)} for place, said in found.items()]
    return replace(answer, data={**answer.data, "errors": errors})


def theirs(webhook: Webhook, form: Form) -> list[tuple[str, str, str]]:
    """Where a webhook, as it now is, differs from what was typed: the field, what stands there, what was typed."""
    found = values_of(webhook)
    differing = []
    for name, label in _LABELS.items():
        typed = form.text(name).replace("\r\n", "\n")
        if found.get(name, "") != typed:
            differing.append((label, found.get(name, "") or "nothing", typed or "nothing"))
    return differing


_LABELS = {
    "workflowName": "Workflow name",
    "webhookUrl": "URL",
    "description": "Description",
    "isActive": "Enabled",
    "authType": "Authentication",
    "authConfig.headerName": "Header name",
    "authConfig.user": "User",
    "policy.timeoutMs": "Timeout",
    "policy.maxRetries": "Retries",
    "policy.schedule": "Schedule",
    "policy.concurrency": "Calls at once",
    "policy.rateLimit.calls": "Rate limit, calls",
    "policy.rateLimit.seconds": "Rate limit, seconds",
    "policy.redactPaths": "Hidden paths",
}


def _policy(form: Form) -> dict[str, Any]:
    policy: dict[str, Any] = {name: form.number(f"policy.{name}") for name in _NUMBERS}
    pauses = [piece for piece in re.split(r"[\s,]+", form.text("policy.schedule")) if piece]
    policy["schedule"] = [int(piece) if piece.isdecimal() and len(piece) < 12 else piece for piece in pauses] or None
    policy["redactPaths"] = form.lines("policy.redactPaths") or None
    rate = {name: form.number(f"policy.rateLimit.{name}") for name in ("calls", "seconds")}
    policy["rateLimit"] = rate if any(value is not None for value in rate.values()) else None
    for name in _SWITCHES:  # what is on is the default, which is not stored
        policy[name] = None if form.is_on(f"policy.{name}") else False
    return policy


def _headers(form: Form, before: Webhook | None) -> dict[str, Any]:
    """The headers that are set or removed; the field is absent where nothing is."""
    given: dict[str, str | None] = {name: form.raw(f"header.{number}.value") for number, name in header_rows(form)}
    for name in before.static_headers if before else ():
        if form.is_on(f"remove.{name}"):
            given[name] = None
        elif value := form.raw(f"staticHeaders.{name}"):
            given[name] = value
    return {"staticHeaders": given} if given else {}


def _sentence(message: str) -> str:
    """What is wrong with a field, as a sentence below it."""
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _text(value: object) -> str:
    return "" if value is None else str(value)
