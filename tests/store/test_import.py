"""The import of a former system's database: everything sealed anew, each loss told, a second run changes nothing."""

import secrets
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest

from canary import planted
from hookvault.audit.model import Actor
from hookvault.custody.intake.model import LOST
from hookvault.custody.intake.service import MESSAGES, Intake
from hookvault.custody.intake.store import opened_source
from hookvault.custody.intake.unseal import Opener
from hookvault.errors import HookvaultError, NotFoundError
from hookvault.outbound.guard import AddressPolicy
from hookvault.vault import Secret, encrypt
from hookvault.vault.cipher import is_ciphertext
from legacy import KEY, PRISMA, TABLES, OldSystem

CLI = Actor("cli", "tester")
OTHER_KEY = "c0de" * 16


@pytest.fixture
async def old(make_database):
    made = OldSystem(await make_database())
    await made.run(TABLES)
    return made


@pytest.fixture
def name():
    """A tenant id of this test's own."""
    return f"t-{secrets.token_hex(5)}"


@pytest.fixture
def load(app):
    async def run(source, *, dry_run=False, key=KEY, allow_http=False, advance=lambda: None):
        async with opened_source(source if isinstance(source, str) else source.url) as opened:
            intake = Intake(
                app.tenants,
                app.integrations,
                app.webhooks,
                policy=AddressPolicy(allow_http=allow_http, allowed_networks=()),
                opener=Opener(Secret(key)),
                actor=CLI,
                dry_run=dry_run,
                advance=advance,
            )
            return await intake.run(opened)

    return run


def told(report):
    return [(entry.what, entry.result, entry.reason) for entry in report.entries]


def whole(result):
    """What a report says of a tenant as `OldSystem.fill` makes it."""
    parts = ["tenant", "n8n", "whatsapp", "sms", "webhook order", "webhook ContactForm"]
    return [(part, result, None) for part in parts]


async def opened(app, tenant_id, kind):
    values = await app.integrations.open_config(tenant_id, kind)
    return {name: value if isinstance(value, str) else value.open() for name, value in values.items()}


async def rows_of(owner, tenant_id):
    """All that the database holds of a tenant."""
    tables = ("tenants", "tenant_integrations", "n8n_webhooks", "n8n_webhook_counters", "data_keys", "audit_events")
    return {
        table: sorted(
            str(row["t"])
            for row in await owner(
                f"SELECT t::text AS t FROM {table} t WHERE {'id' if table == 'tenants' else 'tenant_id'} = $1",
                tenant_id,
            )
        )
        for table in tables
    }


async def test_everything_is_taken_over_and_sealed_anew(app, owner, old, load, name):
    known, before = await old.fill(name), await old.dump()
    report = await load(old)
    assert told(report) == whole("imported")
    assert (report.complete, report.opened, report.key_in_doubt) == (True, 6, False)
    assert await opened(app, name, "n8n") == {"baseUrl": "https://n8n.example.com/webhook", "apiKey": known["n8n"]}
    whatsapp = await opened(app, name, "whatsapp")
    assert (whatsapp["accessToken"], whatsapp["webhookVerifyToken"]) == (known["whatsapp"], known["verify"])
    sms = await opened(app, name, "sms")
    assert (sms["accountSid"], sms["authToken"], sms["provider"]) == (known["sid"], known["auth"], "twilio")
    shown = await app.integrations.get_tenant_integration(name)
    assert (shown.whatsapp.enabled, shown.sms.enabled, shown.n8n.enabled) == (True, False, True)
    endpoint = await app.webhooks._endpoints.find(name, "order")
    assert endpoint.auth_token.open() == known["token"]
    order, contact = [await app.webhooks.get_n8n_webhook_by_name(name, each) for each in ("order", "ContactForm")]
    assert (order.total_calls, order.successful_calls, order.failed_calls) == (12, 9, 3)
    assert (order.auth_type, order.signing_secret.set, order.is_active) == ("bearer", True, True)
    assert contact.webhook_url == f"https://n8n.example.com/webhook/{name}/contact-form"
    assert (contact.is_active, contact.total_calls) == (False, 0)
    tenant = await app.tenants.get_tenant(name)
    assert (tenant.slug, tenant.name, tenant.status) == (f"{name}-slug", "Acme GmbH", "active")
    (stored,) = await owner("SELECT auth_token FROM n8n_webhooks WHERE tenant_id = $1 AND auth_token IS NOT NULL", name)
    assert is_ciphertext(stored["auth_token"])
    assert await old.dump() == before


async def test_what_was_done_is_in_the_audit_log(app, old, load, name):
    await old.fill(name)
    await load(old)
    events = (await app.audit.list_events(name, limit=50)).items
    assert {(event.actor_type, event.actor_id) for event in events} == {("cli", "tester")}
    assert sorted(event.action for event in events) == sorted(
        ["tenant.created", *["integration.created"] * 3, *["webhook.created"] * 2]
    )


async def test_a_dry_run_does_every_check_and_writes_nothing(app, owner, old, load, name):
    await old.fill(name)
    await old.add("n8n_webhooks", tenant_id=name, workflow_name="bad", auth_token=encrypt("x", OTHER_KEY))
    report = await load(old, dry_run=True)
    assert told(report)[:4] == whole("ready")[:4]
    assert ("webhook bad", "skipped", "wrong_key") in told(report)
    with pytest.raises(NotFoundError):
        await app.tenants.get_tenant(name)
    assert set(map(tuple, (await rows_of(owner, name)).values())) == {()}
    real = await load(old)
    assert [(what, result.replace("ready", "imported"), reason) for what, result, reason in told(report)] == told(real)


async def test_a_second_run_changes_nothing(owner, old, load, name):
    await old.fill(name)
    await load(old)
    before = await rows_of(owner, name)
    for dry_run in (False, True):
        report = await load(old, dry_run=dry_run)
        assert told(report) == whole("exists")
        assert report.complete
    assert await rows_of(owner, name) == before


@pytest.mark.parametrize("rows", range(1, 4))
async def test_a_run_that_was_killed_is_run_again(app, old, load, name, rows):
    known = await old.fill(name)
    count = iter(range(rows))

    class Killed(BaseException):
        pass

    def advance():
        if next(count, None) is None:
            raise Killed

    with pytest.raises(Killed):
        await load(old, advance=advance)
    report = await load(old)
    assert report.complete
    assert {result for _, result, _ in told(report)} == {"exists", "imported"} if rows < 3 else {"exists"}
    assert (await opened(app, name, "n8n"))["apiKey"] == known["n8n"]
    assert len(await app.webhooks.get_n8n_webhooks_by_tenant(name)) == 2


async def test_what_was_changed_here_meanwhile_stays(app, old, load, name):
    await old.fill(name)
    await load(old)
    webhook = await app.webhooks.get_n8n_webhook_by_name(name, "order")
    await app.webhooks.update_n8n_webhook(name, webhook.id, {"description": "Ours now"})
    await app.integrations.configure(name, "n8n", {"apiKey": planted("newer")}, create=False)
    await load(old)
    assert (await app.webhooks.get_n8n_webhook_by_name(name, "order")).description == "Ours now"
    assert "newer" in (await opened(app, name, "n8n"))["apiKey"]


async def test_what_does_not_open_is_told_and_the_rest_goes_on(app, old, load, name):
    good = planted("good")
    seal, sealed = old.seal, old.seal("x" * 20)
    iv, tag, body = sealed.split(":")
    await old.add("tenants", id=name, name="A")
    await old.add(
        "tenant_integrations",
        tenant_id=name,
        n8n_base_url="https://n8n.example.com",
        n8n_api_key=encrypt("x", OTHER_KEY),
        whatsapp_config={
            "phoneNumberId": "1",
            "businessAccountId": "2",
            "accessToken": seal(good),
            "appSecret": f"{iv}:{tag[:8]}:{body}",
        },
        sms_config={"provider": "twilio", "accountSid": sealed + "zz", "authToken": seal(good), "phoneNumber": "+1555"},
    )
    for number, token in enumerate(
        (f"{iv}:{tag}:{body[:-1]}", f"{iv}:{tag[:24]}:{body}", sealed.replace(":", " :"), seal(good))
    ):
        url = "https://n8n.example.com/w"
        await old.add("n8n_webhooks", tenant_id=name, workflow_name=f"w{number}", webhook_url=url, auth_token=token)
    report = await load(old)
    assert told(report) == [
        ("tenant", "imported", None),
        ("n8n", "imported", None),
        ("n8n.apiKey", "left_out", "wrong_key"),
        ("whatsapp", "imported", None),
        ("whatsapp.appSecret", "left_out", "truncated_tag"),
        ("sms", "skipped", "malformed"),
        ("sms.accountSid", "left_out", "malformed"),
        ("webhook w0", "skipped", "malformed"),
        ("webhook w0.authToken", "left_out", "malformed"),
        ("webhook w1", "skipped", "truncated_tag"),
        ("webhook w1.authToken", "left_out", "truncated_tag"),
        ("webhook w2", "skipped", "malformed"),
        ("webhook w2.authToken", "left_out", "malformed"),
        ("webhook w3", "imported", None),
    ]
    assert not report.complete
    assert await opened(app, name, "n8n") == {"baseUrl": "https://n8n.example.com"}
    assert (await opened(app, name, "whatsapp"))["accessToken"] == good
    assert all(entry.message for entry in report.entries if entry.reason)


async def test_a_wrong_key_leaves_a_hint(old, load, name):
    await old.fill(name)
    report = await load(old, key=OTHER_KEY, dry_run=True)
    assert (report.opened, report.key_in_doubt) == (0, True)


async def test_values_in_the_clear_are_sealed_and_told(app, owner, old, load, name):
    clear = planted("clear")
    await old.add("tenants", id=name, name="A")
    await old.add("tenant_integrations", tenant_id=name, n8n_base_url="https://n8n.example.com", n8n_api_key=clear)
    report = await load(old)
    assert ("n8n.apiKey", "noted", "plaintext") in told(report)
    assert report.complete
    assert (await opened(app, name, "n8n"))["apiKey"] == clear
    assert clear not in str(await rows_of(owner, name))


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"webhook_url": "http://n8n.example.com/w"}, "invalid_url"),
        ({"webhook_url": "https://n8n.example.com/webhook-test/w"}, "invalid_url"),
        ({"webhook_url": "https://169.254.169.254/w"}, "address_blocked"),
        ({"webhook_url": "not a url"}, "invalid_url"),
        ({}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "auth_type": "oauth2", "auth_token": "t"}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "auth_type": "bearer"}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "auth_token": "two\nlines"}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "auth_token": "y" * 5000}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "description": "x" * 2001}, "invalid_input"),
        ({"webhook_url": "https://n8n.example.com/w", "workflow_name": "Contact form"}, "invalid_name"),
        ({"webhook_url": "https://n8n.example.com/w", "workflow_name": ""}, "invalid_name"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_what_nobody_could_save_is_skipped_with_its_reason(old, load, name, columns, code, dry_run):
    await old.add("tenants", id=name, name="A")
    await old.add("n8n_webhooks", **{"tenant_id": name, "workflow_name": "w", **columns})
    what, result, reason = next(line for line in told(await load(old, dry_run=dry_run)) if "webhook" in line[0])
    assert (what, result, reason) == (f"webhook {columns.get('workflow_name', 'w')}", "skipped", code)


async def test_the_report_quotes_no_value(old, load, name):
    """Also not where somebody put a secret into a field that holds none."""
    await old.add("tenants", id=name, name="A")
    mark = "hunter2hunter2"
    await old.add(
        "tenant_integrations",
        tenant_id=name,
        n8n_base_url=f"https://ann:{mark}@n8n.example.com",
        sms_config={"provider": mark},
        whatsapp_config={"phoneNumberId": f"{mark}\t", "accessToken": f"{mark}\n"},
    )
    for number, columns in enumerate(
        (
            {"webhook_url": f"https://ann:{mark}@n8n.example.com/w"},
            {"webhook_url": f"ftp://{mark}.example.com/w?token={mark}"},
            {"webhook_url": f"https://169.254.169.254/{mark}"},
            {"auth_type": mark},
            {"auth_type": "header", "auth_config": {"headerName": f"{mark} x"}, "auth_token": mark},
            {"auth_type": "basic", "auth_config": {"user": f"{mark}:x"}, "auth_token": f"{mark}\n"},
            {"auth_type": "jwt", "auth_config": {"algorithm": mark}, "auth_token": mark},
        )
    ):
        row = {"webhook_url": "https://n8n.example.com/w"} | columns
        await old.add("n8n_webhooks", tenant_id=name, workflow_name=f"w{number}", **row)
    report = await load(old)
    assert mark not in repr(report)
    assert [entry.what for entry in report.entries if entry.result == "imported"] == ["tenant"]


async def test_a_source_that_cuts_off_idle_sessions_is_read_to_its_end(old, load, name):
    await old.run(
        f'ALTER DATABASE "{old.url.partition("@/")[2].partition("?")[0]}" SET idle_in_transaction_session_timeout = 20'
    )
    await old.fill(name)
    assert (await load(old, advance=lambda: time.sleep(0.05))).complete


async def test_rows_that_are_there_twice_are_told(old, load, name):
    await old.run("ALTER TABLE tenants DROP CONSTRAINT tenants_pkey")
    for _ in range(2):
        await old.fill(name)
    report = await load(old)
    once = [(what, "skipped", "duplicate") for what, _, _ in whole("x") if what not in ("n8n", "whatsapp", "sms")]
    assert set(once) <= set(told(report))
    assert [told(report).count((kind, "skipped", "duplicate")) for kind in ("n8n", "whatsapp", "sms")] == [1, 1, 1]
    assert set(whole("imported")) <= set(told(report))


async def test_tenants_of_other_forms(app, old, load, name):
    await old.run("ALTER TABLE tenants ADD COLUMN deleted_at timestamptz")
    await old.add("tenants", id=f"{name}-a", slug="Not a slug!", name="T\tab")
    await old.add("tenants", id=f"{name}-b", name=None, status="inactive")
    await old.add("tenants", id=f"{name} c", name="C")
    await old.run(f"INSERT INTO tenants VALUES ('{name}-d', NULL, 'D', 'active', now(), now())")
    await old.add("tenants", id=f"{name}-e", slug=f"{name}-a", name="E")
    for suffix in (" c", "-d", "-e"):
        await old.add("n8n_webhooks", tenant_id=f"{name}{suffix}", workflow_name="w", webhook_url="https://a.example/w")
    report = await load(old)
    found = {(entry.tenant_id.removeprefix(name), entry.what): (entry.result, entry.reason) for entry in report.entries}
    assert found == {
        ("-a", "tenant"): ("imported", None),
        ("-a", "tenant.name"): ("noted", "name_changed"),
        ("-a", "tenant.slug"): ("noted", "slug_unusable"),
        ("-b", "tenant"): ("imported", None),
        (" c", "tenant"): ("skipped", "invalid_name"),
        (" c", "webhook w"): ("skipped", "tenant_not_imported"),
        ("-d", "tenant"): ("noted", "deleted"),
        ("-d", "webhook w"): ("noted", "deleted"),
        ("-e", "tenant"): ("skipped", "slug_taken"),
        ("-e", "webhook w"): ("skipped", "tenant_not_imported"),
    }
    assert (await app.tenants.get_tenant(f"{name}-b")).status == "suspended"


async def test_a_suspended_tenant_s_deliveries_are_held(app, owner, old, load, name):
    await old.fill(name)
    await old.run("UPDATE tenants SET status = 'suspended'")
    await load(old)
    holds = await owner("SELECT reason FROM delivery_holds WHERE tenant_id = $1 AND until IS NULL", name)
    assert {row["reason"] for row in holds} == {"tenant_suspended", "webhook_inactive"}


async def test_a_database_as_prisma_makes_it(app, make_database, load):
    old = OldSystem(await make_database())
    await old.run(PRISMA)
    (row,) = await old.run("SELECT gen_random_uuid() AS id WHERE $1", True)
    tenant_id, token = str(row["id"]), planted("token")
    await old.add(
        'app."TenantIntegration"', tenantId=row["id"], n8nBaseUrl="https://n8n.example.com", whatsappConfig=""
    )
    await old.add(
        'app."N8nWebhook"',
        tenantId=row["id"],
        workflowName="order",
        authToken=old.seal(token),
        totalCalls=7,
        isActive=True,
    )
    report = await load(f"{old.url}&schema=app&connection_limit=5&pgbouncer=true")
    assert told(report) == [
        ("tenant", "imported", None),
        ("n8n", "imported", None),
        ("webhook order", "imported", None),
    ]
    webhook = await app.webhooks.get_n8n_webhook_by_name(tenant_id, "order")
    assert (webhook.auth_type, webhook.total_calls, webhook.is_active) == ("bearer", 7, True)
    assert webhook.webhook_url == f"https://n8n.example.com/{tenant_id}/order"
    assert (await app.webhooks._endpoints.find(tenant_id, "order")).auth_token.open() == token


async def test_a_source_of_one_table_is_enough(app, make_database, load, name):
    old = OldSystem(await make_database())
    await old.run("CREATE TABLE n8n_webhooks (tenant_id text, workflow_name text, webhook_url text)")
    await old.add("n8n_webhooks", tenant_id=name, workflow_name="w", webhook_url="https://a.example/w")
    assert told(await load(old)) == [("tenant", "imported", None), ("webhook w", "imported", None)]
    assert (await app.tenants.get_tenant(name)).name == name


# -- the source


async def failure(url):
    with pytest.raises(HookvaultError) as caught:
        async with opened_source(url) as source:
            await source.count()
            async for _ in source.rows("n8n_webhooks"):
                pass
    assert "\n" not in caught.value.message
    assert "hunter2" not in caught.value.message
    return caught.value


@asynccontextmanager
async def reader(old):
    """The source as a user who was given nothing but to log in."""
    user, host = f"r_{secrets.token_hex(5)}", old.url.partition("@")[2]
    await old.run(f"CREATE ROLE {user} LOGIN PASSWORD 'hunter2hunter2'")
    try:
        yield user, f"postgresql://{user}:hunter2hunter2@{host}"
    finally:
        await old.run(f"DROP OWNED BY {user}; DROP ROLE {user}")


async def test_a_user_who_may_not_read_everything_is_told_so(old, name):
    await old.fill(name)
    async with reader(old) as (user, url):
        assert (await failure(url)).code == "import_forbidden"
        await old.run(f"GRANT SELECT ON tenants, tenant_integrations, n8n_webhooks TO {user}")
        async with opened_source(url) as source:
            assert await source.count() == 4
        await old.run("ALTER TABLE n8n_webhooks ENABLE ROW LEVEL SECURITY")
        assert (await failure(url)).code == "import_forbidden"


async def test_the_source_is_one_moment_and_can_not_be_written(old, name):
    await old.fill(name)
    async with opened_source(old.url) as source:
        assert await source.count() == 4
        await old.fill(f"{name}-later")
        assert [row["tenantid"] async for row in source.rows("n8n_webhooks")] == [name, name]
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await source._connection.execute("DELETE FROM n8n_webhooks")


async def test_a_database_that_can_not_be_imported_is_told_in_one_line(make_database, database_url, old):
    empty = await make_database()
    assert (await failure(empty)).code == "import_no_tables"
    assert (await failure(f"{old.url}&schema=nowhere")).code == "import_no_tables"
    assert (await failure(database_url)).code == "import_own_database"
    await OldSystem(empty).run("CREATE TABLE n8n_webhooks (id int, workflow_name text)")
    assert (await failure(empty)).code == "import_no_column"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@127.0.0.1:1/shop",
        "postgresql://ann:hunter2@nowhere.invalid/shop",
        "postgresql://ann:hunter2@127.0.0.1:port/shop",
        "postgresql://ann:hunter2@[::1/shop",
        "postgresql://ann:hunter2@127.0.0.1:1/shop?sslmode=hunter2",
    ],
)
async def test_a_database_that_can_not_be_reached(url):
    error = await failure(url)
    assert error.code == "database_unavailable"
    assert "IMPORT_DATABASE_URL" in error.message


async def test_a_server_that_is_no_postgres(n8n):
    port = n8n.url("").rpartition(":")[2].strip("/")
    assert (await failure(f"postgresql://ann:hunter2@127.0.0.1:{port}/shop")).code == "database_unavailable"


async def test_a_connection_that_is_lost_in_the_middle(old, name):
    await old.fill(name)
    with pytest.raises(HookvaultError) as caught:
        async with opened_source(old.url) as source:
            await old.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
                old.url.partition("@/")[2].partition("?")[0],
            )
            async for _ in source.rows("tenants"):
                pass
    assert caught.value.code == "import_unavailable"


def test_every_reason_of_a_loss_has_its_words():
    assert all(MESSAGES.values())
    assert {"left_out", "skipped"} == LOST
