"""Tenants: made with a data key, changed under their version, deleted with their secrets but not their history."""

import asyncio
import secrets

import pytest

from canary import planted
from hookvault.analytics.service import OutsideCall
from hookvault.errors import CipherError, ConflictError, InvalidError, NotFoundError, PreconditionError
from hookvault.ids import is_name
from hookvault.paging import encode_cursor
from hookvault.settings import Settings
from hookvault.vault import Secret
from hookvault.vault.registry import Place
from hookvault.wiring import build

URL = "https://n8n.example.com/webhook/order"


async def test_a_tenant_is_made_with_its_own_data_key(app, owner):
    made = [await app.tenants.create_tenant("Acme", tenant_id=f"acme-{secrets.token_hex(4)}") for _ in range(2)]
    keys = [await owner("SELECT * FROM data_keys WHERE tenant_id = $1", tenant.id) for tenant in made]
    assert [[(key["version"], key["state"]) for key in each] for each in keys] == [[(1, "active")]] * 2
    assert keys[0][0]["wrapped"] != keys[1][0]["wrapped"]
    for tenant in made:
        assert tenant == await app.tenants.get_tenant(tenant.id)
        assert (tenant.slug, tenant.status, tenant.version) == (tenant.id, "active", 1)
        assert tenant.created_at == tenant.updated_at


@pytest.mark.parametrize("name", ["Acme GmbH & Co. KG", "日本の会社", "  Spaces  ", "-", "x" * 200])
async def test_an_id_is_derived_from_any_name(app, name):
    first, second = [await app.tenants.create_tenant(name) for _ in range(2)]
    assert first.name == name.strip()
    assert is_name(first.id)
    assert first.id == first.slug
    assert first.id != second.id


async def test_slug_and_id_may_differ(app):
    tail = secrets.token_hex(4)
    tenant = await app.tenants.create_tenant("Acme", tenant_id=f"id-{tail}", slug=f"slug-{tail}")
    assert (tenant.id, tenant.slug) == (f"id-{tail}", f"slug-{tail}")
    assert (await app.tenants.create_tenant("Acme", slug=f"only-{tail}")).id == f"only-{tail}"


async def test_a_taken_id_or_slug_is_refused(app, tenant, owner):
    for wanted in ({"tenant_id": tenant.id, "slug": "free-one"}, {"tenant_id": "free-two", "slug": tenant.slug}):
        with pytest.raises(ConflictError) as caught:
            await app.tenants.create_tenant("Other", **wanted)
        assert caught.value.code == "tenant_exists"
        assert tenant.id in caught.value.message
    assert await owner("SELECT FROM data_keys WHERE tenant_id = 'free-two'") == []
    other = await app.tenants.create_tenant("Other")
    with pytest.raises(ConflictError) as caught:
        await app.tenants.update_tenant(other.id, {"slug": tenant.slug})
    assert caught.value.code == "tenant_exists"


async def test_of_two_at_once_one_is_made(app, owner):
    name = f"race-{secrets.token_hex(4)}"
    ended = await asyncio.gather(
        *[app.tenants.create_tenant("Race", tenant_id=name) for _ in range(5)], return_exceptions=True
    )
    assert sum(isinstance(end, ConflictError) for end in ended) == 4
    assert len(await owner("SELECT FROM data_keys WHERE tenant_id = $1", name)) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "a\x00b"},
        {"name": "a\nb"},
        {"name": "\ud800"},
        {"name": "a", "tenant_id": "a b"},
        {"name": "a", "tenant_id": "-a"},
        {"name": "a", "tenant_id": "a" * 65},
        {"name": "a", "tenant_id": "../a"},
        {"name": "a", "slug": "ä"},
    ],
    ids=str,
)
async def test_what_is_not_acceptable_is_refused(app, wanted):
    with pytest.raises(InvalidError):
        await app.tenants.create_tenant(**wanted)


async def test_a_change_counts_up_the_version(app, tenant):
    changed = await app.tenants.update_tenant(tenant.id, {"name": "New", "status": "suspended"})
    assert (changed.name, changed.status, changed.version, changed.slug) == ("New", "suspended", 2, tenant.slug)
    assert changed == await app.tenants.get_tenant(tenant.id)
    assert (await app.tenants.update_tenant(tenant.id, {}, if_version=2)).version == 3
    with pytest.raises(PreconditionError) as caught:
        await app.tenants.update_tenant(tenant.id, {"name": "Late"}, if_version=2)
    assert caught.value.code == "version_mismatch"
    assert (await app.tenants.get_tenant(tenant.id)).name == "New"


async def test_of_two_changes_at_one_version_one_is_refused(app, tenant):
    ended = await asyncio.gather(
        *[app.tenants.update_tenant(tenant.id, {"name": f"N{n}"}, if_version=1) for n in range(5)],
        return_exceptions=True,
    )
    assert sum(isinstance(end, PreconditionError) for end in ended) == 4
    assert (await app.tenants.get_tenant(tenant.id)).version == 2


@pytest.mark.parametrize("changes", [{"id": "x"}, {"status": "gone"}, {"slug": "a b"}, {"name": ""}], ids=str)
async def test_a_change_that_is_not_acceptable_is_refused(app, tenant, changes):
    with pytest.raises(InvalidError):
        await app.tenants.update_tenant(tenant.id, changes)
    assert await app.tenants.get_tenant(tenant.id) == tenant


@pytest.mark.parametrize(
    "tenant_id", ["nobody", "", "a b", "a\x00b", "\ud800", "x" * 100_000], ids=lambda text: repr(text[:9])
)
async def test_an_unknown_tenant_is_not_found_whatever_its_name(app, tenant_id):
    for ask in (
        lambda: app.tenants.get_tenant(tenant_id),
        lambda: app.tenants.update_tenant(tenant_id, {"name": "x"}),
        lambda: app.integrations.get_tenant_integration(tenant_id),
        lambda: app.webhooks.create_n8n_webhook(tenant_id, "order", webhook_url=URL),
        lambda: app.webhooks.get_n8n_webhooks_by_tenant(tenant_id),
        lambda: app.webhooks.call_webhook(tenant_id, "order", {}),
        lambda: app.analytics.get_webhook_analytics_summary(tenant_id),
        lambda: app.audit.list_events(tenant_id),
    ):
        with pytest.raises((NotFoundError, InvalidError)) as caught:
            await ask()
        assert caught.value.code in ("tenant_not_found", "invalid_input")
    await app.tenants.delete_tenant("nobody")  # idempotent


async def test_all_tenants_page_by_page(app):
    made = {(await app.tenants.create_tenant(f"P{n}")).id for n in range(7)}
    for limit in (1, 3, 200):
        found, cursor = [], None
        while True:
            page = await app.tenants.list_tenants(limit=limit, cursor=cursor)
            found += [tenant.id for tenant in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert made <= set(found)
        assert len(found) == len(set(found))
    assert found == [
        row.id for row in sorted((await app.tenants.list_tenants(limit=10_000)).items, key=lambda t: found.index(t.id))
    ]


@pytest.mark.parametrize("cursor", ["x", "%", encode_cursor("calls", "a"), encode_cursor("tenants", "a\x00")], ids=repr)
async def test_a_foreign_cursor_is_refused(app, cursor):
    with pytest.raises(InvalidError):
        await app.tenants.list_tenants(cursor=cursor)


async def test_deleting_takes_secrets_and_keys_and_leaves_history(app, owner, tenant):
    await app.integrations.create_tenant_integration(
        tenant.id, n8n_base_url="https://n.example.com", n8n_api_key=planted("k")
    )
    webhook = await app.webhooks.create_n8n_webhook(tenant.id, "order", webhook_url=URL, auth_token=planted("token"))
    call = await app.analytics.create_webhook_analytics(
        tenant.id, OutsideCall(webhook.id, success=True, response_time=5)
    )
    await app.api_keys.create_api_key("key", tenant_id=tenant.id)
    await app.tenants.delete_tenant(tenant.id)
    await app.tenants.delete_tenant(tenant.id)
    for table in ("tenant_integrations", "n8n_webhooks", "api_keys", "data_keys"):
        assert await owner(f"SELECT FROM {table} WHERE tenant_id = $1", tenant.id) == []
    with pytest.raises(NotFoundError):
        await app.tenants.get_tenant(tenant.id)
    assert [found.id for found in await app.analytics.get_webhook_analytics_by_tenant(tenant.id)] == [call.id]
    assert [found.id for found in await app.analytics.get_webhook_analytics(tenant.id, webhook.id)] == [call.id]
    assert (await app.analytics.get_call(tenant.id, call.id)).webhook_id == webhook.id
    assert (await app.analytics.get_webhook_analytics_summary(tenant.id)).figures.total_calls == 1
    actions = [event.action for event in (await app.audit.list_events(tenant.id)).items]
    assert actions == ["tenant.deleted", "api_key.created", "webhook.created", "integration.created", "tenant.created"]


async def test_a_tenant_made_anew_shares_no_key_with_the_deleted_one(app, settings, tenant):
    """Also in another process that has used the old key: what it sealed with it would open nowhere else."""
    other = await build(Settings(**{**settings.model_dump(), "encryption_key": settings.encryption_key}))
    where = Place("n8n_webhooks", "x", "auth_token")
    try:
        async with other.database.tenant(tenant.id) as tx:
            old = (await other.vault.active(tx, tenant.id)).seal(where, Secret("old"))
        await app.tenants.delete_tenant(tenant.id)
        await app.tenants.create_tenant("Again", tenant_id=tenant.id)
        async with other.database.tenant(tenant.id) as tx:
            sealed = (await other.vault.active(tx, tenant.id)).seal(where, Secret("new"))
        async with app.database.tenant(tenant.id) as tx:
            cipher = await app.vault.active(tx, tenant.id)
            assert cipher.open(where, sealed).same_as("new")
            with pytest.raises(CipherError):
                cipher.open(where, old)
        async with other.database.tenant(tenant.id) as tx:
            assert (await other.vault.at(tx, tenant.id, cipher.version)).open(where, sealed).same_as("new")
    finally:
        await other.close()
