"""One word on a webhook: the thresholds, from both sides."""

import pytest

from hookvault.analytics.health import LATELY, RECENT, judge
from hookvault.analytics.model import Figures

NONE = Figures(0, 0, 0, None, None, None, None)


def figures(total, failed, p95=100.0):
    return Figures(total, total - failed, failed, p95, p95, p95, p95)


def word(recent, lately=None, usual=None, *, enabled=True, circuit_open=False):
    lately = lately or recent
    return judge(recent, lately, usual or lately, enabled=enabled, circuit_open=circuit_open)


@pytest.mark.parametrize(
    ("failed", "status"),
    [(0, "healthy"), (20, "healthy"), (21, "degraded"), (200, "degraded"), (201, "failing"), (1000, "failing")],
)
def test_by_the_share_that_failed(failed, status):
    assert word(figures(1000, failed)).status == status


def test_the_last_hour_counts_where_it_has_enough_calls():
    lately = figures(1000, 500)
    assert (word(figures(20, 0), lately).status, word(figures(20, 0), lately).period) == ("healthy", RECENT)
    assert (word(figures(19, 0), lately).status, word(figures(19, 0), lately).period) == ("failing", LATELY)


@pytest.mark.parametrize(
    ("p95", "usual", "status"),
    [(3100.0, 1000.0, "degraded"), (2900.0, 1000.0, "healthy"), (900.0, 10.0, "healthy"), (1001.0, 300.0, "degraded")],
)
def test_slower_than_usual(p95, usual, status):
    assert word(figures(100, 0, p95), usual=figures(1000, 0, usual)).status == status


def test_idle_disabled_and_an_open_circuit():
    assert word(NONE).status == "idle"
    assert word(figures(100, 100), enabled=False).status == "disabled"
    assert word(figures(100, 0), circuit_open=True).status == "failing"
    assert word(NONE, circuit_open=True).status == "failing"


@pytest.mark.parametrize(
    ("total", "failed", "said"),
    [
        (100, 0, "100% of its calls succeeded."),
        (10_000, 1, "More than 99.9% of its calls succeeded."),
        (1000, 25, "2.5% of its calls failed."),
        (100, 100, "100% of its calls failed."),
    ],
)
def test_the_reason_is_for_a_person(total, failed, said):
    assert word(figures(total, failed)).reason == said
