"""Deliveries: the account of all, a tenant's list, one's story, and making one again."""

import re
from uuid import UUID, uuid4

import pytest
from traffic import Traffic

from n8n import Answer, N8n
from seen import SCRIPTED, words

SCRIPT = "<script>alert(1)</script>"
FOREIGN = {"origin": "https://evil.example"}


@pytest.fixture
async def traffic(app, tenant):
    async with N8n() as n8n:
        n8n.answers["/webhook/refused"] = Answer(400, b"no", "text/plain")
        yield Traffic(app, tenant, n8n)


def listed(answer):
    """The ids of the deliveries on a page."""
    return re.findall(r'<tr class="linked" hx-get="/tenants/[^/]+/deliveries/([0-9a-f-]+)"', answer.text)


async def test_without_a_tenant_there_is_the_account_of_all_and_a_choice(app, owner_page, traffic):
    page = await owner_page.get("/deliveries")
    assert 'hx-get="/deliveries/ledger" hx-trigger="load"' in page.text
    first = (await app.tenants.list_tenants(limit=1)).items[0]
    assert f'<option value="{first.id}">' in page.text
    held = await owner_page.get("/deliveries", params={"status": "held"})
    assert '<input type="hidden" name="status" value="held">' in held.text
    await traffic.deliver(await traffic.webhook())
    account = words(await owner_page.get("/deliveries/ledger", headers=SCRIPTED))
    assert "Everything is accounted for" in account
    numbers = {name: int(count.replace(",", "")) for name, count in re.findall(r"([A-Z]\w+) ([\d,]+)", account)}
    ends = ("Delivered", "Pending", "Held", "Failed", "Expired")
    assert numbers["Accepted"] == sum(numbers[name] for name in ends) > 0


async def test_each_filter_narrows_the_list(owner_page, traffic):
    good, bad = await traffic.webhook(), await traffic.webhook("/webhook/refused")
    fine, lost = str(await traffic.deliver(good)), str(await traffic.deliver(bad))
    for asked, wanted in (
        ({}, [lost, fine]),
        ({"status": "delivered"}, [fine]),
        ({"status": "failed"}, [lost]),
        ({"status": "held"}, []),
        ({"workflowName": bad}, [lost]),
        ({"errorCode": "http_400"}, [lost]),
        ({"webhookId": str((await traffic.story(UUID(fine))).delivery.webhook_id)}, [fine]),
        ({"range": "1h"}, [lost, fine]),
        ({"startDate": "2019-01-01T00:00", "endDate": "2020-01-01T00:00"}, []),
    ):
        page = await owner_page.get("/deliveries", params={"tenantId": traffic.id, **asked})
        assert (page.status_code, listed(page)) == (200, wanted), asked
    assert "No deliveries for these filters" in words(page)
    assert 'value="2019-01-01T00:00"' in page.text
    assert 'value="2020-01-01T00:00"' in page.text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"status": "lost"}, 422),
        ({"startDate": "x"}, 422),
        ({"startDate": "2026-02-01T00:00", "endDate": "2026-01-01T00:00"}, 422),
        ({"workflowName": "no-such"}, 422),
        ({"errorCode": "x" * 65}, 422),
        ({"errorCode": "\x00"}, 422),
        ({"cursor": "x"}, 422),
        ({"webhookId": "x"}, 422),
        ({"tenantId": "../x"}, 422),
        ({"tenantId": "never-was"}, 404),
    ],
)
async def test_what_can_not_be_asked_is_said(owner_page, traffic, asked, status):
    page = await owner_page.get("/deliveries", params={"tenantId": traffic.id, **asked})
    assert page.status_code == status
    assert "<html" in page.text
    part = await owner_page.get("/deliveries", params={"tenantId": traffic.id, **asked}, headers=SCRIPTED)
    assert part.status_code == status
    assert "<html" not in part.text


async def test_further_rows_come_in_pages_that_meet(owner_page, traffic, monkeypatch):
    monkeypatch.setattr("hookvault.admin.pages.deliveries.ROWS", 2)
    name = await traffic.webhook()
    made = [str(await traffic.deliver(name, number)) for number in range(3)]
    page = await owner_page.get("/deliveries", params={"tenantId": traffic.id})
    more = re.search(r'hx-get="(/deliveries\?[^"]*cursor[^"]*)"', page.text)[1].replace("&amp;", "&")
    assert listed(page) + listed(await owner_page.get(more, headers=SCRIPTED)) == made[::-1]


async def test_a_story_is_told_in_words(owner_page, traffic):
    delivery_id = await traffic.deliver(await traffic.webhook("/webhook/refused"), {"customer": SCRIPT})
    path = f"/tenants/{traffic.id}/deliveries/{delivery_id}"
    for headers, whole in (({}, True), (SCRIPTED, False)):
        page = await owner_page.get(path, headers=headers)
        text = words(page)
        assert ("<html" in page.text) is whole
        assert re.search(r"Accepted .*Called; HTTP 400 after \d+ ms .*Failed for good \(http 400\)", text)
        assert SCRIPT in text
        assert SCRIPT not in page.text
        call_id = (await traffic.story(delivery_id)).call_ids[0]
        assert f'href="/calls/{call_id}"' in page.text


async def test_one_that_waits_says_what_for(owner_page, traffic):
    name = await traffic.webhook(is_active=False)
    delivery_id = await traffic.accept(name)
    text = words(await owner_page.get(f"/tenants/{traffic.id}/deliveries/{delivery_id}"))
    assert "Held: the webhook is switched off" in text
    assert "Replay" not in text
    assert listed(await owner_page.get("/deliveries", params={"tenantId": traffic.id, "status": "held"})) == [
        str(delivery_id)
    ]


async def test_one_is_made_again_after_a_warning(owner_page, visitor, traffic):
    delivery_id = await traffic.deliver(await traffic.webhook())
    path = f"/tenants/{traffic.id}/deliveries/{delivery_id}"
    form = await owner_page.get(f"{path}/replay", headers=SCRIPTED)
    assert "This has effects" in words(form)
    assert "has arrived already" in words(form)
    viewer = await visitor("viewer")
    assert "Replay" not in words(await viewer.get(path))
    assert (await viewer.post(f"{path}/replay")).status_code == 403
    foreign = await owner_page.post(f"{path}/replay", headers=FOREIGN)
    assert "foreign_origin" in foreign.text
    nothing = {"content-type": "application/x-www-form-urlencoded"}
    done = await owner_page.post(f"{path}/replay", headers={**SCRIPTED, **nothing})
    made = done.headers["hx-redirect"].rpartition("/")[2]
    assert (await traffic.story(UUID(made))).delivery.replay_of == delivery_id
    assert "that delivery" in words(await owner_page.get(path))


async def test_a_payload_is_removed_and_can_not_be_replayed_then(owner_page, visitor, traffic):
    name = await traffic.webhook()
    delivery_id = await traffic.deliver(name, {"customer": "Ada"})
    path = f"/tenants/{traffic.id}/deliveries/{delivery_id}"
    assert "Ada" in words(await owner_page.get(path))
    assert (await owner_page.post(f"{path}/expunge", data={"confirm": ""}, headers=SCRIPTED)).status_code == 422
    assert (await (await visitor("viewer")).post(f"{path}/expunge", data={"confirm": "expunge"})).status_code == 403
    assert (await owner_page.post(f"{path}/expunge", data={"confirm": "expunge"})).headers["location"] == path
    page = words(await owner_page.get(path))
    assert "Ada" not in page
    assert "It can't be replayed" in page
    refused = await owner_page.post(f"{path}/replay", headers=SCRIPTED)
    assert refused.status_code == 409
    assert "not kept any more" in words(refused)


async def test_one_that_has_not_ended_keeps_its_payload(owner_page, traffic):
    delivery_id = await traffic.accept(await traffic.webhook(is_active=False))
    path = f"/tenants/{traffic.id}/deliveries/{delivery_id}/expunge"
    answer = await owner_page.post(path, data={"confirm": "expunge"}, headers=SCRIPTED)
    assert answer.status_code == 409
    assert "still to be sent" in words(answer)


async def test_a_deleted_tenant_s_deliveries_stay_readable_and_what_never_was_is_404(owner_page, traffic):
    delivery_id = await traffic.deliver(await traffic.webhook())
    await traffic.app.tenants.delete_tenant(traffic.id)
    path = f"/tenants/{traffic.id}/deliveries"
    assert (await owner_page.get(f"{path}/{delivery_id}")).status_code == 200
    for wrong in (
        f"{path}/{uuid4()}",
        f"/tenants/never-was/deliveries/{delivery_id}",
        f"/tenants/%00/deliveries/{delivery_id}",
    ):
        page = await owner_page.get(wrong)
        assert page.status_code == 404
        assert "<html" in page.text
        part = await owner_page.get(wrong, headers=SCRIPTED)
        assert part.status_code == 404
        assert "<html" not in part.text
