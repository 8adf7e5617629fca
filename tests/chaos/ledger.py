"""A chaos run: deliveries to many tenants while servers, workers and the database are killed at random; then the account is made.

`python tests/chaos/ledger.py` makes CHAOS_KILLS kills (200) with the seed CHAOS_SEED (a new one, and printed), and ends with a
line that says what came of it. It fails when a delivery was lost, made up, or called more often than kills can explain.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet import Fleet, Member, Zygote
from flood import Flood
from tally import Hit, Reply, Tally

TENANTS = 6
CLIENTS = 6
SERVERS = 2  # both deliver too
WORKERS = 2
PACE_S = (0.3, 1.5)  # between two kills
POLICY = {"schedule": [1] * 10, "maxRetries": 10, "timeoutMs": 2000}
ORDERED = 2  # of the tenants, whose deliveries all go by one ordering key each
_WAITING = """
SELECT tenant_id, ordering_key, count(*) AS jobs, min(seq) AS first, min(seq) FILTER (WHERE head) AS head,
    count(*) FILTER (WHERE ready) AS ready, min(due_at) AS due_at, now(), count(leased_by) AS leased, max(lost) AS lost
FROM delivery_queue GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass
class Account:
    """What a run came to."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    attempts: int = 0
    doubled: int = 0
    in_flight: int = 0
    unanswered: int = 0
    repeats: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        ended = ", ".join(f"{count} {status}" for status, count in sorted(self.ended.items()))
        why = ", ".join(f"{count} {code}" for code, count in sorted(self.codes.items())) or "none"
        return (
            f"chaos: seed {self.seed}: {self.kills.total()} kills ({killed}) in {self.seconds:.0f} s; {self.accepted} accepted, "
            f"{ended} (failed for: {why}), 0 waiting, balance 0; {self.repeats} requests sent again; {self.calls} calls seen, "
            f"{self.attempts} recorded, {self.doubled} seen and never recorded, of {self.in_flight} in flight at kills and "
            f"{self.unanswered} whose connection the receiver closed without a word"
        )


class Chaos:
    """One run, on processes of its own."""

    def __init__(self, fleet: Fleet, tally: Tally, seed: int, say: Callable[[str], None]) -> None:
        self.fleet = fleet
        self.tally = tally
        self.random = random.Random(seed)
        self.account = Account(seed)
        self._say = say
        self._answers = random.Random(seed + 1)  # in the receiver's thread, so not the same
        self._roles: dict[str, Member | None] = dict.fromkeys(
            [*[f"server {number}" for number in range(SERVERS)], *[f"worker {number}" for number in range(WORKERS)]]
        )

    async def run(self, kills: int) -> Account:
        """Kills, then lets everything drain, and makes the account."""
        began = time.monotonic()
        for role in self._roles:
            await self._start(role)
        tenants = await self._tenants()
        paths = [f"/api/tenants/{tenant}/webhooks/w/deliveries" for tenant in tenants]
        plain = Flood(
            self.fleet, self._servers, paths[ORDERED:], clients=CLIENTS - 2, pause_s=0.02, seed=self.account.seed
        )
        lanes = [self._lane(tenant) for tenant in tenants[:ORDERED]]
        async with contextlib.AsyncExitStack() as stack:
            floods = [await stack.enter_async_context(flood) for flood in (plain, *lanes)]
            for number in range(1, kills + 1):
                await asyncio.sleep(self.random.uniform(*PACE_S))
                await self._kill(number, kills)
                if number % 10 == 0:
                    await self.fleet.books()  # exact at every moment, not only in the end
                    self._say(f"{number} of {kills} kills, {sum(len(flood.ids) for flood in floods)} accepted")
            for role, member in self._roles.items():
                if member is None or not member.alive:
                    await self._start(role)
        await self._drained()
        self.account.seconds = time.monotonic() - began
        await self._settle(floods, tenants[:ORDERED])
        return self.account

    def _lane(self, tenant: str) -> Flood:
        """One client with one ordering key. It lets few wait, since a killed head holds all up until its lease ends."""

        async def few_wait() -> bool:
            return await self.fleet.value("SELECT count(*) FROM delivery_queue WHERE tenant_id = $1", tenant) < 20

        path = f"/api/tenants/{tenant}/webhooks/w/deliveries"
        return Flood(self.fleet, self._servers, [path], clients=1, pause_s=0.1, may=few_wait, orderingKey="lane")

    def _servers(self) -> list[str]:
        return [
            member.url for role, member in self._roles.items() if role.startswith("server") and member and member.alive
        ]

    async def _start(self, role: str) -> None:
        self._roles[role] = await self.fleet.start("serve" if role.startswith("server") else "worker")

    async def _tenants(self) -> list[str]:
        names = [f"chaos-{number}" for number in range(TENANTS)]
        async with self.fleet.client() as client:
            for name in names:
                self.tally.answers[f"/{name}"] = self._answer
                root = f"{self._servers()[0]}/api/platform/tenants"
                made = await client.post(root, json={"id": name, "name": name})
                assert made.status_code == 201, made.text
                fields = {"workflowName": "w", "webhookUrl": self.tally.url(f"/{name}"), "policy": POLICY}
                made = await client.post(f"{root}/{name}/webhooks", json=fields)
                assert made.status_code == 201, made.text
        return names

    def _answer(self, _hit: Hit) -> Reply:
        """Mostly well; now and then slow, broken, or not at all."""
        dice = self._answers.random()
        if dice < 0.80:
            return Reply()
        if dice < 0.90:
            return Reply(delay=self._answers.uniform(0.05, 0.5))
        if dice < 0.96:
            return Reply(500)
        self.account.unanswered += 1
        return Reply(close=True)

    async def _kill(self, number: int, kills: int) -> None:
        """Kills one of them, or the database; a process stays away for a moment, and another one takes its role."""
        for role, member in self._roles.items():
            if (member is None or not member.alive) and self.random.random() < 0.7:
                await self._start(role)
        if self.random.random() < 0.12 or number == kills:
            postmaster = self.fleet.postmaster
            if postmaster is not None and self._someone_lives():
                os.kill(postmaster, signal.SIGKILL)
                await self._killed("database")
                return
        living = [role for role, member in self._roles.items() if member is not None and member.alive]
        while not living:
            await self._start(next(iter(self._roles)))
            living = [next(iter(self._roles))]
        role = self.random.choice(living)
        await self._roles[role].kill()
        await self._killed(role.split()[0])

    async def _killed(self, what: str) -> None:
        """Counts a kill, and the calls that it may have cut: no more than were leased just then."""
        self.account.kills[what] += 1
        self.account.in_flight += await self.fleet.value(
            "SELECT count(*) FROM delivery_queue WHERE leased_by IS NOT NULL"
        )

    def _someone_lives(self) -> bool:
        """Whether there is a process that brings a killed database back."""
        return any(member is not None and member.alive for member in self._roles.values())

    async def _drained(self) -> None:
        """Everything that waits is called; circuits are not waited for, nor leases of the dead."""
        deadline = time.monotonic() + 90  # a lease, and then what waits behind an ordering key's head
        while await self.fleet.value("SELECT count(*) FROM delivery_queue"):
            assert time.monotonic() < deadline, await self.fleet.sql(_WAITING)
            await self.fleet.sql("UPDATE delivery_holds SET probe_at = now() WHERE until IS NULL AND probe_at > now()")
            await asyncio.sleep(0.5)

    async def _settle(self, floods: list[Flood], ordered: list[str]) -> None:
        account, books = self.account, await self.fleet.books()
        ids = {identifier for flood in floods for identifier in flood.ids.values()}
        account.repeats = sum(flood.repeats for flood in floods)
        account.accepted = books["accepted"]
        assert len(ids) == sum(len(flood.ids) for flood in floods) == books["accepted"]
        rows = await self.fleet.sql("SELECT id::text, status, error_code, attempts FROM webhook_deliveries")
        assert {row["id"] for row in rows} == ids
        account.ended = Counter(row["status"] for row in rows)
        account.codes = Counter(row["error_code"] for row in rows if row["status"] != "delivered")
        seen = self.tally.counted()
        assert {row["id"] for row in rows if row["status"] == "delivered"} <= set(seen)
        account.calls, account.attempts = seen.total(), books["calls"]
        account.doubled = account.calls - account.attempts
        assert sum(row["attempts"] for row in rows) <= account.attempts
        # A kept connection that is closed without a word may have been closed before the request came: it is sent once more.
        assert 0 <= account.doubled <= account.in_flight + account.unanswered, account
        for tenant in ordered:
            self._check_order(tenant)

    def _check_order(self, tenant: str) -> None:
        """Whatever was tried again: no delivery of an ordering key is called before the one accepted before it has ended."""
        came = [hit.payload["n"] for hit in self.tally.at(f"/{tenant}")]
        assert came == sorted(came), came


def say_aloud(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def chaos(kills: int, seed: int, say: Callable[[str], None] = say_aloud, zygote: Zygote | None = None) -> Account:
    """A whole run: its processes, its receiver, its account."""
    own = zygote or Zygote()
    if zygote is None:
        await own.open()
    fleet = Fleet(own, Path(tempfile.mkdtemp(prefix="hookvault-chaos-")))
    try:
        await fleet.open()
        with Tally() as tally:
            return await Chaos(fleet, tally, seed, say).run(kills)
    finally:
        await fleet.close()
        if zygote is None:
            await own.close()


def main() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    kills = int(os.environ.get("CHAOS_KILLS") or 200)
    say_aloud(f"chaos: seed {seed}, {kills} kills")
    say_aloud(str(asyncio.run(chaos(kills, seed))))


if __name__ == "__main__":
    main()
