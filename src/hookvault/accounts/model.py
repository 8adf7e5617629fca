"""API keys, platform admins, their sessions and invitations, and whom an authenticated request speaks for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from hookvault.vault.secret import Secret

Scope = Literal["platform", "call", "send", "read"]
TENANT_SCOPES: tuple[Scope, ...] = ("call", "send", "read")
Role = Literal["owner", "admin", "viewer"]
Stage = Literal["second_factor", "full"]


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
class PlatformUser:
    """A platform admin, without the password's hash."""

    id: UUID
    email: str
    name: str
    role: Role
    must_change_password: bool
    created_at: datetime
    last_login_at: datetime | None
    disabled_at: datetime | None
    has_totp: bool = False


@dataclass(frozen=True, slots=True)
class NewPassword:
    """An admin whose one-time password was just made: the only time that it can be read."""

    user: PlatformUser
    password: Secret


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in, and how far: at the stage `second_factor` the code is still missing."""

    id: UUID
    user: PlatformUser
    stage: Stage
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    user_agent: str
    ip: str | None


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just begun, or gone on with under a new token: the only time that its cookie can be read."""

    session: Session
    cookie: Secret


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request speaks for: by its key, or by its session."""

    key_id: UUID
    tenant_id: str | None
    scopes: frozenset[str]
    session: Session | None = None

    @property
    def is_platform(self) -> bool:
        """Whether every tenant and the platform's own routes are open to it."""
        return "platform" in self.scopes

    @property
    def is_owner(self) -> bool:
        """Whether it may say who else may do what: a platform key, and an owner."""
        return self.is_platform and (self.session is None or self.session.user.role == "owner")

    def may(self, scope: Scope, tenant_id: str) -> bool:
        """Whether it may do what `scope` names within a tenant."""
        return self.is_platform or (self.tenant_id == tenant_id and scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation, without the hash of its token."""

    id: UUID
    email: str
    role: Role
    created_at: datetime
    created_by: str
    sent_at: datetime
    expires_at: datetime
    state: Literal["pending", "expired", "accepted", "revoked"]


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation whose token was just made, and how it was sent. `link` is there only where no mail could carry it."""

    invitation: Invitation
    mail: Literal["sent", "logged", "not_set_up"]
    link: Secret | None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor that waits for its first code: the only time that its secret can be read."""

    secret: Secret
    uri: Secret


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: its address, its program, and its own id."""

    ip: str | None = None
    user_agent: str = ""
    request_id: str | None = None
