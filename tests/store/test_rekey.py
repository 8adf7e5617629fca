"""Rekeying and the health scan: everything sealed anew while others write, and nothing lost wherever it stops."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from safe import A, B, Safe, fill, finished, opens, rekeyed

from canary import planted
from hookvault import clock
from hookvault.custody.sealed import store as rows
from hookvault.errors import ConflictError, NotFoundError
from hookvault.vault.registry import REGISTRY


@pytest.fixture
async def safe(make_database, tmp_path):
    return Safe(await make_database(), tmp_path)


async def ciphertexts(safe):
    found = set()
    for row in await safe.sql(
        "SELECT whatsapp_config::jsonb ->> 'accessToken' AS a, n8n_api_key AS b FROM tenant_integrations"
    ):
        found |= {row["a"], row["b"]}
    for row in await safe.sql("SELECT auth_token, signing_secret, previous_signing_secret FROM n8n_webhooks"):
        found |= set(row)
    return found


async def test_everything_is_sealed_anew_and_the_old_keys_are_destroyed(safe):
    async with safe.process(A) as app:
        filled = {name: await fill(app, name) for name in ("acme", "beta", "gamma")}
        before = await ciphertexts(safe)
        done = await rekeyed(app)
        assert (done.state, done.done, done.total, done.unreadable) == ("finished", 9, 9, 0)
        assert not before & await ciphertexts(safe)
        for name, known in filled.items():
            await opens(app, name, known)
        assert await safe.sql("SELECT version, state, count(*)::int FROM data_keys GROUP BY 1, 2 ORDER BY 1") == [
            (1, "destroyed", 3),
            (2, "active", 3),
        ]
        assert {row[0] for row in await safe.sql("SELECT key_version FROM n8n_webhooks")} == {2}
        assert (await app.scans.scan()).unreadable == 0


async def test_one_tenant_alone_is_rekeyed(safe):
    async with safe.process(A) as app:
        acme, beta = await fill(app, "acme"), await fill(app, "beta")
        done = await rekeyed(app, "acme")
        assert (done.tenant_id, done.total) == ("acme", 3)
        kept = "SELECT tenant_id, max(version)::int FROM data_keys GROUP BY 1 ORDER BY 1"
        assert await safe.sql(kept) == [("acme", 2), ("beta", 1)]
        await opens(app, "acme", acme)
        await opens(app, "beta", beta)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_machine_whose_clock_is_wrong_rekeys_all_the_same(safe, monkeypatch, hours):
    class Wrong(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime.now(zone) + timedelta(hours=hours)

    async with safe.process(A) as app:
        filled = await fill(app, "acme")
        await app.rekeys.start()
        monkeypatch.setattr(clock, "datetime", Wrong)
        assert (await finished(app)).state == "finished"
        states = await safe.sql("SELECT version, state FROM data_keys ORDER BY 1")
        assert states == [(1, "destroyed"), (2, "active")]
        await opens(app, "acme", filled)


async def test_what_a_version_counts_by_stays(safe):
    """An admin's If-Match, and the audit log's idea of who changed what."""
    async with safe.process(A) as app:
        await fill(app, "acme")
        shown = "SELECT config_version, updated_at, updated_by FROM n8n_webhooks ORDER BY id"
        before = await safe.sql(shown)
        await rekeyed(app)
        assert await safe.sql(shown) == before


async def test_writers_meanwhile_always_win_and_never_read_a_broken_secret(safe):
    async with safe.process(A) as app, safe.process(A) as other:
        filled = {f"t-{n}": await fill(app, f"t-{n}", webhooks=6) for n in range(6)}
        last = {}
        stopping = asyncio.Event()

        async def writing(tenant_id):
            webhooks = await other.webhooks.get_n8n_webhooks_by_tenant(tenant_id)
            number = 0
            while not stopping.is_set():
                webhook, token = webhooks[number % len(webhooks)], planted(f"written-{number}")
                await other.webhooks.update_n8n_webhook(tenant_id, webhook.id, {"auth_token": token})
                last[tenant_id, webhook.workflow_name] = token
                await other.integrations.open_config(tenant_id, "sms")
                number += 1

        writers = [asyncio.create_task(writing(name)) for name in filled]
        for _ in range(3):
            done = await rekeyed(app)
            assert done.unreadable == 0
        stopping.set()
        await asyncio.gather(*writers)
        assert len(last) > 6
        for (tenant_id, name), token in last.items():
            other.webhooks.forget(tenant_id)
            assert (await other.webhooks._endpoints.find(tenant_id, name)).auth_token.open() == token
        assert (await app.scans.scan()).unreadable == 0
        assert await safe.value("SELECT count(*) FROM data_keys WHERE state = 'decrypt_only'") == 0


async def test_a_row_changed_in_between_is_left_as_its_writer_made_it(safe):
    async with safe.process(A) as app:
        await fill(app, "acme", webhooks=1)
        table = next(table for table in REGISTRY if table.name == "n8n_webhooks")
        async with app.database.system() as tx:
            (row,) = await rows.page(tx, table, rows.START, 10)
            await tx.execute("UPDATE n8n_webhooks SET auth_token = 'written meanwhile'")
            assert await rows.swap(tx, table, [(row, 2, {**row.columns, "auth_token": "stale"})]) == 0
            assert await tx.fetchval("SELECT auth_token FROM n8n_webhooks") == "written meanwhile"


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
async def test_whoever_comes_next_goes_on_where_it_stopped(safe, steps):
    async with safe.process(A) as app:
        filled = {name: await fill(app, name) for name in ("acme", "beta")}
        await app.rekeys.start()
        for _ in range(steps):
            await app.rekeys.step()
    async with safe.process(A) as app:
        for name, known in filled.items():
            await opens(app, name, known)
        done = await finished(app)
        assert (done.state, done.unreadable) == ("finished", 0)
        for name, known in filled.items():
            await opens(app, name, known)
        assert await safe.value("SELECT count(*) FROM data_keys WHERE state = 'decrypt_only'") == 0


async def test_workers_go_on_by_themselves(safe):
    async with safe.process(A, start="worker", deliver=True) as app:
        filled = await fill(app, "acme")
        app.rekeys._last_readers_s = 0.1
        await app.rekeys.start()
        async with asyncio.timeout(15):
            while (await app.rekeys.progress()).state == "running":
                await asyncio.sleep(0.05)
        await opens(app, "acme", filled)


async def test_the_last_readers_are_waited_for(safe):
    """Whoever read a row a moment ago still finds the key that it names."""
    async with safe.process(A) as app:
        await fill(app, "acme")
        app.rekeys._last_readers_s = 0.7
        await app.rekeys.start()
        steps = [await app.rekeys.step() for _ in range(12)]
        assert "waiting" in steps
        assert await safe.value("SELECT count(*) FROM data_keys WHERE state = 'decrypt_only'") == 1
        await asyncio.sleep(0.8)
        async with asyncio.timeout(30):
            while await app.rekeys.step() != "finished":
                pass
        assert await safe.value("SELECT count(*) FROM data_keys WHERE state = 'destroyed'") == 1


async def test_a_secret_that_does_not_open_is_left_with_its_key_and_told(safe):
    async with safe.process(A) as app:
        acme, beta = await fill(app, "acme", webhooks=2), await fill(app, "beta")
        broken = await safe.value("SELECT id FROM n8n_webhooks WHERE tenant_id = 'acme' ORDER BY id LIMIT 1")
        flip = "UPDATE n8n_webhooks SET auth_token = translate(auth_token, '0123456789', '1032547698') WHERE id = $1"
        await safe.sql(flip, broken)
        done = await rekeyed(app)
        assert (done.state, done.unreadable) == ("finished", 1)
        (fault,) = await app.scans.faults()
        assert (fault.tenant_id, UUID(fault.row_id), fault.field, fault.reason) == (
            "acme",
            broken,
            "auth_token",
            "does_not_open",
        )
        assert await safe.value("SELECT key_version FROM n8n_webhooks WHERE id = $1", broken) == 1
        states = "SELECT tenant_id, state FROM data_keys WHERE version = 1 ORDER BY 1"
        assert await safe.sql(states) == [("acme", "decrypt_only"), ("beta", "destroyed")]
        await opens(app, "beta", beta)
        assert (await app.integrations.open_config("acme", "n8n"))["apiKey"].open() == acme[0]["apiKey"]
        page = {webhook.id: webhook.auth_token for webhook in (await app.webhooks.list_webhooks("acme")).items}
        assert page[broken].needs_reentry
        assert sum(mark.needs_reentry for mark in page.values()) == 1
        await app.webhooks.update_n8n_webhook("acme", broken, {"auth_token": planted("entered-again")})
        assert (await rekeyed(app)).unreadable == 0
        assert (await app.scans.scan()).unreadable == 0


async def test_what_was_shredded_holds_up_no_rekeying(safe):
    async with safe.process(A) as app:
        beta = await fill(app, "beta")
        await fill(app, "acme")
        await app.keys.shred("acme")
        assert (await rekeyed(app)).unreadable == 0
        await opens(app, "beta", beta)
        assert (await app.integrations.get_tenant_integration("acme")).n8n.secrets["apiKey"].needs_reentry


async def test_only_one_runs_and_it_can_be_stopped_and_started_again(safe):
    async with safe.process(A) as app:
        filled = await fill(app, "acme")
        started = await app.rekeys.start()
        with pytest.raises(ConflictError) as caught:
            await app.rekeys.start("acme")
        assert caught.value.code == "rekey_running"
        await app.rekeys.step()
        await app.rekeys.cancel()
        assert (await app.rekeys.progress()).state == "cancelled"
        assert await app.rekeys.step() == "idle"
        with pytest.raises(NotFoundError):
            await app.rekeys.cancel()
        await opens(app, "acme", filled)
        done = await rekeyed(app)
        assert done.id != started.id
        await opens(app, "acme", filled)
        actions = [
            row[0] for row in await safe.sql("SELECT action FROM audit_events WHERE action ~ 'rekey' ORDER BY id")
        ]
        assert actions == ["rekey.started", "rekey.cancelled", "rekey.started"]


async def test_two_processes_share_one_rekeying(safe):
    async with safe.process(A) as app, safe.process(A) as other:
        filled = {f"t-{n}": await fill(app, f"t-{n}") for n in range(8)}
        await app.rekeys.start()
        await asyncio.gather(finished(app), finished(other))
        assert (await app.rekeys.progress()).state == "finished"
        for name, known in filled.items():
            await opens(other, name, known)


async def test_a_rotation_in_the_middle_of_a_rekeying_disturbs_neither(safe):
    async with safe.process(A, encryption_key_next=B) as app:
        filled = {f"t-{n}": await fill(app, f"t-{n}") for n in range(3)}
        await app.rekeys.start()
        await app.rekeys.step()
        await app.keys.rotate()
        await finished(app)
    async with safe.process(B) as app:
        for name, known in filled.items():
            await opens(app, name, known)


async def test_the_nightly_scan_runs_once_a_day_over_all_processes(safe):
    async with safe.process(A) as app, safe.process(A) as other:
        await fill(app, "acme")
        await asyncio.gather(app.scans.nightly(), other.scans.nightly())
        await app.scans.nightly()
        assert await safe.value("SELECT count(*) FROM secret_scans") == 1
        assert (await app.scans.last()).secrets == 13
        await safe.sql("UPDATE secret_scans SET started_at = started_at - interval '24 hours'")
        await other.scans.nightly()
        assert await safe.value("SELECT count(*) FROM secret_scans") == 2


async def test_pages_and_batches_cover_every_row(safe, monkeypatch):
    monkeypatch.setattr("hookvault.custody.rekey._ROWS", 2)
    monkeypatch.setattr("hookvault.custody.rekey._TENANTS", 2)
    monkeypatch.setattr("hookvault.custody.rekey._DESTROYED", 2)
    monkeypatch.setattr("hookvault.custody.scan._ROWS", 2)
    async with safe.process(A) as app:
        filled = {f"t-{n}": await fill(app, f"t-{n}", webhooks=3) for n in range(5)}
        assert (await app.scans.scan()).secrets == 5 * (5 + 3 * 4)
        await rekeyed(app)
        for name, known in filled.items():
            await opens(app, name, known)
        assert await safe.value("SELECT count(*) FROM data_keys WHERE state = 'decrypt_only'") == 0
