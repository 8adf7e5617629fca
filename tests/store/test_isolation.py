"""Row-level security, as the very roles that the service uses: with two database roles, and with settings in one."""

import asyncio
import secrets
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from hookvault.analytics.service import OutsideCall
from hookvault.db import embedded
from hookvault.db.migrate import migrate
from hookvault.db.pool import Database
from hookvault.deliveries.model import DeliveryFilter
from hookvault.errors import NotFoundError
from hookvault.ids import new_id
from hookvault.ledger.store import read_ledger
from hookvault.settings import Settings
from hookvault.webhooks.model import CallRequest
from hookvault.wiring import build
from n8n import N8n

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
PASSWORD = "only-for-this-cluster"
REFUSED = (asyncpg.InsufficientPrivilegeError,)


@dataclass
class Place:
    """A database with two tenants' rows, and how it is reached."""

    mode: str
    url: str
    owner_url: str
    database: Database
    a: str
    b: str
    webhook_a: UUID
    webhook_b: UUID

    async def as_owner(self, statement, *values):
        connection = await asyncpg.connect(self.owner_url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()


async def own_database(cluster_url, rights):
    """A database owned by a login role with these rights, and that role's URL."""
    name = f"own_{secrets.token_hex(5)}"
    connection = await asyncpg.connect(cluster_url)
    try:
        await connection.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER {rights} PASSWORD '{PASSWORD}'")
        await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    finally:
        await connection.close()
    host = cluster_url.partition("?")[2]
    return f"postgresql://{name}:{PASSWORD}@/{name}?{host}"


@pytest.fixture(scope="session", params=["roles", "settings"])
async def place(request, make_database, cluster_url, tmp_path_factory):
    owner_url = await make_database()
    url = owner_url
    if request.param == "settings":
        url = await own_database(cluster_url, "NOCREATEROLE NOBYPASSRLS")
        database_name = url.partition("@/")[2].partition("?")[0]
        owner_url = cluster_url.replace("/hookvault?", f"/{database_name}?")
    app = await build(Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path_factory.mktemp("own")))
    webhooks = []
    for tenant in ("acme", "beta"):
        await app.tenants.create_tenant(tenant, tenant_id=tenant)
        await app.integrations.create_tenant_integration(
            tenant, n8n_base_url="https://n8n.example.com/webhook", n8n_api_key=f"secret of {tenant}"
        )
        webhook = await app.webhooks.create_n8n_webhook(tenant, "order", webhook_url="https://n8n.example.com/w")
        await app.analytics.create_webhook_analytics(tenant, OutsideCall(webhook.id, success=True, response_time=5))
        await app.api_keys.create_api_key("key", tenant_id=tenant)
        webhooks.append(webhook.id)
    async with app.database.system() as tx:
        for tenant in ("acme", "beta"):
            for name in DELIVERING:
                await tx.execute(INSERTS[name], tenant)
    yield Place(request.param, url, owner_url, app.database, "acme", "beta", *webhooks)
    await app.close()


async def tenant_tables(place):
    rows = await place.as_owner(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1"
    )
    return [row["relname"] for row in rows]


async def whole_tables(place):
    """Without partitions, which a test names apart."""
    return [name for name in await tenant_tables(place) if not name.startswith(PARTITIONS) and name != PLATFORM_ONLY]


async def seen(place, tenant, statement):
    """What a tenant's transaction finds; nothing where its role has no rights at all, as on the ledger."""
    try:
        async with place.database.tenant(tenant) as tx:
            return await tx.fetch(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        assert place.mode == "roles"
        assert any(f"permission denied for table {name}" in str(error) for name in SYSTEM_ONLY), error
        return []


async def test_the_mode_is_what_the_owner_s_rights_allow(place):
    assert (await place.as_owner("SELECT value FROM hookvault_meta WHERE name = 'access'"))[0][0] == place.mode


async def test_every_table_with_a_tenant_is_behind_forced_policies_with_check(place):
    day = (datetime.now(UTC) + timedelta(days=400)).date()
    async with place.database.system() as tx:
        assert await tx.fetchval("SELECT hookvault_make_day($1)", day) is True
        assert await tx.fetchval("SELECT hookvault_make_day($1)", day) is False
    tables = await tenant_tables(place)
    for partition in PARTITIONS:
        assert f"{partition}{day:%Y%m%d}" in tables
        assert len([name for name in tables if name.startswith(partition)]) >= 9
    assert {"tenant_integrations", "n8n_webhooks", "n8n_webhook_counters", "webhook_analytics", "data_keys"} < {*tables}
    for name in [*tables, "tenants", "key_history", "platform_users", "delivery_clock"]:
        row = (await place.as_owner("SELECT * FROM pg_class WHERE oid = $1::text::regclass", name))[0]
        assert row["relrowsecurity"], name
        assert row["relforcerowsecurity"], name
        policies = await place.as_owner(
            "SELECT * FROM pg_policies WHERE tablename = $1 AND permissive = 'PERMISSIVE'", name
        )
        wanted = {"tenant_rows", "system_rows"} if name in tables or name == "tenants" else {"system_rows"}
        assert {policy["policyname"] for policy in policies} == wanted
        assert all(policy["with_check"] and policy["qual"] and policy["cmd"] == "ALL" for policy in policies), name
        for policy in policies:
            assert ("app.tenant_id" in policy["qual"]) == (policy["policyname"] == "tenant_rows")
            assert policy["qual"] == policy["with_check"]


async def test_the_service_s_roles_have_no_power_of_their_own(place):
    for kind in ("tenant", "system"):
        mint = place.database.tenant(place.a) if kind == "tenant" else place.database.system()
        async with mint as tx:
            row = await tx.fetchrow("SELECT * FROM pg_roles WHERE rolname = current_user")
            assert not (row["rolsuper"])
            assert not (row["rolbypassrls"])
            assert not (row["rolcreaterole"])
            assert not (row["rolcreatedb"])
            owned = await tx.fetchval(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace "
                "AND pg_get_userbyid(relowner) = current_user"
            )
            if place.mode == "roles":
                assert row["rolname"] == f"hookvault_{kind}"
                assert not row["rolcanlogin"]
                assert owned == 0


async def test_a_query_without_a_filter_sees_one_tenant_s_rows_only(place):
    for name in await whole_tables(place):
        statement = f"SELECT tenant_id FROM {name}"
        async with place.database.system() as tx:
            everybody = {row["tenant_id"] for row in await tx.fetch(statement)} - {"", None}
        assert everybody == {place.a, place.b}, name
        for tenant in (place.a, place.b):
            own = {tenant} if place.mode == "settings" or name not in SYSTEM_ONLY else set()
            assert {row["tenant_id"] for row in await seen(place, tenant, statement)} == own, name
    async with place.database.tenant(place.a) as tx:
        assert [row["id"] for row in await tx.fetch("SELECT id FROM tenants")] == [place.a]


async def test_a_tenant_that_is_not_there_sees_nothing(place):
    for tenant in ("", "nobody", "%", "acme' OR 'a'='a"):
        for name in [*await whole_tables(place), "tenants"]:
            assert await seen(place, tenant, f"SELECT 1 FROM {name}") == [], name


async def test_without_a_tenant_there_are_no_rows_and_no_inserts(place):
    """As the pool's connection is between two transactions: nothing named."""
    async with place.database._tenant_pool.acquire() as connection:
        for name in [*await whole_tables(place), "tenants"]:
            if place.mode == "settings" or name not in SYSTEM_ONLY:
                assert await connection.fetchval(f"SELECT count(*) FROM {name}") == 0, name
        for tenant in (place.a, "", "new"):
            with pytest.raises(REFUSED, match="row-level security"):
                await connection.execute(INSERTS["audit_events"].replace("$1", f"'{tenant}'"))


INSERTS = {
    "audit_events": "INSERT INTO audit_events (tenant_id, id, at, actor_type, actor_id, action, target_type, target_id, "
    "outcome) VALUES ($1, gen_random_uuid(), now(), '', '', '', '', '', 'success')",
    "n8n_webhook_counters": "INSERT INTO n8n_webhook_counters (tenant_id, webhook_id) VALUES ($1, gen_random_uuid())",
    "n8n_webhooks": "INSERT INTO n8n_webhooks (tenant_id, id, workflow_name, webhook_url, key_version, created_at, created_by, "
    "updated_at, updated_by) VALUES ($1, gen_random_uuid(), 'taken', 'https://x', 1, now(), '', now(), '')",
    "tenant_integrations": "INSERT INTO tenant_integrations (tenant_id, key_version, created_at, created_by, updated_at, "
    "updated_by) VALUES ($1, 1, now(), '', now(), '')",
    "webhook_analytics": "INSERT INTO webhook_analytics (tenant_id, id, webhook_id, timestamp, response_time, success) "
    "VALUES ($1, gen_random_uuid(), gen_random_uuid(), now(), 1, true)",
    "webhook_call_rollups": "INSERT INTO webhook_call_rollups VALUES ($1, gen_random_uuid(), now(), 1, 1, 0, 5, 5)",
    "webhook_call_spans": "INSERT INTO webhook_call_spans (tenant_id, webhook_id, span, start, total_calls, successful_calls, "
    "failed_calls, response_time_sum, response_time_max) VALUES ($1, gen_random_uuid(), 5, '2001-01-01', 1, 1, 0, 5, 5)",
    "webhook_spans_due": "INSERT INTO webhook_spans_due (tenant_id, span, start) VALUES ($1, 5, "
    "'2001-01-01'::timestamptz + random() * interval '300 days')",
    "data_keys": "INSERT INTO data_keys VALUES ($1, 9, 'x', 'x', 'decrypt_only', now())",
    "api_keys": "INSERT INTO api_keys (id, tenant_id, name, key_hash, hint, scopes, created_at, created_by) "
    "VALUES (gen_random_uuid(), $1, '', 'x', '', '{call}', now(), '')",
    "tenants": "INSERT INTO tenants VALUES ($1 || 'x', $1 || 'x', '', 'active', 1, now(), now())",
    "webhook_deliveries": "INSERT INTO webhook_deliveries (tenant_id, id, accepted_at, webhook_id, payload) "
    "VALUES ($1, gen_random_uuid(), now(), gen_random_uuid(), '1')",
    "delivery_queue": "INSERT INTO delivery_queue (tenant_id, id, accepted_at, webhook_id, ready, due_at) "
    "VALUES ($1, gen_random_uuid(), now(), gen_random_uuid(), false, 'infinity')",
    "delivery_ledger": "INSERT INTO delivery_ledger (tenant_id, id, accepted) VALUES ($1, gen_random_uuid(), 1)",
    "delivery_holds": "INSERT INTO delivery_holds (tenant_id, id, webhook_id, reason) "
    "VALUES ($1, gen_random_uuid(), gen_random_uuid(), 'webhook_inactive')",
    "idempotency_keys": "INSERT INTO idempotency_keys (tenant_id, key, request_hash, message_id, expires_at) "
    "VALUES ($1, gen_random_uuid()::text, '', gen_random_uuid(), now())",
    "call_tokens": "INSERT INTO call_tokens VALUES ($1, gen_random_uuid(), 1, now())",
    "call_slots": "INSERT INTO call_slots VALUES ($1, gen_random_uuid(), gen_random_uuid(), 1, now())",
    "delivery_replays": "INSERT INTO delivery_replays (tenant_id, id, filter, rate, total, after_at, after_id, created_at, "
    "created_by, updated_at, status) VALUES ($1, gen_random_uuid(), '{}', 1, 1, now(), gen_random_uuid(), now(), '', now(), "
    "'finished')",
    "key_jobs": "INSERT INTO key_jobs (id, tenant_id, state, started_at, started_by) "
    "VALUES (gen_random_uuid(), $1, 'finished', now(), '')",
    "shredded_tenants": "INSERT INTO shredded_tenants VALUES ($1, now(), '')",
    "secret_faults": "INSERT INTO secret_faults VALUES ($1, 'x', gen_random_uuid()::text, 'x', 'malformed', NULL, now())",
    "credential_versions": "INSERT INTO credential_versions (tenant_id, id, kind, provider, number, state, key_version, "
    "created_at, created_by) VALUES ($1, gen_random_uuid(), 'sms', 'twilio', 9, 'revoked', 1, now(), '')",
}
_MADE_ASIDE = (
    "webhook_del",
    "webhook_call_spans",
    "webhook_spans",
    "delivery_",
    "idempotency",
    "call_",
    "key_jobs",
    "shredded",
)
_MADE_ASIDE += ("secret_", "credential_")
DELIVERING = sorted(name for name in INSERTS if name.startswith(_MADE_ASIDE))
SYSTEM_ONLY = {
    "delivery_ledger",
    "call_tokens",
    "call_slots",
    "key_jobs",
    "shredded_tenants",
}  # a tenant's transaction has no rights on them at all
PLATFORM_ONLY = "user_totp"  # its tenant is `*`, which nobody can be
PARTITIONS = ("webhook_analytics_p", "webhook_deliveries_p")


async def test_rows_cannot_be_inserted_with_another_tenant_s_id(place):
    assert set(INSERTS) == {*await whole_tables(place), "tenants"}
    for name, statement in INSERTS.items():
        before = await place.as_owner(f"SELECT count(*) FROM {name}")
        with pytest.raises(REFUSED):
            async with place.database.tenant(place.a) as tx:
                await tx.execute(statement, place.b)
        assert await place.as_owner(f"SELECT count(*) FROM {name}") == before, name


async def test_no_tenant_sees_what_belongs_to_admins(place):
    tables = ("user_sessions", "user_totp", "user_recovery_codes", "user_invitations", "password_resets")
    user = "INSERT INTO platform_users VALUES ($1, $2, '', 'x', 'owner', false, now(), now())"
    identifier = UUID(int=secrets.randbits(128))
    async with place.database.system() as tx:
        await tx.execute(user, identifier, f"{identifier}@example.com")
        await tx.execute("INSERT INTO user_totp VALUES ('*', $1, 'x', 1, now())", identifier)
        with pytest.raises(asyncpg.CheckViolationError):
            async with place.database.system() as other:
                await other.execute("INSERT INTO user_totp VALUES ($2, $1, 'x', 1, now())", identifier, place.a)
    for tenant in (place.a, "", "*"):
        for table in (*tables, "login_attempts", "platform_users"):
            with suppress(*REFUSED) if place.mode == "roles" else nullcontext():
                async with place.database.tenant(tenant) as tx:
                    found = await tx.fetchval(f"SELECT count(*) FROM {table}")
                assert place.mode == "settings", table
                assert found <= ((tenant, table) == ("*", "user_totp")), table  # an id that no tenant can have
    async with place.database.system() as tx:
        await tx.execute("DELETE FROM platform_users WHERE id = $1", identifier)


async def test_a_tenant_may_insert_its_own_rows_where_the_service_does(place):
    """So that the refusals above are the other tenant's, not everybody's."""
    for name in ("audit_events", "n8n_webhook_counters", "n8n_webhooks", "delivery_holds", "idempotency_keys"):
        with suppress(ZeroDivisionError):
            async with place.database.tenant(place.a) as tx:
                assert await tx.execute(INSERTS[name], place.a) == 1
                raise ZeroDivisionError  # leave nothing behind


async def test_rows_cannot_be_moved_to_another_tenant(place):
    for name in await whole_tables(place):
        before = await place.as_owner(f"SELECT * FROM {name} ORDER BY {name}::text")
        with pytest.raises(REFUSED):
            async with place.database.tenant(place.a) as tx:
                changed = await tx.execute(f"UPDATE {name} SET tenant_id = $1", place.b)
                if changed == 0:
                    raise asyncpg.InsufficientPrivilegeError("nothing was there to change")
        assert await place.as_owner(f"SELECT * FROM {name} ORDER BY {name}::text") == before, name


async def test_updates_and_deletes_without_a_filter_reach_no_other_tenant(place):
    touching = {
        "tenants": "UPDATE tenants SET name = 'taken over'",
        "n8n_webhooks": "UPDATE n8n_webhooks SET webhook_url = 'https://evil'",
        "tenant_integrations": "DELETE FROM tenant_integrations",
        "api_keys": "DELETE FROM api_keys",
        "data_keys": "DELETE FROM data_keys",
        "webhook_analytics": "DELETE FROM webhook_analytics",
        "webhook_deliveries": "UPDATE webhook_deliveries SET status = 'failed', finished_at = now()",
        "delivery_queue": "DELETE FROM delivery_queue",
        "delivery_ledger": "UPDATE delivery_ledger SET accepted = 0",
        "delivery_holds": "UPDATE delivery_holds SET until = now()",
        "idempotency_keys": "DELETE FROM idempotency_keys",
        "delivery_replays": "UPDATE delivery_replays SET status = 'cancelled'",
        "secret_faults": "DELETE FROM secret_faults",
        "credential_versions": "UPDATE credential_versions SET state = 'revoked'",
        "shredded_tenants": "DELETE FROM shredded_tenants",
    }
    for name, statement in touching.items():
        column = "id" if name == "tenants" else "tenant_id"
        before = await place.as_owner(f"SELECT * FROM {name} WHERE {column} = $1", place.b)
        assert before
        with suppress(ZeroDivisionError, *REFUSED):
            async with place.database.tenant(place.a) as tx:
                await tx.execute(statement)
                theirs = await tx.fetchval(f"SELECT count(*) FROM {name} WHERE {column} = $1", place.b)
                assert theirs == 0
                raise ZeroDivisionError
        assert await place.as_owner(f"SELECT * FROM {name} WHERE {column} = $1", place.b) == before, name


async def test_two_tenants_taking_turns_on_one_connection_never_see_each_other(place):
    one = await Database.connect(place.url, tenant_connections=1, system_connections=1)
    try:
        seen = []

        async def look(tenant, fails):
            with suppress(ZeroDivisionError):
                async with one.tenant(tenant) as tx:
                    backend = await tx.fetchval("SELECT pg_backend_pid()")
                    await asyncio.sleep(0)
                    rows = await tx.fetch("SELECT DISTINCT tenant_id FROM n8n_webhooks")
                    seen.append((tenant, backend, [row["tenant_id"] for row in rows]))
                    if fails:
                        raise ZeroDivisionError

        turns = [look((place.a, place.b)[n % 2], fails=n % 3 == 0) for n in range(40)]
        await asyncio.wait_for(asyncio.gather(*turns), 30)
        assert len({backend for _, backend, _ in seen}) == 1
        assert len(seen) == 40
        assert all(found == [tenant] for tenant, _, found in seen)
        async with one._tenant_pool.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM n8n_webhooks") == 0
    finally:
        await one.close()


async def test_the_tenant_can_be_named_in_its_transaction_only(place):
    """A setting that outlived its transaction would hand one tenant's rows to the next."""
    one = await Database.connect(place.url, tenant_connections=1, system_connections=1)
    try:
        async with one.tenant(place.a) as tx:
            assert await tx.fetchval("SELECT count(*) FROM tenants") == 1
        async with one._tenant_pool.acquire() as connection:
            assert not await connection.fetchval("SELECT current_setting('app.tenant_id', true)")
    finally:
        await one.close()


@pytest.mark.parametrize("parent", ["webhook_analytics", "webhook_deliveries"])
async def test_partitions_asked_directly_show_nothing_more(place, parent):
    partition = f"{parent}_p{datetime.now(UTC):%Y%m%d}"
    if place.mode == "roles":
        for statement in (f"SELECT * FROM {partition}", f"DELETE FROM {partition}"):
            with pytest.raises(REFUSED):
                async with place.database.tenant(place.a) as tx:
                    await tx.execute(statement)
    else:
        async with place.database.tenant(place.a) as tx:
            rows = await tx.fetch(f"SELECT tenant_id FROM {partition}")
            assert {row["tenant_id"] for row in rows} == {place.a}
        with pytest.raises(REFUSED, match="row-level security"):
            async with place.database.tenant(place.a) as tx:
                await tx.execute(INSERTS[parent].replace(f"{parent} ", f"{partition} "), place.b)


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET outcome = 'failed'", "DELETE FROM audit_events"])
async def test_nobody_changes_or_deletes_audit_events(place, statement):
    before = await place.as_owner("SELECT * FROM audit_events ORDER BY id")
    assert before
    for mint in (lambda: place.database.tenant(place.a), place.database.system):
        with suppress(*REFUSED):
            async with mint() as tx:
                await tx.execute(statement)
    assert await place.as_owner("SELECT * FROM audit_events ORDER BY id") == before


async def test_nobody_rewrites_recorded_calls(place):
    """In the two-role mode; one role that owns its tables can't be kept from it. The system may remove: rows and payloads."""
    if place.mode == "roles":
        counted = "UPDATE webhook_analytics SET success = false"
        removed = (
            "DELETE FROM webhook_analytics",
            "UPDATE webhook_analytics SET expunged_at = now(), request_payload = NULL",
        )
        for mint, statement in [
            (place.database.system, counted),
            *((lambda: place.database.tenant(place.a), statement) for statement in (counted, *removed)),
        ]:
            with pytest.raises(REFUSED):
                async with mint() as tx:
                    await tx.execute(statement)


async def test_the_tenant_role_cannot_run_what_runs_as_the_owner(place):
    functions = await place.as_owner(
        "SELECT oid::regprocedure::text AS name, prosecdef, proconfig FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'hookvault%'"
    )
    definers = {row["name"]: row["proconfig"] for row in functions if row["prosecdef"]}
    assert set(definers) == {
        "hookvault_make_day(date)",
        "hookvault_drop_day(text,date)",
        "hookvault_in_the_way(text)",
        "hookvault_enqueue(text,text,text,jsonb)",
    }
    for configured in definers.values():
        assert any(setting.startswith("search_path=") and "pg_temp" in setting for setting in configured)
    if place.mode == "roles":
        for function in [*definers, "hookvault_protect(regclass,name)", "hookvault_grant(regclass,text,text)"]:
            for role in ("hookvault_tenant", "public"):
                allowed = await place.as_owner("SELECT has_function_privilege($1::name, $2, 'EXECUTE')", role, function)
                assert not allowed[0][0], (role, function)
        for call in (
            "hookvault_make_day(current_date + 900)",
            "hookvault_drop_day('webhook_analytics', current_date)",
            "hookvault_in_the_way('webhook_analytics')",
            f"hookvault_enqueue('{place.b}', 'order', '1')",
        ):
            with pytest.raises(REFUSED):
                async with place.database.tenant(place.a) as tx:
                    await tx.fetchval(f"SELECT {call}")
    assert await place.as_owner("SELECT count(*) FROM webhook_analytics") != 0


async def test_the_tenant_role_sees_nothing_of_the_platform(place):
    for name in ("platform_users", "key_history", "delivery_clock"):
        if place.mode == "roles":
            with pytest.raises(REFUSED):
                async with place.database.tenant(place.a) as tx:
                    await tx.fetch(f"SELECT * FROM {name}")
        else:
            async with place.database.tenant(place.a) as tx:
                assert await tx.fetch(f"SELECT * FROM {name}") == []
    async with place.database.tenant(place.a) as tx:
        assert await tx.fetch("SELECT * FROM audit_events WHERE tenant_id = ''") == []
        assert await tx.fetch("SELECT * FROM api_keys WHERE tenant_id IS NULL") == []


async def test_services_hold_tenants_apart_too(place, tmp_path):
    app = await build(Settings(database_url=place.url, encryption_key=KEY, hookvault_data_dir=tmp_path))
    try:
        for ask in (
            app.webhooks.get_n8n_webhook(place.a, place.webhook_b),
            app.webhooks.update_n8n_webhook(place.a, place.webhook_b, {"description": "mine"}),
            app.webhooks.rotate_signing_secret(place.a, place.webhook_b),
            app.webhooks.increment_webhook_stats(place.a, place.webhook_b, success=True),
            app.analytics.get_webhook_analytics(place.a, place.webhook_b),
            app.analytics.create_webhook_analytics(
                place.a, OutsideCall(place.webhook_b, success=True, response_time=1)
            ),
        ):
            with pytest.raises(NotFoundError) as caught:
                await ask
            assert caught.value.code == "webhook_not_found"
        theirs = (await app.analytics.get_webhook_analytics(place.b, place.webhook_b))[0]
        with pytest.raises(NotFoundError):
            await app.analytics.get_call(place.a, theirs.id)
        waiting = await app.webhooks.enqueue(place.b, "order", 1)
        for foreign in (app.deliveries.get_delivery(place.a, waiting), app.replays.replay(place.a, waiting)):
            with pytest.raises(NotFoundError) as caught:
                await foreign
            assert caught.value.code == "delivery_not_found"
        listed = await app.deliveries.list_deliveries(place.a, DeliveryFilter(webhook_id=place.webhook_b))
        assert listed.items == []
        await app.webhooks.delete_n8n_webhook(place.a, place.webhook_b)
        assert (await app.webhooks.get_n8n_webhook(place.b, place.webhook_b)).workflow_name == "order"
    finally:
        await app.close()


async def test_both_modes_serve_the_whole_story(place, tmp_path):
    """What the services do most, as whichever role they have: nothing is forbidden that they need."""
    app = await build(Settings(database_url=place.url, encryption_key=KEY, hookvault_data_dir=tmp_path))
    tenant = f"t{secrets.token_hex(4)}"
    try:
        await app.tenants.create_tenant("Story", tenant_id=tenant)
        webhook = await app.webhooks.create_n8n_webhook(tenant, "order", webhook_url="https://n8n.example.com/w")
        await app.webhooks.increment_webhook_stats(tenant, webhook.id, success=True)
        await app.analytics.create_webhook_analytics(tenant, OutsideCall(webhook.id, success=True, response_time=7))
        assert (await app.analytics.get_webhook_analytics_summary(tenant)).figures.total_calls == 1
        assert (await app.webhooks.get_n8n_webhook(tenant, webhook.id)).total_calls == 1
        await app.analytics.make_days()
        assert await app.analytics.delete_old_webhook_analytics(90) == 0
        await app.tenants.delete_tenant(tenant)
        assert next(event.action for event in (await app.audit.list_events(tenant)).items) == "tenant.deleted"
    finally:
        await app.close()


async def test_both_modes_deliver_and_keep_the_queue(place, tmp_path):
    app = await build(Settings(database_url=place.url, encryption_key=KEY, hookvault_data_dir=tmp_path))
    tenant = f"t{secrets.token_hex(4)}"
    await app.start()
    try:
        async with N8n() as n8n:
            await app.tenants.create_tenant("Story", tenant_id=tenant)
            policy = {"concurrency": 1, "rateLimit": {"calls": 100, "seconds": 1}}
            await app.webhooks.create_n8n_webhook(tenant, "order", webhook_url=n8n.url(), policy=policy)
            once = {"idempotency_key": "once", "ordering_key": "a"}
            made = await app.webhooks.enqueue(tenant, "order", {"n": 1}, **once)
            assert await app.webhooks.enqueue(tenant, "order", {"n": 1}, **once) == made
            async with asyncio.timeout(30):
                while (await app.deliveries.get_delivery(tenant, made)).delivery.status != "delivered":
                    await asyncio.sleep(0.01)
            again = await app.replays.start(tenant, DeliveryFilter(("delivered",)), rate=100)
            async with asyncio.timeout(30):
                while len(n8n.seen) < 2:
                    await asyncio.sleep(0.01)
            assert (await app.replays.get(tenant, again.id)).done == 1
            request = CallRequest(b"1", idempotency_key="call")
            assert [(await app.webhooks.call(tenant, "order", request)).replayed for _ in range(2)] == [False, True]
            await app.tenants.update_tenant(tenant, {"status": "suspended"})
            await app.upkeep.tick()
            await app.upkeep.tidy(90)
            await app.upkeep.sweep()
            await app.upkeep.retain(90)
            await app.limits.renew()
            await app.tenants.delete_tenant(tenant)
        async with asyncio.timeout(30):
            while (await place.as_owner("SELECT count(*) FROM delivery_queue WHERE tenant_id = $1", tenant))[0][0]:
                await asyncio.sleep(0.01)
        async with place.database.system() as tx:
            assert (await read_ledger(tx)).balance == 0
    finally:
        await app.close()


async def test_an_owner_who_may_make_roles_but_is_no_superuser_gets_two_roles(tmp_path):
    """As on managed servers; since PostgreSQL 16 whoever makes a role may not act as it until that is granted."""
    folder = tmp_path / "cluster"
    superuser = await asyncio.to_thread(embedded.ensure_running, folder)
    try:
        url = await own_database(superuser, "CREATEROLE NOBYPASSRLS")
        assert await migrate(url)
        database = await Database.connect(url)
        try:
            async with database.tenant("acme") as tx:
                assert await tx.fetchval("SELECT current_user") == "hookvault_tenant"
                assert await tx.fetch("SELECT * FROM tenants") == []
            async with database.system() as tx:
                assert await tx.fetchval("SELECT current_user") == "hookvault_system"
                assert await tx.fetchval("SELECT hookvault_make_day(current_date + 30)")
        finally:
            await database.close()
        other = await own_database(superuser, "NOCREATEROLE NOBYPASSRLS")  # the roles exist, but are not its own
        assert await migrate(other)
        await (await Database.connect(other)).close()
    finally:
        await asyncio.to_thread(embedded.destroy, folder)


async def test_ids_in_the_database_are_those_of_the_service(place):
    """The system role is for all tenants: what it writes for one is seen by that one."""
    identifier = new_id()
    async with place.database.system() as tx:
        await tx.execute(INSERTS["n8n_webhook_counters"].replace("gen_random_uuid()", "$2"), place.b, identifier)
    for tenant, count in ((place.a, 0), (place.b, 1)):
        async with place.database.tenant(tenant) as tx:
            found = await tx.fetchval("SELECT count(*) FROM n8n_webhook_counters WHERE webhook_id = $1", identifier)
            assert found == count
