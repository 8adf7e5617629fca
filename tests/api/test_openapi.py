"""schemathesis makes requests from the OpenAPI document, good and bad ones: nothing breaks, every answer is as documented."""

import asyncio
import itertools
import time

import pytest
import schemathesis
from bridge import Bridge
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as conforms
from tenancy import PLATFORM

from canary import CANARY
from entrance import ORIGIN, make_quick, person
from hookvault.accounts.model import Origin
from hookvault.api.cookie import cookie_name
from hookvault.deliveries.model import ENDED, DeliveryFilter
from hookvault.errors import NotFoundError
from n8n import N8n

CALL = "/api/tenants/{tenantId}/webhooks/{workflowName}/call"
DELIVERIES = "/api/tenants/{tenantId}/deliveries"
CALL_CODES = {502: "webhook_failed", 504: "webhook_timeout"}
EXAMPLES = 15
UNLIKELY = {"webhookUrl", "authType", "authConfig", "authToken", "staticHeaders"}  # random ones are never acceptable
CHECKS = [
    conforms.status_code_conformance,
    conforms.content_type_conformance,
    conforms.response_headers_conformance,
    conforms.response_schema_conformance,
]
TENANT = "fuzzed"


@pytest.fixture(scope="module")
def bridge(settings):
    made = Bridge(settings)
    yield made
    made.close()


@pytest.fixture(scope="module")
def receiver(bridge):
    n8n = N8n()
    bridge.run(n8n.__aenter__())
    yield n8n
    bridge.run(n8n.__aexit__())


class World:
    """What fuzzed requests can hit: a tenant with everything, made again whenever one of them deleted it."""

    def __init__(self, bridge, receiver):
        self._app, self._url = bridge.app, receiver.url()
        self._app.demo.calls = 20
        self._run = bridge.run
        self.key = bridge.run(self._app.api_keys.create_api_key("fuzz")).token.open()
        CANARY.made(self.key)
        self._numbers = itertools.count()

    def ensure(self):
        """The path parameters of what is there."""
        return self._run(self._ensure())

    async def _ensure(self):
        app = self._app
        try:
            tenant = await app.tenants.get_tenant(TENANT)
            if (tenant.status, tenant.rate_limit, tenant.concurrency) != ("active", None, None):
                await app.tenants.update_tenant(TENANT, {"status": "active", "rate_limit": None, "concurrency": None})
        except NotFoundError:
            await app.tenants.create_tenant("Fuzzed", tenant_id=TENANT)
        found = {item.workflow_name: item.id for item in await app.webhooks.get_n8n_webhooks_by_tenant(TENANT)}
        for name in {"called", "changed"} - found.keys():
            found[name] = (await app.webhooks.create_n8n_webhook(TENANT, name, webhook_url=self._url)).id
        app.webhooks.forget(TENANT)
        found_row = await app.integrations.get_tenant_integration(TENANT)
        if found_row is None or found_row.n8n is None:
            first = {"baseUrl": self._url, "apiKey": "a-first-key"}
            await app.integrations.configure(TENANT, "n8n", first, create=True)
        rotation = await app.rotations.status(TENANT, "n8n")
        if rotation.staged is None:  # so that each step finds something to do
            rotation = await app.rotations.stage(TENANT, "n8n", {"apiKey": f"key-number-{next(self._numbers)}"})
        if rotation.previous is None and next(self._numbers) % 2:
            await app.rotations.switch(TENANT, "n8n", force=True)
        people = await self._people()
        known = {"tenantId": TENANT, "webhookId": str(found["changed"]), "workflowName": "called", "kind": "n8n"}
        return known | people | await self._delivered()

    async def _people(self):
        """An admin, an invitation, and somebody who is signed in, from an address that has not failed yet."""
        app = self._app
        make_quick(app)
        guest = await app.accounts.invitations.invite(
            f"guest-{next(self._numbers)}-{time.time_ns()}@example.com", "viewer"
        )
        who = await person(app, "owner")
        async with app.database.system() as tx:
            await tx.execute("DELETE FROM login_attempts")
            user = await app.admins.find_admin(who.email)
            made = await app.accounts.sessions.begin(tx, user, "full", Origin())
        self.cookie = f"{cookie_name(app.settings.app_url)}={made.cookie.open()}"
        CANARY.made(made.cookie.open())
        return {
            "userId": str((await person(app)).id),
            "invitationId": str(guest.invitation.id),
            "sessionId": str(made.session.id),
        }

    async def _delivered(self):
        """A delivery that has ended and a replay, of the tenant as it is now."""
        app = self._app
        listed = (await app.deliveries.list_deliveries(TENANT, DeliveryFilter(ENDED), limit=1)).items
        if not listed:
            made = await app.webhooks.enqueue(TENANT, "called", 1)
            async with asyncio.timeout(30):
                while (await app.deliveries.get_delivery(TENANT, made)).delivery.status not in ENDED:
                    await asyncio.sleep(0.01)
        ended = (await app.deliveries.list_deliveries(TENANT, DeliveryFilter(ENDED), limit=1)).items[0]
        replays = (await app.replays.list_page(TENANT, limit=1)).items
        replay = replays[0] if replays else await app.replays.start(TENANT, DeliveryFilter(ENDED))
        calls = (await app.deliveries.get_delivery(TENANT, ended.id)).call_ids
        return {"deliveryId": str(ended.id), "replayId": str(replay.id), "callId": str(calls[0])}


@pytest.fixture(scope="module")
def world(bridge, receiver):
    return World(bridge, receiver)


@pytest.fixture(scope="module")
def document(bridge):
    return schemathesis.openapi.from_asgi("/api/openapi.json", bridge)


TENANTS = f"{PLATFORM}/tenants"
HOOKS = f"{TENANTS}/{{tenantId}}/webhooks"
ONE = f"{TENANTS}/{{tenantId}}/integrations/{{kind}}"
OPERATIONS = [
    *[(method, TENANTS) for method in ("GET", "POST")],
    *[(method, f"{TENANTS}/{{tenantId}}") for method in ("GET", "PATCH", "DELETE")],
    ("GET", f"{TENANTS}/{{tenantId}}/audit"),
    ("GET", f"{PLATFORM}/audit"),
    ("GET", f"{TENANTS}/{{tenantId}}/integrations"),
    *[(method, f"{TENANTS}/{{tenantId}}/integrations/{{kind}}") for method in ("POST", "PUT", "DELETE")],
    ("POST", f"{ONE}/test"),
    *[(method, f"{ONE}/rotation") for method in ("GET", "POST", "DELETE")],
    *[("POST", f"{ONE}/rotation/{step}") for step in ("test", "switch", "rollback", "revoke")],
    ("GET", f"{ONE}/rotation/versions"),
    *[(method, HOOKS) for method in ("GET", "POST")],
    *[(method, f"{HOOKS}/{{webhookId}}") for method in ("GET", "PUT", "DELETE")],
    ("POST", f"{HOOKS}/{{webhookId}}/signing-secret/rotate"),
    ("POST", f"{HOOKS}/dry-run"),
    ("POST", f"{HOOKS}/{{webhookId}}/test"),
    ("GET", f"{HOOKS}/{{webhookId}}/analytics"),
    ("GET", f"{HOOKS}/analytics"),
    *[
        ("GET", f"{HOOKS}/analytics/{question}")
        for question in ("summary", "series", "errors", "slowest", "failing", "heatmap", "health")
    ],
    *[("GET", f"{PLATFORM}/analytics/{name}") for name in ("summary", "series", "errors", "heatmap", "tenants")],
    ("GET", f"{HOOKS}/analytics/export"),
    ("GET", f"{TENANTS}/{{tenantId}}/calls/{{callId}}"),
    *[("GET", f"{PLATFORM}/calls{tail}") for tail in ("", "/export", "/{callId}")],
    ("GET", f"{HOOKS}/analytics/live"),
    ("GET", f"{PLATFORM}/calls/live"),
    *[(method, f"{PLATFORM}/api-keys") for method in ("GET", "POST")],
    ("DELETE", f"{PLATFORM}/api-keys/{{keyId}}"),
    ("GET", f"{PLATFORM}/users"),
    *[(method, f"{PLATFORM}/users/{{userId}}") for method in ("PATCH", "DELETE")],
    *[(method, f"{PLATFORM}/invitations") for method in ("GET", "POST")],
    ("DELETE", f"{PLATFORM}/invitations/{{invitationId}}"),
    ("POST", f"{PLATFORM}/invitations/{{invitationId}}/resend"),
    *[(method, "/api/session") for method in ("POST", "GET", "DELETE")],
    *[(method, "/api/session/totp") for method in ("POST", "PUT", "DELETE")],
    ("POST", "/api/session/second-factor"),
    ("PUT", "/api/session/password"),
    *[(method, "/api/sessions") for method in ("GET", "DELETE")],
    ("DELETE", "/api/sessions/{sessionId}"),
    *[(method, "/api/password-resets") for method in ("POST", "PUT")],
    *[(method, "/api/invitations/{token}") for method in ("GET", "POST")],
    ("GET", f"{PLATFORM}/storage"),
    ("POST", f"{TENANTS}/{{tenantId}}/calls/{{callId}}/expunge"),
    ("POST", f"{TENANTS}/{{tenantId}}/deliveries/{{deliveryId}}/expunge"),
    ("GET", f"{PLATFORM}/keys"),
    ("POST", f"{PLATFORM}/keys/rotate"),
    ("POST", f"{PLATFORM}/keys/{{fingerprint}}/retire"),
    *[(method, f"{PLATFORM}/keys/rekey") for method in ("GET", "POST", "DELETE")],
    *[(method, f"{PLATFORM}/keys/scan") for method in ("GET", "POST")],
    *[(method, f"{PLATFORM}/demo") for method in ("POST", "DELETE")],
    ("POST", f"{TENANTS}/{{tenantId}}/shred"),
    ("POST", CALL),
    ("POST", "/api/tenants/{tenantId}/webhooks/{workflowName}/deliveries"),
    ("GET", DELIVERIES),
    ("GET", f"{DELIVERIES}/{{deliveryId}}"),
    *[("POST", f"{DELIVERIES}/{tail}replay") for tail in ("", "{deliveryId}/")],
    ("GET", f"{DELIVERIES}/replays"),
    ("GET", f"{DELIVERIES}/replays/{{replayId}}"),
    ("POST", f"{DELIVERIES}/replays/{{replayId}}/cancel"),
    *[("GET", path) for path in ("/healthz", "/readyz", "/metrics")],
]


def test_every_operation_of_the_document_is_fuzzed(document):
    found = {(item.ok().method.upper(), item.ok().path) for item in document.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation(document, world, method, path, mode):
    operation = document[path][method]
    if mode is GenerationMode.NEGATIVE and not operation.body and not list(operation.iter_parameters()):
        return  # there is nothing about it that could be wrong
    turns = itertools.count()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def sound(case):
        turn = next(turns)
        if turn % 2:  # every second request goes to things that exist, with a right key; the others mostly find nothing
            known = world.ensure()
            case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
            case.headers = {name: value for name, value in case.headers.items() if name.lower() != "authorization"}
        if turn % 4 == 1 and isinstance(case.body, dict) and "webhookUrl" in case.body:
            case.body = {name: value for name, value in case.body.items() if name not in UNLIKELY}
        headers = {"authorization": f"Bearer {world.key}"}
        if turn % 2 and path.startswith("/api/session"):
            headers = {"cookie": world.cookie, "origin": ORIGIN}
        response = case.call(headers=headers)
        CANARY.see(f"{method} {path} {response.status_code}", response.text)
        is_sound(case, response)
        case.validate_response(response, checks=CHECKS)

    sound()


def is_sound(case, response):
    """No fault of the server's own, but what a call's documented answers say of its receiver; every error is a problem."""
    if response.status_code >= 500:
        assert case.path == CALL, response.text
        assert response.json()["code"] == CALL_CODES.get(response.status_code), response.text
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"]
        body = response.json()
        assert body["status"] == response.status_code
        assert all(body[name] for name in ("type", "title", "code", "detail"))
