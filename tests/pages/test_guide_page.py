"""First steps, from nothing to a first recorded call."""

import re
import secrets

import pytest

from hookvault.analytics.model import CallFilter
from n8n import N8n
from seen import SCRIPTED, words

STEPS = ("password", "tenant", "n8n", "webhook", "key", "call")
FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


@pytest.fixture(scope="module")
async def n8n():
    async with N8n() as started:
        yield started


def done(answer):
    """The steps that are ticked off."""
    return [name for name in STEPS if re.search(rf'class="tick is-done" id="tick-{name}"', answer.text)]


async def test_from_nothing_to_a_first_recorded_call(owner_page, app, n8n):
    name = f"Clinic {secrets.token_hex(4)}"
    made = await owner_page.post("/guide/tenant", data={"name": name})
    here = made.headers["location"]
    tenant_id = here.partition("=")[2]
    page = await owner_page.get(here)
    assert done(page) == ["password", "tenant"]
    assert f"/guide/{tenant_id}/n8n" in page.text
    assert f"/guide/{tenant_id}/webhook" not in page.text  # one step after the other

    base = n8n.url("/webhook/ok")
    assert (await owner_page.post(f"/guide/{tenant_id}/n8n", data={"baseUrl": base, "apiKey": ""})).status_code == 303
    assert done(await owner_page.get(here)) == ["password", "tenant", "n8n"]

    data = {"workflowName": "booked", "webhookUrl": n8n.url("/webhook/ok/booked")}
    webhook = await owner_page.post(f"/guide/{tenant_id}/webhook", data=data)
    assert done(webhook) == ["password", "tenant", "n8n", "webhook"]
    secret = re.search(r"whsec_[\w+/=]+", webhook.text)[0]
    assert secret not in (await owner_page.get(here)).text
    waiting = await owner_page.get(f"/guide/progress?tenantId={tenant_id}", headers=SCRIPTED)
    assert 'hx-trigger="every 3s"' in waiting.text
    assert "Waiting for a call of booked" in words(waiting)

    key = await owner_page.post(f"/guide/{tenant_id}/key", data={"keyName": "Backend"})
    token = re.search(r'id="new-key">(hv_\w+)<', key.text)[1]
    assert f"/api/tenants/{tenant_id}/webhooks/booked/call" in words(key)
    assert token not in (await owner_page.get(here)).text

    tried = await owner_page.post(f"/guide/{tenant_id}/call", data={})
    assert (tried.status_code, tried.headers["location"]) == (303, f"{here}#call")
    [call] = (await app.analytics.list_tenant_calls(tenant_id, CallFilter())).items
    progress = await owner_page.get(f"/guide/progress?tenantId={tenant_id}", headers=SCRIPTED)
    assert "It works booked answered 200" in words(progress)
    assert f'href="/calls/{call.id}"' in progress.text
    assert "every 3s" not in progress.text
    assert 'hx-swap-oob="true"' in progress.text
    page = await owner_page.get(here)
    assert done(page) == list(STEPS)
    assert "hx-swap-oob" not in page.text


async def test_what_is_wrong_stands_at_its_step(owner_page, app, tenant, owner):
    empty = await owner_page.post("/guide/tenant", data={"name": ""})
    assert empty.status_code == 422
    base = f"/guide/{tenant.id}"
    answer = await owner_page.post(f"{base}/n8n", data={"baseUrl": "no <b>url", "apiKey": "planted-by-nobody-1"})
    assert answer.status_code == 422
    assert 'value="no &lt;b&gt;url"' in answer.text
    assert re.search(r'name="baseUrl"[^>]* aria-invalid="true"', answer.text, re.DOTALL)
    assert "planted-by-nobody" not in answer.text
    await app.integrations.configure(tenant.id, "n8n", {"baseUrl": "https://n8n.example.com"}, create=True)
    bad = await owner_page.post(f"{base}/webhook", data={"workflowName": "no name!", "webhookUrl": ""})
    assert (bad.status_code, 'value="no name!"' in bad.text) == (422, True)
    await app.webhooks.create_n8n_webhook(tenant.id, "far", webhook_url="https://n8n.example.com/webhook/far")
    await owner("UPDATE n8n_webhooks SET webhook_url = 'https://10.0.0.1/x' WHERE tenant_id = $1", tenant.id)
    refused = await owner_page.post(f"{base}/call", data={})
    assert refused.status_code == 303
    page = await owner_page.get("/guide", params={"tenantId": tenant.id})
    assert "It is recorded, and failed" in words(page)
    unnamed = await owner_page.post(f"{base}/key", data={"keyName": ""})
    assert unnamed.status_code == 422


async def test_a_viewer_reads_the_steps_and_takes_none(visitor, tenant):
    page = await visitor("viewer")
    answer = await page.get("/guide", params={"tenantId": tenant.id})
    assert answer.status_code == 200
    assert 'action="/guide/' not in answer.text
    for path in ("tenant", "demo", "demo/remove", f"{tenant.id}/n8n", f"{tenant.id}/webhook", f"{tenant.id}/key"):
        data = {"name": "x", "baseUrl": "https://n8n.example.com", "workflowName": "x", "keyName": "x"}
        assert (await page.post(f"/guide/{path}", data=data)).status_code == 403, path


async def test_a_tenant_that_is_not_there_is_a_page_that_says_so(owner_page, app, tenant):
    await app.tenants.delete_tenant(tenant.id)
    for path in ("/guide", "/guide/progress"):
        answer = await owner_page.get(path, params={"tenantId": tenant.id})
        part = await owner_page.get(path, params={"tenantId": tenant.id}, headers=SCRIPTED)
        assert (answer.status_code, "<html" in answer.text) == (404, True)
        assert (part.status_code, "<html" in part.text) == (404, False)
    assert (await owner_page.post(f"/guide/{tenant.id}/n8n", data={"baseUrl": "https://x.example"})).status_code == 404


async def test_another_site_s_form_takes_no_step(owner_page, tenant):
    for path in ("tenant", "demo", f"{tenant.id}/key"):
        answer = await owner_page.post(f"/guide/{path}", data={"name": "x", "keyName": "x"}, headers=FOREIGN)
        assert answer.status_code == 403


async def test_demo_data_is_removed_by_a_button(owner_page):
    page = await owner_page.get("/guide")
    assert "Load demo data" in words(page)
    removed = await owner_page.post("/guide/demo/remove", data={})
    assert (removed.status_code, removed.headers["location"]) == (303, "/guide")
    assert "The demo tenants are gone." in words(await owner_page.get("/guide"))
