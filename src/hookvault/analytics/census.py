"""Many tenants at a glance: what each has, and how its last day went, in few queries whatever their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hookvault.analytics.health import LATELY, RECENT, Health, judge
from hookvault.analytics.model import Figures
from hookvault.analytics.rollups import store
from hookvault.analytics.rollups.model import Over, Scope, Tally, Want
from hookvault.analytics.rollups.read import Answer, read
from hookvault.clock import now
from hookvault.db.pool import Database, Row

DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_MS = timedelta(milliseconds=1)
_MOST_JUDGED = 25  # tenants, by either measure


@dataclass(frozen=True, slots=True)
class Holding:
    """What a tenant has: which integrations are set, and how many webhooks."""

    integrations: Sequence[str]
    webhooks: int


@dataclass(frozen=True, slots=True)
class Worst:
    """The webhook of a tenant that failed most often."""

    webhook_id: UUID
    workflow_name: str
    deleted: bool
    figures: Figures


@dataclass(frozen=True, slots=True)
class Activity:
    """A tenant's last 24 hours: its figures, without percentiles; hour by hour what succeeded and failed; the worst webhook."""

    figures: Figures
    successful: Sequence[int]
    failed: Sequence[int]
    worst: Worst | None


@dataclass(frozen=True, slots=True)
class Unwell:
    """A webhook that is failing or degraded."""

    tenant_id: str
    tenant_name: str
    webhook_id: UUID
    workflow_name: str
    health: Health


class CensusService:
    """The questions on many tenants at once, for whoever may see all of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_holdings(self, tenant_ids: Sequence[str]) -> Mapping[str, Holding]:
        """What each of these tenants has, by id; one that is not there is missing."""
        async with self._database.system() as tx:
            rows = await store.list_holdings(tx, tenant_ids)
        return {row["id"]: Holding(row["integrations"], row["webhooks"]) for row in rows}

    async def list_activity(self, tenant_ids: Sequence[str]) -> Mapping[str, Activity]:
        """How the last 24 hours of each of these tenants went, by id. The first and the last hour are parts of hours."""
        if not tenant_ids:
            return {}
        bounds = _hours(now() + _MS)
        among = ",".join(tenant_ids)
        async with self._database.system_snapshot() as tx:
            by_hour = await read(tx, Scope(Over.SOME_TENANTS, among), bounds, Want())
            failing = sorted(
                {key for hour in by_hour for key, tally in hour.items() if key is not None and tally.failed}
            )
            known = {row["webhook_id"]: row for row in await store.list_called(tx, failing, bounds[0])}
            theirs = Scope(Over.THEIR_WEBHOOKS, ",".join(failing), list(known))
            (by_webhook,) = await read(tx, theirs, [bounds[0], bounds[-1]], Want()) if known else ({},)
        worst: dict[str, tuple[UUID, Tally]] = {}
        for key, tally in by_webhook.items():
            tenant_id = known[key]["tenant_id"]
            if tally.failed and (tenant_id not in worst or _rank(tally) > _rank(worst[tenant_id][1])):
                worst[tenant_id] = key, tally
        found = {}
        for tenant_id in tenant_ids:
            hours = [answer.get(tenant_id, Tally()) for answer in by_hour]
            first = worst.get(tenant_id)
            found[tenant_id] = _activity(hours, None if first is None else _worst(known[first[0]], first[1]))
        return found

    async def list_unwell(self) -> Sequence[Unwell]:
        """The webhooks of all tenants that are failing or degraded for what failed in 24 hours; the failing and most failed first.

        One that is only slower than usual is not among them: that takes the percentiles of all webhooks. Looked at are the 25
        tenants with the most failed calls, and the 25 with the greatest share of them.
        """
        present = now() + _MS
        async with self._database.system_snapshot() as tx:
            # From a whole hour on: for a part of one, the minutes of every webhook there is would be looked up.
            begun = (present - LATELY).replace(minute=0, second=0, microsecond=0)
            (by_tenant,) = await read(tx, Scope(Over.TENANTS), [begun, present], Want())
            failing = _most_failing(by_tenant)
            rows = {row["webhook_id"]: row for row in await store.list_active(tx, failing, present - LATELY)}
            theirs = Scope(Over.THEIR_WEBHOOKS, ",".join(failing), list(rows))
            bounds = [present - LATELY, present - RECENT, present]
            answers = await read(tx, theirs, bounds, Want()) if rows else []
        found = [_unwell(row, answers) for row in rows.values()]
        unwell = [each for each in found if each.health.status in ("failing", "degraded")]
        return sorted(unwell, key=lambda each: (each.health.status != "failing", -each.health.figures.failed_calls))


def _most_failing(by_tenant: Answer) -> list[str]:
    """Tenants whose webhooks are worth a look: one that calls little counts as much as one that calls much."""
    failing = {key: tally for key, tally in by_tenant.items() if key and tally.failed}
    most = sorted(failing, key=lambda key: -failing[key].failed)[:_MOST_JUDGED]
    worst = sorted(failing, key=lambda key: -failing[key].failed / failing[key].total)[:_MOST_JUDGED]
    return sorted({*most, *worst})


def _unwell(row: Row, answers: Sequence[Answer]) -> Unwell:
    """From two answers: of the day until an hour ago, and of that hour."""
    tallies = [answer.get(row["webhook_id"], Tally()) for answer in answers]
    lately = Tally()
    for tally in tallies:
        lately.add(tally)
    health = judge(
        tallies[-1].figures(), lately.figures(), lately.figures(), enabled=True, circuit_open=row["circuit_open"]
    )
    return Unwell(row["tenant_id"], row["tenant_name"], row["webhook_id"], row["workflow_name"], health)


def _hours(end: datetime) -> list[datetime]:
    """Whole hours, but for a part of one at each end."""
    first = end - DAY
    begins = first.replace(minute=0, second=0, microsecond=0) + _HOUR
    return [first, *(begins + _HOUR * n for n in range(24) if first < begins + _HOUR * n < end), end]


def _rank(tally: Tally) -> tuple[int, float]:
    return tally.failed, tally.failed / tally.total


def _worst(row: Row, tally: Tally) -> Worst:
    return Worst(row["webhook_id"], row["workflow_name"], row["deleted_at"] is not None, tally.figures())


def _activity(hours: Sequence[Tally], worst: Worst | None) -> Activity:
    whole = Tally()
    for hour in hours:
        whole.add(hour)
    return Activity(whole.figures(), [hour.successful for hour in hours], [hour.failed for hour in hours], worst)
