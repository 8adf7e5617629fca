"""Webhooks as a file: written without secrets, and read again (pure)."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hookvault.analytics.export.table import guarded
from hookvault.errors import InvalidError
from hookvault.webhooks.model import Webhook
from hookvault.webhooks.seal import POLICY_FIELDS

MOST = 500  # webhooks in a file
_PLAIN = ("workflowName", "webhookUrl", "description", "authType")
_OBJECTS = ("authConfig", "policy", "staticHeaders")
COLUMNS = (*_PLAIN[:3], "isActive", "authType", "authConfig", "policy", "authToken", "staticHeaders", "secretsNeeded")
_TRUTH = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_JSON_KEYS = frozenset({"webhooks", "tenantId", "exportedAt", "note"})


def item_of(webhook: Webhook) -> dict[str, Any]:
    """A webhook as it stands in a file: what the API takes, but for secrets, which are only named."""
    policy = {name: getattr(webhook.policy, field) for name, field in POLICY_FIELDS.items()}
    rate = webhook.policy.rate_limit
    policy["rateLimit"] = rate._asdict() if rate else None
    usual = {"retryOnTimeout": True, "retryOnWorkflowError": True, "keepPayloads": True}
    needed = [*(["authToken"] if webhook.auth_token.set else []), *_named(webhook.static_headers)]
    return {
        "workflowName": webhook.workflow_name,
        "webhookUrl": webhook.webhook_url,
        "description": webhook.description,
        "isActive": webhook.is_active,
        "authType": webhook.auth_type,
        "authConfig": dict(webhook.auth_config),
        "policy": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in policy.items()
            if value is not None and usual.get(name) != value
        },
        "secretsNeeded": needed,
    }


def to_json(webhooks: Sequence[Webhook], tenant_id: str, moment: str) -> bytes:
    """A JSON file of webhooks."""
    note = "Secrets are not in this file. secretsNeeded says which each webhook has."
    whole = {
        "tenantId": tenant_id,
        "exportedAt": moment,
        "note": note,
        "webhooks": [item_of(each) for each in webhooks],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False).encode()


def to_csv(webhooks: Sequence[Webhook]) -> bytes:
    """A CSV file of webhooks, which no spreadsheet takes for formulas."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for item in map(item_of, webhooks):
        writer.writerow([_cell(item.get(name)) for name in COLUMNS])
    return out.getvalue().encode()


def read_items(text: str) -> list[Any]:
    """The webhooks in a JSON or CSV text, each as an object of the API's fields, or whatever stands in its place.

    Raises:
        InvalidError: neither JSON nor CSV, no webhooks, or more than 500.
    """
    plain = text.removeprefix("\ufeff").strip()
    if not plain:
        raise _fault("is empty. Choose a file, or paste its text")
    items = _read_json(plain) if plain[0] in "[{" else _read_csv(plain)
    if not items:
        raise _fault("holds no webhooks")
    if len(items) > MOST:
        raise _fault(f"holds {len(items):,} webhooks. Import {MOST} at most at once")
    return items


def _read_json(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _fault(f"is not JSON: look in line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _fault("is JSON that can't be read: too deep, or a number too long") from None
    if isinstance(found, dict) and "webhooks" in found:
        unknown = sorted(set(found) - _JSON_KEYS)
        if unknown:
            raise _fault(f"has a field {unknown[0][:64]!r} beside webhooks that means nothing here")
        found = found["webhooks"]
    elif isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise _fault("must hold a list of webhooks")
    return found


def _read_csv(text: str) -> list[Any]:
    csv.field_size_limit(1_000_000)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True))
    except csv.Error as error:
        raise _fault(f"is neither JSON nor CSV: {error}") from None
    head = [name.strip() for name in lines[0]]
    if "workflowName" not in head:
        raise _fault("is neither JSON nor CSV with a first line that names the columns, workflowName among them")
    unknown = [name for name in head if name and name not in COLUMNS]
    if unknown:
        raise _fault(f"has a column {unknown[0][:64]!r}. Columns are {', '.join(COLUMNS)}")
    return [_item(head, cells) for cells in lines[1:] if any(cell.strip() for cell in cells)]


def _item(head: Sequence[str], cells: Sequence[str]) -> Any:
    """A line as an object; an empty cell is an absent field. What can't be read stays text, so that checking says so."""
    item: dict[str, Any] = {}
    for name, raw in zip(head, cells, strict=False):
        cell = _unguarded(raw) if name in _PLAIN else raw.strip()
        if not cell or not name:
            continue
        if name in _OBJECTS:
            item[name] = _parsed(cell)
        elif name == "isActive":
            item[name] = _TRUTH.get(cell.lower(), cell)
        else:
            item[name] = cell.split() if name == "secretsNeeded" else cell
    if len(cells) > len(head):
        item["(column without a name)"] = "?"
    return item


def _delimiter(text: str) -> str:
    """Some spreadsheets write semicolons."""
    first = text.partition("\n")[0]
    return ";" if first.count(";") > first.count(",") else ","


def _cell(value: Any) -> str:
    if value in (None, {}, []):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return guarded(" ".join(value) if isinstance(value, list) else str(value))


def _unguarded(cell: str) -> str:
    """Without the apostrophe that keeps a spreadsheet from running the cell."""
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell.strip()


def _parsed(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _named(headers: Mapping[str, Any]) -> list[str]:
    return [f"staticHeaders.{name}" for name in headers]


def _fault(message: str) -> InvalidError:
    whole = f"The text {message}."
    return InvalidError(whole, errors=[{"field": "text", "message": whole}])
