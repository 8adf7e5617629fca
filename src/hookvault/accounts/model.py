"""API keys, platform admins, and whom an authenticated request speaks for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from hookvault.vault.secret import Secret

Scope = Literal["platform", "call", "send", "read"]
TENANT_SCOPES: tuple[Scope, ...] = ("call", "send", "read")


@dataclass(frozen=True, slots=True)
class APIKey:
    """One row of api_keys without the hash. `tenant_id` is None for a platform key."""

    id: UUID
    tenant_id: str | None
    name: str
    hint: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAPIKey:
    """A key just made: the only time that its token can be read."""

    key: APIKey
    token: Secret


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request speaks for, by its key."""

    key_id: UUID
    tenant_id: str | None
    scopes: frozenset[str]

    @property
    def is_platform(self) -> bool:
        """Whether every tenant and the platform's own routes are open to it."""
        return "platform" in self.scopes

    def may(self, scope: Scope, tenant_id: str) -> bool:
        """Whether it may do what `scope` names within a tenant."""
        return self.is_platform or (self.tenant_id == tenant_id and scope in self.scopes)


@dataclass(frozen=True, slots=True)
class PlatformUser:
    """A platform admin, without the password's hash."""

    id: UUID
    email: str
    name: str
    role: str
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewPassword:
    """An admin whose one-time password was just made: the only time that it can be read."""

    user: PlatformUser
    password: Secret
