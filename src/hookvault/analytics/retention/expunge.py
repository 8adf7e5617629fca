"""Removes what was sent and answered from records that stay: by hand, for whoever asks to be forgotten."""

from uuid import UUID

from hookvault.analytics import store as calls
from hookvault.analytics.retention import store
from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.db.pool import Database
from hookvault.deliveries import store as deliveries
from hookvault.deliveries.model import ENDED
from hookvault.errors import ConflictError, NotFoundError
from hookvault.ids import id_time
from hookvault.tenants.history import require_history


class ExpungeService:
    """Removes payloads. What was counted and how it went stays; a backup that was made before may still hold them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expunge_call(self, tenant_id: str, call_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Removes request payload, response body and metadata of a call and of its retries. Idempotent.

        A call of a delivery has the delivery's payload; that goes with `expunge_delivery`.

        Raises:
            NotFoundError: code `call_not_found` or `tenant_not_found`.
        """
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            call = await calls.find_call(tx, call_id, tenant_id)
        if call is None or call.timestamp < since:
            raise NotFoundError(f"This tenant has no call {call_id}.", code="call_not_found")
        first = call.retry_of or call.id
        async with self._database.system() as system:
            records = await store.expunge_call(system, tenant_id, first, id_time(first))
            if records:
                target, detail = ("call", str(call_id)), {"records": records}
                await audit.record(system, actor, "call.expunged", target, tenant_id=tenant_id, detail=detail)

    async def expunge_delivery(self, tenant_id: str, delivery_id: UUID, *, actor: Actor = IN_PROCESS) -> None:
        """Removes a delivery's payload and metadata, and those and the answers of its calls. Idempotent.

        It can't be replayed then.

        Raises:
            NotFoundError: code `delivery_not_found` or `tenant_not_found`.
            ConflictError: code `delivery_pending`, for one that has not ended.
        """
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            found = await deliveries.find(tx, delivery_id)
        if found is None or found[0].accepted_at < since:
            raise NotFoundError(f"This tenant has no delivery {delivery_id}.", code="delivery_not_found")
        delivery = found[0]
        if delivery.status not in ENDED:
            raise ConflictError(
                f"The delivery is {delivery.status} and its payload is still to be sent. Wait until it has ended, or delete its "
                "webhook, which ends it.",
                code="delivery_pending",
            )
        place = store.Place(delivery.accepted_at, delivery.id)
        async with self._database.system() as system:
            rows = await store.expunge_delivery(system, tenant_id, delivery.webhook_id, place)
            if rows:
                target = ("delivery", str(delivery_id))
                await audit.record(
                    system, actor, "delivery.expunged", target, tenant_id=tenant_id, detail={"records": rows}
                )
