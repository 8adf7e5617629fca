"""The live tail as the page reads it: rows of HTML, for whom they are, and for how long."""

import asyncio
import re
from urllib.parse import unquote
from uuid import uuid4

import pytest
from traffic import Traffic

from entrance import browser
from hookvault.analytics.model import CallFilter
from hookvault.analytics.tail import hub
from n8n import N8n


@pytest.fixture
async def traffic(app, tenant):
    async with N8n() as n8n:
        yield Traffic(app, tenant, n8n)


@pytest.fixture
async def watch(app, site, owner_page, monkeypatch):
    """Opens the tail in one browser; what came of it, once its session was ended from another."""
    monkeypatch.setattr("hookvault.api.live.HEARTBEAT_S", 0.05)

    async def open_one(act, headers=None, **asked):
        before = app.tail.readers
        stream = asyncio.create_task(owner_page.get("/calls/live", params=asked, headers=headers or {}))
        async with asyncio.timeout(30):
            while app.tail.readers == before:
                await asyncio.sleep(0.01)
        found = await act()
        await asyncio.sleep(1.0)
        assert not stream.done()
        async with browser(app, asgi=site) as other:
            assert (await other.post("/login", data={**owner_page.who.login, "next": "/"})).status_code == 303
            assert (await other.delete("/api/sessions")).status_code == 200
            answer = await asyncio.wait_for(stream, 10)
        assert app.tail.readers == before
        return answer, found

    return open_one


def events(answer):
    """(name, id, data) of each event."""
    found = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], lines.get("id"), lines["data"]))
    return found


async def test_rows_come_as_they_are_recorded_and_end_with_the_session(watch, traffic):
    good, bad = await traffic.webhook(), await traffic.webhook("/webhook/json404")

    async def act():
        return [await traffic.call(good, triggered_by="<b>x</b>"), await traffic.call(bad)]

    answer, made = await watch(act, tenantId=traffic.id)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in answer.headers
    rows = events(answer)
    assert [(name, key) for name, key, _ in rows] == [("row", str(key)) for key in made]
    for key, (_, _, row) in zip(made, rows, strict=True):
        assert row.startswith(f'<tr id="call-{key}" class="linked is-new"')
        assert row.endswith("</tr>")
    assert "<b>x</b>" not in answer.text
    assert "&lt;b&gt;x&lt;/b&gt;" in rows[0][2]
    assert "The n8n workflow is not active" in rows[1][2]


async def test_it_keeps_the_filters_and_goes_on_after_the_last_row(watch, traffic):
    good, bad = await traffic.webhook(), await traffic.webhook("/webhook/json404")
    seen = await traffic.call(bad)
    missed = await traffic.call(bad)

    async def act():
        await traffic.call(good)
        return await traffic.call(bad)

    answer, made = await watch(
        act, {"last-event-id": str(seen)}, tenantId=traffic.id, status="failed", range="1h", cause="workflow_not_active"
    )
    rows = [key for name, key, _ in events(answer) if name == "row"]
    assert rows[-2:] == [str(missed), str(made)]
    assert set(rows[:-2]) <= {str(seen)}  # a little before it is told once more; the page knows its id


async def test_what_could_not_be_shown_is_counted(app, watch, traffic):
    async def act():
        (reader,) = app.tail._readers[traffic.id]
        reader.miss(7)

    answer, _ = await watch(act, tenantId=traffic.id)
    assert ("missed", None, "7") in [(name, key, data.strip()) for name, key, data in events(answer)]


async def test_there_are_only_so_many_readers(app, owner_page, monkeypatch):
    monkeypatch.setattr("hookvault.analytics.tail.hub.READERS", 0)
    answer = await owner_page.get("/calls/live")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")


@pytest.mark.parametrize("last", ["x", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff"])
async def test_a_last_row_that_can_be_none_is_refused(owner_page, last):
    assert (await owner_page.get("/calls/live", headers={"last-event-id": last})).status_code == 422


async def test_a_tenant_that_never_was_has_no_tail(owner_page):
    assert (await owner_page.get("/calls/live", params={"tenantId": "never-was"})).status_code == 404


async def test_the_page_offers_the_tail_under_its_filters(owner_page, traffic):
    asked = {"tenantId": traffic.id, "status": "failed", "range": "24h"}
    page = await owner_page.get("/calls", params=asked)
    (address,) = re.findall(r'data-live="([^"]+)"', page.text)
    assert unquote(address) == f"/calls/live?tenantId={traffic.id}&amp;status=failed"
    past = await owner_page.get("/calls", params={**asked, "range": "custom", "endDate": "2026-01-01T00:00"})
    assert "data-live=" not in past.text


async def test_one_person_has_so_many_streams_and_another_has_their_own(app, owner_page, visitor, tenant, monkeypatch):
    monkeypatch.setattr(hub, "READERS_EACH", 2)
    who = owner_page.who
    here = [await app.tail.open(CallFilter(), person=who.id) for _ in range(2)]
    try:
        for path in (
            "/calls/live",
            "/api/platform/calls/live",
            f"/api/platform/tenants/{tenant.id}/webhooks/analytics/live",
        ):
            refused = await owner_page.get(path, headers={"accept": "application/json"})
            assert refused.status_code == 429, path
            assert "You have 2 streams of live calls open." in refused.text
            assert refused.headers["retry-after"] == "10"
        assert app.tail.readers == 2
        other = await app.tail.open(CallFilter(), person=uuid4())
        nobody = await app.tail.open(CallFilter())
        here += [other, nobody]
        app.tail.leave(here[0])
        here.append(await app.tail.open(CallFilter(), person=who.id))
    finally:
        for reader in here:
            app.tail.leave(reader)
    assert app.tail.readers == 0
