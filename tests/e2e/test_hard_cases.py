"""What seldom happens: a payload that kills its workers, ten thousand tenants, a full disk, and a clock that is set back."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from case import Case

from fleet import Fleet, until
from flood import Flood
from hookvault.ids import new_id
from hookvault.vault.keys import MasterKey, new_data_key
from tally import Hit, Reply, Tally

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]
TENANTS = 3_000
DISK_MB = 100


@pytest.fixture
async def fleet(zygote, tmp_path):
    made = Fleet(zygote, tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def tally():
    with Tally() as made:
        yield made


@pytest.mark.parametrize("after_s", [0.0, 0.3])
async def test_a_payload_that_kills_its_workers_is_given_up_and_stops_nobody_else(fleet, tally, after_s):
    server = await fleet.start("serve", "--no-worker")
    mine, other = Case(fleet, tally, server), Case(fleet, tally, server)

    def kills_who_calls(hit: Hit) -> Reply:
        if hit.payload["n"] == 0:
            if after_s:
                time.sleep(after_s)  # the receiver's thread: nobody is answered meanwhile
            os.kill(fleet.members[-1].pid, signal.SIGKILL)
        return Reply()

    tally.answers[mine.path] = kills_who_calls
    for case in (mine, other):
        await case.make()
    await mine.deliver(0)
    for deaths in range(6):
        for case in (mine, other):
            await case.deliver(*range(10 * deaths + 1, 10 * deaths + 9))
        worker = await fleet.start("worker")
        if deaths < 5:
            assert await worker.code(10) == -signal.SIGKILL
            await fleet.end_leases()
    await mine.settled(failed=1, delivered=48)
    await other.settled(delivered=48)
    story = (await mine.insist("GET", f"/api/tenants/{mine.tenant}/deliveries/{mine.ids['None-0']}")).json()
    assert (story["status"], story["errorCode"]) == ("failed", "worker_lost")
    assert [entry["event"] for entry in story["trail"]].count("lease_lost") == 5
    await fleet.drained()


async def thousands_of_tenants(fleet: Fleet, tally: Tally) -> None:
    """Tenants with one webhook each, in bulk; their data keys are sealed as the service seals them."""
    key = MasterKey((fleet.data / "encryption.key").read_text().strip())
    names = [f"c{number:04}" for number in range(TENANTS)]
    wrapped = [key.wrap(new_data_key(), tenant_id=name, version=1) for name in names]
    await fleet.sql("INSERT INTO tenants SELECT n, n, n, 'active', 1, now(), now() FROM unnest($1::text[]) n", names)
    await fleet.sql(
        "INSERT INTO data_keys SELECT n, 1, w, $3, 'active', now() FROM unnest($1::text[], $2::text[]) AS k (n, w)",
        *(names, wrapped, key.fingerprint),
    )
    columns = "tenant_id, id, workflow_name, webhook_url, key_version, created_at, created_by, updated_at, updated_by"
    await fleet.sql(
        f"INSERT INTO n8n_webhooks ({columns}) SELECT n, id, 'w', $3 || n, 1, now(), 'test', now(), 'test' "
        "FROM unnest($1::text[], $2::uuid[]) AS k (n, id)",
        *(names, [new_id() for _ in names], tally.url("/")),
    )


def most_memory_mb(pid: int) -> float:
    """The most that a process ever had in memory."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


async def test_thousands_of_tenants_get_a_delivery_each(fleet, tally):
    worker = await fleet.start("worker")
    before = most_memory_mb(worker.pid)
    await thousands_of_tenants(fleet, tally)
    began = time.monotonic()
    await fleet.sql("SELECT count(hookvault_enqueue(id, 'w', '{\"n\": 1}')) FROM tenants")
    await until(lambda: len(tally.hits) >= TENANTS, 60, lambda: len(tally.hits))
    took = time.monotonic() - began
    assert (await fleet.drained())["delivered"] == TENANTS
    assert {hit.path for hit in tally.hits} == {f"/c{number:04}" for number in range(TENANTS)}
    assert set(tally.counted().values()) == {1}
    assert most_memory_mb(worker.pid) < before + 200
    assert took < 60


@contextmanager
def small_disk():
    """A disk of its own, with room for a database and little more."""
    folder = Path(tempfile.mkdtemp(prefix="hookvault-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0755", "none", folder], check=False, capture_output=True
    )
    try:
        if mounted.returncode:
            pytest.skip("no disk can be mounted here")
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path) -> Path:
    """Takes all that is left of a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    return filler


async def test_a_full_disk_loses_nothing_and_all_goes_on_when_there_is_room(zygote, tally):
    with small_disk() as disk:
        fleet = Fleet(zygote, disk / "home")
        fleet.folder.mkdir()
        await fleet.open()
        case = Case(fleet, tally, await fleet.start("serve"))
        await case.make()
        path = f"/api/tenants/{case.tenant}/webhooks/w/deliveries"
        async with Flood(fleet, lambda: [case.member.url], [path], clients=4, padding=10_000) as flood:
            await until(lambda: len(flood.ids) > 20)
            filler = fill(disk)
            await until(lambda: flood.repeats >= 4, 30, "requests that were refused")
            assert case.member.alive
            filler.unlink()
            accepted = len(flood.ids)
            await until(lambda: len(flood.ids) > accepted + 20, 40, "deliveries accepted again")
        await case.settled(40, delivered=len(flood.ids))
        assert set(flood.ids.values()) <= set(tally.counted())
        await fleet.close()


async def test_a_clock_that_is_set_back_holds_nothing_up(fleet, tally):
    """All that was noted lies an hour ahead, as if the clock had been set back by that hour just now."""
    server = await fleet.start("serve")
    retried, broken, replayed = (Case(fleet, tally, server) for _ in range(3))
    for case in (retried, broken, replayed):
        await case.make()
    replayed.answer(404)
    await replayed.deliver(*range(20))
    await replayed.settled(failed=20)
    replayed.answer(200)
    retried.answer(500)
    await retried.deliver(1)
    broken.answer(500)
    for number in range(12):
        await broken.ask(
            "POST", f"/api/tenants/{broken.tenant}/webhooks/w/call", {"payload": {"n": -number}, "maxRetries": 0}
        )
    await until(lambda: broken.hold("circuit_open"))
    await broken.deliver(1)
    asked = await replayed.ask("POST", f"/api/tenants/{replayed.tenant}/deliveries/replay", {"ratePerSecond": 4})
    await until(lambda: len(retried.hits()) > 0)
    connection = await asyncpg.connect(fleet._url)
    async with connection.transaction():
        await connection.execute("UPDATE delivery_clock SET seen_at = now() + interval '1 hour'")
        await connection.execute("UPDATE delivery_queue SET due_at = due_at + interval '1 hour' WHERE NOT ready")
        await connection.execute("UPDATE delivery_holds SET probe_at = now() + interval '1 hour 2 seconds'")
        await connection.execute("UPDATE delivery_replays SET updated_at = now() + interval '1 hour'")
    await connection.close()
    for case in (retried, broken):
        case.answer(200)
    await retried.settled(delivered=1)
    await broken.settled(delivered=1)
    await replayed.settled(failed=20, delivered=20)
    assert asked.status_code == 202
    assert "clock_set_back" in fleet.log()
    await fleet.drained()
