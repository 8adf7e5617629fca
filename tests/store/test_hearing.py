"""What one process changes, the others know at once: they are told, and don't wait until what they keep is old."""

import asyncio
import secrets
import time

import pytest
from depot import until

from hookvault.errors import ConflictError, HookvaultError, NotFoundError, UnauthorizedError
from hookvault.wiring import build
from n8n import Answer

SECONDS = 10.0  # a second, and whatever a busy machine adds: what is not told stays unknown for an hour


@pytest.fixture(autouse=True)
def nothing_grows_old(monkeypatch):
    """So that what is known in time was told."""
    monkeypatch.setattr("hookvault.webhooks.endpoint._FRESH_S", 3600)
    monkeypatch.setattr("hookvault.accounts.keys._FRESH_S", 3600)
    monkeypatch.setattr("hookvault.db.listen._CHECK_S", 0.2)


async def knows(ask, *, within=SECONDS):
    """Waits until a question is answered as it should."""
    began = time.monotonic()
    while not await ask():
        assert time.monotonic() - began < within, "it was not told"
        await asyncio.sleep(0.01)


async def code_of(call):
    """The code of a call's error; None when it has none."""
    try:
        await call
    except HookvaultError as error:
        return error.code
    return None


@pytest.fixture
async def called(depot, second):
    """A webhook that the other process has called, and so knows."""
    webhook = await depot.webhook()
    assert (await second.webhooks.call_webhook(depot.tenant_id, webhook.workflow_name, 0)).success
    return webhook


async def test_a_changed_webhook(depot, second, called):
    path = f"/webhook/ok/moved-{secrets.token_hex(4)}"
    await depot.change(called, webhook_url=depot.n8n.url(path))

    async def moved():
        await second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)
        return depot.n8n.last.path == path

    await knows(moved)


@pytest.mark.parametrize("what", ["webhook", "tenant"])
async def test_what_is_switched_off_and_on(depot, second, called, what):
    def call():
        return code_of(second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1))

    async def switch(*, on):
        if what == "webhook":
            await depot.change(called, is_active=on)
        else:
            await depot.app.tenants.update_tenant(depot.tenant_id, {"status": "active" if on else "suspended"})

    refusal = {"webhook": "webhook_inactive", "tenant": "tenant_suspended"}[what]

    async def is_off():
        return await call() == refusal

    async def is_on():
        return await call() is None

    await switch(on=False)
    await knows(is_off)
    await switch(on=True)
    await knows(is_on)


@pytest.mark.parametrize("what", ["webhook", "tenant"])
async def test_what_is_deleted(depot, second, called, what):
    if what == "webhook":
        await depot.app.webhooks.delete_n8n_webhook(depot.tenant_id, called.id)
    else:
        await depot.app.tenants.delete_tenant(depot.tenant_id)

    async def is_gone():
        code = await code_of(second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1))
        return code == f"{what}_not_found"

    await knows(is_gone)
    with pytest.raises(NotFoundError):
        await second.webhooks.enqueue(depot.tenant_id, called.workflow_name, 1)


async def test_changed_limits(depot, second, called):
    await depot.change(called, policy={"rateLimit": {"calls": 1, "seconds": 3600}})

    async def is_limited():
        return await code_of(second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)) == "rate_limited"

    await knows(is_limited)
    await depot.change(called, policy={"rateLimit": None})
    await depot.app.tenants.update_tenant(depot.tenant_id, {"rate_limit": {"calls": 1, "seconds": 3600}})
    await knows(is_limited)


async def test_a_rotated_signing_secret(depot, second, called):
    await depot.app.webhooks.rotate_signing_secret(depot.tenant_id, called.id)

    async def signs_twice():
        await second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)
        return len(depot.n8n.last.headers["webhook-signature"].split(" ")) == 2

    await knows(signs_twice)


async def test_an_open_circuit(depot, second, called):
    depot.answers(called, Answer(503))
    for _ in range(10):
        await depot.app.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)

    async def is_open():
        return await code_of(second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)) == "circuit_open"

    await knows(is_open)


async def test_a_revoked_key(depot, second):
    made = await depot.app.api_keys.create_api_key("hearing", tenant_id=depot.tenant_id)
    token = made.token.open()
    assert (await second.api_keys.authenticate(token)).key_id == made.key.id
    await depot.app.api_keys.revoke_api_key(made.key.id)

    async def is_refused():
        return await code_of(second.api_keys.authenticate(token)) == "unauthorized"

    await knows(is_refused)
    with pytest.raises(UnauthorizedError):
        await second.api_keys.authenticate(token)


async def test_a_deleted_tenant_s_keys(depot, second):
    token = (await depot.app.api_keys.create_api_key("hearing", tenant_id=depot.tenant_id)).token.open()
    await second.api_keys.authenticate(token)
    await depot.app.tenants.delete_tenant(depot.tenant_id)

    async def is_refused():
        return await code_of(second.api_keys.authenticate(token)) == "unauthorized"

    await knows(is_refused)


async def test_what_was_missed_while_the_connection_was_away(depot, second, called, owner):
    """It may be anything, so all that was kept is asked for anew."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    await owner(f"{end} AND (query LIKE '%LISTEN%' OR query = 'SELECT 1')")
    await depot.change(called, is_active=False)

    async def is_off():
        return (
            await code_of(second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)) == "webhook_inactive"
        )

    await knows(is_off, within=20)
    with pytest.raises(ConflictError):
        await second.webhooks.call_webhook(depot.tenant_id, called.workflow_name, 1)


async def test_deliveries_that_another_process_accepts_are_sent_at_once(depot, second, called):
    """Not at the next poll, a second later."""
    times = []
    for ordering_key in (None, "a") * 4:
        began = time.monotonic()
        made = await second.webhooks.enqueue(depot.tenant_id, called.workflow_name, 1, ordering_key=ordering_key)
        await depot.ended(made)
        times.append(time.monotonic() - began)
    assert sorted(times)[4] < 0.4


async def test_a_process_that_only_serves_does_not_deliver(settings, depot):
    """`serve --no-worker`: what it accepts waits for a worker."""
    webhook = await depot.webhook()
    alone = await build(settings)
    await alone.start(deliver=False)
    try:
        made = await alone.webhooks.enqueue(depot.tenant_id, webhook.workflow_name, 1)
        await until(lambda: depot.seen(webhook))  # by the other process, which does
        assert alone.worker.in_flight == 0
        (story,) = await depot.ended(made)
        assert {entry.get("worker") for entry in story.trail} == {None, depot.app.worker._name}
    finally:
        await alone.close()
