"""API keys: made, shown once, kept as a hash, checked, revoked."""

import hashlib
import secrets
import string
import time
from collections.abc import Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from hookvault.accounts import store
from hookvault.accounts.model import TENANT_SCOPES, APIKey, NewAPIKey, Principal, Scope
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import InvalidError, NotFoundError, UnauthorizedError
from hookvault.ids import new_id
from hookvault.paging import Page
from hookvault.vault.secret import Secret

PREFIX = "hv_"
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 43  # 62^43 > 2^256: a plain SHA-256 is enough, there is nothing to guess
_FRESH_S = 1.0  # a revoked key is refused everywhere within this time
_CACHED = 10_000


class APIKeyService:
    """Makes, checks, lists and revokes API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._used: dict[UUID, datetime] = {}

    async def create_api_key(
        self,
        name: str,
        *,
        tenant_id: str | None = None,
        scopes: Sequence[Scope] | None = None,
        actor: Actor = IN_PROCESS,
    ) -> NewAPIKey:
        """Makes a key: for the platform without a tenant, else for that tenant with `call`, `send` and `read`.

        Raises:
            InvalidError: a name of 0 or over 200 characters, or scopes that don't fit the kind of key.
            NotFoundError: code `tenant_not_found`.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise InvalidError("An API key's name is 1 to 200 printable characters.")
        chosen = _checked_scopes(tenant_id, scopes)
        token = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        key = APIKey(new_id(), tenant_id, name.strip(), token[-4:], chosen, now(), actor.label, None, None)
        async with self._database.system() as tx:
            await store.insert_key(tx, key, _hash(token))
            await audit.record(
                tx,
                actor,
                "api_key.created",
                ("api_key", str(key.id)),
                tenant_id=tenant_id or "",
                detail={"name": key.name, "scopes": list(chosen), "hint": key.hint},
            )
        return NewAPIKey(key, Secret(token))

    async def authenticate(self, token: str) -> Principal:
        """Whom a key speaks for. Costs a query once a second and key.

        Raises:
            UnauthorizedError: the key is unknown or revoked.
            UnavailableError: code `database_unavailable`.
        """
        hashed = _hash(token)
        known = self._known.get(hashed)
        moment = time.monotonic()
        if known is None or moment - known[0] > _FRESH_S:
            known = (moment, await self._looked_up(hashed))
            self._known[hashed] = known
            self._used[known[1].key_id] = now()  # only here: a second's precision is enough, and calls are many
        return known[1]

    async def list_api_keys(
        self, *, tenant_id: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[APIKey]:
        """A page of keys, newest first, revoked ones included. Raises InvalidError, code `invalid_cursor`."""
        async with self._database.system() as tx:
            return await store.list_keys(tx, tenant_id=tenant_id, limit=limit, cursor=cursor)

    async def get_api_key(self, key_id: UUID) -> APIKey:
        """A key, revoked or not. Raises NotFoundError, code `api_key_not_found`."""
        async with self._database.system() as tx:
            key = await store.find_key(tx, key_id)
        if key is None:
            raise NotFoundError("There is no such API key.", code="api_key_not_found")
        return key

    async def revoke_api_key(self, key_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Revokes a key: refused here at once and everywhere within a second. Idempotent."""
        async with self._database.system() as tx:
            key = await store.find_key(tx, key_id)
            if key is not None and await store.revoke_key(tx, key_id):
                owner = key.tenant_id or ""
                await audit.record(tx, actor, "api_key.revoked", ("api_key", str(key_id)), tenant_id=owner)
        self.forget()

    def forget(self) -> None:
        """Drops every key known, after some may have been revoked."""
        self._known.clear()

    async def save_uses(self) -> None:
        """Writes the times of last use that were noted since the last time."""
        uses, self._used = list(self._used.items()), {}
        if uses:
            async with self._database.system() as tx:
                await store.touch_keys(tx, sorted(uses))

    async def _looked_up(self, hashed: bytes) -> Principal:
        if len(self._known) > _CACHED:
            self._known.clear()
        async with self._database.system() as tx:
            principal = await store.find_principal(tx, hashed)
        if principal is None:
            self._known.pop(hashed, None)
            raise UnauthorizedError(
                "The API key is not known, or was revoked. Make one with: hookvault api-key create --platform"
            )
        return principal


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _checked_scopes(tenant_id: str | None, scopes: Sequence[Scope] | None) -> tuple[Scope, ...]:
    if scopes is None:
        return ("platform",) if tenant_id is None else TENANT_SCOPES
    unknown = set(scopes) - set(get_args(Scope))
    wrong = set(scopes) != {"platform"} if tenant_id is None else "platform" in scopes
    if unknown or not scopes or wrong:
        raise InvalidError("A platform key has the scope platform; a tenant's key any of call, send and read.")
    return tuple(scope for scope in get_args(Scope) if scope in scopes)
