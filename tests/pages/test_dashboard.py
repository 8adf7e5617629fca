"""The dashboard: its filters, its parts, and what can't be asked."""

import re
import secrets
from datetime import timedelta
from html import unescape
from random import Random
from urllib.parse import quote
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from counts import call_at
from entrance import browser
from hookvault.admin.board.chart import CHARTS
from hookvault.admin.pages.analytics import PARTS
from hookvault.clock import now
from hookvault.webhooks.record import write_calls
from seen import SCRIPTED, words

SCRIPT = "<script>alert(1)</script>"
HOUR = timedelta(hours=1)


@pytest.fixture
async def house(app, owner):
    """A tenant with two webhooks and some hundred calls of the last day, a fifth of which failed."""
    made = await app.tenants.create_tenant(f"Clinic {SCRIPT}", tenant_id=f"t-{secrets.token_hex(6)}")
    await owner("UPDATE tenants SET created_at = now() - interval '60 days' WHERE id = $1", made.id)
    chance, present = Random(7), now()
    webhooks = [
        await app.webhooks.create_n8n_webhook(made.id, name, webhook_url="https://n8n.example.com/webhook/w")
        for name in ("orders", "leads")
    ]
    calls = [call_at(made.id, webhooks[n % 2].id, present - timedelta(minutes=1 + 2 * n), chance) for n in range(400)]
    await write_calls(app.database, calls)
    made_of = {"id": made.id, "webhooks": webhooks, "calls": calls, "failed": [c for c in calls if not c.success]}
    return type("House", (), made_of)


def parts_of(page):
    """The addresses of the page's parts, by their names."""
    found = re.findall(r'hx-get="(/analytics/(\w+)\?[^"]+)" hx-trigger="load"', page.text)
    return {name: unescape(url) for url, name in found}


async def load(client, page):
    return {name: await client.get(url, headers=SCRIPTED) for name, url in parts_of(page).items()}


async def test_every_part_of_a_tenant_is_there(owner_page, house):
    page = await owner_page.get("/analytics", params={"tenantId": house.id, "range": "24h"})
    assert page.status_code == 200
    parts = await load(owner_page, page)
    assert set(parts) == {"health", "figures", "failures", "causes", "heat", "webhooks"}
    assert {part.status_code for part in parts.values()} == {200}
    assert f"Calls {len(house.calls)}" in words(parts["figures"])
    assert f"Failed {len(house.failed)}" in words(parts["figures"])
    assert words(parts["causes"]).startswith(f"Failed calls by cause {len(house.failed)}")
    assert all(f"/calls/{call.id}" in parts["failures"].text for call in house.failed[:3])
    assert "orders" in words(parts["webhooks"])
    assert "2 webhooks are degraded. “leads”:" in words(parts["health"])
    for name in ("figures", "heat"):
        assert "View as table" in words(parts[name])


async def test_all_parts_count_to_the_same_moment(app, owner_page, house):
    page = await owner_page.get("/analytics", params={"tenantId": house.id})
    chance = Random(1)
    late = [call_at(house.id, house.webhooks[0].id, now(), chance) for _ in range(50)]
    await write_calls(app.database, late)
    parts = await load(owner_page, page)
    assert f"Calls {len(house.calls)}" in words(parts["figures"])
    assert f"by cause {len(house.failed)}" in words(parts["causes"])


async def test_one_webhook(owner_page, house):
    webhook = house.webhooks[1]
    page = await owner_page.get("/analytics", params={"tenantId": house.id, "webhookId": str(webhook.id)})
    assert f'<option value="{webhook.id}" selected>leads</option>' in page.text
    parts = await load(owner_page, page)
    assert "Calls 200" in words(parts["figures"])
    assert "leads" in words(parts["failures"])
    assert "orders" not in words(parts["failures"])
    assert f"webhookId={webhook.id}" in unescape(parts["causes"].text)


async def test_the_platform_has_tenants_in_place_of_webhooks(app, owner_page, house):
    chance, present = Random(1), now()  # nobody else's calls fail so often
    calls = [call_at(house.id, house.webhooks[0].id, present - timedelta(seconds=n), chance) for n in range(2000)]
    await write_calls(app.database, calls)
    page = await owner_page.get("/analytics", params={"range": "1h"})
    parts = await load(owner_page, page)
    assert set(parts) == {"figures", "failures", "causes", "heat", "tenants"}
    assert {part.status_code for part in parts.values()} == {200}
    assert f"tenantId={house.id}" in parts["tenants"].text


async def test_without_scripts_one_page_has_it_all(owner_page, house):
    page = await owner_page.get("/analytics", params={"tenantId": house.id})
    links = re.findall(r'<noscript><p[^>]*>[^<]*<a href="([^"]+)"', page.text)
    assert len(links) == 6
    whole = await owner_page.get(unescape(links[0]))
    assert not parts_of(whole)
    assert f"Calls {len(house.calls)}" in words(whole)
    assert "Failed calls by hour" in words(whole)
    assert "Slowest webhooks" in words(whole)
    for name in ("figures", "heat"):
        opened = await owner_page.get(parts_of(page)[name])
        assert opened.status_code == 303
        assert "all=1" in opened.headers["location"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("timeZone=Mars/Base", "This time zone is not known."),
        ("startDate=2026-05-02T10:00&endDate=2026-05-01T10:00", "The range must start before it ends"),
        ("startDate=2026-01-01&endDate=2026-05-01&interval=minute", "more than 2,000 points by minute"),
        ("tenantId=nobody-here", "There is no tenant nobody-here."),
        ("tenantId=a%00b", "tenantId is the id of a tenant"),
        ("range=2h", "The range is 1h, 24h, 7d, 30d"),
        (f"startDate={quote(SCRIPT)}", "The filter is not acceptable"),
    ],
)
async def test_what_can_t_be_asked_is_said_at_the_filters(owner_page, query, said):
    page = await owner_page.get(f"/analytics?{query}")
    assert page.status_code == 422
    assert said in words(page)
    assert SCRIPT not in page.text
    assert not parts_of(page)
    for pair in query.split("&"):
        name, typed = pair.split("=")
        if "%00" not in typed:
            field = re.search(rf'<input id="f-{name}"[^>]* value="([^"]*)"', page.text)
            assert quote(unescape(field[1]), safe="/:") == typed


async def test_a_webhook_of_another_tenant_is_none(app, owner_page, house, tenant):
    other = await app.webhooks.create_n8n_webhook(tenant.id, "theirs", webhook_url="https://n8n.example.com/webhook/w")
    for webhook_id in (other.id, uuid4()):
        page = await owner_page.get("/analytics", params={"tenantId": house.id, "webhookId": str(webhook_id)})
        assert page.status_code == 422
        assert f"This tenant has no webhook {webhook_id}." in words(page)
        assert "theirs" not in page.text


async def test_a_deleted_webhook_keeps_its_figures(app, owner_page, house):
    gone = house.webhooks[0]
    await app.webhooks.delete_n8n_webhook(house.id, gone.id)
    page = await owner_page.get("/analytics", params={"tenantId": house.id, "webhookId": str(gone.id)})
    assert page.status_code == 200
    assert "orders (deleted)" in words(page)
    assert "Calls 200" in words((await load(owner_page, page))["figures"])


async def test_a_tenant_is_found_by_a_part_of_its_name(app, owner_page):
    mark = secrets.token_hex(4)
    for number in range(14):
        await app.tenants.create_tenant(f"Häuser {mark} {number:02}", tenant_id=f"h-{mark}-{number}")
    few = await owner_page.get("/analytics/tenants-to-choose", params={"find": f"{mark} 03"}, headers=SCRIPTED)
    assert re.findall(r"tenantId=([\w-]+)", few.text) == [f"h-{mark}-3"]
    many = await owner_page.get("/analytics/tenants-to-choose", params={"find": f"HÄUSER {mark}"}, headers=SCRIPTED)
    assert len(re.findall(r"tenantId=([\w-]+)", many.text)) == 12
    assert "There are more." in words(many)
    none = await owner_page.get("/analytics/tenants-to-choose", params={"find": f"%{SCRIPT}"}, headers=SCRIPTED)
    assert "No tenant has" in words(none)
    assert SCRIPT not in none.text
    kept = await owner_page.get("/analytics", params={"find": f"{mark} 05", "range": "7d"})
    assert f"/analytics?range=7d&amp;tenantId=h-{mark}-5" in kept.text


async def test_what_a_user_named_is_shown_as_text(owner_page, house):
    page = await owner_page.get("/analytics", params={"tenantId": house.id})
    assert SCRIPT not in page.text
    assert f"Clinic {SCRIPT}" in words(page)


CHART_CARD = re.compile(
    r'<section class="card[^"]*">(?:(?!</section>).)*?(?:class="chart"|class="ranks").*?</section>', re.DOTALL
)
WITH_CHARTS = {
    "/?all=1": 1,
    "/analytics?all=1": 4,
    "/analytics?tenantId={id}&all=1": 6,
    "/analytics?tenantId={id}&webhookId={webhook}&all=1": 6,
    "/analytics?tenantId={id}&range=30d&all=1": 6,
    "/tenants/{id}/figures": 1,
    "/tenants/{id}/webhooks/{webhook}/counted": 4,
    "/tenants/{id}/webhooks/{webhook}/counted?range=30d": 4,
}


@pytest.mark.parametrize("path", WITH_CHARTS)
async def test_behind_every_chart_are_its_table_and_its_file(owner_page, house, path):
    page = await owner_page.get(path.format(id=house.id, webhook=house.webhooks[0].id))
    cards = CHART_CARD.findall(page.text)
    assert len(cards) == WITH_CHARTS[path]
    for card in cards:
        heading = re.search(r"<h2>([^<]+)</h2>", card)[1]
        assert "View as table" in card, heading
        url = unescape(re.search(r'href="(/analytics/chart\.svg\?[^"]+)" download', card)[1])
        await check_file(await owner_page.get(url), heading)


async def check_file(answer, heading):
    assert answer.status_code == 200, heading
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["content-disposition"].startswith('attachment; filename="hookvault-')
    tree = ET.fromstring(answer.content)  # noqa: S314 our own markup
    assert tree.find("{http://www.w3.org/2000/svg}title").text.startswith(heading.split(",")[0])
    assert not any(element.tag.endswith("}script") for element in tree.iter())
    assert re.search(r"var\(|href|url\(|\bon\w+=", answer.text) is None


async def test_a_file_tells_whose_calls_it_shows(app, owner_page, house):
    named = await app.webhooks.create_n8n_webhook(house.id, "a-b", webhook_url="https://n8n.example.com/webhook/w")
    await write_calls(app.database, [call_at(house.id, named.id, now() - HOUR, Random(3)) for _ in range(20)])
    for kind in CHARTS:
        answer = await owner_page.get("/analytics/chart.svg", params={"tenantId": house.id, "kind": kind})
        assert f", {house.id}</title>" in answer.text
        one = {"tenantId": house.id, "webhookId": str(named.id), "kind": kind}
        assert f", {house.id}, a-b</title>" in (await owner_page.get("/analytics/chart.svg", params=one)).text
    answer = await owner_page.get("/analytics/chart.svg", params={"tenantId": house.id, "kind": "slowest"})
    assert [">orders</text>" in answer.text, ">leads</text>" in answer.text] == [True, True]
    failed = sum(not call.success for call in house.calls)
    told = (await owner_page.get("/analytics/chart.svg", params={"tenantId": house.id, "kind": "heat"})).text
    assert int(re.search(r"Failed calls: (\d+) in total", told)[1]) >= failed


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"kind": "pie"}, 422),
        ({"timeZone": "x"}, 422),
        ({"kind": "slowest"}, 422),
        ({"kind": "failing"}, 422),
        ({"kind": "heat", "tenantId": "nobody-here"}, 404),
        ({"kind": "causes", "tenantId": "{id}", "webhookId": "01890000-0000-7000-8000-000000000000"}, 404),
    ],
)
async def test_files_of_what_there_is_not(owner_page, house, query, status):
    asked = {name: value.format(id=house.id) for name, value in query.items()}
    assert (await owner_page.get("/analytics/chart.svg", params=asked)).status_code == status


async def test_the_calls_that_are_counted_as_a_file(owner_page, house):
    for query, whose in (({"tenantId": house.id}, house.calls), ({}, None)):
        page = await owner_page.get("/analytics", params=query)
        url = unescape(re.search(r'href="(/api/platform/[^"]+format=csv)"', page.text)[1])
        answer = await owner_page.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/csv")
        if whose:
            assert len(answer.text.splitlines()) == 1 + len(whose)


async def test_times_out_apart_from_what_failed_otherwise(app, owner_page, house):
    timed_out = sum(call.error_code == "timeout" for call in house.calls)
    answer = await owner_page.get("/analytics", params={"tenantId": house.id, "all": "1"})
    label = re.search(r'aria-label="Calls by result, [^"]*"', answer.text)[0]
    assert f"Timed out: {timed_out} in total" in label
    assert f"Failed otherwise: {len(house.failed) - timed_out} in total" in label
    by_day = await owner_page.get("/analytics", params={"tenantId": house.id, "range": "30d", "all": "1"})
    assert f"Failed: {len(house.failed)} in total" in re.search(r'aria-label="Calls by result, [^"]*"', by_day.text)[0]


async def test_a_deleted_tenant_can_be_looked_back_at(app, owner_page, house):
    await app.tenants.delete_tenant(house.id)
    page = await owner_page.get("/analytics", params={"tenantId": house.id})
    assert page.status_code == 200
    assert f"Calls {len(house.calls)}" in words((await load(owner_page, page))["figures"])


async def test_a_stranger_sees_none_of_it(app, site):
    async with browser(app, asgi=site) as stranger:
        for path in ("/analytics", "/analytics/chart.svg", *(f"/analytics/{part.name}" for part in PARTS)):
            assert (await stranger.get(path)).status_code == 303
        assert (await stranger.get("/analytics/figures", headers=SCRIPTED)).status_code == 401


async def test_a_viewer_reads_it_all(visitor, house):
    viewer = await visitor("viewer")
    page = await viewer.get("/analytics", params={"tenantId": house.id})
    assert {part.status_code for part in (await load(viewer, page)).values()} == {200}


async def test_no_such_part(owner_page):
    assert (await owner_page.get("/analytics/pie", headers=SCRIPTED)).status_code == 404
