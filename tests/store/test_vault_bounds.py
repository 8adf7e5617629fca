"""What must hold of every stored secret: it opens in its own place only, whole only, and is nowhere that the registry has not."""

import json
import re
import secrets
from dataclasses import dataclass
from itertools import product

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import CANARY, planted
from hookvault.db.migrate import migrate
from hookvault.errors import CipherError, WrongKeyError
from hookvault.ids import new_id
from hookvault.providers.registry import ALL, N8N, SMS, WHATSAPP
from hookvault.settings import Settings
from hookvault.vault import Secret, encrypt
from hookvault.vault.cipher import parse
from hookvault.vault.registry import CREDENTIAL_VERSIONS, N8N_WEBHOOKS, REGISTRY, TENANT_INTEGRATIONS
from hookvault.wiring import build

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
STORED = re.compile(r"[0-9a-f]{24,32}:[0-9a-f]{32}:[0-9a-f]*", re.IGNORECASE)
PLAIN = {"phoneNumber": "+15555555555", "region": "eu-central-1", "baseUrl": "https://n8n.example.com/webhook"}
TABLES = {table.name: table for table in REGISTRY}


def config(provider):
    """Every field that a provider has; its secrets planted."""
    fields = {
        field.name: planted(field.name) if field.secret else PLAIN.get(field.name, "12345") for field in provider.fields
    }
    return ({"provider": provider.kind} if provider.kind in SMS else {}) | fields


@dataclass(frozen=True)
class Spot:
    """A place where a secret is stored, and what is stored there."""

    table: str
    tenant_id: str
    row_id: str
    field: str
    text: str


class Vaulted:
    """Services on a database of their own, whose rows are read and moved past them."""

    def __init__(self, app, url):
        self.app, self.url = app, url

    async def sql(self, statement, *values):
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def fill(self, tenant_id, *, sms="twilio", webhook_url="https://n8n.example.com/w"):
        """A tenant with a secret in every place that there is."""
        app = self.app
        await app.tenants.create_tenant(tenant_id, tenant_id=tenant_id)
        for kind, provider in (("whatsapp", WHATSAPP), ("sms", SMS[sms]), ("n8n", N8N)):
            await app.integrations.configure(tenant_id, kind, config(provider), create=True)
        for name in ("order", "invoice"):
            made = await app.webhooks.create_n8n_webhook(
                tenant_id,
                name,
                webhook_url=webhook_url,
                auth_token=planted("token"),
                static_headers={"X-One": planted("one"), "X-Two": planted("two")},
            )
            await app.webhooks.rotate_signing_secret(tenant_id, made.id, overlap_hours=24)
        await self._add_version(tenant_id)

    async def _add_version(self, tenant_id):
        """Rotated credentials, as they are stored."""
        row_id = new_id()
        async with self.app.database.tenant(tenant_id) as tx:
            cipher = await self.app.vault.active(tx, tenant_id)
            sealed = {
                name: cipher.seal(CREDENTIAL_VERSIONS.place(str(row_id), f"secrets.{name}"), Secret(planted(name)))
                for name in ("accessToken", "appSecret")
            }
            await tx.execute(
                "INSERT INTO credential_versions (tenant_id, id, kind, provider, number, state, secrets, key_version, "
                "created_at, created_by) VALUES ($1, $2, 'whatsapp', 'whatsapp', 1, 'staged', $3, $4, now(), 'test')",
                tenant_id,
                row_id,
                sealed,
                cipher.version,
            )

    async def spots(self, tenant_id):
        """Every stored secret of a tenant, as the registry finds them."""
        found = []
        for table in REGISTRY:
            rows = await self.sql(f"SELECT * FROM {table.name} WHERE tenant_id = $1 ORDER BY {table.row_id}", tenant_id)
            for row in rows:
                values = {
                    column.name: row[column.name] if column.secret is None else json.loads(row[column.name] or "null")
                    for column in table.columns
                }
                found += [
                    Spot(table.name, tenant_id, str(row[table.row_id]), field, text)
                    for field, text in table.sealed(values).items()
                ]
        return found

    async def put(self, spot, text):
        """Writes a text into a place, as somebody with the database's password could."""
        column, _, member = spot.field.partition(".")
        new = f"jsonb_set({column}, ARRAY['{member}'], to_jsonb($3::text))" if member else "$3::text"
        statement = (
            f"UPDATE {spot.table} SET {column} = {new} WHERE tenant_id = $1 AND {TABLES[spot.table].row_id}::text = $2"
        )
        await self.sql(statement, spot.tenant_id, spot.row_id, text)

    async def read(self, spot):
        """What the service makes of a place: the secret in its box."""
        column, _, member = spot.field.partition(".")
        if spot.table == "tenant_integrations":
            opened = await self.app.integrations.open_config(spot.tenant_id, column.split("_")[0])
            return opened[member or "apiKey"]
        if spot.table == "credential_versions":
            async with self.app.database.tenant(spot.tenant_id) as tx:
                row = await tx.fetchrow("SELECT * FROM credential_versions WHERE id::text = $1", spot.row_id)
                cipher = await self.app.vault.at(tx, spot.tenant_id, row["key_version"])
            return cipher.open(CREDENTIAL_VERSIONS.place(spot.row_id, spot.field), row["secrets"][member])
        (row,) = await self.sql("SELECT workflow_name FROM n8n_webhooks WHERE id::text = $1", spot.row_id)
        self.app.webhooks.forget(spot.tenant_id)
        endpoint = await self.app.webhooks._endpoints.find(spot.tenant_id, row["workflow_name"])
        if member:
            return dict(endpoint.static_headers)[member]
        return {"previous_signing_secret": endpoint.previous_secret, "signing_secret": endpoint.signing_secret}.get(
            column, endpoint.auth_token
        )

    async def refuses(self, spot):
        with pytest.raises(CipherError) as caught:
            await self.read(spot)
        assert caught.value.message
        assert not STORED.search(caught.value.message)
        return caught.value.code


@pytest.fixture(scope="module")
async def vaulted(make_database, tmp_path_factory):
    url = await make_database()
    await migrate(url)
    CANARY.watch(url)
    settings = Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path_factory.mktemp("data"))
    app = await build(settings)
    await app.start(deliver=False)
    made = Vaulted(app, url)
    for tenant_id in ("acme", "beta"):
        await made.fill(tenant_id)
    yield made
    await app.close()


async def test_every_secret_opens_in_its_own_place(vaulted):
    """Else the refusals below would prove nothing."""
    spots = await vaulted.spots("acme")
    # The second factors are the platform's own, under its own data key; their tests are in test_totp.py.
    assert {(spot.table, spot.field.split(".")[0]) for spot in spots} == {
        (table.name, column.name) for table in REGISTRY for column in table.columns if table.name != "user_totp"
    }
    texts = [(await vaulted.read(spot)).open() for spot in spots]
    assert len(set(texts)) == len(spots)


async def test_a_secret_moved_to_any_other_place_does_not_open(vaulted):
    """Every place of a tenant, with each other secret of the tenant and each of another one."""
    spots, others = await vaulted.spots("acme"), await vaulted.spots("beta")
    for target, source in product(spots, [*spots, *others]):
        if target is source or (target.tenant_id != source.tenant_id and target.field != source.field):
            continue
        await vaulted.put(target, source.text)
        assert await vaulted.refuses(target) == "cipher_error", (target, source)
        await vaulted.put(target, target.text)
    assert {(await vaulted.read(spot)).open() is not None for spot in spots} == {True}


async def test_a_value_under_the_master_key_itself_is_refused_everywhere(vaulted):
    for spot in await vaulted.spots("acme"):
        await vaulted.put(spot, encrypt(planted("by-hand"), KEY))
        assert await vaulted.refuses(spot) == "cipher_error", spot
        await vaulted.put(spot, planted("in-the-clear"))
        assert await vaulted.refuses(spot) == "malformed_ciphertext", spot
        await vaulted.put(spot, spot.text)


async def test_a_row_said_to_be_of_another_key_version_does_not_open(vaulted):
    """Also not where that version has the very same data key."""
    tenant_id = f"t-{secrets.token_hex(4)}"
    await vaulted.fill(tenant_id)
    ring = vaulted.app.vault.ring
    (key,) = await vaulted.sql("SELECT * FROM data_keys WHERE tenant_id = $1", tenant_id)
    raw = ring.current.unwrap(key["wrapped"], tenant_id=tenant_id, version=1)
    again = ring.current.wrap(raw, tenant_id=tenant_id, version=2)
    copy = (
        "INSERT INTO data_keys (tenant_id, version, wrapped, key_fingerprint, state, created_at) "
        "SELECT tenant_id, 2, $2, key_fingerprint, 'decrypt_only', created_at FROM data_keys WHERE tenant_id = $1"
    )
    await vaulted.sql(copy, tenant_id, again)
    spots = await vaulted.spots(tenant_id)
    for version, code in ((2, "cipher_error"), (3, "key_lost"), (0, "key_lost")):
        for table in REGISTRY:
            await vaulted.sql(f"UPDATE {table.name} SET key_version = $2 WHERE tenant_id = $1", tenant_id, version)
        assert {await vaulted.refuses(spot) for spot in spots} == {code}
    for table in REGISTRY:
        await vaulted.sql(f"UPDATE {table.name} SET key_version = 1 WHERE tenant_id = $1", tenant_id)
    for spot in spots:
        await vaulted.read(spot)


async def test_a_data_key_moved_to_another_tenant_or_version_does_not_unwrap(vaulted):
    tenants = [f"t-{secrets.token_hex(4)}" for _ in range(2)]
    for tenant_id in tenants:
        await vaulted.fill(tenant_id)
    spots = await vaulted.spots(tenants[0])
    move = "UPDATE data_keys k SET wrapped = o.wrapped FROM data_keys o WHERE k.tenant_id = $1 AND o.tenant_id = $2"
    await vaulted.sql(move, *tenants)
    for spot in spots:
        with pytest.raises(WrongKeyError):
            await vaulted.read(spot)


async def cipher_and(vaulted, spot):
    async with vaulted.app.database.tenant(spot.tenant_id) as tx:
        cipher = await vaulted.app.vault.at(tx, spot.tenant_id, 1)
    return cipher, TABLES[spot.table].place(spot.row_id, spot.field)


async def test_no_part_and_no_changed_bit_of_a_stored_value_opens(vaulted):
    spot = (await vaulted.spots("acme"))[0]
    cipher, place = await cipher_and(vaulted, spot)
    text = spot.text
    parts = parse(text)
    broken = [text[:length] for length in range(len(text))] + [text[start:] for start in range(1, len(text))]
    broken += [text[:at] + text[at + 1 :] for at in range(len(text))]
    for index, part in enumerate(parts):
        for bit in range(len(part) * 8):
            changed = bytearray(part)
            changed[bit // 8] ^= 1 << bit % 8
            broken.append(":".join(bytes(changed if at == index else whole).hex() for at, whole in enumerate(parts)))
    for at, bit in product(range(len(text)), range(7)):
        broken.append(text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :])
    for each in broken:
        assert each != text
        with pytest.raises(CipherError):
            cipher.open(place, each)
    assert cipher.open(place, text)


async def test_whatever_is_done_to_any_stored_value_it_does_not_open(vaulted):
    opened = [(*await cipher_and(vaulted, spot), spot.text) for spot in await vaulted.spots("acme")]

    @given(st.data())
    def holds(data):
        cipher, place, text = data.draw(st.sampled_from(opened))
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        put = data.draw(st.text(alphabet="0123456789abcdefABCDEF: \n\0", max_size=40))
        changed = text[:start] + put + text[end:]
        if changed != text:
            with pytest.raises(CipherError):
                cipher.open(place, changed)

    holds()


# -- the registry knows every place


def members(value, path=""):
    """Every text in a JSON value, with the names that lead to it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from members(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner, f"{path}[]")
    elif isinstance(value, str):
        yield path, value


async def sealed_places(vaulted):
    """Where in the whole database anything of a ciphertext's form stands: (table, column and member)."""
    columns = await vaulted.sql(
        "SELECT c.relname, a.attname, a.atttypid::regtype::text AS type FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped "
        "AND a.atttypid::regtype::text IN ('text', 'character varying', 'json', 'jsonb', 'text[]', 'bytea')"
    )
    found = set()
    for table, column, kind in columns:
        for (stored,) in await vaulted.sql(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'):
            value = stored.decode("latin-1") if kind == "bytea" else stored
            tree = json.loads(value) if kind in ("json", "jsonb") else value
            found |= {(table, f"{column}{path}") for path, text in members(tree) if STORED.search(text)}
    return found


async def test_nothing_is_sealed_but_where_the_registry_says(make_database, tmp_path, n8n):
    """On a database where everything that keeps a secret was used, calls and deliveries too."""
    url = await make_database()
    await migrate(url)
    CANARY.watch(url)
    app = await build(Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path))
    vaulted = Vaulted(app, url)
    try:
        await app.start()
        for sms in SMS:
            await vaulted.fill(f"with-{sms.replace('_', '-')}", sms=sms, webhook_url=n8n.url("/webhook/echo"))
        await app.webhooks.call_webhook("with-twilio", "order", {"n": 1})
        await app.webhooks.enqueue("with-twilio", "invoice", {"n": 2})
        await app.api_keys.create_api_key("tests")
        expected = {("data_keys", "wrapped")}
        for sms in SMS:
            expected |= {(spot.table, spot.field) for spot in await vaulted.spots(f"with-{sms.replace('_', '-')}")}
        assert await sealed_places(vaulted) == expected
    finally:
        await app.close()
    columns = {("tenant_integrations", "n8n_api_key"), ("n8n_webhooks", "previous_signing_secret")}
    columns |= {("tenant_integrations", f"whatsapp_config.{field.name}") for field in WHATSAPP.fields if field.secret}
    for provider in SMS.values():
        columns |= {("tenant_integrations", f"sms_config.{field.name}") for field in provider.fields if field.secret}
    assert columns <= expected


@pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.kind)
def test_the_registry_covers_a_provider_s_secrets_and_nothing_else(provider):
    if provider is N8N:
        assert [field.name for field in provider.fields if field.secret] == ["apiKey"]
        assert TENANT_INTEGRATIONS.place("acme", "n8n_api_key").field == "n8n_api_key"
        return
    stored = config(provider)
    column = "whatsapp_config" if provider is WHATSAPP else "sms_config"
    row = {"n8n_api_key": None, "whatsapp_config": None, "sms_config": None} | {column: stored | {"novel": "x"}}
    covered = {field.removeprefix(f"{column}.") for field in TENANT_INTEGRATIONS.sealed(row)}
    assert covered == {field.name for field in provider.fields if field.secret} | {"novel"}


@pytest.mark.parametrize(
    "field", ["webhook_url", "auth_token.x", "static_headers", "previous_signing", "", "auth_config.user"]
)
def test_nothing_is_sealed_where_the_registry_has_no_place(field):
    with pytest.raises(CipherError) as caught:
        N8N_WEBHOOKS.place("1", field)
    assert caught.value.code == "unregistered_field"
