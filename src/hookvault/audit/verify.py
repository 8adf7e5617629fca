"""Verifies the chains of a database: streams every event, and finds where a chain is broken first."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from hookvault.audit import store
from hookvault.audit.chain import START, Check, Entry, Fault, Head, belongs
from hookvault.db.pool import Database

_PAGE = 1000
_FIRST = (0, UUID(int=0))
Kept = Mapping[str, Mapping[int, bytes]]


@dataclass(slots=True)
class Report:
    """What was verified, and the first fault of each chain that has one."""

    chains: int
    events: int
    before_chain: int
    faults: list[Fault]


async def stream_heads(database: Database) -> AsyncIterator[tuple[str, Head | None]]:
    """Every tenant that has events, by id, the platform's own (empty) first, with the end of its chain."""
    after: str | None = None
    while True:
        async with database.system() as tx:
            page = await store.list_heads(tx, after=after, limit=_PAGE)
        for found in page:
            yield found
        if len(page) < _PAGE:
            return
        after = page[-1][0]


async def verify_chain(
    database: Database, tenant_id: str, kept: Mapping[int, bytes], report: Report, progress: Callable[[int], None]
) -> None:
    """Verifies one chain and adds what was found to the report.

    Args:
        database: To read from.
        tenant_id: Whose chain; empty for the platform's own.
        kept: Hashes that were kept elsewhere, by number.
        report: Is added to.
        progress: Is told how many more events were read.
    """
    report.chains += 1
    async with database.system() as tx:
        unchained, younger = await store.find_unchained(tx, tenant_id)
    report.before_chain += unchained
    check, fault = Check(tenant_id, kept), None
    async for page in _pages(database, tenant_id):
        progress(len(page))
        for entry in page:
            fault = check.follow(entry)
            if fault is not None:
                break
            report.events += 1
        if fault is not None:
            if fault.what == "changed" and await _is_elsewhere(database, entry):
                fault = Fault(tenant_id, fault.seq, fault.id, "out of order")
            break
    fault = fault or check.end() or (Fault(tenant_id, None, younger, "outside the chain") if younger else None)
    if fault is not None:
        report.faults.append(fault)


async def _is_elsewhere(database: Database, moved: Entry) -> bool:
    """Whether an event that does not fit its place was recorded at another."""
    before = Head(moved.tenant_id, 0, START)
    async for page in _pages(database, moved.tenant_id):
        for entry in page:
            if entry.seq != moved.seq and belongs(moved, before, entry.hash):
                return True
            before = Head(moved.tenant_id, entry.seq or 0, entry.hash or START)
    return False


async def _pages(database: Database, tenant_id: str) -> AsyncIterator[list[Entry]]:
    after = _FIRST
    while True:
        async with database.system() as tx:
            page = list(await store.list_entries(tx, tenant_id, after=after, limit=_PAGE))
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = (page[-1].seq or 0, page[-1].id)
