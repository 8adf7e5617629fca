"""Tries an integration against its provider, before it is saved or after."""

import time
from collections.abc import Mapping
from typing import Any

from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor, Outcome
from hookvault.clock import iso
from hookvault.db.pool import Database
from hookvault.integrations import store
from hookvault.integrations.model import Kind, TestResult
from hookvault.integrations.probe import Prober
from hookvault.integrations.service import IntegrationService


class IntegrationTrials:
    """Tries integrations."""

    def __init__(self, database: Database, integrations: IntegrationService, prober: Prober) -> None:
        self._database = database
        self._integrations = integrations
        self._prober = prober

    async def test(
        self, tenant_id: str, kind: Kind, changes: Mapping[str, Any] | None = None, *, actor: Actor = IN_PROCESS
    ) -> TestResult:
        """Asks the provider whether it takes an integration as it is, or as it would be with changes, which are not saved.

        What was said of one as it is stays beside it until it is changed.

        Args:
            tenant_id: Whose integration.
            kind: Which one.
            changes: As for `configure`; all of it for an integration that is not there yet.
            actor: Who asks.

        Raises:
            NotFoundError: `tenant_not_found`, or `integration_not_found` without changes.
            InvalidError: as `configure` does for these changes, `secrets_required` among them; or nothing that could be proved.
            TooManyRequestsError: ten tests of the tenant within a minute.
        """
        version = None if changes else await self._version(tenant_id, kind)
        provider, config = await self._integrations.draft(tenant_id, kind, changes or {})
        began = time.monotonic()
        result = await self._prober.probe(tenant_id, provider, config)
        took_ms = round((time.monotonic() - began) * 1000)
        detail = {"code": result.code, "changed": sorted(name for name in changes or {} if name in config)}
        outcome: Outcome = "success" if result.ok else "failed"
        async with self._database.tenant(tenant_id) as tx:
            if version is not None:
                said = {"code": result.code, "message": result.message, "ms": took_ms}
                await store.note_test(tx, kind, version, {"version": version, "at": iso(result.checked_at), **said})
            target = ("integration", kind)
            await audit.record(tx, actor, "integration.tested", target, detail=detail, outcome=outcome)
        return result

    async def _version(self, tenant_id: str, kind: Kind) -> int | None:
        """Read before what is tested is: one that was changed after this is not taken for what was tested."""
        found = await self._integrations.get_tenant_integration(tenant_id)
        integration = getattr(found, kind) if found else None
        return integration.version if integration else None
