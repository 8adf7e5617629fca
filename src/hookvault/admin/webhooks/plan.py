"""What an import would do to each webhook of a file, before it does it (pure).

The checks are the API's own, in the order in which it makes them; what only the database knows, such as an address that
is derived, is asked for when the import is applied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from hookvault.admin.webhooks.file import item_of
from hookvault.api.schemas import WebhookIn, WebhookPut
from hookvault.api.webhooks import fields_of
from hookvault.errors import HookvaultError, InvalidError
from hookvault.outbound.guard import AddressPolicy
from hookvault.webhooks.edit import (
    auth_type_of,
    check_auth,
    check_fields,
    check_policy,
    check_static_headers,
    check_token,
    check_url,
)
from hookvault.webhooks.model import Webhook

Verdict = Literal["create", "change", "same", "invalid"]


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one webhook of the file.

    Attributes:
        number: Its place in the file, 1 for the first.
        name: Its workflow name, as far as it has one.
        verdict: What would be done.
        reasons: What would be changed, or what is wrong.
        body: What the API is given.
        webhook: The one that is changed.
    """

    number: int
    name: str
    verdict: Verdict
    reasons: Sequence[str] = ()
    body: Mapping[str, Any] | None = None
    webhook: Webhook | None = None


def make_plan(items: Sequence[Any], present: Sequence[Webhook], policy: AddressPolicy) -> list[Step]:
    """What would become of each webhook of a file.

    Args:
        items: As `read_items` found them.
        present: The tenant's webhooks.
        policy: Which addresses may be called.
    """
    known = {webhook.workflow_name: webhook for webhook in present}
    seen: set[str] = set()
    steps = []
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            steps.append(Step(number, "", "invalid", ["This is not an object with a webhook's fields."]))
            continue
        name = str(item.get("workflowName", ""))[:64].encode("utf-8", "replace").decode()
        if name and name in seen:
            steps.append(Step(number, name, "invalid", ["This name stands in the file before."]))
            continue
        seen.add(name)
        steps.append(_planned(number, name, dict(item), known.get(name), policy))
    return steps


def _planned(number: int, name: str, item: dict[str, Any], webhook: Webhook | None, policy: AddressPolicy) -> Step:
    needed = item.pop("secretsNeeded", [])
    try:
        body = (WebhookPut if webhook else WebhookIn).model_validate(item)
        fields = fields_of(body)
    except ValidationError as error:
        return Step(number, name, "invalid", [_found(each) for each in error.errors()[:5]])
    missing = [] if webhook else _missing(needed, item)
    if missing:
        return Step(number, name, "invalid", [f"{each} must be given: no file holds secrets." for each in missing])
    if webhook and not (changed := _changes(item, webhook)):
        return Step(number, name, "same")
    try:
        _check(fields, webhook, policy)
    except HookvaultError as error:
        return Step(number, name, "invalid", [error.message])
    if webhook:
        return Step(number, name, "change", changed, item, webhook)
    return Step(number, name, "create", (), item)


def _check(fields: Mapping[str, Any], webhook: Webhook | None, policy: AddressPolicy) -> None:
    """Refuses what the API would refuse."""
    check_fields(fields)
    url = fields.get("webhook_url")
    if url is not None:
        check_url(url, policy)
        _check_destination(fields, webhook)
    before = webhook.auth_type if webhook else "none"
    kind = auth_type_of(fields, before)
    token = fields.get("auth_token")
    same = webhook is not None and kind == before
    config = fields.get("auth_config")
    if config is None:
        config = webhook.auth_config if webhook and same else {}
    keeps = bool(webhook and same and webhook.auth_token.set and "auth_token" not in fields)
    check_auth(kind, config, token=token, keeps=keeps)
    if token is not None:
        check_token(token)
    check_static_headers(fields.get("static_headers") or {})
    check_policy(fields.get("policy") or {})


def _check_destination(fields: Mapping[str, Any], webhook: Webhook | None) -> None:
    """Refuses another address without the secrets that would go there."""
    if webhook is None or fields["webhook_url"] == webhook.webhook_url:
        return
    given = {name.lower() for name in fields.get("static_headers") or {}}
    missing = [f"staticHeaders.{name}" for name in webhook.static_headers if name.lower() not in given]
    if webhook.auth_token.set and "auth_token" not in fields and fields.get("auth_type") != "none":
        missing.insert(0, "authToken")
    if missing:
        message = f"webhookUrl changes: {', '.join(missing)} must be given again with it."
        raise InvalidError(message, code="secrets_required")


def _changes(item: Mapping[str, Any], webhook: Webhook) -> list[str]:
    """Which fields the file would change; a secret always does."""
    present = item_of(webhook)
    changed = []
    for name, value in item.items():
        if name in ("authToken", "staticHeaders"):
            if value:
                changed.append(f"{name} is set")
        elif name == "policy":
            changed += [f"policy.{key}" for key, new in (value or {}).items() if present["policy"].get(key) != new]
        elif (value if value is not None else "") != present[name] and name != "workflowName":
            changed.append(name)
    return changed


def _missing(needed: Any, item: Mapping[str, Any]) -> list[str]:
    """The secrets that the webhook had where it comes from, and that nobody added to the file."""
    headers = item.get("staticHeaders") or {}
    given = {"authToken"} if item.get("authToken") else set()
    given |= (
        {f"staticHeaders.{name}" for name, value in headers.items() if value} if isinstance(headers, dict) else set()
    )
    wanted = [str(name)[:100] for name in needed] if isinstance(needed, list) else []
    return [name for name in wanted if name not in given]


def _found(error: Any) -> str:
    where = ".".join(str(step)[:64] for step in error["loc"])
    return f"{where}: {str(error['msg'])[:200]}" if where else str(error["msg"])[:200]
