"""The live tail of a process: what was committed, here and elsewhere, to everybody who reads it here.

With no reader anywhere nothing runs and the taps are closed. While there are readers here, one task takes what this process
committed and fetches what others name, some times a second, however many readers there are.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail import store
from hookvault.analytics.tail.herald import Herald
from hookvault.analytics.tail.model import LiveCall, live_call, matches
from hookvault.analytics.tail.names import Names
from hookvault.analytics.tail.notice import CallKey, read_notice, watch_notice
from hookvault.analytics.tail.reader import Reader
from hookvault.analytics.tail.ring import Ring
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError, TooManyRequestsError, UnavailableError
from hookvault.log import get_logger
from hookvault.tenants.history import require_history
from hookvault.webhooks.model import CallRecord
from hookvault.webhooks.tap import Tap

READERS = 200
READERS_EACH = 20  # of one person, in however many tabs
ANNOUNCE_S = 5.0
LINGER_S = 30.0  # so that a reader whose connection broke finds all in the ring
_TICK_S = 0.25
_AT_ONCE = 500  # calls fetched in a tick
_TOLD = 1000  # calls that wait to be fetched
_INBOX = 5000
_RING = 2000
_STRIDE = 200
_GAP_S = 1.0  # in which every process has heard that this one watches
_EARLY = timedelta(seconds=2)
_RESUMED = 1000
_LOOKED_AT = 5000
_FURTHEST = timedelta(hours=1)
_log = get_logger()


class Tail:
    """Whoever reads live in this process, and what is shown to them.

    Args:
        database: The one that all processes share.
        process: This process's id.
        taps: Of the writers that commit calls here.
    """

    def __init__(self, database: Database, process: UUID, taps: Sequence[Tap]) -> None:
        self._database = database
        self._name = str(process)
        self._taps = taps
        self._herald = Herald(database, self._name)
        self._names = Names(database)
        self._ring = Ring(_RING)
        self._readers: dict[str | None, set[Reader]] = {}
        self._inbox: deque[LiveCall] = deque()
        self._told: deque[CallKey] = deque()
        self._lost: Counter[str | None] = Counter()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._announcing = asyncio.Lock()
        self._announce_at = 0.0
        self._linger_until = 0.0
        self._sound_at = now()  # this process heard what was told until then
        self._gap: tuple[float, datetime] | None = None
        self._closed = False

    @property
    def readers(self) -> int:
        """How many read here now."""
        return sum(map(len, self._readers.values()))

    async def open(self, which: CallFilter, last: UUID | None = None, *, person: UUID | None = None) -> Reader:
        """A new reader, which must be given to `leave` in the end.

        Args:
            which: What it wants to see; `tenant_id` None is all tenants'.
            last: The last call that it has seen, to go on after it.
            person: Who reads, where that is somebody at a browser.

        Raises:
            NotFoundError: code `tenant_not_found`.
            TooManyRequestsError: code `too_many_streams`: this person has enough of them open.
            UnavailableError: codes `too_many_readers`, `shutting_down`, `database_unavailable`.
        """
        since = await self._since(which.tenant_id)
        self._require_room(person)
        reader = Reader(which, since, now() if last is None else None, person=person)
        followed = None if last is None or self._task is None else self._ring.after(last)
        self._readers.setdefault(which.tenant_id, set()).add(reader)
        try:
            if followed is not None:
                reader.resume(followed)
            await self._watch()
            if last is not None and followed is None:
                await self._resume(reader, last)
        except BaseException:
            self.leave(reader)
            raise
        return reader

    def leave(self, reader: Reader) -> None:
        """Removes a reader, at once."""
        reader.end()
        mine = self._readers.get(reader.which.tenant_id)
        if mine is not None:
            mine.discard(reader)
            if not mine:
                del self._readers[reader.which.tenant_id]
        self._linger_until = time.monotonic() + LINGER_S

    def hear(self, payload: str) -> None:
        """Takes a notification of another process on the channel LIVE. One that says nothing is passed over."""
        notice = read_notice(payload)
        if notice is None:
            return
        if notice.sender == self._name:
            if notice.calls is None:
                self._sound_at = now()
        elif notice.calls is None:
            self._herald.want()
            self._open_taps()
        elif self._task is not None:
            self._told.extend(notice.calls)
            self._lost[None] += notice.lost
            self._wake.set()

    def doubt(self, tenant_id: str | None = None) -> None:
        """Something changed in a tenant, or keys or anything did: names are asked anew, and who may read."""
        self._names.forget(tenant_id)
        if tenant_id is None:
            for reader in self._everybody():
                reader.doubt()

    def mend(self) -> None:
        """Anything may have been missed: what is kept is doubted, and what was committed meanwhile is looked up."""
        self.doubt()
        if self._task is not None:
            self._announce_at = 0.0
            self._gap = self._gap or (time.monotonic() + _GAP_S, self._sound_at - _EARLY)
            self._wake.set()

    def end(self) -> None:
        """Ends every stream, and lets nobody in any more."""
        self._closed = True
        for reader in self._everybody():
            reader.end()

    async def close(self) -> None:
        """Stops, once no more calls will be committed here."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._herald.close()

    def _require_room(self, person: UUID | None) -> None:
        if self._closed:
            raise UnavailableError("The server is being stopped.", code="shutting_down")
        if person is not None and sum(reader.person == person for reader in self._everybody()) >= READERS_EACH:
            text = f"You have {READERS_EACH} streams of live calls open. Close some of the tabs that show them."
            raise TooManyRequestsError(text, code="too_many_streams", retry_after_s=10.0)
        if self.readers >= READERS:
            error = UnavailableError(
                f"{READERS} streams of live calls are open here, and more are not taken. Close some, or try again later.",
                code="too_many_readers",
            )
            error.retry_after_s = 10.0
            raise error

    async def _since(self, tenant_id: str | None) -> datetime:
        """From when on a tenant's calls may be shown."""
        if tenant_id is None:
            return datetime.min.replace(tzinfo=UTC)
        async with self._database.tenant(tenant_id) as tx:
            return await require_history(tx)

    async def _watch(self) -> None:
        """Starts what runs while anybody reads, and has told the other processes of it."""
        if self._task is None:
            self._sound_at = now()
            self._gap = (time.monotonic() + _GAP_S, self._sound_at - _EARLY)
            self._announce_at = 0.0
            self._task = asyncio.create_task(self._run(), name="live tail")
            self._open_taps()
        await self._announce()

    async def _announce(self) -> None:
        async with self._announcing:
            if time.monotonic() < self._announce_at:
                return
            async with self._database.system_statement() as tx:
                await store.tell(tx, [watch_notice(self._name)])
            self._announce_at = time.monotonic() + ANNOUNCE_S

    async def _resume(self, reader: Reader, last: UUID) -> None:
        """Gives a reader the calls that ended since the one that it saw last, or a little before."""
        which, oldest = reader.which, now() - _FURTHEST
        tenant = self._database.system() if which.tenant_id is None else self._database.tenant(which.tenant_id)
        async with tenant as tx:
            since = await store.find_end(tx, last) - _EARLY
            found = await store.list_ended(tx, max(since, oldest), _LOOKED_AT + 1)
        wanted = [call for call in found if matches(which, call)]
        shown = await self._names.named(wanted[-_RESUMED:])
        unsure = since < oldest or len(found) > _LOOKED_AT
        reader.resume(shown, unsure=unsure)
        reader.miss(len(wanted[:-_RESUMED]))

    def _open_taps(self) -> None:
        for tap in self._taps:
            tap.tell = self._take

    def _take(self, calls: Sequence[CallRecord]) -> None:
        """Takes the calls of a commit, from the writer itself."""
        try:
            if self._herald.wanted:
                self._herald.add((call.tenant_id, call.id) for call in calls)
            elif self._task is None:
                for tap in self._taps:
                    tap.tell = None
            if self._task is not None:
                for call in calls:
                    if len(self._inbox) < _INBOX:
                        self._inbox.append(live_call(call))
                    else:
                        self._lost[call.tenant_id] += 1
                self._wake.set()
        except Exception:  # noqa: BLE001 - recording goes on, whatever is wrong with those who watch
            _log.exception("live_tail_failed")

    async def _run(self) -> None:
        try:
            while self._readers or time.monotonic() < self._linger_until:
                try:
                    await self._tick()
                except HookvaultError as error:
                    _log.warning("live_tail_waits", code=error.code, error=error.message)
                except Exception:  # noqa: BLE001 - it goes on; the log has it whole
                    _log.exception("live_tail_failed")
                    self._give_up()
                await asyncio.sleep(_TICK_S)
                try:
                    async with asyncio.timeout(1.0):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            self._rest()

    def _give_up(self) -> None:
        """Passes over what waits, so that it does not fail again and again."""
        for reader in self._everybody():
            reader.miss(len(self._inbox) + len(self._told), unsure=True)
        self._inbox.clear()
        self._told.clear()

    def _rest(self) -> None:
        """Nobody reads any more. The ring would have a gap from now on."""
        self._task = None
        self._gap = None
        self._ring.clear()
        self._names.forget()
        for waiting in (self._inbox, self._told, self._lost):
            waiting.clear()

    async def _tick(self) -> None:
        self._wake.clear()
        await self._announce()
        await self._show_own()
        await self._show_told()
        if self._gap is not None and time.monotonic() >= self._gap[0]:
            await self._show_late(self._gap[1])
            self._gap = None
        lost, self._lost = self._lost, Counter()
        if lost:
            for reader in self._everybody():
                tenant_id = reader.which.tenant_id
                count = lost.total() if tenant_id is None else lost[tenant_id] + lost[None]
                if count:
                    reader.miss(count)

    async def _show_own(self) -> None:
        calls = list(self._inbox)
        if calls:
            await self._show(calls)
            for _ in calls:
                self._inbox.popleft()

    async def _show_told(self) -> None:
        while len(self._told) > _TOLD:
            self._lost[self._told.popleft()[0]] += 1
        keys = list(self._told)[:_AT_ONCE]
        if not keys:
            return
        async with self._database.system_statement() as tx:
            calls = await store.get_calls(tx, keys)
        await self._show(calls)
        for _ in keys:
            self._told.popleft()
        if self._told:
            self._wake.set()

    async def _show_late(self, since: datetime) -> None:
        """What was committed while another process did not know that this one watches, or this one did not hear it."""
        async with self._database.system_statement() as tx:
            found = await store.list_ended(tx, since, _LOOKED_AT + 1)
        await self._show_own()  # these are in the right order
        await self._show(found, late=True)
        if len(found) > _LOOKED_AT:
            for reader in self._everybody():
                reader.miss(0, unsure=True)

    async def _show(self, calls: Sequence[LiveCall], *, late: bool = False) -> None:
        named = await self._names.named([call for call in calls if call.id not in self._ring])
        for number, call in enumerate(named, 1):
            if call.id not in self._ring:
                self._ring.add(call)
                for readers in (self._readers.get(call.tenant_id, ()), self._readers.get(None, ())):
                    for reader in readers:
                        reader.offer(call, late=late)
            if number % _STRIDE == 0:
                await asyncio.sleep(0)  # the others in this process are not held up

    def _everybody(self) -> list[Reader]:
        return [reader for readers in self._readers.values() for reader in readers]
