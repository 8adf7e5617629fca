"""One tenant with one webhook, driven through whatever is killed meanwhile: requests that got no answer are sent again."""

import asyncio
import itertools
from collections import Counter

import httpx

from fleet import Fleet, Member, until
from tally import Reply, Tally

NUMBERS = itertools.count(1)
QUICK = {"schedule": [1], "maxRetries": 3}


class Case:
    """A tenant of its own. `member` is the process that is asked."""

    def __init__(self, fleet: Fleet, tally: Tally, member: Member) -> None:
        self.fleet = fleet
        self.tally = tally
        self.member = member
        self.tenant = f"t{next(NUMBERS)}"
        self.path = f"/{self.tenant}"
        self.asked: list[tuple[str, dict, str]] = []  # deliveries, to be asked for until there is an answer
        self.ids: dict[str, str] = {}  # by idempotency key
        self.client = fleet.client()

    async def ask(
        self, method: str, path: str, body: dict | None = None, key: str | None = None
    ) -> httpx.Response | None:
        """An answer; None when there was none, or the database was away."""
        headers = {} if key is None else {"idempotency-key": key}
        try:
            answer = await self.client.request(method, self.member.url + path, json=body, headers=headers)
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    async def insist(self, method: str, path: str, body: dict | None = None, key: str | None = None) -> httpx.Response:
        """An answer, however often it takes."""
        return await until(lambda: self.ask(method, path, body, key), 20, f"an answer to {method} {path}")

    async def make(self, *, active: bool = True, **policy: object) -> None:
        """The tenant and its webhook `w`."""
        made = await self.ask("POST", "/api/platform/tenants", {"id": self.tenant, "name": "A tenant"})
        assert made.status_code == 201, made.text
        fields = {"webhookUrl": self.tally.url(self.path), "isActive": active, "policy": {**QUICK, **policy}}
        made = await self.ask("POST", f"/api/platform/tenants/{self.tenant}/webhooks", {"workflowName": "w", **fields})
        assert made.status_code == 201, made.text
        self.webhook = made.json()["id"]

    @property
    def own(self) -> str:
        return f"/api/platform/tenants/{self.tenant}/webhooks/{self.webhook}"

    def answer(self, status: int) -> None:
        self.tally.answers[self.path] = Reply(status)

    async def deliver(self, *numbers: int, lane: str | None = None, **fields: object) -> None:
        """Asks for deliveries: those of an ordering key one after the other, others at once."""
        options = {**fields, **({"orderingKey": lane} if lane else {})}
        asked = [(f"{lane}-{number}", {"payload": {"lane": lane, "n": number}, **options}) for number in numbers]
        self.asked += [(f"/api/tenants/{self.tenant}/webhooks/w/deliveries", body, key) for key, body in asked]
        if lane:
            await self.ask_again()
        else:
            await asyncio.gather(*[self._accepted(*one) for one in self.asked if one[2] not in self.ids])

    async def ask_again(self) -> None:
        """Asks in turn for what has no answer yet, until there is none."""
        for one in self.asked:
            if one[2] not in self.ids and not await self._accepted(*one):
                return

    async def all_accepted(self) -> None:
        async def accepted() -> bool:
            await self.ask_again()
            return len(self.ids) == len(self.asked)

        await until(accepted, 20, "all deliveries accepted")

    async def _accepted(self, path: str, body: dict, key: str) -> bool:
        answer = await self.ask("POST", path, body, key)
        if answer is None:
            return False
        assert answer.status_code == 202, answer.text
        self.ids[key] = answer.json()["deliveryId"]
        return True

    async def statuses(self) -> Counter[str]:
        rows = await self.fleet.sql("SELECT status FROM webhook_deliveries WHERE tenant_id = $1", self.tenant)
        return Counter(row["status"] for row in rows)

    async def settled(self, within: float = 20, **expected: int) -> None:
        """Waits until this tenant's deliveries are as expected."""
        found = Counter[str]()

        async def same() -> bool:
            nonlocal found
            found = await self.statuses()
            return found == +Counter(expected)

        try:
            await until(same, within, lambda: f"{dict(found)}, not {expected}")
        except AssertionError as error:
            jobs = await self.fleet.sql(
                "SELECT q.*, now() FROM delivery_queue q WHERE tenant_id = $1 LIMIT 5", self.tenant
            )
            error.add_note("\n".join([*[str(dict(job)) for job in jobs], self.fleet.log()]))
            raise
        await self.fleet.books()

    async def hold(self, reason: str) -> bool:
        found = "SELECT count(*) FROM delivery_holds WHERE tenant_id = $1 AND reason = $2 AND until IS NULL"
        return await self.fleet.value(found, self.tenant, reason) == 1

    async def probe_now(self) -> None:
        await self.fleet.sql("UPDATE delivery_holds SET probe_at = now() WHERE tenant_id = $1", self.tenant)

    def hits(self) -> Counter[str]:
        """How often the webhook saw each webhook-id."""
        return Counter(hit.id for hit in self.tally.at(self.path))

    def doubled(self) -> int:
        """How many calls were more than one for their delivery; none had more than two."""
        hits = self.hits()
        assert max(hits.values(), default=0) <= 2, hits
        return sum(hits.values()) - len(hits)

    def order(self, lane: str) -> list[int]:
        """The numbers of an ordering key as they came, each once, though a second call may follow the first."""
        came = [hit.payload["n"] for hit in self.tally.at(self.path) if hit.payload["lane"] == lane]
        assert came == sorted(came)
        return sorted(set(came))
