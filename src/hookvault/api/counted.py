"""What answers on counted calls look like on the wire. Times are in ms; everywhere calls are counted, not deliveries."""

from typing import Generic, Literal, TypeVar
from uuid import UUID

from hookvault.analytics.figures import ErrorGroup, Point, Ranked, TenantFigures, WebhookHealth
from hookvault.analytics.health import HealthStatus
from hookvault.api.schemas import FiguresOut, Moment, Wire

T = TypeVar("T")


class ItemsOut(Wire, Generic[T]):
    """All there are; there is no next page."""

    items: list[T]


class PointOut(FiguresOut):
    """One point of a series, which begins at `start`."""

    start: Moment

    @classmethod
    def of(cls, point: Point) -> "PointOut":
        """As the wire has it."""
        return cls(start=point.start, **FiguresOut.model_validate(point.figures).model_dump())


class ErrorGroupOut(Wire):
    """Failed calls of one kind; `text` says in plain words what `cause` is."""

    cause: str
    text: str
    error_code: str | None
    status_code: int | None
    failed_calls: int
    last_at: Moment

    @classmethod
    def of(cls, group: ErrorGroup) -> "ErrorGroupOut":
        """As the wire has it."""
        return cls.model_validate(group)


class RankedOut(FiguresOut):
    """A webhook among the slowest or most failing; `cause` is why most of its failed calls failed."""

    webhook_id: UUID
    workflow_name: str
    deleted: bool
    cause: str | None

    @classmethod
    def of(cls, ranked: Ranked) -> "RankedOut":
        """As the wire has it."""
        figures = FiguresOut.model_validate(ranked.figures).model_dump()
        return cls(
            webhook_id=ranked.webhook_id,
            workflow_name=ranked.workflow_name,
            deleted=ranked.deleted,
            cause=ranked.cause,
            **figures,
        )


class HealthOut(FiguresOut):
    """How a webhook does and why; the figures are of the last `periodSeconds`."""

    webhook_id: UUID
    workflow_name: str
    status: HealthStatus
    reason: str
    period_seconds: int
    last_called_at: Moment | None

    @classmethod
    def of(cls, found: WebhookHealth) -> "HealthOut":
        """As the wire has it."""
        return cls(
            webhook_id=found.webhook_id,
            workflow_name=found.workflow_name,
            status=found.health.status,
            reason=found.health.reason,
            period_seconds=int(found.health.period.total_seconds()),
            last_called_at=found.last_called_at,
            **FiguresOut.model_validate(found.health.figures).model_dump(),
        )


class HeatCellOut(Wire):
    """An hour of the week: `weekday` 1 for Monday to 7, `hour` 0 to 23."""

    weekday: int
    hour: int
    total_calls: int
    successful_calls: int
    failed_calls: int
    average_response_time: float | None


class TenantFiguresOut(Wire):
    """A tenant in the view over all; `name` is null where it was deleted."""

    tenant_id: str
    name: str | None
    total_calls: int
    successful_calls: int
    failed_calls: int
    success_rate: float | None
    average_response_time: float | None

    @classmethod
    def of(cls, found: TenantFigures) -> "TenantFiguresOut":
        """As the wire has it."""
        figures = FiguresOut.model_validate(found.figures).model_dump(exclude={"p50", "p95", "p99"})
        return cls(tenant_id=found.tenant_id, name=found.name, **figures)


IntervalIn = Literal["minute", "hour", "day"]
