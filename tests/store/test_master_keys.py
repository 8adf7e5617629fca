"""Master keys rotate online: nothing stops, nothing is lost, no living process is left behind; and a tenant is shredded."""

import asyncio
from uuid import uuid4

import pytest
from safe import A, B, C, Safe, fill, fp, new_key, opens

from hookvault.errors import CipherError, ConflictError, InvalidError, NotFoundError, UnavailableError, WrongKeyError
from hookvault.vault import store as keys


@pytest.fixture
async def safe(make_database, tmp_path):
    return Safe(await make_database(), tmp_path)


async def states(app):
    return {key.fingerprint: key.state for key in (await app.keys.status()).keys}


async def test_a_rotation_wraps_every_data_key_anew_and_touches_no_secret(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        filled = await fill(app, "acme")
        await app.tenants.create_tenant("Empty", tenant_id="empty")
        before = await safe.sql("SELECT whatsapp_config, sms_config, n8n_api_key FROM tenant_integrations")
        done = await app.keys.rotate()
        assert (done.previous, done.active, done.rewrapped) == (fp(A), fp(B), 2)
        await opens(app, "acme", filled)
        assert await safe.sql("SELECT whatsapp_config, sms_config, n8n_api_key FROM tenant_integrations") == before
        assert await states(app) == {fp(A): "previous", fp(B): "active"}
        assert {row[0] for row in await safe.sql("SELECT key_fingerprint FROM data_keys")} == {fp(B)}
        again = await app.keys.rotate()
        assert (again.previous, again.active, again.rewrapped) == (fp(B), fp(B), 0)
        later = await fill(app, "later")
    async with safe.process(B) as app:  # the old key is needed for nothing
        await opens(app, "acme", filled)
        await opens(app, "later", later)
    with pytest.raises(WrongKeyError):
        async with safe.process(A):
            pass


async def test_the_names_may_be_swapped_before_all_processes_have_the_new_ones(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        filled = await fill(app, "acme")
        await app.keys.rotate()
        async with safe.process(B, encryption_key_previous=A, start="worker") as swapped:
            await opens(swapped, "acme", filled)
            assert (await swapped.keys.rotate()).rewrapped == 0
            await fill(swapped, "new")


async def test_no_next_key_is_told(safe):
    async with safe.process(A) as app:
        with pytest.raises(ConflictError, match="ENCRYPTION_KEY_NEXT") as caught:
            await app.keys.rotate()
        assert caught.value.code == "no_next_key"
        assert await states(app) == {fp(A): "active"}


async def test_a_living_process_without_the_next_key_blocks_the_rotation_until_it_is_gone(safe):
    async with safe.process(A, encryption_key_next=B, start="serve") as app:
        filled = await fill(app, "acme")
        async with safe.process(A, start="worker") as behind:
            with pytest.raises(ConflictError) as caught:
                await app.keys.rotate()
            assert caught.value.code == "key_not_everywhere"
            assert caught.value.members["processes"] == [str(behind.presence._process)]
            assert "worker on" in caught.value.message
            assert await states(app) == {fp(A): "active"}
            await opens(behind, "acme", filled)
        assert (await app.keys.rotate()).rewrapped == 1  # a clean stop takes its row along


async def test_a_process_that_was_killed_blocks_nothing_once_it_counts_as_dead(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        gone = "INSERT INTO key_holders VALUES ($1, 'serve', 'x', $2, now(), clock_timestamp() - interval '14 seconds')"
        await safe.sql(gone, uuid4(), [fp(A)])
        with pytest.raises(ConflictError):
            await app.keys.rotate()
        await safe.sql("UPDATE key_holders SET seen_at = seen_at - interval '1.1 seconds'")
        await app.keys.rotate()


async def test_a_process_can_not_slip_in_between_the_check_and_the_promotion(safe):
    """One that starts while the key changes waits, and then finds that it can't serve."""
    async with safe.process(A, encryption_key_next=B) as app, safe.process(A) as late:
        async with app.database.system() as tx:
            await tx.fetchval("SELECT pg_advisory_xact_lock(hashtextextended('hookvault master key', 0))")
            entering = asyncio.create_task(late.presence.enter("serve"))
            await asyncio.sleep(0.2)
            assert not entering.done()
            await tx.execute("UPDATE key_history SET state = 'previous' WHERE state = 'active'")
            await tx.execute("INSERT INTO key_history VALUES ($1, 'active', now(), now())", fp(B))
        with pytest.raises(WrongKeyError, match=fp(B)):
            await entering
        assert await safe.value("SELECT count(*) FROM key_holders") == 0


async def test_a_process_that_is_left_behind_all_the_same_says_that_it_is_not_ready(safe):
    async with safe.process(A, start="serve") as app:
        app.presence.check()
        await safe.sql("UPDATE key_history SET state = 'previous' WHERE state = 'active'")
        await safe.sql("INSERT INTO key_history VALUES ($1, 'active', now(), now())", fp(B))
        await app.presence.beat()
        with pytest.raises(UnavailableError, match=fp(B)) as caught:
            app.presence.check()
        assert caught.value.code == "wrong_key"


async def test_tenants_made_while_a_rotation_runs_are_wrapped_under_the_active_key(safe):
    async with safe.process(A, encryption_key_next=B) as app, safe.process(A, encryption_key_next=B) as other:
        for number in range(20):
            await app.tenants.create_tenant("x", tenant_id=f"t-{number}")

        async def making():
            for number in range(40):
                await other.tenants.create_tenant("x", tenant_id=f"n-{number}")

        await asyncio.gather(making(), app.keys.rotate())
        assert {row[0] for row in await safe.sql("SELECT DISTINCT key_fingerprint FROM data_keys")} == {fp(B)}
        found = {row[0] for row in await safe.sql("SELECT tenant_id FROM data_keys WHERE state = 'active'")}
        assert len(found) == 60


async def test_retiring_is_refused_while_anything_needs_the_key_and_its_fingerprint_stays(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        await fill(app, "acme")
        with pytest.raises(ConflictError) as caught:
            await app.keys.retire(fp(A))
        assert caught.value.code == "key_active"
        with pytest.raises(NotFoundError):
            await app.keys.retire("mk_0000000000000000")
        await app.keys.rotate()
        backup = "INSERT INTO backups VALUES ($1, now(), 'cli:x', 'nightly.hvb', 1, 1, $2)"
        await safe.sql(backup, uuid4(), [fp(A)])
        with pytest.raises(ConflictError, match=r"nightly\.hvb") as caught:
            await app.keys.retire(fp(A))
        assert caught.value.code == "key_needed"
        await app.keys.retire(fp(A), reason="it leaked")
        await app.keys.retire(fp(A))
        (row,) = await safe.sql("SELECT * FROM key_history WHERE fingerprint = $1", fp(A))
        assert (row["state"], row["retired_why"], row["retired_by"]) == ("retired", "it leaked", "python:in-process")
        (event,) = await safe.sql("SELECT detail FROM audit_events WHERE action = 'key.retired'")
        assert "it leaked" in event[0]
    async with safe.process(B, encryption_key_next=A) as app:
        with pytest.raises(ConflictError) as caught:
            await app.keys.rotate()
        assert caught.value.code == "key_retired"


async def test_data_keys_that_a_key_still_wraps_keep_it(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        await fill(app, "acme")
        (row,) = await safe.sql("SELECT * FROM data_keys")
        await app.keys.rotate()
        back = "UPDATE data_keys SET wrapped = $1, key_fingerprint = $2"
        await safe.sql(back, row["wrapped"], fp(A))  # as one table restored by hand
        with pytest.raises(ConflictError, match="1 data keys"):
            await app.keys.retire(fp(A))


async def test_keys_that_were_ever_active_are_known_for_ever(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        await app.keys.rotate()
    async with safe.process(B, encryption_key_next=C) as app:
        await app.keys.rotate()
        status = await app.keys.status()
        assert [key.fingerprint for key in status.keys] == [fp(A), fp(B), fp(C)]
        assert [key.state for key in status.keys] == ["previous", "previous", "active"]
        assert [key.held for key in status.keys] == [False, True, True]
        assert all(key.superseded_at for key in status.keys[:2])


async def test_a_shredded_tenant_s_secrets_are_gone_and_can_be_entered_anew(safe):
    async with safe.process(A) as app, safe.process(A, start="serve") as other:
        await other.listener.ready()
        mine, theirs = await fill(app, "acme"), await fill(app, "beta")
        await opens(other, "acme", mine)
        assert await app.keys.shred("acme") == 1
        await asyncio.sleep(0.3)  # what the other process knew of it is forgotten
        for one in (app, other):
            with pytest.raises(CipherError, match="destroyed"):
                await one.integrations.open_config("acme", "whatsapp")
            with pytest.raises(CipherError):
                await one.webhooks.call_webhook("acme", "flow-0", {})
            await opens(one, "beta", theirs)
        assert await safe.value("SELECT wrapped FROM data_keys WHERE tenant_id = 'acme' AND version = 1") == ""
        assert await safe.value("SELECT tenant_id FROM shredded_tenants") == "acme"
        shown = await app.integrations.get_tenant_integration("acme")
        assert shown.whatsapp.secrets["accessToken"].needs_reentry
        assert shown.whatsapp.secrets["accessToken"].hint is None
        assert shown.whatsapp.values["phoneNumberId"] == "1234567890"
        assert all(
            webhook.auth_token.needs_reentry for webhook in await app.webhooks.get_n8n_webhooks_by_tenant("acme")
        )
        with pytest.raises(InvalidError) as caught:
            await app.integrations.configure("acme", "n8n", {"enabled": False}, create=False)
        assert caught.value.code == "secrets_required"
        assert caught.value.members["errors"][0]["field"] == "apiKey"
        secret = new_key()
        await app.integrations.configure("acme", "n8n", {"apiKey": secret}, create=False)
        assert (await app.integrations.open_config("acme", "n8n"))["apiKey"].open() == secret
        shown = await app.integrations.get_tenant_integration("acme")
        assert not shown.n8n.secrets["apiKey"].needs_reentry
        assert shown.whatsapp.secrets["accessToken"].needs_reentry  # still, in the same row
        assert (await app.scans.scan()).unreadable == 0  # as it should be, so no alarm


async def test_a_webhook_whose_secrets_are_gone_is_mended_field_by_field(safe):
    async with safe.process(A) as app:
        await fill(app, "acme", webhooks=1)
        (webhook,) = await app.webhooks.get_n8n_webhooks_by_tenant("acme")
        await app.keys.shred("acme")
        for changes, field in (
            ({"description": "x"}, "authToken"),
            ({"auth_token": "a-new-one"}, "staticHeaders.x-own"),
        ):
            with pytest.raises(InvalidError) as caught:
                await app.webhooks.update_n8n_webhook("acme", webhook.id, changes)
            assert caught.value.members["errors"] == [{"field": field, "message": "must be given again"}]
        changes = {"auth_token": "a-new-one", "static_headers": {"x-own": None}}
        shown = await app.webhooks.update_n8n_webhook("acme", webhook.id, changes)
        assert shown.signing_secret.needs_reentry or not shown.signing_secret.set
        with pytest.raises(CipherError):
            await app.webhooks.call_webhook("acme", "flow-0", {})
        await app.webhooks.rotate_signing_secret("acme", webhook.id)
        shown = await app.webhooks.get_n8n_webhook("acme", webhook.id)
        assert not shown.signing_secret.needs_reentry
        app.webhooks.forget("acme")
        endpoint = await app.webhooks._endpoints.find("acme", "flow-0")
        assert endpoint.auth_token.open() == "a-new-one"
        assert len(endpoint.signers) == 1


async def test_one_tenant_s_missing_master_key_breaks_no_other_and_names_the_key(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        await fill(app, "acme")
        (row,) = await safe.sql("SELECT * FROM data_keys")
        await app.keys.rotate()
        await safe.sql("UPDATE data_keys SET wrapped = $1, key_fingerprint = $2", row["wrapped"], fp(A))
        beta = await fill(app, "beta")
    async with safe.process(B) as app:
        await opens(app, "beta", beta)
        secret = (await app.integrations.get_tenant_integration("acme")).sms.secrets["authToken"]
        assert (secret.set, secret.needs_reentry, secret.key_needed) == (True, True, fp(A))
        webhook = (await app.webhooks.list_webhooks("acme")).items[0]
        assert (webhook.auth_token.needs_reentry, webhook.auth_token.key_needed) == (True, fp(A))
        with pytest.raises(WrongKeyError, match=fp(A)):  # it may come back, so nothing is thrown away
            await app.integrations.configure("acme", "n8n", {"apiKey": "x" * 20}, create=False)
        found = await app.scans.scan()
        assert found.unreadable == 13
        assert {(fault.reason, fault.key_needed) for fault in await app.scans.faults()} == {("key_missing", fp(A))}
    async with safe.process(B, encryption_key_previous=A) as app:
        assert not (await app.integrations.get_tenant_integration("acme")).sms.secrets["authToken"].key_needed
        assert (await app.scans.scan()).unreadable == 0
        assert await app.scans.faults() == []


async def test_an_unknown_tenant_is_not_shredded(safe):
    async with safe.process(A) as app:
        with pytest.raises(NotFoundError):
            await app.keys.shred("nobody")
        assert await safe.value("SELECT count(*) FROM shredded_tenants") == 0


async def test_a_process_that_starts_while_keys_are_rotated_waits_for_the_end_of_it(safe):
    async with safe.process(A, encryption_key_next=B) as app, safe.process(A, encryption_key_next=B) as other:
        async with app.database.system() as tx:  # as a rotation of very many keys does
            await keys.lock_master(tx)
            starting = asyncio.create_task(other.start(deliver=False))
            await asyncio.sleep(2.5)
            assert not starting.done()
            await keys.activate_master(tx, fp(B))
        await asyncio.wait_for(starting, 5)
        assert [holder.fingerprints for holder in (await app.keys.status()).processes] == [(fp(A), fp(B))]
        other.presence.check()
