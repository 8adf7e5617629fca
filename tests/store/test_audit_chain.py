"""The chain in the database: writers in a crowd form one, and whatever the owner does to it later is found."""

import asyncio
import json
import secrets
import time

import asyncpg
import pytest

from hookvault.audit import store
from hookvault.audit.chain import Entry, digest
from hookvault.audit.model import Actor, AuditFilter
from hookvault.audit.tally import Happening, Tally
from hookvault.errors import LockedError

ACTOR = Actor("api_key", "key-7", ip="192.0.2.7", request_id="req-7")
ODD = {
    "z": 1,
    "aa": 1.10,
    "a": [1e2, 10**30, -0.0, 1e-7],
    "é\u2028": "\U0001f600 \\u0041 \"'",
    "n": None,
    "b": {"y": 1, "x": 2},
}


async def record(app, tenant_id, **more):
    async with app.database.tenant(tenant_id) as tx:
        await store.record(tx, ACTOR, "thing.done", ("thing", "t"), **more)


async def rows(owner, tenant_id):
    return await owner("SELECT * FROM audit_events WHERE tenant_id = $1 ORDER BY seq", tenant_id)


async def found(app, tenant_id, **more):
    report = await app.audit.verify(tenant_id, **more)
    return [(fault.seq, fault.what) for fault in report.faults]


@pytest.fixture
async def chain(app, tenant, owner):
    """A tenant with eight events, of which the first is its making; their rows."""
    for number in range(7):
        await record(app, tenant.id, detail={"n": number})
    return await rows(owner, tenant.id)


async def test_whatever_is_recorded_verifies(app, tenant, owner):
    for detail in (None, {}, ODD, {"text": "x" * 10_000}):
        await record(app, tenant.id, detail=detail)
    async with app.database.tenant(tenant.id) as tx:
        await store.record(tx, Actor("cli", "jörg"), "thing.done", ("thing", ""), outcome="denied")
    kept = await rows(owner, tenant.id)
    assert [row["seq"] for row in kept] == [1, 2, 3, 4, 5, 6]
    assert len({row["hash"] for row in kept}) == 6
    report = await app.audit.verify(tenant.id)
    assert (report.chains, report.events, report.before_chain, report.faults) == (1, 6, 0, [])


@pytest.mark.parametrize("writers", [2, 200])
async def test_a_crowd_of_writers_forms_one_chain(app, second, owner, tenant, writers):
    apps = [app, second]
    await asyncio.gather(*(record(apps[n % 2], tenant.id, detail={"n": n}) for n in range(writers)))
    assert [row["seq"] for row in await rows(owner, tenant.id)] == list(range(1, writers + 2))
    assert await found(app, tenant.id) == []


async def test_two_hundred_changes_at_once_all_succeed(app, second, tenant):
    apps = [app, second]

    async def change(number):
        services = apps[number % 2]
        if number % 3 == 0:
            return await services.api_keys.create_api_key(f"k{number}", tenant_id=tenant.id)
        if number % 3 == 1:
            return await services.tenants.update_tenant(tenant.id, {"name": f"N{number}"})
        return await services.webhooks.create_n8n_webhook(
            tenant.id, f"w{number}", webhook_url="https://n8n.example.com/x"
        )

    await asyncio.gather(*map(change, range(200)))
    report = await app.audit.verify(tenant.id)
    assert (report.events, report.faults) == (201, [])


async def test_a_writer_waits_longer_than_for_a_row_and_then_goes_on(app, tenant):
    """The connections' own lock_timeout is a second; it holds again for what the transaction does next."""
    async with app.database.tenant(tenant.id) as tx:
        await store.record(tx, ACTOR, "thing.done", ("thing", "t"))
        assert await tx.fetchval("SELECT current_setting('lock_timeout')") == "1s"
        waiting = asyncio.create_task(record(app, tenant.id))
        await asyncio.sleep(1.5)
        assert not waiting.done()
    await waiting
    assert await found(app, tenant.id) == []


async def test_a_change_waits_for_a_row_whose_holder_stands_in_line(app, tenant):
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "w", webhook_url="https://n8n.example.com/x")
    async with app.database.tenant(tenant.id) as tx:
        for rows in ("tenants WHERE id", "n8n_webhooks WHERE tenant_id"):
            await tx.fetch(f"SELECT FROM {rows} = $1 FOR UPDATE", tenant.id)
        changes = [
            asyncio.create_task(app.tenants.update_tenant(tenant.id, {"name": "New"})),
            asyncio.create_task(app.webhooks.update_n8n_webhook(tenant.id, webhook.id, {"workflow_name": "v"})),
        ]
        await asyncio.sleep(1.5)
        assert not any(change.done() for change in changes)
    assert (await changes[0]).name == "New"
    assert (await changes[1]).workflow_name == "v"


async def test_a_row_that_stays_locked_is_told_and_nothing_is_changed(app, tenant, monkeypatch):
    monkeypatch.setattr("hookvault.db.pool.LINE_TIMEOUT", "100ms")
    async with app.database.tenant(tenant.id) as tx:
        await tx.fetch("SELECT FROM tenants WHERE id = $1 FOR UPDATE", tenant.id)
        with pytest.raises(LockedError, match="Nothing was changed; try again") as caught:
            await app.tenants.update_tenant(tenant.id, {"name": "New"})
    assert (caught.value.code, caught.value.status) == ("database_locked", 503)
    assert (await app.tenants.get_tenant(tenant.id)).name == tenant.name


async def test_who_saves_notes_waits_for_whoever_is_saving_them():
    written, may_go_on = [], asyncio.Event()

    async def write(_actor, action, *_, **__):
        await may_go_on.wait()
        written.append(action)

    tally = Tally(write)
    tally.note(Happening(ACTOR, "thing.read", ("thing", "t"), "", "success", {}))
    savers = [asyncio.create_task(tally.save()) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert not any(saver.done() for saver in savers)
    may_go_on.set()
    await asyncio.gather(*savers)
    assert written == ["thing.read"]


async def test_other_tenants_do_not_wait(app, tenant):
    other = await app.tenants.create_tenant("Other", tenant_id=f"t-{secrets.token_hex(6)}")
    async with app.database.tenant(tenant.id) as tx:
        await store.record(tx, ACTOR, "thing.done", ("thing", "t"))
        began = time.monotonic()
        await record(app, other.id)
        assert time.monotonic() - began < 5


async def test_a_change_that_is_rolled_back_leaves_no_gap(app, owner, chain, tenant):
    with pytest.raises(RuntimeError):
        async with app.database.tenant(tenant.id) as tx:
            await store.record(tx, ACTOR, "thing.done", ("thing", "t"))
            raise RuntimeError
    await record(app, tenant.id)
    assert [row["seq"] for row in await rows(owner, tenant.id)] == list(range(1, 10))
    assert await found(app, tenant.id) == []


@pytest.fixture
async def tamper(database_url):
    """Statements as the database's superuser, on whom no policy and no grant is binding."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("SET row_security = off")
    yield connection.execute
    await connection.close()


CHANGES = {
    "id": "gen_random_uuid()",
    "at": "at + interval '1 microsecond'",
    "actor_type": "'admin'",
    "actor_id": "actor_id || ' '",
    "action": "'thing.undone'",
    "target_type": "upper(target_type)",
    "target_id": "''",
    "outcome": "'failed'",
    "detail": """'{"n": 3.0}'""",
    "ip": "NULL",
    "request_id": "''",
    "hash": "set_byte(hash, 31, get_byte(hash, 31) # 1)",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_changed_column_is_found(app, tamper, chain, tenant, column):
    where = "WHERE tenant_id = $1 AND seq = 5"
    await tamper(f"UPDATE audit_events SET {column} = {CHANGES[column]} {where}", tenant.id)
    assert await found(app, tenant.id) == [(5, "changed")]


async def test_every_column_is_guarded(owner):
    names = await owner(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'audit_events' AND table_schema = 'public'"
    )
    assert {name for (name,) in names} == CHANGES.keys() | {"tenant_id", "seq"}


async def test_a_removed_event_is_found(app, tamper, chain, tenant):
    for seq in (4, 1):
        await tamper("DELETE FROM audit_events WHERE tenant_id = $1 AND seq = $2", tenant.id, seq)
        assert await found(app, tenant.id) == [(seq, "missing")]


async def test_the_newest_events_removed_are_found_by_a_kept_head(app, tamper, chain, tenant):
    kept = {tenant.id: {head.seq: head.hash async for head in app.audit.heads() if head.tenant_id == tenant.id}}
    assert [*kept[tenant.id]] == [8]
    await record(app, tenant.id)
    assert await found(app, tenant.id, kept=kept) == []
    await tamper("DELETE FROM audit_events WHERE tenant_id = $1 AND seq >= 7", tenant.id)
    assert await found(app, tenant.id) == []
    assert await found(app, tenant.id, kept=kept) == [(7, "cut off at the end")]
    await tamper("DELETE FROM audit_events WHERE tenant_id = $1", tenant.id)
    assert await found(app, tenant.id, kept=kept) == [(1, "cut off at the end")]
    whole = await app.audit.verify(kept=kept)
    assert [fault.what for fault in whole.faults if fault.tenant_id == tenant.id] == ["cut off at the end"]


COPY = """
INSERT INTO audit_events SELECT tenant_id, gen_random_uuid(), now() + interval '1 hour', actor_type, actor_id, action, target_type,
    target_id, outcome, detail, ip, request_id, {}, hash FROM audit_events WHERE tenant_id = $1 AND seq = 8
"""


@pytest.mark.parametrize(
    ("seq", "expected"), [("9", (9, "changed")), ("10", (9, "missing")), ("NULL", (None, "outside the chain"))]
)
async def test_a_forged_event_is_found(app, tamper, chain, tenant, seq, expected):
    await tamper(COPY.format(seq), tenant.id)
    assert await found(app, tenant.id) == [expected]


@pytest.mark.parametrize("moved", ["seq", "seq and hash"])
async def test_two_events_that_changed_places_are_found(app, tamper, chain, tenant, moved):
    for before, after in ((3, 999), (6, 3), (999, 6)):
        await tamper("UPDATE audit_events SET seq = $3 WHERE tenant_id = $1 AND seq = $2", tenant.id, before, after)
    if moved == "seq and hash":
        for seq in (3, 6):
            await tamper(
                "UPDATE audit_events SET hash = $3 WHERE tenant_id = $1 AND seq = $2",
                tenant.id,
                seq,
                chain[seq - 1]["hash"],
            )
    assert await found(app, tenant.id) == [(3, "out of order")]


async def test_a_hash_made_anew_without_the_rest_is_found(app, tamper, chain, tenant):
    row = {**chain[4], "actor_id": "nobody", "detail": json.dumps(json.loads(chain[4]["detail"]))}
    made = digest(Entry(**row), chain[3]["hash"])
    await tamper(
        "UPDATE audit_events SET actor_id = 'nobody', hash = $2 WHERE tenant_id = $1 AND seq = 5", tenant.id, made
    )
    assert await found(app, tenant.id) == [(6, "changed")]


async def test_events_from_before_the_chain_stay_and_are_told_apart(app, tamper, tenant):
    await tamper(
        "INSERT INTO audit_events SELECT tenant_id, gen_random_uuid(), at - interval '1 day', actor_type, actor_id, action, "
        "target_type, target_id, outcome, detail, ip, request_id FROM audit_events WHERE tenant_id = $1",
        tenant.id,
    )
    await record(app, tenant.id)
    report = await app.audit.verify(tenant.id)
    assert (report.events, report.before_chain, report.faults) == (2, 1, [])


async def test_verifying_goes_page_by_page_and_tells_how_far_it_is(app, owner, tenant, monkeypatch):
    monkeypatch.setattr("hookvault.audit.verify._PAGE", 3)
    for number in range(9):
        await record(app, tenant.id, detail={"n": number})
    told = []
    report = await app.audit.verify(tenant.id, progress=told.append)
    assert (report.events, report.faults, told) == (10, [], [3, 3, 3, 1])
    every = [head.tenant_id async for head in app.audit.heads()]
    stored = [row["tenant_id"] for row in await owner("SELECT DISTINCT tenant_id FROM audit_events WHERE seq > 0")]
    assert sorted(every) == sorted(stored)
    assert len(every) == len(set(every)) > 3


async def test_all_events_are_listed_by_what_is_asked(app, tenant):
    for outcome in ("success", "denied", "failed"):
        await record(app, tenant.id, outcome=outcome)
    for which, expected in (
        (AuditFilter(tenant.id), ["failed", "denied", "success", "success"]),
        (AuditFilter(tenant.id, "thing.done"), ["failed", "denied", "success"]),
        (AuditFilter(tenant.id, "thing.done", "denied"), ["denied"]),
        (AuditFilter(tenant.id, "no.such"), []),
    ):
        outcomes, cursor = [], None
        while True:
            page = await app.audit.list_all(which, limit=2, cursor=cursor)
            outcomes += [event.outcome for event in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert outcomes == expected
    newest = (await app.audit.list_all(limit=200)).items
    assert [event.id for event in newest] == sorted((event.id for event in newest), reverse=True)


MANY = """
INSERT INTO audit_events (tenant_id, id, at, actor_type, actor_id, action, target_type, target_id, outcome)
SELECT CASE WHEN n % 1000 = 3 THEN 'x' ELSE 'y' || n % 7 END, gen_random_uuid(), now(), '',
    CASE WHEN n % 1000 = 4 THEN 'rare' ELSE '' END, CASE WHEN n % 1000 = 1 THEN 'x.y' ELSE 'a.b' END, '', '',
    CASE WHEN n % 1000 = 2 THEN 'denied' ELSE 'success' END
FROM generate_series(1, 20000) AS n
"""


async def test_lists_and_the_chain_are_served_by_indexes(owner, app, tenant):
    await record(app, tenant.id)
    connection = await asyncpg.connect(app.settings.database_url.get_secret_value())
    try:
        await connection.execute("BEGIN")
        await connection.execute(MANY)
        await connection.execute("ANALYZE audit_events")
        for condition, index in (
            ("true", "audit_events_newest"),
            ("action = 'x.y'", "audit_events_action"),
            ("outcome = 'denied'", "audit_events_outcome"),
            ("actor_id = 'rare'", "audit_events_actor"),
            ("tenant_id = 'y1'", "audit_events_pkey"),
        ):
            plan = await connection.fetch(
                f"EXPLAIN SELECT * FROM audit_events WHERE {condition} ORDER BY id DESC LIMIT 50"
            )
            assert index in str(plan), plan
        await connection.execute("ROLLBACK")
    finally:
        await connection.close()
