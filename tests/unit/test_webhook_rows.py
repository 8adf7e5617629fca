"""Which rows of the table of webhooks are shown, and in what order."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from hookvault.admin.webhooks.rows import Filter, Row, asked_of, choose, count, cut
from hookvault.analytics.figures import WebhookHealth
from hookvault.analytics.health import Health
from hookvault.analytics.model import Figures

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(name, status="", *, total=0, good=0, p95=None, last=None):
    webhook = SimpleNamespace(
        id=uuid4(), workflow_name=name, webhook_url=f"https://x.example/{name}", is_active=True, last_called_at=last
    )
    if not status:
        return Row(webhook)
    figures = Figures(total, good, total - good, None, None, p95, None)
    return Row(webhook, WebhookHealth(webhook.id, name, Health(status, "", timedelta(1), figures), last, figures))


ROWS = [
    row("b", "healthy", total=10, good=10, p95=50.0, last=NOW),
    row("a", "failing", total=5, good=1, p95=900.0, last=NOW - timedelta(days=1)),
    row("c", "idle"),
    row("D", "degraded", total=100, good=95, p95=20.0, last=NOW + timedelta(days=1)),
]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", "abcD"),
        ("-name", "Dcba"),
        ("status", "aDbc"),
        ("-status", "cbDa"),
        ("total", "Dbac"),
        ("success", "aDbc"),
        ("-success", "bDac"),  # what has no figure stays at the end
        ("p95", "abDc"),
        ("-p95", "Dbac"),
        ("last", "Dbac"),
    ],
)
def test_rows_are_sorted(sort, order):
    assert "".join(each.webhook.workflow_name for each in choose(ROWS, Filter(sort=sort))) == order


def test_counts_are_of_what_is_searched():
    assert count(ROWS) == {"all": 4, "failing": 1, "degraded": 1, "healthy": 1, "idle": 1, "disabled": 0}
    assert count(ROWS, "/a")["all"] == 1
    assert count([row("a"), row("b")]) == {"all": 2, **dict.fromkeys(list(count(ROWS))[1:])}


def test_a_filter_survives_its_address():
    which = Filter("a&b=c", "failing", "-p95")
    assert Filter.of(asked_of(f"http://x/tenants/y/integrations{which.query()}&tab=z")) == which
    assert Filter().query() == ""
    assert Filter.of({"status": "nonsense", "sort": "--name"}) == Filter()


def test_pages_follow_one_another(monkeypatch):
    monkeypatch.setattr("hookvault.admin.webhooks.rows.PAGE", 3)
    first, after = cut(ROWS, "")
    rest, end = cut(ROWS, after)
    assert [*first, *rest] == ROWS
    assert (after, end) == (ROWS[2].id, "")
