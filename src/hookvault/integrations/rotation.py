"""Rotates an integration's secrets: staged, tested, current, previous for a while, revoked. Both are known while they overlap.

Each step is one transaction with its audit event, under the lock on the integration's row. No transaction is open while a
provider is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hookvault.audit.model import IN_PROCESS, SYSTEM, Actor
from hookvault.clock import now
from hookvault.db.pool import Database, TenantTx
from hookvault.errors import ConflictError, HookvaultError, InvalidError
from hookvault.integrations import store
from hookvault.integrations.layout import boxed, not_configured, provider_of, secret_names
from hookvault.integrations.model import (
    CredentialVersion,
    Kind,
    OpenState,
    Rotation,
    Staged,
    StoredRow,
    StoredVersion,
    TestResult,
)
from hookvault.integrations.move import become_current, enact, new_staged, opened_secrets, retire
from hookvault.integrations.probe import Prober
from hookvault.integrations.service import IntegrationService
from hookvault.integrations.stage import read_staged
from hookvault.integrations.succession import Turn, add_current, begin, end, note, unnumbered, untest, wipe
from hookvault.integrations.view import rotation_view, version_view
from hookvault.log import get_logger
from hookvault.paging import Page
from hookvault.providers.base import Provider
from hookvault.providers.proof import Config
from hookvault.tenants import store as tenants
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher, Vault

DEFAULT_GRACE_S = 86_400
MAX_GRACE_S = 30 * 86_400

_log = get_logger()


class RotationService:
    """The questions and commands on the versions of an integration's secrets."""

    def __init__(self, database: Database, vault: Vault, integrations: IntegrationService, prober: Prober) -> None:
        self._database = database
        self._vault = vault
        self._integrations = integrations
        self._prober = prober

    async def status(self, tenant_id: str, kind: Kind) -> Rotation:
        """How the rotation stands. Needs no key.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
        """
        async with self._database.tenant(tenant_id) as tx:
            return await self._status(tx, kind, await _row(tx, kind))

    async def list_staged(self, limit: int = 50) -> Sequence[Staged]:
        """What is staged and waits for its switch, of all tenants, the oldest first."""
        async with self._database.system() as tx:
            return await store.list_staged(tx, limit)

    async def list_versions(
        self, tenant_id: str, kind: Kind, *, limit: int = 50, cursor: str | None = None
    ) -> Page[CredentialVersion]:
        """A page of all versions there ever were, newest first; none where nothing was rotated yet.

        Raises:
            NotFoundError: `tenant_not_found`, or `integration_not_found` where there never was one.
            InvalidError: code `invalid_cursor`.
        """
        async with self._database.tenant(tenant_id) as tx:
            page = await store.list_versions(tx, kind, limit=limit, cursor=cursor)
            if not page.items and cursor is None:
                await _row(tx, kind)
        return page.map(version_view)

    async def stage(
        self,
        tenant_id: str,
        kind: Kind,
        body: Mapping[str, Any],
        *,
        replace_staged: bool = False,
        if_version: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Rotation:
        """Puts new secrets beside the present ones. Nothing uses them before the switch.

        Args:
            tenant_id: Whose integration.
            kind: Which one.
            body: The new secrets by field; those that are left out stay.
            replace_staged: Whether a version that is staged already is discarded for this one.
            if_version: The version that the integration must be at.
            actor: Who does it.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            ConflictError: code `rotation_in_progress`.
            PreconditionError: the integration is no longer at `if_version`.
            InvalidError: as `read_staged` says.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, cipher = await self._integrations.locked(tx, kind, if_version)
            provider = provider_of(kind, row.configs[kind].values)
            opened = boxed(cipher, kind, row.configs[kind].values)
            change = read_staged(body, provider, row.configs[kind], opened)
            turn = Turn(kind, provider.kind, actor, now())
            versions = await begin(tx, turn, row)
            if "staged" in versions:
                if not replace_staged:
                    raise _in_progress(versions["staged"])
                await end(tx, turn, versions["staged"], "discarded", reason="replaced")
            number = await store.last_number(tx, kind) + 1
            staged = new_staged(turn, cipher, number, change.new)
            await store.insert_version(tx, staged)
            await note(tx, turn, "credential.staged", staged)
            return replace(await self._status(tx, kind, row), warnings=change.warnings)

    async def discard(
        self, tenant_id: str, kind: Kind, *, if_version: int | None = None, actor: Actor = IN_PROCESS
    ) -> None:
        """Throws the staged version away. Idempotent.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            PreconditionError: the integration is no longer at `if_version`.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, _ = await self._integrations.locked(tx, kind, if_version)
            staged = (await store.find_versions(tx, kind, lock=True)).get("staged")
            if staged:
                await end(tx, _turn(kind, row, actor), staged, "discarded", reason="asked")

    async def test(
        self, tenant_id: str, kind: Kind, which: OpenState = "staged", *, actor: Actor = IN_PROCESS
    ) -> TestResult:
        """Asks the provider whether it takes a version, and keeps what it said.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            ConflictError: `nothing_staged`, `no_previous`; `changed_meanwhile` when the integration or the version was changed
                while the provider was asked: nothing is kept then.
            InvalidError: there is nothing that a call could prove.
            TooManyRequestsError: ten tests of the tenant within a minute.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, cipher = await self._integrations.locked(tx, kind, lock=False)
            version = await self._version(tx, kind, which)
            provider, config = await self._config_of(tx, row, cipher, (kind, version))
        seen = (row.configs[kind].version, version.id if version else None)
        result = await self._prober.probe(tenant_id, provider, config)
        async with self._database.tenant(tenant_id) as tx:
            row, _ = await self._integrations.locked(tx, kind)
            turn = _turn(kind, row, actor)
            tested = (await begin(tx, turn, row)).get(which)
            if tested is None or seen != (row.configs[kind].version, tested.id if seen[1] else None):
                raise ConflictError("It was changed while it was tested. Test again.", code="changed_meanwhile")
            tested.tested_at, tested.test_code = result.checked_at, result.code
            await store.save_version(tx, tested)
            await note(tx, turn, "credential.tested", tested, code=result.code)
        return result

    async def switch(
        self,
        tenant_id: str,
        kind: Kind,
        *,
        grace_s: int = DEFAULT_GRACE_S,
        force: bool = False,
        if_version: int | None = None,
        actor: Actor = IN_PROCESS,
    ) -> Rotation:
        """Makes the staged secrets the current ones; the former ones stay known until the grace ends.

        A version that is still in its grace from an earlier switch ends here.

        Args:
            tenant_id: Whose integration.
            kind: Which one.
            grace_s: For how long; with 0 the former ones end at once.
            force: Whether to switch to secrets that no test found good.
            if_version: The version that the integration must be at.
            actor: Who does it.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            ConflictError: `nothing_staged`, or `untested` where the last test since the staging was not ok.
            PreconditionError: the integration is no longer at `if_version`.
            InvalidError: a grace that is not within 30 days.
        """
        _check_grace(grace_s)
        async with self._database.tenant(tenant_id) as tx:
            row, cipher = await self._integrations.locked(tx, kind, if_version)
            turn = _turn(kind, row, actor)
            versions = await begin(tx, turn, row)
            staged = versions.get("staged")
            if staged is None:
                raise _none_of("staged")
            tested = staged.test_code == "ok"
            if not tested and not force:
                raise _untested(staged)
            if "previous" in versions:
                await end(tx, turn, versions["previous"], "revoked", reason="superseded")
            opened = await opened_secrets(tx, self._vault, staged)
            await retire(tx, turn, (row, cipher), versions["current"], grace_s)
            await enact(tx, turn, (row, cipher), opened)
            await become_current(tx, turn, row, staged)
            former = {"former": versions["current"].number, "graceSeconds": grace_s}
            await note(tx, turn, "credential.switched", staged, **former, **({} if tested else {"forced": True}))
            return await self._status(tx, kind, row)

    async def rollback(
        self, tenant_id: str, kind: Kind, *, if_version: int | None = None, actor: Actor = IN_PROCESS
    ) -> Rotation:
        """Makes the previous secrets the current ones again, as a version of their own; those that were switched to end.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            ConflictError: `no_previous`, or `grace_ended`.
            PreconditionError: the integration is no longer at `if_version`.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, cipher = await self._integrations.locked(tx, kind, if_version)
            turn = _turn(kind, row, actor)
            versions = await begin(tx, turn, row)
            previous, current = versions.get("previous"), versions["current"]
            if previous is None:
                raise _none_of("previous")
            if previous.grace_until is None or previous.grace_until <= turn.moment:
                raise ConflictError("The grace of the previous secrets has ended.", code="grace_ended")
            opened = await opened_secrets(tx, self._vault, previous)
            config = row.configs[kind]
            for name in secret_names(provider_of(kind, config.values)):
                config.values.pop(name, None)
                config.hints.pop(name, None)
            await enact(tx, turn, (row, cipher), opened)
            await end(tx, turn, current, "revoked", reason="rolled_back")
            await wipe(tx, turn, previous, "revoked")
            again = await add_current(tx, turn, row)
            await note(tx, turn, "credential.rolled_back", again, of=previous.number, instead=current.number)
            if "staged" in versions:
                await untest(tx, versions["staged"])
            return await self._status(tx, kind, row)

    async def revoke(
        self, tenant_id: str, kind: Kind, *, if_version: int | None = None, actor: Actor = IN_PROCESS
    ) -> Rotation:
        """Ends the previous version before its grace does.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            ConflictError: code `no_previous`.
            PreconditionError: the integration is no longer at `if_version`.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, _ = await self._integrations.locked(tx, kind, if_version)
            previous = await self._version(tx, kind, "previous")
            if previous:
                await end(tx, _turn(kind, row, actor), previous, "revoked", reason="asked")
            return await self._status(tx, kind, row)

    async def end_grace(self) -> None:
        """Ends every previous version whose grace is over, tenant by tenant: one that fails does not hold up the others."""
        moment = now()
        async with self._database.system() as tx:
            due = await store.list_due(tx, moment)
        for tenant_id, kind in due:
            try:
                async with self._database.tenant(tenant_id) as tx:
                    previous = (await store.find_versions(tx, kind, lock=True)).get("previous")
                    if previous and previous.grace_until and previous.grace_until <= moment:
                        turn = Turn(kind, previous.provider, SYSTEM, moment)
                        await end(tx, turn, previous, "revoked", reason="grace_ended")
            except HookvaultError as error:
                _log.warning("end_of_grace_failed", tenant=tenant_id, kind=kind, code=error.code)

    async def open_versions(self, tenant_id: str, kind: Kind) -> dict[str, dict[str, Secret] | None]:
        """The secrets in force, boxed: `current`, and `previous` while its grace lasts, else None.

        Raises:
            NotFoundError: `tenant_not_found` or `integration_not_found`.
            CipherError: a secret does not open under the tenant's key.
        """
        async with self._database.tenant(tenant_id) as tx:
            row, cipher = await self._integrations.locked(tx, kind, lock=False)
            previous = (await store.find_versions(tx, kind)).get("previous")
            valid = previous is not None and previous.grace_until is not None and previous.grace_until > now()
            kept = await opened_secrets(tx, self._vault, previous) if previous and valid else None
        opened = boxed(cipher, kind, row.configs[kind].values)
        return {
            "current": {name: value for name, value in opened.items() if isinstance(value, Secret)},
            "previous": kept,
        }

    async def _status(self, tx: TenantTx, kind: Kind, row: StoredRow) -> Rotation:
        versions = await store.find_versions(tx, kind)
        provider = provider_of(kind, row.configs[kind].values).kind
        current = versions.get("current") or unnumbered(kind, provider, row, await store.last_number(tx, kind) + 1)
        return rotation_view(current, row.configs[kind].version, versions)

    async def _version(self, tx: TenantTx, kind: Kind, which: OpenState) -> StoredVersion | None:
        """A version that is not ended; None for a current one that has no number yet."""
        found = (await store.find_versions(tx, kind)).get(which)
        if found is None and which != "current":
            raise _none_of(which)
        return found

    async def _config_of(
        self, tx: TenantTx, row: StoredRow, cipher: TenantCipher, which: tuple[Kind, StoredVersion | None]
    ) -> tuple[Provider, Config]:
        """The integration's configuration with a version's secrets in it."""
        kind, version = which
        values = row.configs[kind].values
        provider = provider_of(kind, values)
        config = boxed(cipher, kind, values)
        if version is not None and version.state != "current":
            if version.state == "previous":  # it is whole; a staged one has only what is new
                config = {name: value for name, value in config.items() if not isinstance(value, Secret)}
            config |= await opened_secrets(tx, self._vault, version)
        return provider, config


async def _row(tx: TenantTx, kind: Kind) -> StoredRow:
    await tenants.get(tx, tx.tenant_id)
    row = await store.find(tx)
    if row is None or kind not in row.configs:
        raise not_configured(kind)
    return row


def _turn(kind: Kind, row: StoredRow, actor: Actor) -> Turn:
    return Turn(kind, provider_of(kind, row.configs[kind].values).kind, actor, now())


def _check_grace(grace_s: int) -> None:
    if not 0 <= grace_s <= MAX_GRACE_S:
        message = f"must be from 0 to {MAX_GRACE_S} seconds"
        raise InvalidError(f"graceSeconds {message}.", errors=[{"field": "graceSeconds", "message": message}])


def _none_of(which: OpenState) -> ConflictError:
    if which == "staged":
        return ConflictError("No new secrets are staged.", code="nothing_staged")
    return ConflictError("There are no previous secrets in their grace.", code="no_previous")


def _in_progress(staged: StoredVersion) -> ConflictError:
    message = f"Version {staged.number} is staged already: switch to it, discard it, or replace it with `replace`."
    return ConflictError(message, code="rotation_in_progress")


def _untested(staged: StoredVersion) -> ConflictError:
    found = "was not tested as it is now" if staged.test_code is None else f"failed its test ({staged.test_code})"
    return ConflictError(f"Version {staged.number} {found}. Test it, or force the switch.", code="untested")
