"""Health and metrics."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

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

from hookvault.analytics.retention.model import Storage
from hookvault.analytics.rolling.store import Rolling
from hookvault.api.access import authenticate, authorize, is_direct_loopback
from hookvault.api.context import Services, problems
from hookvault.api.services import App
from hookvault.custody.model import Scan
from hookvault.errors import HookvaultError
from hookvault.ledger.model import Ledger

router = APIRouter(tags=["Health"])


class Whole(NamedTuple):
    """What the database knows of the whole installation."""

    ledger: Ledger
    scan: Scan | None
    storage: Storage
    rolling: Rolling


class AppCollector(Collector):
    """What this process counts, read at the moment of a scrape. No label names a tenant."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.whole: Whole | None = None

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
        yield GaugeMetricFamily(
            "hookvault_enqueues_waiting", "Deliveries waiting to be accepted.", self._app.enqueuer.waiting
        )
        yield from _worker_metrics(self._app.metrics)
        if self.whole is None:
            return
        yield from _ledger_metrics(self.whole.ledger)
        if self.whole.scan is not None:
            yield from _scan_metrics(self.whole.scan)
        yield from _storage_metrics(self.whole.storage)
        yield from _rolling_metrics(self.whole.rolling)


def _worker_metrics(found: Mapping[str, float]) -> Iterable[Metric]:
    outcomes = CounterMetricFamily(
        "hookvault_delivery_attempts", "Attempts of this process, by what came of them.", labels=["outcome"]
    )
    for outcome in ("delivered", "failed", "expired", "retried"):
        outcomes.add_metric([outcome], found[f"deliveries_{outcome}"])
    yield outcomes
    in_flight = found["deliveries_in_flight"]
    yield GaugeMetricFamily("hookvault_deliveries_in_flight", "Deliveries that this process is calling.", in_flight)
    yield GaugeMetricFamily("hookvault_acks_waiting", "Outcomes waiting for their commit.", found["acks_waiting"])


def _ledger_metrics(ledger: Ledger) -> Iterable[Metric]:
    """The account of the whole installation: accepted = delivered + pending + held + failed + expired, or else it pages."""
    yield CounterMetricFamily("hookvault_ledger_accepted", "Deliveries accepted, ever.", ledger.accepted)
    ended = CounterMetricFamily("hookvault_ledger_ended", "Deliveries that ended, ever.", labels=["status"])
    for status in ("delivered", "failed", "expired"):
        ended.add_metric([status], getattr(ledger, status))
    yield ended
    waiting = GaugeMetricFamily("hookvault_ledger_waiting", "Deliveries that wait.", labels=["status"])
    for status in ("pending", "held"):
        waiting.add_metric([status], getattr(ledger, status))
    yield waiting
    yield GaugeMetricFamily("hookvault_ledger_balance", "0 unless a delivery was lost or made up.", ledger.balance)


def _scan_metrics(scan: Scan) -> Iterable[Metric]:
    """What the last health scan found: an unreadable secret fails the next call that needs it."""
    yield GaugeMetricFamily("hookvault_secrets", "Stored secrets that the last health scan tried.", scan.secrets)
    yield GaugeMetricFamily(
        "hookvault_secrets_unreadable", "Stored secrets that did not open in the last health scan.", scan.unreadable
    )
    if scan.finished_at is not None:
        ended = scan.finished_at.timestamp()
        yield GaugeMetricFamily(
            "hookvault_secrets_scanned_timestamp_seconds", "When the last health scan ended.", ended
        )


def _storage_metrics(storage: Storage) -> Iterable[Metric]:
    """How much room what is kept takes, as of a minute ago at most."""
    sizes = GaugeMetricFamily("hookvault_storage_bytes", "Bytes in the database, by kind.", labels=["kind"])
    for kind in storage.kinds:
        sizes.add_metric([kind.kind], kind.bytes)
    yield sizes
    if storage.disk_free is not None:
        yield GaugeMetricFamily("hookvault_disk_free_bytes", "Left on the embedded database's disk.", storage.disk_free)


def _rolling_metrics(rolling: Rolling) -> Iterable[Metric]:
    """How far the rollups are. Behind, questions are slower, not wrong."""
    if rolling.behind_s is not None:
        help_text = "Seconds since the time that rollups reach to; some 500 at most while all is well."
        yield GaugeMetricFamily("hookvault_rollups_behind_seconds", help_text, rolling.behind_s)
    yield GaugeMetricFamily("hookvault_rollups_due", "Rollups to be built, or built anew.", rolling.due)


class Metrics:
    """One process's metrics."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._collector = AppCollector(app)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def scrape(self) -> bytes:
        """All metrics as text. Without a database those of the whole installation are missing, and the others are there."""
        try:
            app = self._app
            rolling = await app.roller.state()
            self._collector.whole = Whole(
                await app.ledger(), await app.scans.last(), await app.retention.storage(), rolling
            )
        except HookvaultError:
            self._collector.whole = None
        return generate_latest(self._registry)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process is alive. Asks nothing of the database."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: problems()[503]})
async def readyz(app: Services) -> dict[str, str]:
    """The process can serve: its database answers, and it holds the active master key."""
    await app.database.ping()
    app.presence.check()
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, responses={401: problems()[401], 403: problems()[403]})
async def metrics(app: Services, request: Request) -> Response:
    """Prometheus metrics, for loopback or a platform key."""
    scope: dict[str, Any] = dict(request.scope)
    if not is_direct_loopback(scope):
        authorize(await authenticate(scope, app.api_keys), "/metrics")
    return Response(await request.app.state.metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
