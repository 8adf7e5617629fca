"""What the stories about many processes share."""

import pytest

from fleet import Zygote


@pytest.fixture(scope="session")
async def zygote():
    """Forks every process that these tests start."""
    made = Zygote()
    await made.open()
    yield made
    await made.close()
