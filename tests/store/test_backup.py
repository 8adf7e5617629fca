"""Backup, verify and restore, on real databases: all of it comes back, or nothing is touched."""

import asyncio
import json
import resource
import secrets
import stat
from contextlib import contextmanager

import asyncpg
import pytest
from test_isolation import INSERTS, own_database
from vaulted import WEIRD, WHO, A, B, C, connected, content, everything, fill, fresh, put_back, ring, save, services

from canary import MARK, pictures
from hookvault.custody import restore
from hookvault.custody.archive import Reader
from hookvault.custody.rows import read_rows
from hookvault.custody.verify import require_keys, verify
from hookvault.db.content import EMPTIED, KEPT, SAVED
from hookvault.db.migrate import migrate
from hookvault.db.snapshot import snapshot
from hookvault.errors import ConflictError, HookvaultError, SetupError, UnavailableError, WrongKeyError
from hookvault.ledger.store import read_ledger
from hookvault.vault.keys import MasterKey
from hookvault.webhooks.model import CallRequest

# What a restore writes itself, beside the backup's rows.
ADDED = ("audit_events", "backups", "delivery_queue", "key_history")


class Source:
    """A database with something in every table, and a backup of it."""

    def __init__(self, url, superuser, folder):
        self.url, self.superuser, self.path = url, superuser, fresh(folder)

    async def make(self, folder):
        async with services(self.url, folder) as app:
            await fill(app, INSERTS, self.superuser)
            self.before = await content(self.superuser)
            self.made = await save(app, self.url, self.path)
        return self


@pytest.fixture(scope="module")
async def saved(make_database, tmp_path_factory):
    """Access is separated by two roles, as the owner's rights allow."""
    url, folder = await make_database(), tmp_path_factory.mktemp("saved")
    await migrate(url)
    return await Source(url, url, folder).make(folder)


@pytest.fixture(scope="module")
async def powerless(cluster_url, tmp_path_factory):
    """Access is separated by settings in one role, which may do nothing else."""
    (url, superuser), folder = await own_empty(cluster_url), tmp_path_factory.mktemp("powerless")
    return await Source(url, superuser, folder).make(folder)


@pytest.fixture(params=["saved", "powerless"])
def source(request):
    """By both ways to separate access."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
async def template(make_database):
    url = await make_database()
    await migrate(url)
    return url.partition("@/")[2].partition("?")[0]


@pytest.fixture
async def empty(template, cluster_url):
    name = f"test_{secrets.token_hex(6)}"
    async with connected(cluster_url) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return cluster_url.replace("/hookvault?", f"/{name}?")


async def own_empty(cluster_url):
    """Of an owner without any power, so that access goes by settings."""
    url = await own_database(cluster_url, "NOCREATEROLE NOBYPASSRLS")
    await migrate(url)
    return url, cluster_url.replace("/hookvault?", f"/{url.partition('@/')[2].partition('?')[0]}?")


async def test_the_list_of_tables_is_that_of_the_schema(source):
    async with connected(source.superuser) as connection:
        rows = await connection.fetch(
            "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition AND relrowsecurity"
        )
    assert {row[0] for row in rows} == {*SAVED, *KEPT, *EMPTIED}, "a new table belongs in db/content.py"
    assert {table for table, rows in source.before.items() if not rows} <= {"backups", "shredded_tenants"}


async def test_every_row_is_in_the_file(source):
    with Reader(source.path) as reader:
        rows = {
            section.name: sum(1 for _ in read_rows(section.chunks, section.columns)) for section in reader.sections()
        }
        manifest, _ = reader.finish()
    assert rows == {table: len(rows) for table, rows in source.before.items()}
    assert rows == {entry.name: entry.rows for entry in manifest.tables}
    assert sum(rows.values()) == source.made.rows == reader.header.rows
    assert reader.header.needed == source.made.needs == [MasterKey(A).fingerprint]


async def test_verify_opens_every_secret_without_a_database(saved):
    report = verify(saved.path, ring(A))
    assert report.authentic is True
    assert report.missing == []
    # Of each tenant: n8n's key, two of Twilio; a token, a signing secret and a header. And one second factor.
    assert (report.secrets.total, report.secrets.opened) == (13, 13)
    locked = verify(saved.path, ring(B))
    assert (locked.authentic, locked.secrets.locked, locked.missing) == (None, 13, [MasterKey(A).fingerprint])
    with pytest.raises(WrongKeyError) as caught:
        require_keys(locked)
    assert MasterKey(A).fingerprint in caught.value.message
    assert MasterKey(B).fingerprint in caught.value.message
    none = verify(saved.path, None)
    assert (none.authentic, none.held, none.secrets.locked) == (None, (), 13)


async def test_no_secret_is_in_the_file_and_nobody_else_may_read_it(saved):
    assert stat.S_IMODE(saved.path.stat().st_mode) == 0o600
    with Reader(saved.path) as reader:
        text = b"".join(chunk for section in reader.sections() for chunk in section.chunks).decode("utf-8", "replace")
        assert reader.finish()[0].rows > 50
    assert "n8n.example.com" in text
    assert [picture for picture in pictures(MARK) if picture in text] == []


@pytest.mark.parametrize("mode", ["roles", "settings"])
async def test_all_of_it_comes_back_into_an_empty_installation(source, mode, empty, cluster_url, tmp_path):
    """Also where access is separated the other way."""
    url, superuser = (empty, empty) if mode == "roles" else await own_empty(cluster_url)
    done = await put_back(url, source.path, ring(A))
    assert (done.rows, done.rewrapped, done.shredded) == (source.made.rows, 0, 0)
    after = await content(superuser)
    for table in set(SAVED) - set(ADDED):
        assert after[table] == source.before[table], table
    assert set(source.before["audit_events"]) < set(after["audit_events"])
    async with connected(superuser) as connection:
        queue = "SELECT count(*) FILTER (WHERE leased_by IS NULL AND ready), count(*), max(seq) FROM delivery_queue"
        assert tuple(await connection.fetchrow(queue))[1] == len(source.before["delivery_queue"])
        assert await connection.fetchval("SELECT count(*) FROM delivery_queue WHERE leased_by IS NOT NULL") == 0
        for table in EMPTIED:  # nobody is signed in again, and no link works again
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, table
        assert await connection.fetchval(
            "SELECT bool_and(relrowsecurity AND relforcerowsecurity) FROM pg_class WHERE relname = ANY($1)", SAVED
        )
        last = await connection.fetchval("SELECT max(seq) FROM delivery_queue")
        (event,) = await connection.fetch("SELECT * FROM audit_events WHERE action = 'backup.restored'")
        assert (event["tenant_id"], event["actor_id"], event["target_id"]) == ("", "tester", source.made.id)
        (listed,) = await connection.fetch("SELECT * FROM backups")
        assert (str(listed["id"]), listed["fingerprints"]) == (source.made.id, source.made.needs)
        assert (
            await connection.fetchval("SELECT state FROM key_history WHERE fingerprint = 'mk_0000000000000000'")
            == "retired"
        )
    async with services(url, tmp_path) as app:  # and the service goes on with it
        config = await app.integrations.open_config("acme", "sms")
        assert MARK in config["authToken"].open()
        await app.deliveries.enqueue("acme", "order", CallRequest(b"1"))
        async with app.database.system() as tx:
            assert (await read_ledger(tx)).balance == 0
            assert await tx.fetchval("SELECT max(seq) FROM delivery_queue") == last + 1
        tenant = await app.tenants.get_tenant("beta")
        assert tenant.name == WEIRD
        again = fresh(tmp_path)
        await save(app, url, again)
    assert verify(again, ring(A)).secrets.opened == 13


async def test_it_replaces_all_that_a_used_installation_has(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
        await app.tenants.create_tenant("Same id, other data", tenant_id="acme")
        await app.integrations.create_tenant_integration(
            "acme", n8n_base_url="https://x.example.com", n8n_api_key="of another"
        )
        await app.webhooks.create_n8n_webhook("other", "order", webhook_url="https://n8n.example.com/w")
        await app.deliveries.enqueue("other", "order", CallRequest(b"1"))
    async with connected(empty) as connection:
        for host, age in (("here", "14 s"), ("dead", "20 s")):
            values = f"gen_random_uuid(), 'serve', '{host}', '{{x}}', now(), now() - interval '{age}'"
            await connection.execute(f"INSERT INTO key_holders VALUES ({values})")
    keys = ring(A)
    plan = await restore.prepare(empty, keys, saved.path, verify(saved.path, keys))
    assert plan.replaces["tenants"] == 2
    assert plan.living == ["serve at here"]
    done = await restore.restore(empty, keys, plan, actor=WHO)
    assert done.replaced == sum(plan.replaces.values())
    after = await content(empty)
    for table in set(SAVED) - set(ADDED):
        assert after[table] == saved.before[table], table
    async with services(empty, tmp_path) as app:
        assert MARK in (await app.integrations.open_config("acme", "sms"))["authToken"].open()
        assert {tenant.id for tenant in (await app.tenants.list_tenants()).items} == {"acme", "beta"}


async def test_a_dry_run_does_all_of_it_and_leaves_nothing(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    before = await everything(empty)
    done = await put_back(empty, saved.path, ring(A), dry_run=True)
    assert done.rows == saved.made.rows
    assert await everything(empty) == before


@pytest.mark.parametrize("used", [False, True])
async def test_across_a_rotation_its_data_keys_are_rewrapped(saved, empty, tmp_path, used):
    """Made under A; the installation goes by B, and holds A as ENCRYPTION_KEY_PREVIOUS."""
    if used:
        async with services(empty, tmp_path, B) as app:
            await app.tenants.create_tenant("Other", tenant_id="other")
    done = await put_back(empty, saved.path, ring(B, previous=A))
    assert (done.key, done.rewrapped) == (MasterKey(B).fingerprint, 3)
    async with connected(empty) as connection:
        states = dict(await connection.fetch("SELECT fingerprint, state FROM key_history"))
        wraps = {row[0] for row in await connection.fetch("SELECT DISTINCT key_fingerprint FROM data_keys")}
    assert states == {
        MasterKey(A).fingerprint: "previous",
        MasterKey(B).fingerprint: "active",
        "mk_0000000000000000": "retired",
    }
    assert wraps == {MasterKey(B).fingerprint}
    async with services(empty, tmp_path, B) as app:  # B alone is enough from now on
        assert MARK in (await app.integrations.open_config("acme", "sms"))["authToken"].open()


async def test_half_way_through_a_rotation_the_database_s_own_key_stays(saved, empty, tmp_path):
    """Its other processes hold A; ours has B as the current one already."""
    async with services(empty, tmp_path, A) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    done = await put_back(empty, saved.path, ring(B, previous=A))
    assert (done.key, done.rewrapped) == (MasterKey(A).fingerprint, 0)


async def test_a_key_that_is_not_held_stops_it_before_anything_is_touched(saved, empty, tmp_path):
    async with services(empty, tmp_path, B) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    before = await everything(empty)
    for keys, needed in ((ring(B), A), (ring(C), A), (ring(A), B), (ring(A, previous=C), B)):
        with pytest.raises(WrongKeyError) as caught:
            await put_back(empty, saved.path, keys)
        assert MasterKey(needed).fingerprint in caught.value.message
        assert keys.current.fingerprint in caught.value.message
        assert "Nothing was changed" in caught.value.message
        assert A not in caught.value.message
    assert await everything(empty) == before


@pytest.mark.parametrize("later", [True, False])
async def test_an_old_backup_does_not_bring_a_shredded_tenant_s_keys_back(saved, empty, tmp_path, later):
    """Under a newer key as well. A tombstone from before the tenant's keys were made destroys nothing."""
    async with services(empty, tmp_path, B):
        pass
    async with connected(empty) as connection:
        moment = "now()" if later else "'2020-01-01'"
        await connection.execute(f"INSERT INTO shredded_tenants VALUES ('acme', {moment}, 'cli:ann')")
    done = await put_back(empty, saved.path, ring(B, previous=A))
    assert (done.shredded, done.rewrapped) == ((1, 2) if later else (0, 3))
    async with connected(empty) as connection:
        keys = {row["tenant_id"]: row for row in await connection.fetch("SELECT * FROM data_keys ORDER BY version")}
        first = {row["tenant_id"]: row for row in await connection.fetch("SELECT * FROM data_keys WHERE version = 1")}
        assert await connection.fetchval("SELECT shredded_by FROM shredded_tenants") == "cli:ann"
    if later:
        assert (keys["acme"]["state"], keys["acme"]["version"]) == ("active", 2)
    assert (first["acme"]["state"], first["acme"]["wrapped"] == "") == (
        ("destroyed", True) if later else ("active", False)
    )
    assert keys["beta"]["key_fingerprint"] == MasterKey(B).fingerprint
    async with services(empty, tmp_path, B) as app:
        assert MARK in (await app.integrations.open_config("beta", "sms"))["authToken"].open()
        if later:
            with pytest.raises(HookvaultError):
                await app.integrations.open_config("acme", "sms")
        path = fresh(tmp_path)
        await save(app, empty, path)
    report = verify(path, ring(B))
    assert report.manifest.tombstones == 1
    assert (report.secrets.opened, report.secrets.shredded) == ((7, 6) if later else (13, 0))


async def test_a_shredded_tenant_keeps_what_it_was_given_afterwards(empty, make_database, tmp_path):
    """Shredding gives a new data key in the same moment: a backup from after it is whole, wherever it is restored."""
    other = await make_database()
    await migrate(other)
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Acme", tenant_id="acme")
        address = "https://x.example.com"
        await app.integrations.create_tenant_integration("acme", n8n_base_url=address, n8n_api_key="the first of them")
        before, after = fresh(tmp_path, "before"), fresh(tmp_path, "after")
        await save(app, empty, before)
        await app.keys.shred("acme")
        again = {"n8n_base_url": address, "n8n_api_key": "the second of them"}
        await app.integrations.update_tenant_integration("acme", **again)
        await save(app, empty, after)
    for url in (empty, other):
        assert (await put_back(url, after, ring(A))).shredded == 0
        async with services(url, tmp_path) as app:
            assert (await app.integrations.open_config("acme", "n8n"))["apiKey"].open() == "the second of them"
        assert (await put_back(url, before, ring(A))).shredded == 1
        async with services(url, tmp_path) as app:
            with pytest.raises(HookvaultError):
                await app.integrations.open_config("acme", "n8n")
            shown = await app.integrations.get_tenant_integration("acme")
            assert "them" not in repr(shown)
            await app.integrations.update_tenant_integration("acme", **again)
            assert (await app.integrations.open_config("acme", "n8n"))["apiKey"].open() == "the second of them"


async def test_tombstones_and_keys_of_both_sides_are_known_afterwards(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        async with connected(empty) as connection:
            await connection.execute("INSERT INTO shredded_tenants VALUES ('gone', now(), 'x')")
            await connection.execute("INSERT INTO key_history VALUES ('mk_1111111111111111', 'previous', now())")
            await connection.execute("UPDATE key_history SET first_seen_at = '2020-01-01' WHERE state = 'active'")
        older = fresh(tmp_path)
        await save(app, empty, older)
    await put_back(empty, saved.path, ring(A))
    async with connected(empty) as connection:
        assert [row[0] for row in await connection.fetch("SELECT tenant_id FROM shredded_tenants")] == ["gone"]
        known = {row["fingerprint"]: row for row in await connection.fetch("SELECT * FROM key_history")}
        assert known.keys() == {"mk_0000000000000000", "mk_1111111111111111", MasterKey(A).fingerprint}
        assert known[MasterKey(A).fingerprint]["first_seen_at"].year == 2020
        assert known[MasterKey(A).fingerprint]["state"] == "active"
        files = {row[0] for row in await connection.fetch("SELECT file_name FROM backups")}
    assert files == {older.name, saved.path.name}


async def test_while_others_write_it_is_one_moment(empty, make_database, tmp_path):
    """Deliveries are accepted all the while: the account of what was saved balances, and the writers were not stopped."""
    target = await make_database()
    await migrate(target)
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Acme", tenant_id="acme")
        await app.webhooks.create_n8n_webhook("acme", "order", webhook_url="https://n8n.example.com/w")
        done, sent = asyncio.Event(), 0

        async def write():
            nonlocal sent
            while not done.is_set():
                await app.deliveries.enqueue("acme", "order", CallRequest(b"1"))
                sent += 1

        writers = [asyncio.create_task(write()) for _ in range(4)]
        try:
            while sent < 50:
                await asyncio.sleep(0.01)
            paths, before = [fresh(tmp_path) for _ in range(3)], sent
            for path in paths:
                await save(app, empty, path)
            assert sent > before
        finally:
            done.set()
            await asyncio.gather(*writers)
    counts = []
    for path in paths:
        await put_back(target, path, ring(A))
        async with services(target, tmp_path) as app, app.database.system() as tx:
            ledger = await read_ledger(tx)
            assert ledger.balance == 0
            counts.append(ledger.accepted)
            assert await tx.fetchval("SELECT count(*) FROM webhook_deliveries") == ledger.accepted
    assert 50 <= counts[0] <= counts[1] <= counts[2] <= sent


async def test_a_snapshot_is_not_changed_by_what_is_committed_after_it(empty, tmp_path):
    async with services(empty, tmp_path) as app, snapshot(empty) as one:
        await app.tenants.create_tenant("Late", tenant_id="late")
        seen = []

        async def sink(data):
            seen.append(data)

        await one.copy("tenants", sink)
    assert b"".join(seen) == b""


async def test_a_day_can_not_be_dropped_under_a_snapshot(empty):
    async with connected(empty) as connection, snapshot(empty):
        await connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await connection.execute("SELECT hookvault_drop_day('webhook_analytics', current_date)")
    async with connected(empty) as connection:
        await connection.execute("SELECT hookvault_drop_day('webhook_analytics', current_date)")


async def test_tables_of_others_that_refer_to_ours_are_not_emptied_with_them(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    async with connected(empty) as connection:
        await connection.execute("CREATE TABLE of_somebody_else (tenant text REFERENCES tenants)")
    before = await everything(empty)
    with pytest.raises(ConflictError) as caught:
        await put_back(empty, saved.path, ring(A))
    assert caught.value.code == "table_referenced"
    assert await everything(empty) == before


@pytest.mark.parametrize(
    "statement",
    [
        "DROP POLICY system_rows ON {}",
        "ALTER POLICY system_rows ON {} USING (random() < 2 AND key_version > 1)",
        "CREATE POLICY hidden ON {} AS RESTRICTIVE FOR SELECT USING (key_version > 1)",
        "CREATE POLICY hidden ON {} AS RESTRICTIVE USING (true)",
    ],
)
@pytest.mark.parametrize("mode", ["roles", "settings"])
async def test_where_policies_could_hide_rows_nothing_is_written(empty, cluster_url, tmp_path, statement, mode):
    """A dump under row-level security leaves rows out without a word: it must refuse instead."""
    url, superuser = (empty, empty) if mode == "roles" else await own_empty(cluster_url)
    async with services(url, tmp_path) as app:
        await app.tenants.create_tenant("Acme", tenant_id="acme")
        async with connected(superuser) as connection:
            await connection.execute(statement.format("tenant_integrations"))
        path = fresh(tmp_path)
        with pytest.raises(UnavailableError) as caught:
            await save(app, url, path)
    assert caught.value.code == "backup_incomplete"
    assert "table tenant_integrations" in caught.value.message
    assert list(tmp_path.glob("*.hvb*")) == []


async def test_a_table_that_this_version_does_not_know_is_not_left_out_in_silence(empty, tmp_path):
    async with connected(empty) as connection:
        await connection.execute("CREATE TABLE later (tenant_id text)")
        await connection.execute("CREATE TABLE of_somebody_else (id int)")
        async with services(empty, tmp_path) as app:
            await save(app, empty, fresh(tmp_path))
            await connection.execute("SELECT hookvault_protect('later', 'tenant_id')")
            with pytest.raises(UnavailableError) as caught:
                await save(app, empty, fresh(tmp_path))
    assert caught.value.code == "backup_incomplete"
    assert "table later" in caught.value.message


async def test_a_backup_of_an_older_schema_fills_what_it_has(saved, make_database, tmp_path):
    """Columns and days that it lacks get their defaults; what the database lacks is refused by name."""
    older, target = await make_database(), await make_database()
    await migrate(older)
    await migrate(target)
    async with services(older, tmp_path) as app:
        await app.tenants.create_tenant("Acme", tenant_id="acme")
        async with connected(older) as connection:
            await connection.execute("ALTER TABLE tenants DROP COLUMN concurrency")
            await connection.execute("ALTER TABLE n8n_webhooks DROP COLUMN description")
            await connection.execute("UPDATE alembic_version SET version_num = '0002'")
        path = fresh(tmp_path)
        await save(app, older, path)
    assert verify(path, ring(A)).header.revision == "0002"
    await put_back(target, path, ring(A))
    async with connected(target) as connection:
        assert tuple(await connection.fetchrow("SELECT id, concurrency FROM tenants")) == ("acme", None)
        await connection.execute("ALTER TABLE n8n_webhooks DROP COLUMN description")
    before = await everything(target)
    with pytest.raises(ConflictError) as caught:
        await put_back(target, saved.path, ring(A))
    assert caught.value.code == "schema_differs"
    assert "n8n_webhooks.description" in caught.value.message
    assert await everything(target) == before


async def test_rows_that_the_database_refuses_change_nothing_and_are_not_shown(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    async with connected(empty) as connection:
        await connection.execute("ALTER TABLE tenants ADD CONSTRAINT other CHECK (id <> 'beta')")
    before = await everything(empty)
    with pytest.raises(HookvaultError) as caught:
        await put_back(empty, saved.path, ring(A))
    assert caught.value.code == "rows_refused"
    assert "beta" not in caught.value.message
    assert await everything(empty) == before


async def test_a_busy_database_is_left_alone(saved, empty, tmp_path):
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
    async with connected(empty) as other, other.transaction():
        await other.execute("SELECT * FROM tenants")
        with pytest.raises(UnavailableError) as caught:
            await put_back(empty, saved.path, ring(A))
    assert caught.value.code == "database_busy"
    async with connected(empty) as connection:
        assert await connection.fetchval("SELECT id FROM tenants") == "other"


async def test_a_file_that_changes_after_it_was_checked_changes_nothing(saved, empty, tmp_path):
    """Each of the two is a whole backup; what was checked is not what is read."""
    async with services(empty, tmp_path) as app:
        await app.tenants.create_tenant("Other", tenant_id="other")
        path = fresh(tmp_path)
        await save(app, empty, path)
    keys = ring(A)
    plan = await restore.prepare(empty, keys, path, verify(path, keys))
    before = await everything(empty)
    for data in (saved.path.read_bytes(), path.read_bytes()[:-300], path.read_bytes()[:9000] + b"x" * 30):
        path.write_bytes(data)
        with pytest.raises(HookvaultError) as caught:
            await restore.restore(empty, keys, plan, actor=WHO)
        assert caught.value.code.startswith("backup_")
        assert await everything(empty) == before


async def test_an_existing_file_is_not_written_over(empty, tmp_path):
    async with services(empty, tmp_path) as app:
        path = fresh(tmp_path)
        path.write_text("mine")
        with pytest.raises(ConflictError, match="exists already"):
            await save(app, empty, path)
        assert path.read_text() == "mine"
        part = path.with_name("new.part")
        part.write_text("of another")
        with pytest.raises(ConflictError, match=r"new\.part exists already"):
            await save(app, empty, path.with_name("new"))
        assert part.read_text() == "of another"
        with pytest.raises(SetupError) as caught:
            await save(app, empty, tmp_path / "nowhere" / "file")
        assert caught.value.code == "file_unusable"


@contextmanager
def room_for(size):
    """No file may grow larger, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 3000])
async def test_a_full_disk_leaves_nothing_behind_and_the_database_in_order(source, tmp_path, size):
    async with services(source.url, tmp_path) as app:
        path = fresh(tmp_path)
        with pytest.raises(SetupError) as caught, room_for(size):
            await save(app, source.url, path)
        assert caught.value.code == "disk_full"
        assert str(path) in caught.value.message
        assert list(tmp_path.glob("*.hvb*")) == []
        async with connected(source.superuser) as connection:
            open_ones = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            )
            assert await connection.fetchval(open_ones) == 0
            count = await connection.fetchval("SELECT count(*) FROM backups")
        await save(app, source.url, path)
    assert verify(path, ring(A)).secrets.opened == 13
    async with connected(source.superuser) as connection:
        assert await connection.fetchval("SELECT count(*) FROM backups") == count + 1


async def test_a_disk_that_fills_up_in_the_middle_of_a_table(empty, tmp_path):
    async with services(empty, tmp_path) as app:
        async with connected(empty) as connection:
            await connection.execute(
                "INSERT INTO secret_faults SELECT 'acme', 'x', n || md5(random()::text) || md5(random()::text), 'x', "
                "'malformed', NULL, now() FROM generate_series(1, 100000) n"
            )
        path = fresh(tmp_path)
        with pytest.raises(SetupError) as caught, room_for(2_000_000):
            await save(app, empty, path)
        assert caught.value.code == "disk_full"
        assert list(tmp_path.glob("*.hvb*")) == []
        made = await save(app, empty, path)
        assert made.bytes > 2_000_000
    assert verify(path, ring(A)).manifest.rows == made.rows > 100_000


async def test_everybody_hears_of_a_restore(saved, empty, tmp_path):
    heard = asyncio.Queue()
    async with connected(empty) as connection:
        await connection.add_listener("hookvault_changes", lambda *words: heard.put_nowait(words[2:]))
        await put_back(empty, saved.path, ring(A))
        found = set()
        async with asyncio.timeout(30):
            while ("hookvault_changes", "") not in found:
                found.add(await heard.get())


async def test_what_the_audit_log_says_of_a_backup(saved):
    async with connected(saved.superuser) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM audit_events WHERE action = 'backup.created' AND target_id = $1", saved.made.id
        )
        listed = await connection.fetchrow("SELECT * FROM backups WHERE id = $1", saved.made.id)
    assert json.loads(row["detail"]) == {
        "file": saved.path.name,
        "bytes": saved.path.stat().st_size,
        "rows": saved.made.rows,
        "keys": saved.made.needs,
    }
    assert (listed["rows"], listed["bytes"]) == (saved.made.rows, saved.made.bytes)


async def test_what_postgres_writes_is_read_as_it_was(empty):
    texts = [WEIRD, "", "\\", "\\\\N", "\\N", "\\.", "a\tb", "".join(map(chr, range(1, 300)))]
    async with connected(empty) as connection:
        chunks = []

        async def sink(data):
            chunks.extend(bytes([byte]) for byte in data)  # a row over many chunks

        statement = "SELECT n, t FROM unnest($1::text[]) WITH ORDINALITY AS u (t, n) UNION ALL SELECT 99, NULL"
        await connection.copy_from_query(statement, texts, output=sink)
    rows = list(read_rows(chunks, ["n", "t"]))
    assert [row["t"] for row in rows] == [*texts, None]


async def test_an_api_key_that_was_revoked_since_stays_revoked(empty, tmp_path):
    async with services(empty, tmp_path) as app:
        revoked, kept = [await app.api_keys.create_api_key("x") for _ in range(2)]
        path = fresh(tmp_path)
        await save(app, empty, path)
        await app.api_keys.revoke_api_key(revoked.key.id)
    await put_back(empty, path, ring(A))
    async with services(empty, tmp_path) as app:
        keys = {key.id: key.revoked_at for key in (await app.api_keys.list_api_keys()).items}
        assert keys[revoked.key.id] is not None
        assert keys[kept.key.id] is None
