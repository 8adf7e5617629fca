"""Health and metrics."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hookvault.api.access import authenticate, authorize, is_direct_loopback
from hookvault.api.context import Services, problems
from hookvault.api.services import App

router = APIRouter(tags=["Health"])


class AppCollector(Collector):
    """What this process counts, read at the moment of a scrape. No label names a tenant."""

    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterable[Metric]:
        """Yields every metric of ours."""
        calls = CounterMetricFamily("hookvault_calls", "Calls made by this process, by outcome.", labels=["outcome"])
        for outcome, total in self._app.recorder.totals.items():
            calls.add_metric([outcome], total)
        yield calls
        yield GaugeMetricFamily("hookvault_calls_in_flight", "Calls in flight.", self._app.gate.in_flight)
        yield GaugeMetricFamily(
            "hookvault_records_waiting", "Calls waiting for their commit.", self._app.recorder.waiting
        )


def metrics_registry(app: App) -> CollectorRegistry:
    """The registry of one process's metrics."""
    registry = CollectorRegistry()
    registry.register(AppCollector(app))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. Asks nothing of the database."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: problems()[503]})
async def readyz(app: Services) -> dict[str, str]:
    """The process can serve: its database answers, and its key was checked at the start."""
    await app.database.ping()
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={401: problems()[401], 403: problems()[403]})
async def metrics(app: Services, request: Request) -> Response:
    """Prometheus metrics, for loopback or a platform key."""
    scope: dict[str, Any] = dict(request.scope)
    if not is_direct_loopback(scope):
        authorize(await authenticate(scope, app.api_keys), "/metrics")
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)
