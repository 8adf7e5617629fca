"""A former Node.js system's database, made for one test: tables as it had them, values as its crypto wrote them."""

import json

import asyncpg

from canary import planted
from hookvault.vault import encrypt

KEY = "7c3e" + "51a9d8f0" * 7 + "b264"
TABLES = """
CREATE TABLE tenants (id text PRIMARY KEY, slug text, name text, status text, created_at timestamptz DEFAULT now());
CREATE TABLE tenant_integrations (id serial PRIMARY KEY, tenant_id text, n8n_base_url text, n8n_api_key text,
    whatsapp_enabled boolean DEFAULT false, whatsapp_config jsonb, sms_enabled boolean DEFAULT false, sms_config jsonb);
CREATE TABLE n8n_webhooks (id serial PRIMARY KEY, tenant_id text, workflow_name text, webhook_url text, description text,
    is_active boolean DEFAULT true, auth_type text, auth_config jsonb, auth_token text, total_calls integer DEFAULT 0,
    successful_calls integer DEFAULT 0, failed_calls integer DEFAULT 0, last_called_at timestamptz);
CREATE TABLE webhook_analytics (id serial PRIMARY KEY, webhook_id integer, status_code integer);
"""
PRISMA = """
CREATE SCHEMA app;
CREATE TABLE app."TenantIntegration" ("id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "tenantId" uuid, "n8nBaseUrl" varchar,
    "n8nApiKey" varchar, "whatsappConfig" text, "smsConfig" text);
CREATE TABLE app."N8nWebhook" ("id" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "tenantId" uuid, "workflowName" varchar,
    "webhookUrl" varchar, "isActive" boolean, "authToken" varchar, "totalCalls" bigint, "successfulCalls" bigint,
    "failedCalls" bigint, "lastCalledAt" timestamp);
"""


class OldSystem:
    """The database of a former system, and what its owner does to it."""

    def __init__(self, url, seal=lambda text: encrypt(text, KEY)):
        self.url, self.seal = url, seal

    async def run(self, statement, *values):
        connection = await asyncpg.connect(self.url)
        try:
            return await (connection.fetch(statement, *values) if values else connection.execute(statement))
        finally:
            await connection.close()

    async def add(self, table, **columns):
        """A row; an object is stored as JSON, whatever the column's type."""
        names = ", ".join(f'"{name}"' for name in columns)
        places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        values = [json.dumps(value) if isinstance(value, dict) else value for value in columns.values()]
        await self.run(f"INSERT INTO {table} ({names}) VALUES ({places})", *values)

    async def fill(self, tenant_id="acme"):
        """A tenant with everything; its secrets by name."""
        secrets = {name: planted(name) for name in ("n8n", "whatsapp", "verify", "sid", "auth", "token")}
        await self.add("tenants", id=tenant_id, slug=f"{tenant_id}-slug", name="Acme GmbH", status="active")
        await self.add(
            "tenant_integrations",
            tenant_id=tenant_id,
            n8n_base_url="https://n8n.example.com/webhook",
            n8n_api_key=self.seal(secrets["n8n"]),
            whatsapp_enabled=True,
            whatsapp_config={
                "phoneNumberId": "106540352242922",
                "businessAccountId": "102290129340398",
                "accessToken": self.seal(secrets["whatsapp"]),
                "webhookVerifyToken": self.seal(secrets["verify"]),
                "phoneNumber": "+1 555 555 5555",
            },
            sms_config={
                "provider": "twilio",
                "accountSid": self.seal(secrets["sid"]),
                "authToken": self.seal(secrets["auth"]),
                "phoneNumber": "+15555555555",
            },
        )
        await self.add(
            "n8n_webhooks",
            tenant_id=tenant_id,
            workflow_name="order",
            webhook_url="https://n8n.example.com/webhook/order",
            auth_type="bearer",
            auth_token=self.seal(secrets["token"]),
            total_calls=12,
            successful_calls=9,
            failed_calls=3,
        )
        await self.add("n8n_webhooks", tenant_id=tenant_id, workflow_name="ContactForm", is_active=False)
        return secrets

    async def dump(self):
        """All that the source holds, to see that nothing changed."""
        tables = await self.run(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = ANY($1) ORDER BY 1",
            ["public", "app"],
        )
        return {
            row["name"]: sorted(map(str, await self.run(f"SELECT * FROM {row['name']} WHERE $1", True)))
            for row in tables
        }
