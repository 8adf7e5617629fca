"""What is shown, and can be done, of secrets that do not open any more."""


async def test_secrets_of_a_shredded_tenant_show_that_they_must_be_entered_again(client, tenant):
    root = f"/api/platform/tenants/{tenant.id}"
    config = {"baseUrl": "https://n8n.example.com/webhook", "apiKey": "an-api-key-of-n8n"}
    assert (await client.post(f"{root}/integrations/n8n", json=config)).status_code == 201
    fields = {"workflowName": "w", "authToken": "a-token-of-a-hook", "staticHeaders": {"x-own": "a-header-of-a-hook"}}
    made = (await client.post(f"{root}/webhooks", json=fields)).json()
    assert "needsReentry" not in made["authToken"]
    assert (await client.post(f"{root}/shred", json={"confirm": tenant.id})).status_code == 200

    webhook = (await client.get(f"{root}/webhooks/{made['id']}")).json()
    marks = [webhook["authToken"], webhook["signingSecret"], webhook["staticHeaders"]["x-own"]]
    marks.append((await client.get(f"{root}/integrations")).json()["n8n"]["apiKey"])
    assert [mark.get("needsReentry") for mark in marks] == [True] * 4

    await client.put(f"{root}/integrations/n8n", json={"apiKey": "another-api-key-of-n8n"})
    refused = await client.put(f"{root}/webhooks/{made['id']}", json={"authToken": "another-token-of-a-hook"})
    assert (refused.status_code, refused.json()["code"]) == (422, "secrets_required")
    new = {"authToken": "another-token-of-a-hook", "staticHeaders": {"x-own": "another-header-of-a-hook"}}
    assert (await client.put(f"{root}/webhooks/{made['id']}", json=new)).status_code == 200
    webhook = (await client.get(f"{root}/webhooks/{made['id']}")).json()
    assert "needsReentry" not in webhook["authToken"] | webhook["staticHeaders"]["x-own"]
    assert "needsReentry" not in (await client.get(f"{root}/integrations")).json()["n8n"]["apiKey"]


async def test_a_secret_whose_master_key_is_not_here_names_that_key(client, tenant, owner):
    root = f"/api/platform/tenants/{tenant.id}"
    config = {"baseUrl": "https://n8n.example.com/webhook", "apiKey": "an-api-key-of-n8n"}
    await client.post(f"{root}/integrations/n8n", json=config)
    made = (await client.post(f"{root}/webhooks", json={"workflowName": "w", "authToken": "a-token-of-a-hook"})).json()
    other = "mk_" + "5e" * 8
    before = (await owner("SELECT key_fingerprint FROM data_keys WHERE tenant_id = $1", tenant.id))[0][0]
    await owner("UPDATE data_keys SET key_fingerprint = $2 WHERE tenant_id = $1", tenant.id, other)
    webhook = (await client.get(f"{root}/webhooks/{made['id']}")).json()
    shown = (await client.get(f"{root}/integrations")).json()["n8n"]["apiKey"]
    assert [webhook["authToken"]["keyNeeded"], shown["keyNeeded"]] == [other, other]
    await owner("UPDATE data_keys SET key_fingerprint = $2 WHERE tenant_id = $1", tenant.id, before)
