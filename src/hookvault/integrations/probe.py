"""Asks a provider whether it takes credentials, on the same outbound path as every call; the answer's body is never kept."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from hookvault import __version__
from hookvault.admission import store as admission
from hookvault.admission.model import RateLimit
from hookvault.clock import now
from hookvault.db.pool import Database
from hookvault.errors import InvalidError, TooManyRequestsError
from hookvault.integrations.model import TestResult
from hookvault.outbound.client import OutboundClient
from hookvault.outbound.errors import InvalidHeaderError, OutboundError
from hookvault.outbound.guard import parse_target
from hookvault.providers.base import Provider
from hookvault.providers.proof import Code, Config, Occasion, Proof

TIMEOUT_S = 10.0  # for all calls of one test together
RATE = RateLimit(10, 60)
_TESTS = UUID(int=1)  # the bucket of a tenant's tests, beside those of its webhooks
_LEAST_S = 0.1
_AGENT = ("user-agent", f"Hookvault/{__version__}")


class Prober:
    """Makes the calls that prove credentials.

    Args:
        database: Where a tenant's tests are counted, over all processes.
        client: The one that all calls go through.
        base_urls: By provider, where to ask instead of the provider itself; from the settings.
    """

    def __init__(self, database: Database, client: OutboundClient, base_urls: Mapping[str, str]) -> None:
        self._database = database
        self._client = client
        self._base_urls = base_urls

    async def probe(self, tenant_id: str, provider: Provider, config: Config) -> TestResult:
        """What the provider says of a tenant's configuration. No transaction may be open meanwhile.

        Raises:
            InvalidError: it has no secret that a call could prove.
            TooManyRequestsError: the tenant has tested ten times within a minute.
        """
        proofs = [proof for proof in provider.proofs if all(name in config for name in proof.fields)]
        if not proofs:
            names = sorted({name for proof in provider.proofs for name in proof.fields})
            faults = [{"field": name, "message": "is not set"} for name in names]
            raise InvalidError(f"There is nothing to test: {', '.join(names)} is not set.", errors=faults)
        await self._admit(tenant_id)
        code: Code = "ok"
        message = _accepted(provider, proofs, config)
        deadline = asyncio.get_running_loop().time() + TIMEOUT_S
        for proof in proofs:
            code, why = await self._ask(provider, proof, config, deadline)
            if code != "ok":
                message = why
                break
        return TestResult(code == "ok", code, message, now())

    async def _admit(self, tenant_id: str) -> None:
        async with self._database.system() as tx:
            granted, wait_s = await admission.take_tokens(tx, tenant_id, _TESTS, RATE, 1)
        if not granted:
            message = (
                f"This tenant's credentials were tested {RATE.calls} times within {RATE.seconds} s. Wait a little."
            )
            raise TooManyRequestsError(message, retry_after_s=max(wait_s, 1.0))

    async def _ask(self, provider: Provider, proof: Proof, config: Config, deadline: float) -> tuple[Code, str]:
        base = (self._base_urls.get(provider.kind) or proof.base(config)).rstrip("/")
        try:
            occasion = Occasion(parse_target(base, self._client.policy).host_header, now())
            request = proof.request(config, occasion)
            target = parse_target(base + request.path, self._client.policy)
            left_s = max(_LEAST_S, deadline - asyncio.get_running_loop().time())
            headers = (_AGENT, ("accept", "*/*"), *request.headers)
            reply = await self._client.request(request.method, target, request.body, headers, timeout_s=left_s)
        except InvalidHeaderError:
            return "auth_failed", "The credentials hold characters that can't be sent, so they can't be right."
        except OutboundError as error:
            return "unreachable", f"{provider.label} could not be asked: {error.message}"
        code = proof.verdict(config, reply.status, reply.body)
        return code, _said(provider, code, reply.status)


def _accepted(provider: Provider, proofs: list[Proof], config: Config) -> str:
    proved = {name for proof in proofs for name in proof.fields}
    rest = [item.name for item in provider.fields if item.secret and item.name in config and item.name not in proved]
    named = ", ".join(item.name for item in provider.fields if item.name in proved)
    unproved = f" No call can prove {', '.join(rest)}." if rest else ""
    return f"{provider.label} accepts {named}.{unproved}"


def _said(provider: Provider, code: Code, status: int) -> str:
    told: Mapping[Code, str] = {
        "ok": "accepts the credentials.",
        "auth_failed": "refuses the credentials: they are wrong, expired or switched off.",
        "scope_missing": "knows the credentials, but they lack a permission that is needed.",
        "wrong_account": "has no such account for these credentials, or what is configured isn't part of it.",
        "rate_limited": "asks to be asked less often. Test again later.",
        "unreachable": "is not available now. Test again later.",
        "unexpected_answer": "answers in a way that says nothing of the credentials.",
    }
    return f"{provider.label} {told[code]} (HTTP {status})"
