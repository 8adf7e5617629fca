"""How many, how long and why: the questions on calls that rollups answer, of one tenant or of the whole platform.

Everywhere calls are counted, that is HTTP attempts: a delivery that was tried three times counts three. Deliveries are
counted by the ledger. The tenant None is the platform, all tenants together.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from hookvault.analytics.cause import CAUSES
from hookvault.analytics.health import LATELY, RECENT, USUAL, Health, judge
from hookvault.analytics.model import Figures, Summary
from hookvault.analytics.period import Interval, checked_range, find_zone, make_points
from hookvault.analytics.rollups import store
from hookvault.analytics.rollups.model import Over, Scope, Tally, Want
from hookvault.analytics.rollups.read import Answer, read
from hookvault.clock import now
from hookvault.db.pool import Database, Tx
from hookvault.tenants.history import require_history

_NOTHING = Tally()
_HEAT_MAP_HOURS = 366 * 24
MOST_RANKED = 20

Ranking = Literal["slowest", "failing"]
TenantRanking = Literal["failing", "busiest"]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a series; it begins at `start` by the clocks that were asked for.

    `timed_out_calls`, a part of the failed, are 0 where causes were not asked for.
    """

    start: datetime
    figures: Figures
    timed_out_calls: int = 0


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failed calls of one kind. `text` says in plain words what `cause` is."""

    cause: str
    text: str
    error_code: str | None
    status_code: int | None
    failed_calls: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Ranked:
    """A webhook among the slowest or most failing. `cause` is why most of its failed calls failed."""

    webhook_id: UUID
    workflow_name: str
    deleted: bool
    figures: Figures
    cause: str | None


@dataclass(frozen=True, slots=True)
class HeatCell:
    """An hour of the week: `weekday` 1 for Monday to 7, `hour` 0 to 23."""

    weekday: int
    hour: int
    total_calls: int
    successful_calls: int
    failed_calls: int
    average_response_time: float | None


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """How a webhook does; `lately` are the figures of its last 24 hours."""

    webhook_id: UUID
    workflow_name: str
    health: Health
    last_called_at: datetime | None
    lately: Figures


class WebhookName(NamedTuple):
    """A webhook that has figures; a deleted one keeps them."""

    webhook_id: UUID
    workflow_name: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class TenantFigures:
    """A tenant in the view over all. `name` is None where it was deleted."""

    tenant_id: str
    name: str | None
    figures: Figures


class FiguresService:
    """The questions, asked alike by the API, the pages, the command line and Python. What was deleted keeps counting."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summarize(
        self,
        tenant_id: str | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        webhook_id: UUID | None = None,
    ) -> Summary:
        """A period's figures, beside those of the period of the same length before. Includes calls of a moment ago.

        Args:
            tenant_id: Whose, or None for the platform.
            start: By default 30 days before the end.
            end: Exclusive; now by default.
            webhook_id: Of this webhook only; nothing where the tenant has no such webhook.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: code `invalid_range`.
        """
        first, last = checked_range(start, end)
        async with self._opened(tenant_id, webhook_id) as (tx, scope, since):
            bounds = [first - (last - first), first, last]
            before, figures = await _read_since(tx, scope, bounds, since, Want(histogram=True))
        return Summary(first, last, _only(figures).figures(), _only(before).figures())

    async def list_series(
        self,
        tenant_id: str | None,
        interval: Interval,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        zone: str = "UTC",
        webhook_id: UUID | None = None,
        causes: bool = False,
    ) -> Sequence[Point]:
        """Figures by minute, half hour, hour or day of a time zone; points without calls are there too.

        Args:
            tenant_id: Whose, or None for the platform.
            interval: How long a point is.
            start: As of `make_points`.
            end: Exclusive; now by default.
            zone: Whose clocks.
            webhook_id: Of this webhook only.
            causes: Whether the calls that timed out are counted apart.

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: codes `invalid_range`, `unknown_time_zone`, `interval_too_fine`.
        """
        points = make_points(start, end, interval, find_zone(zone))
        async with self._opened(tenant_id, webhook_id) as (tx, scope, since):
            want = Want(histogram=True, errors=causes)
            answers = await _read_since(tx, scope, points.bounds, since, want)
        tallies = [_only(answer) for answer in answers]
        pairs = zip(points.starts, tallies, strict=True)
        return [Point(moment, tally.figures(), _timed_out(tally)) for moment, tally in pairs]

    async def list_errors(
        self,
        tenant_id: str | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        webhook_id: UUID | None = None,
    ) -> Sequence[ErrorGroup]:
        """What failed and why, the most frequent first. Arguments and errors as of `summarize`."""
        first, last = checked_range(start, end)
        async with self._opened(tenant_id, webhook_id) as (tx, scope, since):
            (answer,) = await _read_since(tx, scope, [first, last], since, Want(errors=True))
        groups = [
            ErrorGroup(kind.cause, CAUSES[kind.cause], kind.error_code, kind.status_code, calls, last_at)
            for kind, (calls, last_at) in _only(answer).errors.items()
        ]
        return sorted(groups, key=lambda group: (-group.failed_calls, group.cause, group.error_code or ""))

    async def rank_webhooks(
        self,
        tenant_id: str,
        by: Ranking,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int = 10,
    ) -> Sequence[Ranked]:
        """A tenant's webhooks that are slowest (by p95, of those with the greatest averages) or fail most (by failed calls).

        Raises:
            NotFoundError: code `tenant_not_found`.
            InvalidError: code `invalid_range`.
        """
        first, last = checked_range(start, end)
        async with self._opened(tenant_id) as (tx, _, since):
            known = {row["webhook_id"]: row for row in await store.list_webhooks(tx)}
            everyone = Scope(Over.WEBHOOKS, tenant_id, list(known))
            (counted,) = await _read_since(tx, everyone, [first, last], since, Want())
            ranked = sorted((key for key in counted if counted[key].total), key=lambda key: _rank(counted[key], by))
            # By failed calls they are ranked already; by p95 only the histograms tell.
            few = Scope(Over.WEBHOOKS, tenant_id, ranked[: limit if by == "failing" else MOST_RANKED])
            (answer,) = await _read_since(tx, few, [first, last], since, Want(histogram=True, errors=True))
        found = [_ranked(known[key], answer[key]) for key in few.webhooks]
        if by == "slowest":
            found.sort(key=lambda each: -(each.figures.p95 or 0))
        else:
            found = [each for each in found if each.figures.failed_calls]
        return found[:limit]

    async def list_names(self, tenant_id: str) -> Sequence[WebhookName]:
        """The webhooks that a tenant's figures may be asked of, by name. Raises NotFoundError, code `tenant_not_found`."""
        async with self._opened(tenant_id) as (tx, _, _since):
            rows = await store.list_webhooks(tx)
        names = [WebhookName(row["webhook_id"], row["workflow_name"], row["deleted_at"] is not None) for row in rows]
        return sorted(names, key=lambda each: (each.deleted, each.workflow_name.casefold(), each.webhook_id))

    async def list_health(self, tenant_id: str) -> Sequence[WebhookHealth]:
        """How each webhook of a tenant does, the worst first. Raises NotFoundError, code `tenant_not_found`."""
        moment = now()
        bounds = [moment - USUAL, moment - LATELY, moment - RECENT, moment]
        async with self._opened(tenant_id) as (tx, _, since):
            tenants = await store.list_tenants(tx, [tenant_id])
            rows = [row for row in await store.list_webhooks(tx) if row["deleted_at"] is None]
            scope = Scope(Over.WEBHOOKS, tenant_id, [row["webhook_id"] for row in rows])
            answers = await _read_since(tx, scope, bounds, since, Want(histogram=True))
        active = bool(tenants) and tenants[0]["status"] == "active"
        found = [_health(row, answers, active=active) for row in rows]
        return sorted(found, key=lambda each: (_WORST_FIRST.index(each.health.status), each.workflow_name))

    async def list_hours(self, tenant_id: str, *, hours: int = 24) -> Mapping[UUID, Sequence[tuple[int, int]]]:
        """Successful and failed calls of each webhook in the last hours, the oldest first; webhooks without calls are missing.

        Raises:
            NotFoundError: code `tenant_not_found`.
        """
        points = make_points(now() - timedelta(hours=hours - 1), None, "hour", UTC)
        async with self._opened(tenant_id) as (tx, _, since):
            known = [row["webhook_id"] for row in await store.list_webhooks(tx) if row["deleted_at"] is None]
            everyone = Scope(Over.WEBHOOKS, tenant_id, known)
            bounds = [points.starts[0], *points.bounds[1:]]
            answers = await _read_since(tx, everyone, bounds, since, Want())
        called = {key for answer in answers for key in answer}
        found = {key: [answer.get(key, _NOTHING) for answer in answers] for key in called}
        return {key: [(tally.successful, tally.failed) for tally in tallies] for key, tallies in found.items()}

    async def map_heat(
        self,
        tenant_id: str | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        zone: str = "UTC",
        webhook_id: UUID | None = None,
    ) -> Sequence[HeatCell]:
        """Calls by weekday and hour in a time zone, all 168 of them; a year at most. Arguments and errors as of `list_series`."""
        first, last = checked_range(start, end)
        clocks = find_zone(zone)
        points = make_points(first, last, "hour", clocks, most=_HEAT_MAP_HOURS)
        async with self._opened(tenant_id, webhook_id) as (tx, scope, since):
            answers = await _read_since(tx, scope, points.bounds, since, Want())
        cells = {(weekday, hour): Tally() for weekday in range(1, 8) for hour in range(24)}
        for moment, answer in zip(points.starts, answers, strict=True):
            local = moment.astimezone(clocks)
            cells[local.isoweekday(), local.hour].add(_only(answer))
        return [
            HeatCell(*place, cell.total, cell.successful, cell.failed, cell.figures().average_response_time)
            for place, cell in cells.items()
        ]

    async def list_tenants(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        by: TenantRanking = "failing",
        limit: int = 100,
    ) -> Sequence[TenantFigures]:
        """The tenants with the most failed calls first, or those with the most calls; without percentiles.

        Raises:
            InvalidError: code `invalid_range`.
        """
        first, last = checked_range(start, end)
        async with self._database.system_snapshot() as tx:
            (answer,) = await read(tx, Scope(Over.TENANTS), [first, last], Want())
            failing = by == "failing"
            ranked = sorted(answer, key=lambda key: (-answer[key].failed * failing, -answer[key].total, key))[:limit]
            names = {row["id"]: row["name"] for row in await store.list_tenants(tx, ranked)}
        return [TenantFigures(key, names.get(key), answer[key].figures()) for key in ranked]

    @asynccontextmanager
    async def _opened(
        self, tenant_id: str | None, webhook_id: UUID | None = None
    ) -> AsyncIterator[tuple[Any, Scope, datetime]]:
        """One moment of the database, whose calls are meant, and from when on they may be shown."""
        if tenant_id is None:
            async with self._database.system_snapshot() as system:
                yield system, Scope(Over.PLATFORM), datetime.min.replace(tzinfo=UTC)
            return
        async with self._database.tenant_snapshot(tenant_id) as tx:
            since = await require_history(tx)
            yield tx, _scope(tenant_id, webhook_id), since


_WORST_FIRST = ("failing", "degraded", "healthy", "idle", "disabled")


def _scope(tenant_id: str, webhook_id: UUID | None) -> Scope:
    if webhook_id is None:
        return Scope(Over.TENANT, tenant_id)
    return Scope(Over.WEBHOOK, tenant_id, [webhook_id])


async def _read_since(
    tx: Tx, scope: Scope, bounds: Sequence[datetime], since: datetime, want: Want
) -> Sequence[Answer]:
    """As `read`, but nothing before a moment counts."""
    clipped = [max(bound, since) for bound in bounds]
    if scope.over is Over.WEBHOOKS and not scope.webhooks:
        return [{} for _ in bounds[1:]]
    return await read(tx, scope, clipped, want)


def _only(answer: Answer) -> Tally:
    return answer.get(None, _NOTHING)


def _timed_out(tally: Tally) -> int:
    return sum(calls for kind, (calls, _) in tally.errors.items() if kind.cause == "timeout")


def _rank(tally: Tally, by: Ranking) -> tuple[float, ...]:
    return (-tally.time_sum / tally.total,) if by == "slowest" else (-tally.failed, -tally.total)


def _ranked(row: Any, tally: Tally) -> Ranked:
    by_cause: dict[str, int] = {}
    for kind, (calls, _) in tally.errors.items():
        by_cause[kind.cause] = by_cause.get(kind.cause, 0) + calls
    cause = max(by_cause, key=lambda name: by_cause[name]) if by_cause else None
    return Ranked(row["webhook_id"], row["workflow_name"], row["deleted_at"] is not None, tally.figures(), cause)


def _health(row: Any, answers: Sequence[Answer], *, active: bool) -> WebhookHealth:
    """From three answers: of the week until yesterday, of the day until an hour ago, and of that hour."""
    tallies = [answer.get(row["webhook_id"], _NOTHING) for answer in answers]
    recent, lately, usual = (_together(tallies[-n:]).figures() for n in (1, 2, 3))
    health = judge(recent, lately, usual, enabled=row["is_active"] and active, circuit_open=row["circuit_open"])
    return WebhookHealth(row["webhook_id"], row["workflow_name"], health, row["last_called_at"], lately)


def _together(tallies: Sequence[Tally]) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole
