"""What the tests of backups share: databases of their own with something in every table, and what is stored in them."""

import secrets
import time
from contextlib import asynccontextmanager, suppress

import asyncpg

from canary import CANARY, planted
from hookvault.accounts.factor import totp
from hookvault.accounts.factor.service import Factors
from hookvault.audit.model import Actor
from hookvault.custody import backup, restore
from hookvault.custody.verify import verify
from hookvault.db.content import KEPT, SAVED
from hookvault.ids import new_id
from hookvault.settings import Settings
from hookvault.vault.keys import KeyRing, MasterKey
from hookvault.webhooks.model import CallRequest
from hookvault.wiring import build

A, B, C = "4b1d" + "9e37a5c2" * 7 + "f06e", "c0de" * 15 + "1234", "0badcafe" * 8
WHO = Actor("cli", "tester")
WEIRD = 'tab\t line\n return\r backslash\\ \\N \\. \b\f\v "quoted" \u00e9 \U0001f600 \\x41 \\'


def ring(current, previous=None):
    return KeyRing(MasterKey(current), previous=previous and MasterKey(previous))


@asynccontextmanager
async def services(url, folder, key=A, **keys):
    """The services, writing but not delivering."""
    app = await build(Settings(database_url=url, encryption_key=key, hookvault_data_dir=folder, **keys))
    await app.start(deliver=False)
    try:
        yield app
    finally:
        await app.close()


@asynccontextmanager
async def connected(url):
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def fill(app, inserts, owner_url):
    """Two tenants with secrets of every kind, a delivery that waits and one that is leased, and a row in every other table."""
    for tenant in ("acme", "beta"):
        await app.tenants.create_tenant("Tenant", tenant_id=tenant)
        twilio = {
            "accountSid": planted("sid"),
            "authToken": planted("auth", special=True),
            "phoneNumber": "+4930123456",
        }
        await app.integrations.create_tenant_integration(
            tenant,
            n8n_base_url="https://n8n.example.com/webhook",
            n8n_api_key=planted("n8n", special=True),
            sms_config=twilio,
        )
        await app.webhooks.create_n8n_webhook(
            tenant,
            "order",
            webhook_url="https://n8n.example.com/w",
            auth_token=planted("token"),
            static_headers={"X-Key": planted("header")},
        )
        payload = b'{"text": "\\u00e9\\n\\\\", "n": 1}'
        for number in range(3):
            request = CallRequest(payload, idempotency_key=f"k{number}", ordering_key="one" if number else None)
            await app.deliveries.enqueue(tenant, "order", request)
        await app.api_keys.create_api_key("key", tenant_id=tenant)
    made = await app.admins.create_admin("ann@example.com")
    async with app.database.system() as tx:
        enrolment = await Factors(app.vault).enrol(tx, made.user)
        CANARY.made(enrolment.secret.open())
        code = totp.code_at(enrolment.secret.open(), int(time.time()) // totp.STEP_S)
        await Factors(app.vault).confirm(tx, made.user.id, code)
        await tx.execute(
            "INSERT INTO user_sessions VALUES ($1, $2, 'x', 'full', now(), now(), 'infinity')", new_id(), made.user.id
        )
        await tx.execute("INSERT INTO password_resets VALUES ('x', $1, now(), 'infinity')", made.user.id)
        await tx.execute(
            "INSERT INTO user_invitations VALUES ($1, 'x', 'owner', 'x', now(), '', now(), 'infinity')", new_id()
        )
    async with connected(owner_url) as connection:
        for table, statement in inserts.items():
            if table not in (
                "api_keys",
                "tenants",
                "n8n_webhooks",
                "tenant_integrations",
                "data_keys",
                "delivery_ledger",
            ):
                with suppress(asyncpg.UniqueViolationError):
                    await connection.execute(statement, "acme")
        await connection.execute("DELETE FROM delivery_queue WHERE webhook_id NOT IN (SELECT id FROM n8n_webhooks)")
        await connection.execute(
            "UPDATE delivery_queue SET leased_by = gen_random_uuid(), due_at = now() + interval '30 s', ready = false, claims = 1 "
            "WHERE tenant_id = 'acme' AND ordering_key IS NULL"
        )
        await connection.execute("UPDATE tenants SET name = $1", WEIRD)
        await connection.execute("DELETE FROM shredded_tenants")
        await connection.execute("INSERT INTO key_history VALUES ('mk_0000000000000000', 'retired', now())")
        await connection.execute("INSERT INTO secret_scans VALUES (gen_random_uuid(), now(), '')")
        await connection.execute(
            "INSERT INTO key_holders VALUES (gen_random_uuid(), 'serve', 'here', '{x}', now(), now())"
        )


async def content(url, *, without=()):
    """Every row of every table that a backup holds, as text."""
    async with connected(url) as connection:
        return {
            table: sorted(row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} t"))
            for table in SAVED
            if table not in without
        }


async def everything(url):
    """As `content`, with what is not saved and with what the catalogue says of row-level security."""
    found = await content(url)
    async with connected(url) as connection:
        for table in KEPT:
            found[table] = [row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
        found["catalogue"] = await connection.fetch(
            "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') ORDER BY 1"
        )
        found["sequence"] = await connection.fetch("SELECT last_value, is_called FROM delivery_queue_seq_seq")
    return found


async def save(app, url, path):
    return await backup.create(url, app.database, app.vault.ring, path, actor=WHO)


async def put_back(url, path, keys, **options):
    """Verify, prepare and restore, as the command does."""
    report = verify(path, keys)
    plan = await restore.prepare(url, keys, path, report)
    return await restore.restore(url, keys, plan, actor=WHO, **options)


def fresh(folder, name="backup"):
    return folder / f"{name}-{secrets.token_hex(3)}.hvb"
