"""Calls at any time, and the proof that what rollups answer is what the calls themselves say."""

from itertools import pairwise
from uuid import UUID

from hookvault.analytics.rollups.model import Over, Want
from hookvault.analytics.rollups.read import read
from hookvault.ids import id_time, new_id
from hookvault.webhooks.model import CallRecord

FAILURES = [
    (404, "http_404", "The workflow is not active in n8n, or the URL's path is wrong (HTTP 404)."),
    (404, "http_404", "The webhook answered HTTP 404."),
    (500, "http_500", "The n8n workflow ran and failed (HTTP 500)."),
    (401, "http_401", "The webhook refused the call (HTTP 401)."),
    (None, "timeout", "No answer within 30 s."),
    (None, "dns_error", "The host name does not resolve."),
]

RAW = """
SELECT {key} AS key, count(*) AS total, count(*) FILTER (WHERE success) AS successful, sum(response_time)::bigint AS time_sum,
    max(response_time) AS time_max FROM webhook_analytics
WHERE "timestamp" >= $1 AND "timestamp" < $2 AND {which} GROUP BY 1
"""


def call_at(tenant_id, webhook_id, moment, chance):
    identifier = UUID(int=round(moment.timestamp() * 1000) << 80 | new_id().int & ((1 << 80) - 1))
    status, code, message = (200, None, None) if chance.random() < 0.8 else chance.choice(FAILURES)
    return CallRecord(
        tenant_id=tenant_id,
        id=identifier,
        webhook_id=webhook_id,
        timestamp=id_time(identifier),
        request_payload=None,
        request_headers=None,
        status_code=status,
        response_body=None,
        response_time=round(chance.lognormvariate(4.5, 1.2)),
        success=code is None,
        error_code=code,
        error_message=message,
    )


async def is_equal(database, scope, bounds):
    """The answers from rollups and those from the calls, at one moment of the database; the number of calls."""
    which, key = {
        Over.WEBHOOK: ("tenant_id = $3 AND webhook_id = ANY($4)", "NULL"),
        Over.TENANT: ("tenant_id = $3 AND $4::uuid[] IS NOT NULL", "NULL"),
        Over.WEBHOOKS: ("tenant_id = $3 AND webhook_id = ANY($4)", "webhook_id"),
        Over.PLATFORM: ("$3::text = '' AND $4::uuid[] IS NOT NULL", "NULL"),
        Over.TENANTS: ("$3::text = '' AND $4::uuid[] IS NOT NULL", "tenant_id"),
    }[scope.over]
    place = database.tenant_snapshot(scope.tenant_id) if scope.tenant_id else database.system_snapshot()
    counted = 0
    async with place as tx:
        answers = await read(tx, scope, bounds, Want(histogram=True, errors=True))
        for (first, last), answer in zip(pairwise(bounds), answers, strict=True):
            rows = await tx.fetch(RAW.format(which=which, key=key), first, last, scope.tenant_id, scope.webhooks)
            wanted = {r["key"]: (r["total"], r["successful"], r["time_sum"], r["time_max"]) for r in rows}
            found = {k: (t.total, t.successful, t.time_sum, t.time_max) for k, t in answer.items() if t.total}
            assert found == wanted, (scope, first, last)
            for tally in answer.values():
                assert tally.failed == tally.total - tally.successful
                assert sum(tally.histogram.values()) == tally.total
                assert sum(calls for calls, _ in tally.errors.values()) == tally.failed
                counted += tally.total
    return counted
