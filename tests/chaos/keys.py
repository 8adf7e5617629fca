"""A chaos run on keys: rotated and rekeyed again and again, while writers change secrets and processes are killed.

`python tests/chaos/keys.py` does it with KEYS_TENANTS tenants (2000, of 30 secrets each), KEYS_KILLS kills (60) and the seed
CHAOS_SEED (a new one, and printed), and ends with a line that says what came of it. It fails when a secret was lost, opened as
another one, or called with a token that was never its own.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from ledger import say_aloud

from canary import planted
from fleet import Fleet, Member, Zygote, until
from keychain import FIELDS, Keychain, fill, fp, sound
from tally import Tally

ROLES = ("server 0", "server 1", "worker 0")
WRITERS, READERS = 4, 2
PACE_S = (0.5, 2.0)  # between two kills
IMPATIENT_S = (0.3, 1.5)  # after which a command is killed
_NUMBERS = itertools.count(1)
Hook = tuple[str, str]

_ROTATIONS = (
    "SELECT target_id, detail FROM audit_events WHERE action = 'key.rotated' AND outcome = 'success' ORDER BY at"
)
_REKEYED = """
SELECT (SELECT count(*) FROM key_jobs WHERE state = 'finished')::int AS finished,
    (SELECT count(*) FROM data_keys WHERE state = 'destroyed')::int AS destroyed,
    (SELECT count(*) FROM data_keys WHERE state = 'decrypt_only')::int AS kept,
    (SELECT coalesce(sum(unreadable), 0) FROM key_jobs)::int AS unreadable
"""


@dataclass
class Account:
    """What a run came to."""

    seed: int
    tenants: int
    kills: Counter[str] = field(default_factory=Counter)
    fields: int = 0
    rotations: int = 0
    rewrapped: int = 0
    rekeyings: int = 0
    destroyed: int = 0
    written: int = 0
    calls: int = 0
    repeats: int = 0
    refused: int = 0
    filled_s: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        killed = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        return (
            f"chaos of keys: seed {self.seed}: {self.tenants} tenants, {self.fields} secrets (made in {self.filled_s:.0f} s), "
            f"{self.kills.total()} kills ({killed}) in {self.seconds:.0f} s; {self.rotations} rotations, {self.rewrapped} data "
            f"keys wrapped anew ({self.refused} refused while a process lacked the key); {self.rekeyings} rekeyings, "
            f"{self.destroyed} data keys replaced and destroyed; {self.written} tokens written meanwhile, {self.repeats} "
            f"requests sent again, {self.calls} calls with a token of their own; 0 lost, 0 unreadable, 1 active key"
        )


class Chaos:
    """One run, on processes of its own."""

    def __init__(
        self, fleet: Fleet, keychain: Keychain, tally: Tally, account: Account, say: Callable[[str], None]
    ) -> None:
        self.fleet = fleet
        self.keychain = keychain
        self.tally = tally
        self.account = account
        self.random = random.Random(account.seed)
        self._say = say
        self._roles: dict[str, Member | None] = dict.fromkeys(ROLES)
        self._given: dict[str, dict[str, str]] = {}
        self._turn = asyncio.Lock()  # who starts or ends a process
        self._last: dict[Hook, str] = {}
        self._ever: dict[str, set[str]] = {}  # by path
        self._stopping = False
        self._answered: dict[str, int] = {}  # data keys wrapped anew, by the key that was made active
        self._generations = 0

    async def run(self, kills: int) -> Account:
        """Fills, kills, then makes the account."""
        began = time.monotonic()
        await self._fill()
        self.account.filled_s = time.monotonic() - began
        self._say(f"filled in {self.account.filled_s:.0f} s")
        began = time.monotonic()
        async with self.fleet.client(timeout=10) as self._client:
            for role in ROLES:
                await self._start(role)
            hooks = await self._hooks()
            async with self._busy(hooks):
                for number in range(1, kills + 1):
                    await asyncio.sleep(self.random.uniform(*PACE_S))
                    await self._kill(last=number == kills)
                    await sound(self.fleet)  # at every moment, not only in the end
                    if number % 10 == 0:
                        self._say(
                            f"{number} of {kills} kills, {self._generations} rotations, {self.account.written} tokens"
                        )
            await self._settle()
        self.account.seconds = time.monotonic() - began
        return self.account

    async def _fill(self) -> None:
        tenants = [f"chaos-{number}" for number in range(self.account.tenants)]
        self._last = await fill(self.fleet, self.keychain, tenants, lambda *hook: self.tally.url(_path(hook)))
        self._ever = {_path(hook): {f"Bearer {token}"} for hook, token in self._last.items()}
        self.account.fields = FIELDS * len(tenants)

    async def _hooks(self) -> dict[Hook, str]:
        """The webhooks' ids."""
        rows = await self.fleet.sql("SELECT tenant_id, workflow_name, id::text FROM n8n_webhooks")
        return {(row["tenant_id"], row["workflow_name"]): row["id"] for row in rows}

    @contextlib.asynccontextmanager
    async def _busy(self, hooks: dict[Hook, str]) -> AsyncIterator[None]:
        """Writers, readers, one that rotates and one that rekeys; each ends with an answer to what it asked last."""
        shares = [dict(itertools.islice(hooks.items(), number, None, WRITERS)) for number in range(WRITERS)]
        tasks = [asyncio.create_task(self._writing(share)) for share in shares]
        tasks += [asyncio.create_task(self._reading(list(hooks))) for _ in range(READERS)]
        tasks += [asyncio.create_task(self._rotating()), asyncio.create_task(self._rekeying())]
        try:
            yield
            self._stopping = True
            while waiting := [task for task in tasks if not task.done()]:
                await self._revive()
                await asyncio.wait(waiting, timeout=0.5)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _writing(self, share: dict[Hook, str]) -> None:
        """Changes one token after the other, and calls that webhook. Nobody else changes these."""
        while not self._stopping:
            hook = self.random.choice(list(share))
            token = planted(f"written-{next(_NUMBERS)}")
            self._ever[_path(hook)].add(f"Bearer {token}")
            await self._insist("PUT", f"platform/tenants/{hook[0]}/webhooks/{share[hook]}", {"authToken": token})
            self._last[hook] = token
            self.account.written += 1
            await self._insist("POST", f"tenants/{hook[0]}/webhooks/{hook[1]}/call", {"payload": {}, "maxRetries": 0})

    async def _reading(self, hooks: list[Hook]) -> None:
        """Looks at pages of secrets, none of which may ever say that one does not open."""
        while not self._stopping:
            tenant, _ = self.random.choice(hooks)
            for page in ("webhooks", "integrations"):
                text = (await self._insist("GET", f"platform/tenants/{tenant}/{page}")).text
                assert "needsReentry" not in text, text
                assert "keyNeeded" not in text, text

    async def _rotating(self) -> None:
        """Gives everybody a next key, rotates until that is the active one, swaps the names, and begins anew."""
        while not self._stopping:
            self.keychain.prepare()
            await self._hand_out()
            following = fp(self.keychain.following)
            while not await self._rotated(following):
                await asyncio.sleep(0.3)
            self._generations += 1
            self.keychain.swap()
            if self.random.random() < 0.5:  # else those that are killed learn it, and the others hold both anyway
                await self._hand_out()

    async def _hand_out(self) -> None:
        """Restarts, one after the other, whoever was started with other keys; some are killed for it."""
        for role in ROLES:
            async with self._turn:
                member = self._roles[role]
                if self._given[role] == self.keychain.given and member is not None and member.alive:
                    continue
                if member is not None and member.alive:
                    await (member.kill() if self.random.random() < 0.3 else member.stop())
                await self._start(role)

    async def _rotated(self, following: str) -> bool:
        """Asks once, by the API or by a command that may be killed; whether the next key is the active one."""
        if self.random.random() < 0.5:
            after = self.random.choice([None, self.random.uniform(0.3, 1.0)])
            code, _, told = await self.fleet.ended("keys", "rotate", kill_after=after, **self.keychain.given)
            if code == -signal.SIGKILL:
                self.account.kills["command"] += 1
            self.account.refused += "key_not_everywhere" in told
            if code == 0 and "Rotated" in told:
                self._answered[following] = int(told.split(": ")[1].split()[0])
            return code == 0
        answer = await self._asked("POST", "platform/keys/rotate")
        if answer is None or answer.status_code == 409:
            self.account.refused += answer is not None and answer.json()["code"] == "key_not_everywhere"
            return False
        assert answer.status_code == 200, answer.text
        told = answer.json()
        if told["active"] == following and told["rewrapped"]:
            self._answered[following] = told["rewrapped"]
        return told["active"] == following  # else it was asked of one that has the names of before

    async def _rekeying(self) -> None:
        """Starts rekeyings by the API, or by a command that is killed: whoever lives goes on with them."""
        while not self._stopping:
            if self.random.random() < 0.3:
                after = self.random.uniform(*IMPATIENT_S)
                code, _, _ = await self.fleet.ended("keys", "rekey", kill_after=after, **self.keychain.given)
                self.account.kills["command"] += code == -signal.SIGKILL
            else:
                answer = await self._asked("POST", "platform/keys/rekey")
                assert answer is None or answer.status_code in (202, 409), answer.text
            await asyncio.sleep(self.random.uniform(0.5, 2.0))

    async def _insist(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """An answer, however often it takes and whoever gives it."""
        while True:
            answer = await self._asked(method, path, body)
            if answer is not None:
                assert answer.status_code == 200, answer.text
                return answer
            self.account.repeats += 1
            await asyncio.sleep(0.1)

    async def _asked(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        living = [
            member for role, member in self._roles.items() if role.startswith("server") and member and member.alive
        ]
        if not living:
            return None
        try:
            answer = await self._client.request(method, f"{self.random.choice(living).url}/api/{path}", json=body)
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    async def _start(self, role: str) -> None:
        given = self.keychain.given
        words = ("serve", "--no-worker") if role.startswith("server") else ("worker",)
        self._roles[role], self._given[role] = await self.fleet.start(*words, **given), given

    async def _revive(self) -> None:
        async with self._turn:
            for role in ROLES:
                member = self._roles[role]
                if member is None or not member.alive:
                    await self._start(role)

    async def _kill(self, *, last: bool) -> None:
        """Kills one of them, or the database; those killed before come back now and then."""
        if self.random.random() < 0.7:
            await self._revive()
        async with self._turn:
            living = [(role, member) for role, member in self._roles.items() if member is not None and member.alive]
            postmaster = self.fleet.postmaster
            if living and postmaster is not None and (last or self.random.random() < 0.12):
                os.kill(postmaster, signal.SIGKILL)
                self.account.kills["database"] += 1
            elif living:
                role, member = self.random.choice(living)
                await member.kill()
                self.account.kills[role.split()[0]] += 1

    async def _settle(self) -> None:
        """A last rekeying, a scan, every webhook called once more; then the books."""
        await self._revive()
        await until(self._rekeyed, 300, "the end of the rekeying before")
        assert (await self._asked("POST", "platform/keys/rekey")).status_code == 202
        await until(self._rekeyed, 300, "the end of the last rekeying")
        scan = (await self._insist("POST", "platform/keys/scan")).json()["scan"]
        assert (scan["secrets"], scan["unreadable"]) == (self.account.fields, 0), scan
        await self._call_all()
        assert await sound(self.fleet) == fp(self.keychain.active)
        rotations = await self.fleet.sql(_ROTATIONS)
        told = {row["target_id"]: json.loads(row["detail"])["dataKeys"] for row in rotations}
        assert len(told) == len(rotations) == self._generations  # each key became active once
        assert self._answered.items() <= told.items()  # what was answered is what happened
        (row,) = await self.fleet.sql(_REKEYED)
        assert (row["kept"], row["unreadable"]) == (0, 0), dict(row)
        self.account.rotations, self.account.rewrapped = len(told), sum(told.values())
        self.account.rekeyings, self.account.destroyed = row["finished"], row["destroyed"]

    async def _rekeyed(self) -> bool:
        answer = await self._asked("GET", "platform/keys/rekey")
        await asyncio.sleep(0.3)
        return answer is not None and (answer.status_code == 404 or answer.json()["state"] != "running")

    async def _call_all(self) -> None:
        """Each webhook gets the token that was written last; and none ever got one that was not its own."""
        turn = asyncio.Semaphore(32)

        async def called(hook: Hook) -> str:
            async with turn:
                answer = await self._insist("POST", f"tenants/{hook[0]}/webhooks/{hook[1]}/call", {"payload": {}})
                return answer.json()["callId"]

        made = dict(zip(self._last, await asyncio.gather(*map(called, self._last)), strict=True))
        hits = list(self.tally.hits)
        got = {hit.id: hit.authorization for hit in hits}
        lost = [hook for hook, token in self._last.items() if got[made[hook]] != f"Bearer {token}"]
        assert not lost, lost
        assert [hit.path for hit in hits if hit.authorization not in self._ever[hit.path]] == []
        self.account.calls = len(hits)


def _path(hook: Hook) -> str:
    return "/" + "/".join(hook)


async def chaos(
    tenants: int, kills: int, seed: int, say: Callable[[str], None] = say_aloud, zygote: Zygote | None = None
) -> Account:
    """A whole run: its processes, its receiver, its account."""
    own = zygote or Zygote()
    if zygote is None:
        await own.open()
    keychain = Keychain()
    fleet = Fleet(own, Path(tempfile.mkdtemp(prefix="hookvault-chaos-")), **keychain.given)
    try:
        await fleet.open()
        with Tally() as tally:
            return await Chaos(fleet, keychain, tally, Account(seed, tenants), say).run(kills)
    finally:
        await fleet.close()
        if zygote is None:
            await own.close()


def main() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    tenants = int(os.environ.get("KEYS_TENANTS") or 2000)
    kills = int(os.environ.get("KEYS_KILLS") or 60)
    say_aloud(f"chaos of keys: seed {seed}, {tenants} tenants, {kills} kills")
    say_aloud(str(asyncio.run(chaos(tenants, kills, seed))))


if __name__ == "__main__":
    main()
