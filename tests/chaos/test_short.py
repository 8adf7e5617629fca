"""A short chaos run; `make chaos` makes a long one."""

import pytest
from ledger import chaos

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
KILLS = 6


async def test_six_kills_lose_nothing_and_make_nothing_up():
    said = []
    account = await chaos(KILLS, seed=7, say=said.append)
    assert account.kills.total() == KILLS
    assert account.kills["database"] >= 1
    assert account.ended == {"delivered": account.accepted}
    assert account.accepted > 100
