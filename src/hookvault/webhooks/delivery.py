"""Deliveries: accepted, and told. What brings them to their webhooks is `hookvault.worker`."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from hookvault.admission import store as admission
from hookvault.admission.idempotency import IdempotencyKeys, check_key, hash_request
from hookvault.admission.model import OpenHold
from hookvault.clock import iso, now
from hookvault.db.pool import Database, Row, SystemTx, TenantTx
from hookvault.deliveries import store
from hookvault.deliveries.model import Delivery, DeliveryFilter, NewDelivery, Story, event
from hookvault.errors import ConflictError, HookvaultError, InvalidError, NotFoundError, TooLargeError
from hookvault.ids import id_time, new_id
from hookvault.ledger.store import count_held
from hookvault.paging import Page
from hookvault.tenants.history import require_history
from hookvault.webhooks.edit import fault
from hookvault.webhooks.endpoint import Endpoints
from hookvault.webhooks.enqueue import Accepted, Enqueuer
from hookvault.webhooks.model import MAX_BUDGET_MS, MAX_RETRIES, CallRequest
from hookvault.webhooks.payload import check_depth, encode_payload, response_json, storable
from hookvault.webhooks.redact import shown

MAX_ORDERING_KEY = 200
LONGEST_WAIT = timedelta(days=3652)
MAX_TRIGGER = 200
_CIRCUIT_OPEN = "circuit_open"  # the reason of a hold; see `webhooks/circuit.py`
# Counting reads every delivery of the time: at most a twentieth of it goes into that.
_COUNTED_S, _COUNTED_SHARE = 15.0, 20
_SQL_ERRORS: dict[str, type[HookvaultError]] = {
    "tenant_not_found": NotFoundError,
    "webhook_not_found": NotFoundError,
    "payload_too_large": TooLargeError,
    "deliver_before_passed": InvalidError,
    "invalid_input": InvalidError,
}


class _Counted:
    """Counts by tenant that take time, remembered the longer the longer they took."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: Sequence[tuple[str, int]] = ()
        self.until = 0.0

    async def get(self, count: Callable[[SystemTx], Awaitable[Sequence[tuple[str, int]]]]) -> Sequence[tuple[str, int]]:
        if time.monotonic() >= self.until:
            began = time.monotonic()
            async with self._database.system() as tx:
                self._found = await count(tx)
            took = time.monotonic() - began
            self.until = time.monotonic() + max(_COUNTED_S, took * _COUNTED_SHARE)
        return self._found


class DeliveryService:
    """The questions and commands on a tenant's deliveries, asked alike by the API and Python."""

    def __init__(self, database: Database, endpoints: Endpoints, enqueuer: Enqueuer, max_payload: int) -> None:
        self._database = database
        self._endpoints = endpoints
        self._enqueuer = enqueuer
        self._max_payload = max_payload
        self._keys = IdempotencyKeys(database)
        self._failed, self._held = _Counted(database), _Counted(database)

    async def enqueue(self, tenant_id: str, workflow_name: str, request: CallRequest) -> Accepted:
        """Accepts a delivery: it is committed when this returns. One to a webhook that is switched off is held.

        Raises:
            NotFoundError: `tenant_not_found` or `webhook_not_found`.
            InvalidError: a bad bound, `deliver_before_passed`, `invalid_idempotency_key`.
            TooLargeError: `payload_too_large` or `too_deep`.
            ConflictError: `idempotency_conflict`.
            UnavailableError: `enqueue_unavailable`; nothing was accepted.
        """
        check_request(request, self._max_payload)
        check_delivery(request)
        metadata = None if request.metadata is None else storable(encode_payload(request.metadata))[0]
        hashed = None
        if request.idempotency_key is not None:
            check_key(request.idempotency_key)
            hashed = request_hash("delivery", workflow_name, request)
        try:
            webhook_id = await self._endpoints.find_id(tenant_id, workflow_name)
        except NotFoundError:
            before = (
                None if hashed is None else await self._keys.find((tenant_id, request.idempotency_key or ""), hashed)
            )
            if before is None:
                raise
            return Accepted(before.message_id, deduplicated=True)
        identifier = new_id()
        delivery = NewDelivery(
            tenant_id,
            identifier,
            id_time(identifier),
            webhook_id,
            request.payload,
            request.triggered_by,
            metadata,
            request.timeout_ms,
            request.max_retries,
            request.ordering_key,
            request.deliver_before,
            request.idempotency_key,
            hashed,
        )
        return await self._enqueuer.put(delivery)

    async def enqueue_in(self, connection: Any, tenant_id: str, workflow_name: str, request: CallRequest) -> UUID:
        """Accepts a delivery in the transaction that is open on somebody else's asyncpg connection to this database.

        It is sent if and only if that transaction commits. The connection's role needs EXECUTE on `hookvault_enqueue`.

        Raises: as `enqueue`, but no ConflictError: the transaction itself happens once.
        """
        check_request(request, self._max_payload)
        check_delivery(request)
        if request.idempotency_key is not None:
            raise InvalidError("An idempotency key has no use inside a transaction of the caller's own.")
        options = {
            "triggeredBy": request.triggered_by,
            "metadata": None if request.metadata is None else json.loads(_stored(request.metadata)),
            "timeoutMs": request.timeout_ms,
            "maxRetries": request.max_retries,
            "orderingKey": request.ordering_key,
            "deliverBefore": None if request.deliver_before is None else iso(request.deliver_before),
        }
        given = json.dumps({name: value for name, value in options.items() if value is not None})
        try:
            return await store.enqueue_with(connection, tenant_id, workflow_name, request.payload.decode(), given)
        except asyncpg.RaiseError as error:
            code, _, message = str(error).partition(": ")
            raise _SQL_ERRORS.get(code, InvalidError)(message, code=code) from None

    async def list_open_circuits(self, limit: int = 50) -> Sequence[OpenHold]:
        """The circuits of all tenants that are open, the newest first: deliveries to those webhooks are held."""
        async with self._database.system() as tx:
            return await admission.list_open_holds(tx, _CIRCUIT_OPEN, limit)

    async def count_failed(self, period: timedelta = timedelta(hours=24)) -> Sequence[tuple[str, int]]:
        """Tenants with how many of their deliveries accepted lately failed or expired, most first.

        As of some seconds ago, and longer ago where there are so many that counting takes time.
        """
        return await self._failed.get(lambda tx: store.count_failed(tx, now() - period))

    async def count_held(self) -> Sequence[tuple[str, int]]:
        """Tenants with how many of their deliveries are held at present, most first; as of some seconds ago, as above."""
        return await self._held.get(count_held)

    async def get_delivery(self, tenant_id: str, delivery_id: UUID) -> Story:
        """A delivery's whole story. Raises NotFoundError, code `delivery_not_found` or `tenant_not_found`."""
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            found = await store.find(tx, delivery_id)
            if found is None or found[0].accepted_at < since:
                raise NotFoundError(f"This tenant has no delivery {delivery_id}.", code="delivery_not_found")
            delivery, row = found
            trail = await _told(tx, delivery, row["trail"])
        calls = [UUID(entry["callId"]) for entry in trail if "callId" in entry]
        return Story(delivery, *_shown(row), trail, calls)

    async def list_deliveries(
        self, tenant_id: str, which: DeliveryFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """A page of a tenant's deliveries, newest first.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: `invalid_cursor` or `invalid_range`.
        """
        check_filter(which)
        async with self._database.tenant(tenant_id) as tx:
            since = await require_history(tx)
            which = bounded(which, since)
            return await store.list_page(tx, which, limit=limit, cursor=cursor)


def check_request(request: CallRequest, max_payload: int) -> None:
    """Refuses what neither a call nor a delivery can be. Raises TooLargeError or InvalidError."""
    if len(request.payload) > max_payload:
        raise TooLargeError(f"The payload has more than {max_payload} bytes.")
    check_depth(request.payload)
    if request.timeout_ms is not None and not 1 <= request.timeout_ms <= MAX_BUDGET_MS:
        raise fault("timeoutMs", f"must be from 1 to {MAX_BUDGET_MS}")
    if request.max_retries is not None and not 0 <= request.max_retries <= MAX_RETRIES:
        raise fault("maxRetries", f"must be from 0 to {MAX_RETRIES}")


def check_delivery(request: CallRequest) -> None:
    """Refuses what a delivery can't be. Raises InvalidError; `deliver_before_passed` for a time that is over."""
    key = request.ordering_key
    if key is not None and not (1 <= len(key) <= MAX_ORDERING_KEY and key.isprintable()):
        raise fault("orderingKey", f"must have 1 to {MAX_ORDERING_KEY} printable characters")
    by = request.triggered_by
    if by is not None and not (len(by) <= MAX_TRIGGER and by.isprintable()):
        raise fault("triggeredBy", f"must have {MAX_TRIGGER} printable characters or fewer")
    if request.deliver_before is not None:
        _check_deadline(request.deliver_before)


def _stored(metadata: Mapping[str, Any]) -> bytes:
    """Metadata as the database can hold it. Raises InvalidError, code `invalid_payload`, for what is no JSON."""
    return storable(encode_payload(metadata))[0]


def _check_deadline(deadline: datetime) -> None:
    if deadline.tzinfo is None:
        raise fault("deliverBefore", "must name its time zone, such as a Z at its end")
    present = now()
    if deadline <= present:
        raise InvalidError("deliverBefore is over already; nothing was accepted.", code="deliver_before_passed")
    if deadline > present + LONGEST_WAIT:
        raise fault("deliverBefore", "must be within ten years")


def request_hash(kind: str, workflow_name: str, request: CallRequest) -> bytes:
    """What makes two requests with one idempotency key the same."""
    metadata = None if request.metadata is None else msgspec.json.encode(request.metadata, order="deterministic")
    deadline = None if request.deliver_before is None else iso(request.deliver_before)
    bounds = (request.timeout_ms, request.max_retries)
    return hash_request(
        [kind, workflow_name, request.payload, request.triggered_by, metadata, *bounds, request.ordering_key, deadline]
    )


def check_filter(which: DeliveryFilter) -> None:
    """Refuses a range that holds nothing. Raises InvalidError, code `invalid_range`."""
    if which.start is not None and which.end is not None and which.start >= which.end:
        raise InvalidError("The range must start before it ends.", code="invalid_range")


def bounded(which: DeliveryFilter, since: Any) -> DeliveryFilter:
    """The filter, never reaching back before a moment."""
    start = since if which.start is None else max(which.start, since)
    return replace(which, start=start)


async def _told(tx: TenantTx, delivery: Delivery, stored: Sequence[Any]) -> list[Any]:
    """The whole trail: what was stored, with what is known from elsewhere, in the order of time."""
    trail = [event("accepted", delivery.accepted_at, replayOf=delivery.replay_of and str(delivery.replay_of)), *stored]
    for hold in await store.list_holds(tx, delivery.webhook_id, delivery.accepted_at, delivery.finished_at):
        trail.append(event("held", max(hold.since, delivery.accepted_at), reason=hold.reason))
        if hold.until is not None and (delivery.finished_at is None or hold.until <= delivery.finished_at):
            trail.append(event("released", hold.until, reason=hold.reason))
    for identifier, moment in await store.list_replays_of(tx, delivery.id):
        trail.append(event("replayed", moment, deliveryId=str(identifier)))
    return sorted(trail, key=lambda entry: str(entry["at"]))


def _shown(row: Row) -> tuple[bytes | None, bool, Any]:
    """What may be shown of a delivery's payload, whether that is less than what was sent, and what of its metadata."""
    policies = [policy for policy in (row["policy"], row["kept_policy"]) if policy]
    payload, metadata, hidden = row["payload"], row["metadata"], row["expunged_at"] is not None
    if payload is not None and policies:
        whole, _ = response_json(payload, truncated=False)
        kept = shown(whole, policies)
        if kept is not whole:
            payload, hidden = kept, True
    if metadata is not None and policies:
        kept = shown(encode_payload(metadata), policies)
        metadata = None if kept is None else json.loads(kept)
    return payload, hidden, metadata


def not_ended(delivery: Delivery) -> ConflictError:
    """The error for a delivery that is still under way."""
    return ConflictError(
        f"The delivery is {delivery.status}; only one that has ended can be made again.", code="delivery_not_ended"
    )


def payload_expunged(delivery_id: UUID) -> ConflictError:
    """The error for a delivery that can't be made again, since what it sent is gone."""
    return ConflictError(
        f"What delivery {delivery_id} sent is not kept any more, by its webhook's policy or since it was expunged; send it anew.",
        code="payload_expunged",
    )
