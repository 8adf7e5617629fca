"""Who gets the places in flight of one process (pure): tenants in turn, and no receiver more than it answers quickly.

A webhook begins with a few places. Each quick answer gives it one more; calls that never came back take half of them, as TCP
does with its window. A webhook that is not known to answer quickly shares an eighth of all places with the others of its tenant.
And a call that takes longer than a second is parked: it waits on without a place, of which there may be several times as many. So
however many receivers hang, they hold places for a second, and whoever answers finds one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

FIRST_PLACES = 8
PARKED = 4  # times as many calls may be parked as there are places
QUICK_S = 1.0
_SLOW_PLACES = 16
_FORGOTTEN = 50_000


@dataclass(slots=True)
class _Webhook:
    """What a process knows of a webhook: how many places it may have and has, and since when nothing came back."""

    tenant_id: str
    window: float = FIRST_PLACES
    busy: int = 0
    parked: int = 0
    quiet_since: float = 0.0
    halved_at: float = float("-inf")
    proven: bool = False


@dataclass(slots=True)
class Shares:
    """The places of one process. `limit` is all of them; `busy` are all calls, `parked` those of them without a place."""

    limit: int
    clock: Callable[[], float] = time.monotonic
    busy: int = 0
    parked: int = 0
    _unproven: int = 0
    _webhooks: dict[UUID, _Webhook] = field(default_factory=dict)
    _tenants: dict[str, int] = field(default_factory=dict)
    _risked: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.limit - self.busy + self.parked

    def room(self, webhook_id: UUID, tenant_id: str) -> int:
        """How many more calls a webhook may have now, for itself and within its tenant's share."""
        webhook = self._webhooks.get(webhook_id)
        own = min(FIRST_PLACES, self._half)
        if webhook is not None:
            window = webhook.window
            if webhook.busy and self.clock() - webhook.quiet_since > QUICK_S:
                window = min(window, FIRST_PLACES)  # it has calls and none comes back
            own = int(min(window, self._half)) - webhook.busy
        if webhook is None or not webhook.proven:
            own = min(own, self._for_unproven, self._at_risk - self._risked.get(tenant_id, 0))
        return max(0, min(own, self._half - self._tenants.get(tenant_id, 0)))

    def allot(self, waiting: Sequence[tuple[UUID, str]]) -> dict[UUID, int]:
        """Shares the free places out among webhooks (id, tenant) with jobs: tenant by tenant, the least busy first."""
        left, unproven = self.free, self._for_unproven
        given: dict[UUID, int] = {}
        tenants: dict[str, list[UUID]] = {}
        for webhook_id, tenant_id in waiting:
            tenants.setdefault(tenant_id, []).append(webhook_id)
        order = sorted(tenants, key=lambda tenant_id: self._tenants.get(tenant_id, 0))
        for number, tenant_id in enumerate(order):
            if left <= 0:
                break
            rest = len(order) - number
            share = max(1, left // rest), min(unproven, max(1, unproven // rest))
            went, risked = self._allot_within(tenant_id, tenants[tenant_id], share, given)
            left -= went
            unproven -= risked
        return given

    def take(self, webhook_id: UUID, tenant_id: str, places: int) -> None:
        """Gives places to a webhook."""
        webhook = self._webhooks.get(webhook_id)
        if webhook is None:
            if len(self._webhooks) > _FORGOTTEN:
                self._webhooks = {key: known for key, known in self._webhooks.items() if known.busy}
            webhook = self._webhooks[webhook_id] = _Webhook(tenant_id)
        if not webhook.busy:
            webhook.quiet_since = self.clock()
        webhook.busy += places
        self.busy += places
        _count(self._tenants, tenant_id, places)
        if not webhook.proven:
            self._unproven += places
            _count(self._risked, tenant_id, places)

    def park(self, webhook_id: UUID) -> bool:
        """Takes the place of a call that goes on without one; whether there was room to park it."""
        if self.parked >= self.limit * PARKED:
            return False
        webhook = self._webhooks[webhook_id]
        webhook.parked += 1
        self.parked += 1
        self._unproven -= 0 if webhook.proven else 1
        return True

    def end(
        self, webhook_id: UUID, *, seconds: float | None = None, answered: bool = True, parked: bool = False
    ) -> None:
        """Ends a call that took `seconds`, `parked` or not; without `seconds` it was not made at all."""
        webhook = self._webhooks[webhook_id]
        webhook.busy -= 1
        self.busy -= 1
        webhook.parked -= parked
        self.parked -= parked
        _count(self._tenants, webhook.tenant_id, -1)
        if not webhook.proven:
            self._unproven -= not parked
            _count(self._risked, webhook.tenant_id, -1)
        if seconds is not None:
            self._learn(webhook, seconds, answered=answered)

    @property
    def _half(self) -> int:
        return max(1, self.limit // 2)

    @property
    def _at_risk(self) -> int:
        """How many calls a tenant may have to webhooks that are not known to answer quickly: the fewer, the more are parked."""
        scarce = 1 - self.parked / (self.limit * PARKED)
        return min(self._half, max(2, int(max(FIRST_PLACES, self.limit // 8) * scarce)))

    @property
    def _for_unproven(self) -> int:
        """Places left for webhooks that are not known to answer. A quarter of all is for those that are."""
        return self.limit - self.limit // 4 - self._unproven

    def _allot_within(
        self, tenant_id: str, webhooks: Sequence[UUID], share: tuple[int, int], given: dict[UUID, int]
    ) -> tuple[int, int]:
        """Shares a tenant's places out among its webhooks.

        Args:
            tenant_id: Whose.
            webhooks: Which.
            share: How many places, and how many of them for webhooks that are not known to answer.
            given: Where they are noted.

        Returns:
            How many went, and how many of them to webhooks that are not known to answer.
        """
        most = min(share[0], self._half - self._tenants.get(tenant_id, 0))
        most_risked = min(share[1], self._at_risk - self._risked.get(tenant_id, 0))
        went = risked = 0
        for number, webhook_id in enumerate(webhooks):
            places = min(
                self.room(webhook_id, tenant_id), max(1, (most - went) // (len(webhooks) - number)), most - went
            )
            known = self._webhooks.get(webhook_id)
            proven = known is not None and known.proven
            if not proven:
                places = min(places, most_risked - risked)
            if places > 0:
                given[webhook_id] = places
                went += places
                risked += 0 if proven else places
        return went, risked

    def _learn(self, webhook: _Webhook, seconds: float, *, answered: bool) -> None:
        webhook.quiet_since = present = self.clock()
        if not answered:
            if present - webhook.halved_at >= QUICK_S:  # once for all calls that ended together
                webhook.window, webhook.halved_at = max(1.0, webhook.window / 2), present
        elif seconds < QUICK_S:
            webhook.window = min(webhook.window + 1, self.limit)
        else:
            webhook.window = min(max(webhook.window, 1.0) + 1, max(_SLOW_PLACES, webhook.window - 1))
        proven = answered and seconds < QUICK_S
        if proven != webhook.proven:
            sign = -1 if proven else 1
            self._unproven += sign * (webhook.busy - webhook.parked)
            _count(self._risked, webhook.tenant_id, sign * webhook.busy)
            webhook.proven = proven


def _count(counts: dict[str, int], tenant_id: str, more: int) -> None:
    found = counts.get(tenant_id, 0) + more
    if found:
        counts[tenant_id] = found
    else:
        counts.pop(tenant_id, None)


def leftover(allotted: Mapping[UUID, int], claimed: Mapping[UUID, int]) -> dict[UUID, int]:
    """What of each webhook's places found no job."""
    return {key: places - claimed.get(key, 0) for key, places in allotted.items() if places > claimed.get(key, 0)}
