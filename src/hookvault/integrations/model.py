"""A tenant's configured integrations, as they are shown: plain fields whole, secrets as a hint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Kind = Literal["whatsapp", "sms", "n8n"]
KINDS: tuple[Kind, ...] = ("whatsapp", "sms", "n8n")


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """What is shown of a stored secret: whether it is set, its last four characters where it has 16 or more, its age.

    One that does not open must be entered again, or the master key `key_needed` be given to the service.
    """

    set: bool
    hint: str | None = None
    updated_at: datetime | None = None
    needs_reentry: bool = False
    key_needed: str | None = None


@dataclass(frozen=True, slots=True)
class LastTest:
    """What the provider said when an integration was tested last, as it has been since; `took_ms` is how long that took."""

    at: datetime
    code: str
    message: str
    took_ms: int

    @property
    def ok(self) -> bool:
        """Whether the provider took it."""
        return self.code == "ok"


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration of a tenant. `generated` holds what was made in this very call and is shown once.

    `last_test` is None where it was not tested since its last change.
    """

    kind: Kind
    enabled: bool
    values: Mapping[str, str | None]
    secrets: Mapping[str, SecretInfo]
    version: int
    updated_at: datetime
    warnings: tuple[Mapping[str, str], ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict, repr=False)
    last_test: LastTest | None = None


@dataclass(frozen=True, slots=True)
class TenantIntegration:
    """All integrations of a tenant: one row of tenant_integrations."""

    tenant_id: str
    whatsapp: Integration | None
    sms: Integration | None
    n8n: Integration | None
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


@dataclass(slots=True)
class StoredConfig:
    """One integration as stored: plain values readable, secrets sealed, and what may be shown of them.

    `test` is what was said of the version that it names.
    """

    enabled: bool
    values: dict[str, str]
    hints: dict[str, dict[str, str | None]]
    version: int
    updated_at: str
    test: Mapping[str, Any] | None = None


@dataclass(slots=True)
class StoredRow:
    """A row of tenant_integrations, its integrations by kind. `versions` outlives a removed integration."""

    tenant_id: str
    configs: dict[Kind, StoredConfig]
    versions: dict[str, Any]
    key_version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


VersionState = Literal["staged", "current", "previous", "revoked", "discarded"]
OpenState = Literal["staged", "current", "previous"]


@dataclass(slots=True)
class StoredVersion:
    """A row of credential_versions: one generation of an integration's secrets.

    `secrets` are sealed. They are here while the version is staged or previous; those of the current one stand in
    tenant_integrations and nowhere else, and those of an ended one are gone. What may be shown of them stays.
    """

    id: UUID
    kind: Kind
    provider: str
    number: int
    state: VersionState
    secrets: dict[str, str] = field(repr=False)
    secret_hints: dict[str, dict[str, str | None]]
    key_version: int
    created_at: datetime
    created_by: str
    tested_at: datetime | None = None
    test_code: str | None = None
    switched_at: datetime | None = None
    grace_until: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CredentialVersion:
    """One generation of an integration's secrets as it is shown. `number` counts up and is never used again."""

    number: int
    state: VersionState
    provider: str
    secrets: Mapping[str, SecretInfo]
    created_at: datetime
    created_by: str
    tested_at: datetime | None
    test_code: str | None
    switched_at: datetime | None
    grace_until: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Staged:
    """Secrets that wait beside the present ones of a tenant's integration."""

    tenant_id: str
    tenant_name: str
    kind: Kind
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Rotation:
    """How an integration's rotation stands. `version` is that of the integration, for If-Match."""

    kind: Kind
    provider: str
    version: int
    current: CredentialVersion
    staged: CredentialVersion | None
    previous: CredentialVersion | None
    warnings: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a provider said of credentials. `code` is `ok` or why not; the message never holds what was answered."""

    ok: bool
    code: str
    message: str
    checked_at: datetime
