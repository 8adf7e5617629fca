"""Tries a webhook, before it is saved or after: the address's verdict, the request as it would go out, the retries, a call.

The call goes the same way as any other: the same client and guard, the same signature and headers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.audit import store as audit
from hookvault.audit.model import IN_PROCESS, Actor
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import HookvaultError
from hookvault.ids import new_id
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.errors import OutboundError
from hookvault.outbound.guard import AddressPolicy
from hookvault.settings import Settings
from hookvault.tenants import store as tenants
from hookvault.vault.secret import HIDDEN
from hookvault.vault.service import Vault
from hookvault.webhooks import store
from hookvault.webhooks.attempt import Attempt, make_attempt
from hookvault.webhooks.call import Caller, budget_of
from hookvault.webhooks.change import Editing, apply, with_signing_secret
from hookvault.webhooks.draft import address, blank
from hookvault.webhooks.edit import check_fields
from hookvault.webhooks.endpoint import Endpoint, Endpoints
from hookvault.webhooks.headers import own_headers, wire_headers
from hookvault.webhooks.model import TEST_TRIGGER, CallRequest, CallResult, StoredWebhook
from hookvault.webhooks.payload import check_depth, encode_payload
from hookvault.webhooks.retry import plan_of, timeline
from hookvault.webhooks.signing import new_signing_secret


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a webhook's address may be called: the addresses that would be dialled, or why not."""

    allowed: bool
    host: str
    addresses: Sequence[str] = ()
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a trial.

    `headers` are those of the request, secrets hidden. `timeline` is when a delivery that always fails would be tried, were it
    accepted now. `result` is None where nothing was called.
    """

    verdict: Verdict
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    timeline: Sequence[datetime]
    result: CallResult | None


class TrialService:
    """Tries webhooks."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        endpoints: Endpoints,
        caller: Caller,
        client: OutboundClient,
        *,
        policy: AddressPolicy,
        settings: Settings,
    ) -> None:
        self._database = database
        self._vault = vault
        self._endpoints = endpoints
        self._caller = caller
        self._client = client
        self._policy = policy
        self._settings = settings

    async def dry_run(
        self, tenant_id: str, fields: Mapping[str, Any], payload: Any, *, call: bool, actor: Actor = IN_PROCESS
    ) -> Trial:
        """Tries a webhook that is not saved; nothing is stored but an audit event. Its signing secret is made for the occasion.

        Args:
            tenant_id: Whose it would be.
            fields: As for `create_n8n_webhook`, workflow_name included.
            payload: What to send.
            call: Whether to send it.
            actor: Who does it, for the audit log.

        Raises: as `create_n8n_webhook` does for these fields, but for an address that is refused: that is the verdict.
        """
        body = _body(payload)
        check_fields(fields)
        name = str(fields["workflow_name"])
        async with self._database.tenant(tenant_id) as tx:
            try:
                url = await address(tx, self._policy, name, fields.get("webhook_url"))
            except OutboundError as error:  # an address that can be seen to be refused is the answer, not an error
                verdict = Verdict(allowed=False, host="", code=error.code, message=error.message)
                return Trial(verdict, "", [], body, [], None)  # without the URL, which may hold a password
            cipher = await self._vault.active(tx, tenant_id)
            editing = Editing(cipher, now(), actor.label)
            draft = apply(blank(tenant_id, name, url, editing), {**fields, "webhook_url": url}, editing)
            draft = with_signing_secret(draft, new_signing_secret(), editing)
            target, detail = ("webhook", name), {"webhookUrl": url.partition("?")[0], "saved": False, "called": call}
            await audit.record(tx, actor, "webhook.tried", target, detail=detail)
        endpoint = self._endpoints.open(draft, cipher)
        trial = await self._trial(endpoint, draft, body)
        if not call or not trial.verdict.allowed:
            return trial
        timeout_s = budget_of(endpoint, CallRequest(body), self._settings.webhook_timeout_s)
        call_id = new_id()
        attempt = await make_attempt(self._client, endpoint, (call_id, call_id), body, timeout_s)
        return replace(trial, result=_result(attempt))

    async def test(
        self,
        tenant_id: str,
        webhook_id: UUID,
        changes: Mapping[str, Any],
        payload: Any,
        *,
        call: bool = True,
        actor: Actor = IN_PROCESS,
    ) -> Trial:
        """Tries a saved webhook, with changes that are not saved. The call is recorded, triggered by `test`.

        Its limits and its circuit are not asked, and don't count it.

        A webhook that is switched off is called too: that is when one wants to know. A changed address asks for the secrets
        that would go there, as on save.

        Raises: as `update_n8n_webhook` does for these changes; UnavailableError `overloaded` or `recording_unavailable`.
        """
        body = _body(payload)
        check_fields(changes)
        async with self._database.tenant(tenant_id) as tx:
            await tenants.get(tx, tenant_id)
            webhook, _ = await store.get(tx, webhook_id)
            cipher = await self._vault.at(tx, tenant_id, webhook.key_version)
            fields = dict(changes)
            if "webhook_url" in fields:
                name = fields.get("workflow_name") or webhook.workflow_name
                fields["webhook_url"] = await address(tx, self._policy, name, fields["webhook_url"])
            webhook = apply(webhook, fields, Editing(cipher, now(), actor.label))
            detail = {"changed": sorted(changes), "saved": True, "called": call}
            await audit.record(tx, actor, "webhook.tried", ("webhook", str(webhook_id)), detail=detail)
        endpoint = self._endpoints.open(webhook, cipher)
        trial = await self._trial(endpoint, webhook, body)
        if not call:
            return trial
        request = CallRequest(body, triggered_by=TEST_TRIGGER, max_retries=0)
        result = await self._caller.call(endpoint, request, default_timeout_s=self._settings.webhook_timeout_s)
        return replace(trial, result=result)

    async def _trial(self, endpoint: Endpoint, webhook: StoredWebhook, body: bytes) -> Trial:
        verdict = await self._verdict(endpoint)
        headers = _shown_headers(endpoint, body) if verdict.host else []
        return Trial(verdict, webhook.webhook_url, headers, body, timeline(plan_of(endpoint.policy), now()), None)

    async def _verdict(self, endpoint: Endpoint) -> Verdict:
        host = ""
        try:
            host = endpoint.target.host
            return Verdict(allowed=True, host=host, addresses=await self._client.check(endpoint.target))
        except HookvaultError as error:
            return Verdict(allowed=False, host=host, code=error.code, message=error.message)


def _body(payload: Any) -> bytes:
    body = encode_payload(payload)
    check_depth(body)
    return body


def _shown_headers(endpoint: Endpoint, body: bytes) -> list[tuple[str, str]]:
    """The headers of the request as it would go out, what follows from a secret hidden."""
    identifier = new_id()
    own = own_headers(endpoint, identifier, identifier)
    shown = [("host", endpoint.target.host_header), ("accept-encoding", "identity"), ("content-length", str(len(body)))]
    for name, value in wire_headers(endpoint, own, body):
        if name in own:
            shown.append((name, value))
        elif name == "webhook-signature":
            shown.append((name, " ".join(f"{part.partition(',')[0]},{HIDDEN}" for part in value.split(" "))))
        else:
            scheme = value.partition(" ")[0] if name == "authorization" and endpoint.auth_type != "header" else ""
            shown.append((name, f"{scheme} {HIDDEN}".strip()))
    return shown


def _result(attempt: Attempt) -> CallResult:
    return CallResult(
        call_id=attempt.id,
        success=attempt.verdict.success,
        status_code=attempt.status,
        response_body=attempt.body,
        response_time=attempt.elapsed_ms,
        attempts=1,
        error_code=attempt.verdict.code,
        error_message=attempt.verdict.message,
    )
