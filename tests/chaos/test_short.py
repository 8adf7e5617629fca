"""Short chaos runs; `make chaos` makes long ones."""

import pytest
from keys import chaos as chaos_of_keys
from ledger import chaos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
KILLS = 4


async def test_four_kills_lose_nothing_and_make_nothing_up():
    said = []
    account = await chaos(KILLS, seed=7, say=said.append)
    assert account.kills.total() == KILLS
    assert account.kills["database"] >= 1
    assert account.ended == {"delivered": account.accepted}
    assert account.accepted > 100


async def test_secrets_outlive_rotations_rekeyings_and_kills():
    said = []
    account = await chaos_of_keys(20, 3, seed=7, say=said.append)
    assert account.fields == 600
    assert account.kills.total() - account.kills["command"] == 3
    assert account.kills["database"] >= 1
    assert account.rotations >= 1
    assert account.rekeyings >= 1
    assert account.written > 20
