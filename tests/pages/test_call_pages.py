"""The call log and the inspector: what is listed under which filters, how one call is told, and that nothing of it gets loose."""

import re
from uuid import uuid4

import pytest
from traffic import Traffic

from canary import planted
from entrance import browser
from n8n import Answer, N8n
from seen import SCRIPTED, words

WHOLE = {"hx-request": "true", "hx-request-type": "full"}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def traffic(app, tenant):
    async with N8n() as n8n:
        yield Traffic(app, tenant, n8n)


@pytest.fixture(autouse=True)
def all_at_once(monkeypatch):
    """However busy the machine is, a page is searched to its end."""
    monkeypatch.setattr("hookvault.admin.pages.calls._AT_ONCE_S", 10.0)


def listed(answer):
    """The ids of the calls on a page."""
    return re.findall(r'<tr id="call-([0-9a-f-]+)"', answer.text)


async def test_without_any_calls_it_says_how_to_make_one(owner_page, traffic):
    page = await owner_page.get("/calls", params={"tenantId": traffic.id})
    assert page.status_code == 200
    assert "No calls for these filters" in words(page)
    assert "Clear filters" in words(page)
    old = await owner_page.get("/calls", params={"startDate": "2001-01-01T00:00", "endDate": "2001-01-02T00:00"})
    assert "No calls for these filters" in words(old)


async def test_each_filter_narrows_the_list_and_stays_in_the_form(owner_page, traffic):
    good, bad = await traffic.webhook(), await traffic.webhook("/webhook/json404")
    fine = str(await traffic.call(good, triggered_by="orders"))
    lost = str(await traffic.call(bad))
    (webhook,) = [
        item for item in await traffic.app.webhooks.get_n8n_webhooks_by_tenant(traffic.id) if item.workflow_name == good
    ]
    for asked, wanted in (
        ({}, [lost, fine]),
        ({"status": "success"}, [fine]),
        ({"status": "failed"}, [lost]),
        ({"status": "4xx"}, [lost]),
        ({"status": "5xx"}, []),
        ({"code": "404"}, [lost]),
        ({"status": "200"}, [fine]),
        ({"cause": "workflow_not_active"}, [lost]),
        ({"cause": "timeout"}, []),
        ({"triggeredBy": "orders"}, [fine]),
        ({"webhookId": str(webhook.id)}, [fine]),
        ({"callId": lost}, [lost]),
        ({"minResponseTime": "60000"}, []),
        ({"maxResponseTime": "60000", "range": "1h"}, [lost, fine]),
        ({"endDate": "2020-01-01T00:00", "startDate": "2019-01-01T00:00"}, []),
    ):
        page = await owner_page.get("/calls", params={"tenantId": traffic.id, **asked})
        assert (page.status_code, listed(page)) == (200, wanted), asked
        for name, value in asked.items():
            assert value in page.text, (name, value)
            if name == "webhookId":
                assert f'<option value="{value}" selected>' in page.text
    assert "The n8n workflow is not active" in words(await owner_page.get("/calls", params={"tenantId": traffic.id}))


async def test_an_address_comes_clean_and_empty_filters_are_none(owner_page, traffic):
    asked = {"tenantId": traffic.id, "status": "", "cause": "", "code": "404", "range": "30d", "callId": " "}
    page = await owner_page.get("/calls", params=asked, headers=WHOLE)
    assert page.headers["hx-push-url"] == f"/calls?tenantId={traffic.id}&status=404"


@pytest.mark.parametrize(
    "asked",
    [
        {"status": "abc"},
        {"status": "success", "cause": "timeout"},
        {"cause": "none"},
        {"minResponseTime": "x"},
        {"minResponseTime": "9", "maxResponseTime": "1"},
        {"callId": "x"},
        {"webhookId": "x"},
        {"tenantId": "../x"},
        {"startDate": "yesterday"},
        {"startDate": "0001-01-01T00:00"},
        {"startDate": "2026-02-01T00:00", "endDate": "2026-01-01T00:00"},
        {"triggeredBy": "x" * 201},
        {"triggeredBy": "\x00"},
        {"cursor": "abc"},
    ],
)
async def test_what_can_not_be_asked_is_said_on_the_page(owner_page, asked):
    page = await owner_page.get("/calls", params=asked)
    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert listed(page) == []
    assert (await owner_page.get("/calls", params=asked, headers=SCRIPTED)).status_code == 422
    if "cursor" not in asked:  # a stream has none
        assert (await owner_page.get("/calls/live", params=asked)).status_code == 422


async def test_further_rows_come_in_pages_that_meet(owner_page, traffic, monkeypatch):
    monkeypatch.setattr("hookvault.admin.pages.calls.ROWS", 2)
    name = await traffic.webhook()
    made = [str(await traffic.call(name, number)) for number in range(5)]
    page = await owner_page.get("/calls", params={"tenantId": traffic.id, "range": "24h"})
    seen, more = listed(page), re.search(r'hx-get="(/calls\?[^"]*cursor[^"]*)"', page.text)
    while more:
        page = await owner_page.get(more[1].replace("&amp;", "&"), headers=SCRIPTED)
        assert "<html" not in page.text
        seen += listed(page)
        more = re.search(r'hx-get="(/calls\?[^"]*cursor[^"]*)"', page.text)
    assert seen == made[::-1]


async def test_a_search_that_has_no_time_left_says_how_far_it_came_and_goes_on(owner_page, traffic, monkeypatch):
    await traffic.call(await traffic.webhook())
    for name in ("_AT_ONCE_S", "_FURTHER_S"):
        monkeypatch.setattr(f"hookvault.admin.pages.calls.{name}", 0.0)
    asked = {"tenantId": traffic.id, "status": "failed"}
    page = await owner_page.get("/calls", params=asked)
    assert "Searching further back" in words(page)
    assert "No calls" not in words(page)
    following = re.search(r'hx-get="(/calls\?[^"]*cursor[^"]*)" hx-trigger="load"', page.text)[1].replace("&amp;", "&")
    part = await owner_page.get(following, headers=SCRIPTED)
    assert re.search(r"Nothing found back to .*\. +Search further back", words(part))
    monkeypatch.setattr("hookvault.admin.pages.calls._FURTHER_S", 10.0)
    again = re.search(r'hx-get="(/calls\?[^"]*cursor[^"]*)"', part.text)[1].replace("&amp;", "&")
    assert "No further calls match." in words(await owner_page.get(again, headers=SCRIPTED))


async def test_what_is_filtered_is_exported_by_session(owner_page, traffic):
    name = await traffic.webhook()
    call_id = str(await traffic.call(name))
    page = await owner_page.get("/calls", params={"tenantId": traffic.id, "range": "1h"})
    for kind in ("csv", "ndjson"):
        href = re.search(rf'href="(/api/platform/calls/export\?[^"]*format={kind})"', page.text)[1].replace(
            "&amp;", "&"
        )
        file = await owner_page.get(href)
        assert file.status_code == 200
        assert call_id in file.text
        assert "startDate" in href


async def test_a_call_is_told_in_the_drawer_and_on_a_page(owner_page, traffic):
    traffic.n8n.answers["/webhook/x"] = Answer(
        500,
        b'{"message":"Error in workflow","error":{"node":"Score","description":"no weight","executionId":118204}}',
    )
    name = await traffic.webhook("/webhook/x")
    call_id = await traffic.call(name, {"customer": SCRIPT}, triggered_by="orders")
    for headers, whole in ((SCRIPTED, False), ({}, True)):
        page = await owner_page.get(f"/calls/{call_id}", headers=headers)
        text = words(page)
        assert ("<html" in page.text) is whole
        assert "failed at node \u201cScore\u201d" in text
        assert "no weight" in text
        assert "118204" in text
        assert "ran and stopped with an error" in text
        assert traffic.n8n.url("/webhook/x") in text
        assert SCRIPT not in page.text
        assert SCRIPT in text
        assert "Replay" not in text  # whoever waited for it has its answer
        assert f'data-copy="{call_id}"' in page.text


async def test_an_answer_that_is_no_json_is_shown_as_text(owner_page, traffic):
    call_id = await traffic.call(await traffic.webhook("/webhook/html404"))
    page = await owner_page.get(f"/calls/{call_id}")
    assert "<pre>Cannot POST" in words(page)
    assert "<pre>Cannot POST" not in page.text
    assert "n8n's routes come up some seconds after it starts" in words(page)


async def test_all_attempts_of_a_call_stand_beside_one_another(owner_page, traffic):
    traffic.n8n.answers["/webhook/x"] = Answer(503, b"busy", "text/plain")
    name = await traffic.webhook("/webhook/x")
    result = await traffic.app.webhooks.call_webhook_with_retry(traffic.id, name, 1, 2)
    page = await owner_page.get(f"/calls/{result.call_id}")
    text = words(page)
    assert ("Attempt 1" in text, "Attempt 3" in text) == (True, True)
    assert re.search(r"Attempt \d of 3", text)
    assert page.text.count('class="timeline-bad"') == 3


async def test_the_inspector_tells_what_the_time_went_into(owner_page, traffic, owner):
    name = await traffic.webhook()
    first, second = await traffic.call(name), await traffic.call(name)
    seconds = "UPDATE webhook_analytics SET response_time = 1000, resolve_ms = 100, connect_ms = 50, tls_ms = 150, wait_ms = 600"
    await owner(f"{seconds} WHERE id = $1", first)
    shown = words(await owner_page.get(f"/calls/{first}"))
    assert "Timing DNS 100 ms Connect 50 ms TLS 150 ms Waiting 600 ms Download 100 ms" in shown
    shown = words(await owner_page.get(f"/calls/{second}"))
    assert "Waiting" in shown
    assert "on a connection that was kept" in shown
    assert "DNS" not in shown
    times = "resolve_ms = NULL, connect_ms = NULL, tls_ms = NULL, wait_ms = NULL"
    await owner(f"UPDATE webhook_analytics SET {times} WHERE id = $1", second)
    assert "Timing" not in words(await owner_page.get(f"/calls/{second}"))


async def test_a_delivery_s_call_leads_to_its_delivery_and_to_its_next_attempt(owner_page, traffic):
    traffic.n8n.answers["/webhook/x"] = Answer(503)
    name = await traffic.webhook("/webhook/x", policy={"schedule": [600]})
    delivery_id = await traffic.accept(name)
    while not (story := await traffic.story(delivery_id)).call_ids:
        pass
    page = await owner_page.get(f"/calls/{story.call_ids[0]}")
    text = words(page)
    assert f"/tenants/{traffic.id}/deliveries/{delivery_id}" in page.text
    assert "Scheduled retry" in text
    assert re.search(r"in \d+ min", text)
    assert "Replay" not in text  # it goes on by itself


async def test_secrets_stand_on_no_page_and_the_command_has_placeholders(owner_page, traffic):
    secret, token = planted("static-header"), planted("webhook-token")
    fields = {"auth_type": "bearer", "auth_token": token, "static_headers": {"x-team": secret}}
    name = await traffic.webhook("/webhook/echo", **fields)
    page = await owner_page.get(f"/calls/{await traffic.call(name)}")
    assert secret not in page.text
    assert token not in page.text
    text = words(page)
    assert "x-team: YOUR_VALUE" in text
    assert "authorization: Bearer YOUR_TOKEN" in text
    assert f"curl -X POST {traffic.n8n.url('/webhook/echo')}" in text
    assert "The record differs from what was on the wire" in text


async def test_payloads_are_removed_once_the_word_is_typed(owner_page, visitor, traffic):
    name = await traffic.webhook()
    call_id = await traffic.call(name, {"customer": "Ada"})
    path = f"/calls/{call_id}/expunge"
    assert path in (await owner_page.get(f"/calls/{call_id}")).text
    form = await owner_page.get(path, headers=SCRIPTED)
    assert "go for good" in words(form)
    wrong = await owner_page.post(path, data={"confirm": "x"}, headers=SCRIPTED)
    assert wrong.status_code == 422
    assert "Ada" in words(await owner_page.get(f"/calls/{call_id}"))
    viewer = await visitor("viewer")
    assert "Remove payloads" not in words(await viewer.get(f"/calls/{call_id}"))
    assert (await viewer.post(path, data={"confirm": "expunge"})).status_code == 403
    foreign = await owner_page.post(path, data={"confirm": "expunge"}, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    done = await owner_page.post(path, data={"confirm": "expunge"})
    assert (done.status_code, done.headers["location"]) == (303, f"/calls/{call_id}")
    page = await owner_page.get(f"/calls/{call_id}")
    assert "Ada" not in words(page)
    assert "was removed" in words(page)
    assert "Remove payloads" not in words(page)


async def test_what_a_policy_hides_is_said(owner_page, traffic):
    name = await traffic.webhook(policy={"redactPaths": ["$.customer"]})
    page = await owner_page.get(f"/calls/{await traffic.call(name, {'customer': 'Ada'})}")
    assert "Ada" not in page.text
    assert "the webhook's policy hides some of it" in words(page)


async def test_names_of_users_are_text_and_a_deleted_tenant_s_calls_stay(owner_page, traffic):
    name = await traffic.webhook()
    call_id = await traffic.call(name, triggered_by="<b>orders</b>")
    await traffic.app.tenants.delete_tenant(traffic.id)
    page = await owner_page.get("/calls", params={"tenantId": traffic.id})
    assert listed(page) == [str(call_id)]
    assert "<b>orders" not in page.text
    assert "<b>orders</b>" in words(page)
    one = await owner_page.get(f"/calls/{call_id}")
    assert one.status_code == 200
    assert "its webhook is deleted" in words(one)
    assert "<b>orders" not in one.text


async def test_what_is_not_there_is_404_as_a_page_and_as_a_part(owner_page):
    for path in (f"/calls/{uuid4()}", "/calls/nothing"):
        page = await owner_page.get(path)
        assert page.status_code == 404
        assert "<html" in page.text
        part = await owner_page.get(path, headers=SCRIPTED)
        assert part.status_code == 404
        assert "<html" not in part.text


async def test_a_stranger_is_led_to_the_login(app, site):
    async with browser(app, asgi=site) as stranger:
        for path in ("/calls", f"/calls/{uuid4()}", "/calls/live", "/deliveries"):
            assert (await stranger.get(path)).status_code == 303
