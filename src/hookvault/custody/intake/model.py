"""What an import finds in the former system, and what it says of each part."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hookvault.integrations.model import Kind
from hookvault.tenants.model import TenantStatus
from hookvault.vault.secret import Secret
from hookvault.webhooks.model import NEVER_CALLED, Counters

Result = Literal["imported", "ready", "exists", "noted", "left_out", "skipped"]
LOST: frozenset[Result] = frozenset({"left_out", "skipped"})
OldRow = Mapping[str, str | None]  # a row's values as text, by `plain_name` of their columns
Value = str | bool | Secret | Mapping[str, Any]


def plain_name(name: str) -> str:
    """A name as it is compared: `tenant_id`, `tenantId` and `TENANT-ID` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one field: it was left out, or is worth knowing (`noted`). Never holds a value."""

    field: str
    result: Result
    reason: str


@dataclass(frozen=True, slots=True)
class OldTenant:
    """A tenant of the former system."""

    id: str
    name: str
    slug: str | None = None
    status: TenantStatus = "active"
    deleted: bool = False
    remarks: tuple[Remark, ...] = ()


@dataclass(slots=True)
class OldIntegration:
    """One integration of a tenant; `lacking` is why it can't be imported, a stable code."""

    kind: Kind
    body: dict[str, Value] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    lacking: str | None = None


@dataclass(slots=True)
class OldWebhook:
    """A webhook of a tenant. `fields` are those of `create_n8n_webhook`."""

    tenant_id: str
    name: str
    fields: dict[str, Value] = field(default_factory=dict)
    counters: Counters = NEVER_CALLED
    deleted: bool = False
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the report: what became of a tenant, an integration, a webhook, or one of their fields.

    Attributes:
        tenant_id: Whose.
        what: `tenant`, a kind of integration, `webhook NAME`, or one of these with `.field` behind it.
        result: `imported` (`ready` in a dry run), `exists`; `noted` for what is worth knowing; `left_out` for a field
            and `skipped` for a whole that was not taken over.
        reason: A stable code where there is one.
        message: The same for a person.
    """

    tenant_id: str
    what: str
    result: Result
    reason: str | None = None
    message: str | None = None


@dataclass(slots=True)
class Report:
    """What an import did, or in a dry run would do."""

    dry_run: bool
    entries: list[Entry] = field(default_factory=list)
    opened: int = 0

    @property
    def totals(self) -> dict[str, int]:
        """How many entries of each result."""
        return dict(Counter(entry.result for entry in self.entries))

    @property
    def complete(self) -> bool:
        """Whether nothing was left out or skipped."""
        return not any(entry.result in LOST for entry in self.entries)

    @property
    def key_in_doubt(self) -> bool:
        """Whether there were secrets under another key and none under the one given."""
        return not self.opened and any(entry.reason == "wrong_key" for entry in self.entries)
