"""Replays by filter: filled in from the address, counted, begun, watched, stopped."""

import asyncio
import re
from uuid import uuid4

import pytest
from traffic import Traffic

from n8n import Answer, N8n
from seen import SCRIPTED, words

FOREIGN = {"origin": "https://evil.example"}


@pytest.fixture
async def traffic(app, tenant):
    async with N8n() as n8n:
        n8n.answers["/webhook/refused"] = Answer(400)
        yield Traffic(app, tenant, n8n)


@pytest.fixture
async def failed(traffic):
    """Three deliveries that failed."""
    name = await traffic.webhook("/webhook/refused")
    return [await traffic.deliver(name, number) for number in range(3)]


def fields(**more):
    return {
        "status": ["failed"],
        "webhookId": "",
        "errorCode": "",
        "startDate": "",
        "endDate": "",
        "ratePerSecond": "50",
        **more,
    }


async def test_counted_begun_and_watched_to_the_end(owner_page, traffic, failed):
    path = f"/tenants/{traffic.id}/replays"
    counted = await owner_page.post(f"{path}/preview", data=fields(), headers=SCRIPTED)
    assert counted.status_code == 200
    assert "3 deliveries would be made again" in words(counted)
    assert "<html" not in counted.text
    assert (await traffic.app.replays.list_page(traffic.id)).items == []
    begun = await owner_page.post(path, data=fields(ratePerSecond="1000"), headers=SCRIPTED)
    assert begun.headers["hx-redirect"] == path
    (replay,) = (await traffic.app.replays.list_page(traffic.id)).items
    async with asyncio.timeout(15):
        while "every 1s" in (item := await owner_page.get(f"{path}/{replay.id}", headers=SCRIPTED)).text:
            assert "<progress" in item.text
            await asyncio.sleep(0.05)
    assert "3 of 3" in words(item)
    assert "Finished" in words(await owner_page.get(path))


async def test_a_running_one_is_stopped(owner_page, visitor, traffic, failed):
    path = f"/tenants/{traffic.id}/replays"
    await owner_page.post(path, data=fields(ratePerSecond="0.1"))
    (replay,) = (await traffic.app.replays.list_page(traffic.id)).items
    assert "Stop" in words(await owner_page.get(path))
    viewer = await visitor("viewer")
    page = words(await viewer.get(path))
    assert "Running" in page
    assert "Stop" not in page
    assert "Replay by filter" not in page
    assert (await viewer.post(f"{path}/{replay.id}/cancel")).status_code == 403
    assert "foreign_origin" in (await owner_page.post(f"{path}/{replay.id}/cancel", headers=FOREIGN)).text
    stopped = await owner_page.post(f"{path}/{replay.id}/cancel", headers=SCRIPTED)
    assert "Cancelled" in words(stopped)
    again = await owner_page.post(f"{path}/{replay.id}/cancel")  # which is what was wanted
    assert again.status_code == 303


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"status": []}, "status"),
        ({"ratePerSecond": "fast"}, "ratePerSecond"),
        ({"ratePerSecond": "0"}, "ratePerSecond"),
        ({"startDate": "yesterday"}, "startDate"),
        ({"endDate": "9999-99-99"}, "endDate"),
        ({"errorCode": "x" * 65}, "errorCode"),
        ({"webhookId": "x"}, "webhookId"),
    ],
)
async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(owner_page, traffic, wrong, name):
    sent = fields(errorCode="http_400") | wrong
    for path in ("/preview", ""):
        for headers in (SCRIPTED, {}):
            answer = await owner_page.post(f"/tenants/{traffic.id}/replays{path}", data=sent, headers=headers)
            assert answer.status_code == 422
            assert f'id="h-{name}">' in answer.text
            assert 'class="field-error"' in answer.text
            if name != "errorCode":
                assert 'value="http_400"' in answer.text
            assert ("<html" in answer.text) is not bool(headers)


async def test_nothing_to_replay_is_said(owner_page, traffic):
    path = f"/tenants/{traffic.id}/replays"
    counted = await owner_page.post(f"{path}/preview", data=fields(), headers=SCRIPTED)
    assert "Nothing would be made again" in words(counted)
    begun = await owner_page.post(path, data=fields(), headers=SCRIPTED)
    assert begun.status_code == 422
    assert "nothing was replayed" in words(begun)


async def test_a_range_that_ends_before_it_begins_is_refused(owner_page, traffic):
    sent = fields(startDate="2026-02-01T00:00", endDate="2026-01-01T00:00")
    answer = await owner_page.post(f"/tenants/{traffic.id}/replays/preview", data=sent, headers=SCRIPTED)
    assert answer.status_code == 422
    assert "must start before it ends" in words(answer)


async def test_a_viewer_and_another_site_begin_nothing(owner_page, visitor, traffic, failed):
    viewer, path = await visitor("viewer"), f"/tenants/{traffic.id}/replays"
    for deed in (path, f"{path}/preview"):
        assert (await viewer.post(deed, data=fields())).status_code == 403
        assert (await owner_page.post(deed, data=fields(), headers=FOREIGN)).status_code == 403
    assert (await traffic.app.replays.list_page(traffic.id)).items == []


async def test_the_lists_lead_here_with_their_filters(owner_page, visitor, traffic, failed):
    (webhook,) = await traffic.app.webhooks.get_n8n_webhooks_by_tenant(traffic.id)
    for path, asked in (
        ("/calls", {"webhookId": str(webhook.id), "code": "400", "range": "24h"}),
        (
            "/deliveries",
            {"workflowName": webhook.workflow_name, "errorCode": "http_400", "range": "24h", "status": "failed"},
        ),
    ):
        page = await owner_page.get(path, params={"tenantId": traffic.id, **asked})
        href = re.search(rf'href="(/tenants/{traffic.id}/replays\?[^"]+)"', page.text)[1].replace("&amp;", "&")
        form = await owner_page.get(href)
        assert f'<option value="{webhook.id}" selected>' in form.text
        assert 'value="http_400"' in form.text
        assert re.search(r'name="startDate" type="datetime-local" value="20\d\d-\d\d-\d\dT\d\d:\d\d"', form.text)
        assert 'value="failed" checked' in form.text
        viewer = await visitor("viewer")
        assert "Replay these" not in words(await viewer.get(path, params={"tenantId": traffic.id, **asked}))


async def test_what_is_not_there_is_404(owner_page, traffic):
    for path in (f"/tenants/{traffic.id}/replays/{uuid4()}", "/tenants/never-was/replays", "/tenants/%20/replays"):
        assert (await owner_page.get(path)).status_code == 404
        part = await owner_page.get(path, headers=SCRIPTED)
        assert part.status_code == 404
        assert "<html" not in part.text
    await traffic.app.tenants.delete_tenant(traffic.id)
    assert (await owner_page.get(f"/tenants/{traffic.id}/replays")).status_code == 404
    assert (await owner_page.post(f"/tenants/{traffic.id}/replays", data=fields())).status_code == 404
