"""The pages of API keys and of encryption keys."""

import re
from uuid import uuid4

import httpx
import pytest

from hookvault.api.app import create_app
from seen import SCRIPTED, words

FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


async def made(page, **typed):
    """Makes a key by the form; the answer, and the key itself."""
    data = {"name": "Shop", "kind": "tenant", "scopes": ["call", "read"]} | typed
    answer = await page.post("/api-keys/new", data=data, headers=SCRIPTED)
    found = re.search(r'id="new-key">(hv_\w+)<', answer.text)
    return answer, found and found[1]


async def listed(page, tenant):
    return words(await page.get("/api-keys", params={"tenantId": tenant.id}))


async def test_a_key_is_shown_once_with_a_command_that_works(owner_page, app, tenant):
    answer, key = await made(owner_page, tenantId=tenant.id, name="Shop <b>x</b>")
    assert answer.status_code == 200
    command = words(answer)
    assert f"curl {app.settings.app_url}/api/tenants/{tenant.id}/webhooks/WORKFLOW/call" in command
    headers = {"authorization": re.search(r"Authorization: (Bearer hv_\w+)", command)[1]}
    assert headers["authorization"] == f"Bearer {key}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(app)), base_url="http://test") as client:
        used = await client.get(f"/api/tenants/{tenant.id}/deliveries", headers=headers)
        assert used.status_code == 200
    page = await owner_page.get("/api-keys", params={"tenantId": tenant.id})
    assert f"Shop <b>x</b> hv_••••{key[-4:]} {tenant.id} call, read" in words(page)
    assert "<b>x</b>" not in page.text
    assert key not in page.text
    assert f"by {owner_page.who.email}" in words(page)


async def test_what_is_wrong_with_a_key_stands_at_its_field(owner_page, tenant):
    nobody, _ = await made(owner_page, tenantId="never-was", name="Kept name")
    assert (nobody.status_code, 'value="Kept name"' in nobody.text) == (404, True)
    assert "There is no tenant never-was" in words(nobody)
    for typed, field in (({"tenantId": tenant.id, "name": ""}, "name"), ({"tenantId": "no id!"}, "tenantId")):
        answer, _ = await made(owner_page, **typed)
        assert answer.status_code == 422
        assert re.search(rf'name="{field}"[^>]* aria-invalid="true"', answer.text, re.DOTALL), field
        assert re.search(r'value="read" checked', answer.text)
        assert not re.search(r'value="send" checked', answer.text)
    none, _ = await made(owner_page, tenantId=tenant.id, scopes=[])
    assert none.status_code == 422


async def test_only_an_owner_makes_a_platform_key(visitor, owner_page):
    answer, key = await made(owner_page, kind="platform")
    assert (answer.status_code, key is not None) == (200, True)
    admin = await visitor("admin")
    assert 'value="platform"' not in (await admin.get("/api-keys/new")).text
    refused, key = await made(admin, kind="platform")
    assert (refused.status_code, key) == (403, None)


async def test_a_key_is_revoked_once_its_name_was_typed(owner_page, app, tenant):
    await made(owner_page, tenantId=tenant.id)
    [key] = (await app.api_keys.list_api_keys(tenant_id=tenant.id)).items
    refused = await owner_page.post(f"/api-keys/{key.id}/revoke", data={"confirm": "Other"})
    assert (refused.status_code, "Nothing was revoked" in words(refused)) == (422, True)
    assert "Active Revoke" in await listed(owner_page, tenant)
    assert (await owner_page.get(f"/api-keys/{key.id}/revoke", headers=SCRIPTED)).status_code == 200
    assert (await owner_page.post(f"/api-keys/{key.id}/revoke", data={"confirm": "Shop"})).status_code == 303
    assert "Revoked just now" in await listed(owner_page, tenant)
    for missing in (uuid4(), "x"):
        assert (await owner_page.get(f"/api-keys/{missing}/revoke")).status_code == 404


async def test_keys_are_shown_page_by_page(owner_page, app, tenant):
    for number in range(52):
        await app.api_keys.create_api_key(f"Key {number:02}", tenant_id=tenant.id)
    first = await owner_page.get("/api-keys", params={"tenantId": tenant.id})
    more = re.search(r'hx-get="(/api-keys\?[^"]*cursor=[^"]*)"', first.text)[1].replace("&amp;", "&")
    rest = await owner_page.get(more, headers=SCRIPTED)
    assert "<html" not in rest.text
    assert re.findall(r"Key \d\d", words(rest)) == ["Key 01", "Key 00"]
    assert "Show more" not in rest.text


async def test_a_viewer_only_reads_keys(visitor, app, tenant):
    page = await visitor("viewer")
    await app.api_keys.create_api_key("Shop", tenant_id=tenant.id)
    [key] = (await app.api_keys.list_api_keys(tenant_id=tenant.id)).items
    for path in ("/api-keys", "/keys"):
        answer = await page.get(path)
        assert answer.status_code == 200
        assert not re.search(r'(?:href|action)="/(?:api-)?keys/', answer.text)
    fingerprint = (await app.keys.status()).keys[0].fingerprint
    forms = (
        "/api-keys/new",
        f"/api-keys/{key.id}/revoke",
        "/keys/rotate",
        "/keys/rekey",
        f"/keys/{fingerprint}/retire",
    )
    for path in forms:
        assert (await page.get(path)).status_code == 403, path
    typed = {"name": "x", "kind": "tenant", "tenantId": tenant.id, "scopes": "read", "confirm": "rotate"}
    for path in ("/api-keys/new", "/keys/rotate", "/keys/rekey", "/keys/scan", "/keys/rekey/cancel"):
        assert (await page.post(path, data=typed)).status_code == 403, path
    assert (await page.post(f"/api-keys/{key.id}/revoke", data={"confirm": "Shop"})).status_code == 403
    assert (await app.api_keys.get_api_key(key.id)).revoked_at is None


async def test_another_site_s_form_makes_no_key(owner_page, tenant):
    data = {"name": "Shop", "kind": "tenant", "tenantId": tenant.id, "scopes": "read"}
    assert (await owner_page.post("/api-keys/new", data=data, headers=FOREIGN)).status_code == 403
    assert "No API key yet" in await listed(owner_page, tenant)


async def test_the_master_keys_are_shown_by_fingerprint_and_holder(owner_page, app):
    await app.presence.enter("serve")
    try:
        said = words(await owner_page.get("/keys"))
    finally:
        await app.presence.leave()
    fingerprint = (await app.keys.status()).keys[0].fingerprint
    assert f"Active master key Active Fingerprint {fingerprint}" in said
    assert f"{fingerprint} active" in said
    assert "No process holds a next key now." in said


async def test_rotating_is_refused_in_the_api_s_words(owner_page):
    slip = await owner_page.post("/keys/rotate", data={"confirm": "rotat"})
    assert (slip.status_code, "Type rotate to confirm" in words(slip)) == (422, True)
    answer = await owner_page.post("/keys/rotate", data={"confirm": "rotate"}, headers=SCRIPTED)
    assert answer.status_code == 409
    assert "ENCRYPTION_KEY_NEXT is not set. Make a key with `hookvault keys generate`" in words(answer)


async def test_retiring_is_refused_in_the_api_s_words(owner_page, app):
    fingerprint = (await app.keys.status()).keys[0].fingerprint
    answer = await owner_page.post(
        f"/keys/{fingerprint}/retire", data={"confirm": fingerprint, "reason": "old <b>one</b>"}, headers=SCRIPTED
    )
    assert (answer.status_code, "is the active master key. Rotate to another one first." in words(answer)) == (
        409,
        True,
    )
    assert 'value="old &lt;b&gt;one&lt;/b&gt;"' in answer.text
    assert (await owner_page.get("/keys/mk_0000000000000000/retire")).status_code == 404


async def test_a_tenant_is_rekeyed_and_the_progress_goes_on_until_it_ends(owner_page, app, tenant):
    empty = await owner_page.post("/keys/rekey", data={"kind": "tenant", "tenantId": ""}, headers=SCRIPTED)
    assert (empty.status_code, "Name the tenant." in words(empty)) == (422, True)
    slip = await owner_page.post("/keys/rekey", data={"kind": "all", "confirm": "yes"}, headers=SCRIPTED)
    assert slip.status_code == 422
    nobody = await owner_page.post("/keys/rekey", data={"kind": "tenant", "tenantId": "never-was"}, headers=SCRIPTED)
    assert nobody.status_code == 404
    begun = await owner_page.post("/keys/rekey", data={"kind": "tenant", "tenantId": tenant.id})
    assert begun.status_code == 303
    running = await owner_page.get("/keys/rekey/progress", headers=SCRIPTED)
    assert 'hx-trigger="every 1s"' in running.text
    assert re.search(r'<progress [^>]*max="\d+" value="\d+"', running.text)
    assert f"Running Tenant {tenant.id} Cancel" in words(running)
    assert f"by {owner_page.who.email}" in words(running)
    await owner_page.post("/keys/rekey/cancel", data={})
    ended = await owner_page.get("/keys/rekey/progress", headers=SCRIPTED)
    assert "every 1s" not in ended.text
    assert re.match("Cancelled|Finished", words(ended))


def unopened(page):
    """How many secrets do not open, as the page tells it; other tests leave some."""
    found = re.search(r"(\d+) secrets? do(?:es)? not open", words(page))
    assert (found is None) == ("and all open." in words(page))
    return int(found[1]) if found else 0


async def test_a_scan_tells_what_does_not_open(owner_page, app, owner, tenant):
    await app.integrations.configure(
        tenant.id, "n8n", {"baseUrl": "https://n8n.example.com", "apiKey": "k" * 20}, create=True
    )
    assert (await owner_page.post("/keys/scan", data={})).status_code == 303
    before = unopened(await owner_page.get("/keys"))
    await owner(
        "UPDATE tenant_integrations SET n8n_api_key = overlay(n8n_api_key placing 'aaaa' from 60) WHERE tenant_id = $1",
        tenant.id,
    )
    await owner_page.post("/keys/scan", data={})
    page = await owner_page.get("/keys")
    assert unopened(page) == before + 1
    assert f"{tenant.id} tenant_integrations" in words(page)
    assert "It does not open under its key" in words(page)
    await app.tenants.delete_tenant(tenant.id)
    await owner_page.post("/keys/scan", data={})


@pytest.mark.parametrize("path", ["/keys/rotate", "/keys/rekey", "/keys/scan"])
async def test_another_site_s_form_touches_no_key(owner_page, path):
    answer = await owner_page.post(path, data={"confirm": "rotate", "kind": "all"}, headers=FOREIGN)
    assert (answer.status_code, "foreign_origin" in answer.text) == (403, True)
