"""Tiles: how much more or less than before, and whether that is good."""

from datetime import UTC, datetime, timedelta

import pytest

from hookvault.admin.board.tiles import calls_tile, failed_tile, six_tiles, success_tile, time_tile
from hookvault.analytics.figures import Point
from hookvault.analytics.model import Figures, Summary

START = datetime(2026, 5, 1, tzinfo=UTC)


def figures(total, failed=0, p=None):
    return Figures(total, total - failed, failed, p, p, p, p)


def summary(present, before):
    return Summary(START, START + timedelta(days=1), present, before)


@pytest.mark.parametrize(
    ("present", "before", "delta"),
    [
        (108, 100, "+8.0%"),
        (92, 100, "\N{MINUS SIGN}8.0%"),
        (100, 100, "no change"),
        (100, 0, ""),
        (0, 50, "\N{MINUS SIGN}100.0%"),
        (50_000, 100, "+500x"),
    ],
)
def test_calls(present, before, delta):
    tile = calls_tile(summary(figures(present), figures(before)), [])
    assert (tile.delta, tile.tone) == (delta, "")


@pytest.mark.parametrize(
    ("failed", "before", "delta", "tone"),
    [(30, 10, "+20", "bad"), (10, 30, "\N{MINUS SIGN}20", "good"), (10, 10, "no change", "")],
)
def test_failed(failed, before, delta, tone):
    tile = failed_tile(summary(figures(100, failed), figures(100, before)), [])
    assert (tile.value, tile.delta, tile.tone) == (str(failed), delta, tone)


def test_success_in_points_of_a_percent():
    worse = success_tile(summary(figures(1000, 46), figures(1000, 25)), [])
    assert (worse.value, worse.delta, worse.tone) == ("95.4%", "\N{MINUS SIGN}2.1 pt", "bad")
    assert success_tile(summary(figures(1000, 25), figures(1000, 46)), []).tone == "good"


def test_faster_is_better():
    slower = time_tile("p95", summary(figures(10, p=468.0), figures(10, p=407.0)), [])
    assert (slower.name, slower.value, slower.delta, slower.tone) == ("p95 response time", "468 ms", "+61 ms", "bad")
    assert time_tile("p95", summary(figures(10, p=407.0), figures(10, p=468.0)), []).tone == "good"


def test_nothing_called_now_or_before():
    points = [Point(START, figures(0)), Point(START + timedelta(hours=1), figures(0))]
    for present, before in ((figures(0), figures(0)), (figures(5, p=1.0), figures(0)), (figures(0), figures(5, p=1.0))):
        tiles = six_tiles(summary(present, before), points)
        assert len(tiles) == 6
        assert all("nan" not in tile.value + tile.delta + tile.spark for tile in tiles)
    assert [tile.delta for tile in six_tiles(summary(figures(5, p=1.0), figures(0)), points)] == [""] * 6
