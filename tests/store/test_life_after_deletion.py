"""What a tenant's deletion and an emptied database mean for keys, calls and other processes."""

import asyncio
import secrets

import asyncpg
import pytest

from hookvault.analytics.service import OutsideCall
from hookvault.db.clean import clean
from hookvault.errors import InvalidError, NotFoundError, UnavailableError
from hookvault.settings import Settings
from hookvault.wiring import build


@pytest.fixture
async def second(settings):
    """Another process's services on the same database."""
    other = await build(settings)
    await other.start()
    yield other
    await other.close()


async def test_a_tenant_made_anew_has_a_key_that_every_process_finds(app, second):
    tenant_id = f"t-{secrets.token_hex(6)}"
    whatsapp = {"phoneNumberId": "1234567890", "businessAccountId": "1234567890", "accessToken": "EAA" + "x1Y2" * 20}
    await app.tenants.create_tenant("First", tenant_id=tenant_id)
    await second.integrations.create_tenant_integration(tenant_id, whatsapp_config=whatsapp)
    await app.tenants.delete_tenant(tenant_id)
    await app.tenants.create_tenant("Second", tenant_id=tenant_id)
    await second.integrations.create_tenant_integration(tenant_id, whatsapp_config=whatsapp)
    opened = await app.integrations.open_config(tenant_id, "whatsapp")
    assert opened["accessToken"].open() == whatsapp["accessToken"]


async def test_secrets_sealed_beside_a_clean_open_after_a_restart(make_database, tmp_path):
    settings = Settings(database_url=await make_database(), encryption_key="ab12" * 16, hookvault_data_dir=tmp_path)
    running = await build(settings)
    sms = {"provider": "vonage", "apiKey": "abcd1234", "apiSecret": "Hq7mZx2Lw9Tb4Kd8", "phoneNumber": "+4930901820"}
    for emptied in (False, True):
        if emptied:
            await clean(settings.database_url.get_secret_value(), preserve_admin=False)
        await running.tenants.create_tenant("Acme", tenant_id="acme")
        await running.integrations.create_tenant_integration("acme", sms_config=sms)
        assert (await running.integrations.open_config("acme", "sms"))["apiSecret"].open() == sms["apiSecret"]
    await running.close()
    again = await build(settings)
    assert (await again.integrations.open_config("acme", "sms"))["apiSecret"].open() == sms["apiSecret"]
    await again.close()


async def test_a_tenant_made_anew_does_not_see_the_former_one_s_calls(app):
    tenant_id = f"t-{secrets.token_hex(6)}"
    await app.tenants.create_tenant("First", tenant_id=tenant_id)
    webhook = await app.webhooks.create_n8n_webhook(tenant_id, "w", webhook_url="http://127.0.0.1:1/x")
    call = OutsideCall(webhook.id, success=True, response_time=3, request_payload={"private": "first"})
    kept = await app.analytics.create_webhook_analytics(tenant_id, call)
    await app.tenants.delete_tenant(tenant_id)
    assert len(await app.analytics.get_webhook_analytics_by_tenant(tenant_id)) == 1
    await asyncio.sleep(0.005)
    await app.tenants.create_tenant("Second", tenant_id=tenant_id)
    assert await app.analytics.get_webhook_analytics_by_tenant(tenant_id) == []
    assert (await app.analytics.get_webhook_analytics_summary(tenant_id)).figures.total_calls == 0
    with pytest.raises(NotFoundError):
        await app.analytics.get_call(tenant_id, kept.id)


async def test_a_lock_on_one_webhook_s_counters_is_no_other_s_trouble(app, database_url):
    tenants = [await app.tenants.create_tenant("T", tenant_id=f"t-{secrets.token_hex(6)}") for _ in range(2)]
    for tenant in tenants:
        await app.webhooks.create_n8n_webhook(tenant.id, "w", webhook_url="http://127.0.0.1:1/x")
    locked, free = (tenant.id for tenant in tenants)
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM n8n_webhook_counters WHERE tenant_id = $1 FOR UPDATE", locked)
            calls = [app.webhooks.call_webhook(tenant, "w", {}) for tenant in (locked, free) * 10]
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
    finally:
        await holder.close()
    assert all(isinstance(result, UnavailableError) for result in results[0::2])
    assert {getattr(result, "code", None) for result in results[0::2]} == {"recording_unavailable"}
    assert all(result.error_code == "connection_error" for result in results[1::2])
    assert (await app.webhooks.get_n8n_webhook_by_name(free, "w")).failed_calls == 10


async def test_a_stored_token_does_not_move_to_another_header_or_account_unseen(app, tenant):
    url = "http://127.0.0.1:1/x"
    header = {"auth_type": "header", "auth_config": {"headerName": "x-key"}, "auth_token": "token-123456"}
    made = await app.webhooks.create_n8n_webhook(tenant.id, "h", webhook_url=url, **header)
    with pytest.raises(InvalidError) as caught:
        await app.webhooks.update_n8n_webhook(tenant.id, made.id, {"auth_config": {"headerName": "x-other"}})
    assert caught.value.code == "secrets_required"
    changed = {"auth_config": {"headerName": "x-other"}, "auth_token": "token-123456"}
    assert (await app.webhooks.update_n8n_webhook(tenant.id, made.id, changed)).auth_config == {"headerName": "x-other"}
    with pytest.raises(InvalidError):
        await app.webhooks.update_n8n_webhook(tenant.id, made.id, {"static_headers": {"X-Other": "again"}})


@pytest.mark.parametrize(
    "fields",
    [
        {"auth_config": {"claims": {"iss": 5}}, "auth_token": "a-key-of-some-length"},
        {"auth_config": {}, "auth_token": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ"},
        {"auth_config": {"algorithm": "none"}, "auth_token": "a-key-of-some-length"},
    ],
    ids=["claims", "public key", "algorithm"],
)
async def test_a_jwt_that_could_not_be_signed_is_refused_when_it_is_saved(app, tenant, fields):
    with pytest.raises(InvalidError):
        await app.webhooks.create_n8n_webhook(
            tenant.id, "j", webhook_url="http://127.0.0.1:1/x", auth_type="jwt", **fields
        )
