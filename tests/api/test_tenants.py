async def test_create_and_read(client):
    made = await client.post("/api/platform/tenants", json={"name": "Acme GmbH"})
    assert made.status_code == 201
    tenant = made.json()
    read = await client.get(f"/api/platform/tenants/{tenant['id']}")
    assert read.json() == tenant
