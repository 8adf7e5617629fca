"""Who did what, to what, with which outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Outcome = Literal["success", "denied", "failed"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks. `kind` is `api_key`, `user`, `cli`, `python` (in-process), `system` or `anonymous`."""

    kind: str
    id: str
    ip: str | None = None
    request_id: str | None = None

    @property
    def label(self) -> str:
        """How created_by and updated_by name it."""
        return f"{self.kind}:{self.id}"


IN_PROCESS = Actor("python", "in-process")
SYSTEM = Actor("system", "hookvault")
ANONYMOUS = Actor("anonymous", "anonymous")  # whoever has no valid key, whatever they claim to be


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One row of audit_events. `detail` names fields and hints, never values of secrets.

    `seq` and `hash` are its place in the tenant's chain; events from before the chain have none.
    """

    id: UUID
    tenant_id: str
    at: datetime
    actor_type: str
    actor_id: str
    action: str
    target_type: str
    target_id: str
    outcome: Outcome
    detail: Mapping[str, Any]
    ip: str | None
    request_id: str | None
    seq: int | None = None
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events to list; None is any.

    Attributes:
        tenant_id: Whose; empty for the platform's own. None is of all, the platform's own among them.
        action: Such as `webhook.updated`.
        outcome: How it ended.
        actor_id: Who did it: the id of a user or an API key, or one of the names of those who have none.
        start: Not before this moment, to the millisecond.
        end: Before this moment.
    """

    tenant_id: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    actor_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
