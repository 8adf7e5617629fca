"""The delivering loop of a process: claims what its places allow, calls it, and hands the outcomes to the writer.

A fixed number of tasks make the calls, one job after the other. Nothing is made for each job but the call itself: neither a
task nor a future waits for its commit.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from uuid import UUID

from hookvault.admission.limits import Limits
from hookvault.admission.model import Bound
from hookvault.clock import iso, now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError
from hookvault.fault import fault_point
from hookvault.log import get_logger
from hookvault.outbound.client import OutboundClient
from hookvault.queue import store
from hookvault.queue.ending.waiting import end_waiting
from hookvault.queue.model import Candidate, Job
from hookvault.webhooks.circuit import Circuits
from hookvault.webhooks.endpoint import Endpoint, Endpoints
from hookvault.worker.ack import Acks, Outcome
from hookvault.worker.agenda import Agenda
from hookvault.worker.calls import Calls
from hookvault.worker.deliver import NO_MESSAGE, Claimed, deliver
from hookvault.worker.share import Shares, leftover

_PAGE = 256  # webhooks looked at in one round
_STAGE_S = 0.5  # how often jobs are made ready whose time has come
_TOGETHER = 32  # a busy process waits for so many places to come free together, but not for long
_GATHER_S = 0.005
_AWAY_S = 1.0

_log = get_logger()


class Worker:
    """Delivers. One per process.

    Args:
        database: Where the jobs are.
        endpoints: The webhooks.
        client: The one outbound client.
        limits: Rate and concurrency.
        circuits: The breakers.
        process: Its name in leases and trails.
        places: How many calls may be in flight.
        timeout_s: For one attempt, where neither the delivery nor its webhook says.
        gone: Told of a webhook whose receiver wants no more calls.
    """

    def __init__(
        self,
        database: Database,
        endpoints: Endpoints,
        client: OutboundClient,
        limits: Limits,
        circuits: Circuits,
        *,
        process: UUID,
        places: int,
        timeout_s: float,
        gone: Callable[[str, UUID], Awaitable[None]],
    ) -> None:
        self._database = database
        self._endpoints = endpoints
        self._client = client
        self._limits = limits
        self._circuits = circuits
        self._process = process
        self._name = str(process)
        self._timeout_s = timeout_s
        self._gone = gone
        self.shares = Shares(places)
        self.acks = Acks(database, self._committed)
        self.totals = {"delivered": 0, "failed": 0, "expired": 0, "retried": 0}
        self._jobs: deque[Claimed] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._slots: set[asyncio.Task[None]] = set()
        self._calls = Calls(self.shares)
        self._held: dict[tuple[UUID, int], Job] = {}  # claimed and not yet committed: their leases are renewed
        self._suspects: set[UUID] = set()  # of these, one that may be what killed its workers
        self._wake = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[None]] = set()
        self._ending: set[UUID] = set()
        self._one_end = asyncio.Lock()
        self._agenda = Agenda()
        self._hungry = False
        self._freed = 0
        self._stage_at = 0.0
        self._lane_cursor = store.FIRST
        self._stopping = False
        self._unsure = False
        self._again_s = _STAGE_S

    @property
    def in_flight(self) -> int:
        """Deliveries that this process has claimed and not yet called to the end."""
        return self.shares.busy

    def start(self) -> None:
        """Starts the loop and the writer."""
        self.acks.start()
        self._loop_task = asyncio.create_task(self._run(), name="deliveries")

    def wake(self, webhook_id: UUID | None = None, *, stage: bool = False, scan: bool = False) -> None:
        """Says that there may be something to do.

        Args:
            webhook_id: For this webhook.
            stage: For jobs that are not ready yet.
            scan: For any webhook at all.
        """
        if webhook_id is not None:
            self._agenda.add((webhook_id,))
        if scan:
            self._agenda.rescan()
        if stage:
            self._stage_at = 0.0
        self._wake.set()

    async def drain(self, grace_s: float) -> None:
        """Claims nothing more, lets calls under way end, gives back what was not called, and commits all outcomes."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            await self._loop_task
        waiting = [self._jobs.popleft() for _ in range(len(self._jobs))]
        await self._release([claimed.job for claimed in waiting])
        for claimed in waiting:
            self._forget(claimed.job)
            self._settle(claimed, None)
        for future in self._idle:
            if not future.done():
                future.set_result(None)
        if self._slots:
            _, unfinished = await asyncio.wait(self._slots, timeout=grace_s)
            for task in unfinished:
                task.cancel()
        await self.acks.close()
        await self._circuits.settle()
        if self._chores:
            await asyncio.wait(self._chores, timeout=5.0)

    async def renew(self) -> None:
        """Prolongs the leases of all that this process has claimed and not committed."""
        jobs = [(job.tenant_id, job.id, job.claims) for job in self._held.values()]
        if jobs:
            async with self._database.system_statement() as tx:
                await store.renew(tx, jobs)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                if time.monotonic() >= self._stage_at:
                    self._stage_at = time.monotonic() + _STAGE_S
                    await self._make_ready()
                self._calls.park()
                if await self._round():
                    continue
            except HookvaultError as error:
                _log.warning("deliveries_wait", code=error.code, error=error.message)
                self._unsure = True
                self._again_s = _AWAY_S
            except Exception:  # noqa: BLE001 - a worker never dies; the log has it whole
                _log.exception("deliveries_failed")
                self._again_s = _AWAY_S
            await self._pause()

    async def _pause(self) -> None:
        self._freed = 0
        self._hungry = len(self._agenda) > 0  # then what ends makes room for what waits
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), min(self._again_s, _STAGE_S))
        self._wake.clear()
        self._agenda.stir()
        self._again_s = _STAGE_S

    async def _make_ready(self) -> None:
        """Makes jobs ready whose time has come, and the first of each ordering key."""
        if self._unsure:  # the database went away, perhaps in the middle of a claim
            async with self._database.system_statement() as tx:
                self._agenda.add(await store.disown(tx, self._process, [job.id for job in self._held.values()]))
            self._unsure = False
        more = True
        while more:
            async with self._database.system_statement() as tx:
                staged = await store.stage(tx)
            self._agenda.add(staged)
            more = len(staged) >= store.STAGED_AT_ONCE
        async with self._database.system() as tx:
            lanes, self._lane_cursor = await store.list_unseen_lanes(tx, self._lane_cursor)
            if lanes:
                self._agenda.add(await store.promote(tx, lanes))
                fault_point("promote.before_commit")
        if lanes:
            fault_point("promote.after_commit")
            self._stage_at = 0.0  # there may be more of them than were looked at; others have their turn in between

    async def _round(self) -> bool:
        """Claims once; whether to go on at once."""
        if self.shares.free <= 0 or self.acks.waiting > 4 * self.shares.limit:
            return False
        if self._agenda.is_scan_due():
            found = await self._scan()
        else:
            named = self._agenda.turn(_PAGE)
            if not named:
                return False
            async with self._database.system_statement() as tx:
                found = await store.list_named(tx, named)
        if found and await self._claim(found):
            self._agenda.stir()
            # A claim costs as much for one job as for twenty: a busy process lets a few come together.
            await asyncio.sleep(_GATHER_S)
        return True

    async def _scan(self) -> Sequence[Candidate]:
        """The next page of all webhooks that have ready jobs."""
        began = time.monotonic()
        async with self._database.system_statement() as tx:
            found = await store.list_candidates(tx, self._agenda.cursor, _PAGE)
        last = found[-1].webhook_id if len(found) == _PAGE else None
        self._agenda.scanned(last, time.monotonic() - began)
        return found

    async def _claim(self, found: Sequence[Candidate]) -> int:
        for dead in found:
            if not dead.alive and dead.webhook_id not in self._ending:
                self._ending.add(dead.webhook_id)
                self._do(self._end(dead))
        awake = [one for one in found if one.alive and not one.held and (not one.circuit or one.probe)]
        endpoints = await self._endpoints.find_many({one.webhook_id: (one.tenant_id, one.version) for one in awake})
        usable = [one for one in awake if one.webhook_id in endpoints]
        probes = {one.webhook_id for one in usable if one.circuit}
        wanted = self.shares.allot([(one.webhook_id, one.tenant_id) for one in usable])
        allowed: dict[UUID, int] = {}
        counts: dict[UUID, int] = {}
        try:
            await self._allow(allowed, wanted, endpoints, probes)
            if not allowed:
                return 0
            async with self._database.system_statement() as tx:
                jobs = await store.claim(tx, list(allowed.items()), self._process, suspect=not self._suspects)
            for job in jobs:
                counts[job.webhook_id] = counts.get(job.webhook_id, 0) + 1
        finally:  # also when the database went away in between
            unused = leftover(allowed, counts)
            # Whoever found no end of its jobs may have more of them than it was given places.
            self._agenda.put_back(one.webhook_id for one in usable if one.webhook_id not in unused)
            for webhook_id, places in unused.items():
                await self._limits.refund(endpoints[webhook_id].bounds, places)
        if jobs:
            fault_point("claim.after_commit")
            await self._begin(jobs, endpoints, probes)
        return len(jobs)

    async def _allow(
        self, allowed: dict[UUID, int], wanted: dict[UUID, int], endpoints: dict[UUID, Endpoint], probes: set[UUID]
    ) -> None:
        """Adds to `allowed` what the limits and the circuits leave of what is wanted."""
        for webhook_id, places in wanted.items():
            endpoint = endpoints[webhook_id]
            granted = places
            if webhook_id in probes:
                granted = int(await self._circuits.take_probe(endpoint.tenant_id, webhook_id))
            if endpoint.bounds and granted:
                granted = await self._limits.allow(endpoint.bounds, granted)
                if not granted:
                    self._look_again(endpoint.bounds)
            if granted:
                allowed[webhook_id] = granted

    def _look_again(self, bounds: Sequence[Bound]) -> None:
        self._again_s = min(self._again_s, max(self._limits.wait_s(bounds), 0.01))

    async def _begin(self, jobs: Sequence[Job], endpoints: dict[UUID, Endpoint], probes: set[UUID]) -> None:
        for job in jobs:
            self.shares.take(job.webhook_id, job.tenant_id, 1)
            self._held[job.id, job.claims] = job
            if job.lost >= store.SUSPECT:
                self._suspects.add(job.id)
        try:
            async with self._database.system_statement() as tx:
                messages = await store.read_messages(tx, jobs)
        except BaseException:  # their leases end, and they are claimed again
            for job in jobs:
                self._forget(job)
                self.shares.end(job.webhook_id)
                self._limits.leave(endpoints[job.webhook_id].bounds)
            raise
        at = iso(now())
        for job in jobs:
            endpoint = endpoints[job.webhook_id]
            message = messages.get(job.id, NO_MESSAGE)
            self._jobs.append(Claimed(job, message, endpoint, at, probe=job.webhook_id in probes))
        for _ in range(len(jobs)):
            if self._idle:
                self._idle.popleft().set_result(None)
            elif len(self._slots) < self.shares.limit + self.shares.parked:
                task = asyncio.create_task(self._slot(), name="delivery")
                self._slots.add(task)
                task.add_done_callback(self._slots.discard)

    async def _slot(self) -> None:
        """Makes calls, one after the other, for as long as the worker runs."""
        loop = asyncio.get_running_loop()
        while True:
            while self._jobs:
                await self._call(self._jobs.popleft())
            if self._stopping:
                return
            future = loop.create_future()
            self._idle.append(future)
            await future

    async def _call(self, claimed: Claimed) -> None:
        call = self._calls.begin(claimed.job.webhook_id)
        made = await deliver(self._client, claimed, self._name, self._timeout_s, self._endpoints.latest)
        self._calls.end(call)
        fault_point("call.before_ack")
        if made.outcome.gone:  # before its commit, which would let what waits behind it be called
            await _quietly(self._switch_off(claimed.job.tenant_id, claimed.job.webhook_id))
        self._settle(claimed, made.seconds, answered=made.answered, parked=call.parked)
        self.acks.add(made.outcome)
        if claimed.probe and made.outcome.call is not None and not made.outcome.broken:
            self._do(self._circuits.close(claimed.job.tenant_id, claimed.job.webhook_id))

    def _settle(self, claimed: Claimed, seconds: float | None, *, answered: bool = True, parked: bool = False) -> None:
        """Gives back the places of a job, and looks for more when enough are free."""
        self.shares.end(claimed.job.webhook_id, seconds=seconds, answered=answered, parked=parked)
        if claimed.endpoint.bounds:
            self._limits.leave(claimed.endpoint.bounds)
            self._wake.set()
        if self._hungry:
            self._freed += 1
            if self._freed >= _TOGETHER or not self.shares.busy:
                self._wake.set()
            elif self._freed == 1:
                asyncio.get_running_loop().call_later(_GATHER_S, self._wake.set)

    def _committed(self, batch: Sequence[Outcome]) -> None:
        """After the commit of outcomes: counts them, and does what they ask for."""
        for outcome in batch:
            ack = outcome.ack
            self._held.pop((ack.id, ack.claims), None)
            if ack.id in self._suspects:
                self._suspects.discard(ack.id)
                self.wake(outcome.webhook_id)
            self.totals["retried" if ack.status == "pending" else ack.status] += 1
            if outcome.broken:
                self._circuits.note(ack.tenant_id, outcome.webhook_id)
            if outcome.lane is not None:
                self.wake(outcome.webhook_id)
        if self._hungry:
            self._wake.set()

    async def _end(self, dead: Candidate) -> None:
        """Ends what waits for a webhook that is gone; beside the claims and one after the other, since it may be much."""
        try:
            async with self._one_end:
                await end_waiting(self._database, dead.tenant_id, dead.webhook_id)
        finally:
            self._ending.discard(dead.webhook_id)

    async def _switch_off(self, tenant_id: str, webhook_id: UUID) -> None:
        fault_point("gone.before_switch")
        await self._gone(tenant_id, webhook_id)
        fault_point("gone.after_commit")

    def _do(self, chore: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_quietly(chore))
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    def _forget(self, job: Job) -> None:
        self._held.pop((job.id, job.claims), None)
        self._suspects.discard(job.id)

    async def _release(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        try:
            async with self._database.system_statement() as tx:
                await store.release(tx, [(job.tenant_id, job.id, job.claims) for job in jobs])
        except HookvaultError as error:  # their leases end by themselves
            _log.warning("deliveries_not_given_back", jobs=len(jobs), error=error.message)


async def _quietly(chore: Awaitable[None]) -> None:
    try:
        await chore
    except HookvaultError as error:
        _log.warning("chore_failed", code=error.code, error=error.message)
