"""The table of webhooks: what it shows, how it is filtered, and what is done to rows."""

import re

import pytest
from webhooking import PARTLY, Shop, rows_of, words

from entrance import browser, person
from n8n import Answer, N8n

NAUGHTY = "<script>alert(1)</script>"


@pytest.fixture
async def shop(app, owner_page, tenant):
    return Shop(app, owner_page, tenant.id)


@pytest.fixture
async def looker(app, visitor, tenant):
    return Shop(app, await visitor("viewer"), tenant.id)


async def test_the_table_comes_at_once_and_its_figures_afterwards(shop):
    webhook = await shop.make("Order-paid", description="x")
    page = await shop.get()
    assert rows_of(page) == ["Order-paid"]
    assert "/webhook/order-paid" in words(page)
    assert f'hx-get="{shop.root}/figures" hx-trigger="load"' in page.text
    assert "tip-text" not in page.text
    later = await shop.part("/figures")
    assert f'<tr id="w-{webhook.id}"' in later.text
    assert "Nothing was called in 24 hours." in words(later)
    assert "Idle 1" in words(later)
    assert 'hx-trigger="load"' not in later.text


async def test_the_figures_are_of_the_calls_of_24_hours(app, shop):
    async with N8n() as n8n:
        await shop.make("both", webhook_url=n8n.url("/webhook/ok"))
        await app.webhooks.call_webhook(shop.tenant, "both", {})
        n8n.answers["/webhook/ok"] = Answer(500)
        await app.webhooks.call_webhook(shop.tenant, "both", {})
    await shop.make("never")
    shown = await shop.part("/figures")
    assert 'aria-label="Calls, 24 h: 1 succeeded, 1 failed"' in shown.text
    assert "50% of its calls failed." in words(shown)
    assert "Failing: less than 80% of its calls succeed" in words(shown)
    assert "50.0%" in words(shown)
    assert rows_of(await shop.get("?status=failing")) == ["both"]
    assert rows_of(await shop.get("?sort=total")) == ["both", "never"]
    assert "Failing 1" in words(await shop.get("?status=idle"))


async def test_without_scripts_it_is_a_page_and_with_them_a_part(shop):
    await shop.make("one")
    whole, part = await shop.get(), await shop.part()
    assert "<!doctype html>" in whole.text
    assert part.text.lstrip().startswith('<div id="webhooks"')
    assert "<html" not in part.text


async def test_a_search_finds_by_name_and_by_path(shop):
    await shop.make("Invoice", webhook_url="https://n8n.example.com/webhook/aaa")
    await shop.make("Refund", webhook_url="https://n8n.example.com/webhook/bbb")
    assert rows_of(await shop.get("?q=INV")) == ["Invoice"]
    assert rows_of(await shop.get("?q=/bbb")) == ["Refund"]
    nothing = await shop.get(f"?q={NAUGHTY}")
    assert rows_of(nothing) == []
    assert NAUGHTY not in nothing.text
    assert "No webhook is like that" in words(nothing)


async def test_a_filter_goes_into_the_address_of_the_page_and_a_reload_shows_the_same(shop):
    await shop.make("b", is_active=False)
    await shop.make("a")
    page = f"http://127.0.0.1:3000/tenants/{shop.tenant}/integrations"
    shown = await shop.part("?q=&status=disabled", **{"hx-current-url": page, "hx-target": "div#webhooks-list"})
    assert rows_of(shown) == ["b"]
    assert shown.headers["hx-push-url"] == f"/tenants/{shop.tenant}/integrations?status=disabled"
    assert shown.text.lstrip().startswith('<div id="webhooks-list"')
    assert 'id="webhooks-segments" hx-swap-oob="true"' in shown.text
    # The page is loaded anew: it asks for the table by its plain address.
    again = await shop.part("", **{"hx-current-url": page + "?status=disabled"})
    assert rows_of(again) == ["b"]
    assert "hx-push-url" not in again.headers
    cleared = await shop.part("?status=all", **{"hx-current-url": page + "?status=disabled"})
    assert rows_of(cleared) == ["a", "b"]
    assert cleared.headers["hx-push-url"] == f"/tenants/{shop.tenant}/integrations"


async def test_typing_is_one_step_back(shop):
    page = f"http://127.0.0.1:3000{shop.root}?q=or"
    typed = await shop.part("?q=ord", **{"hx-current-url": page, "hx-target": "div#webhooks-list"})
    assert typed.headers["hx-replace-url"] == f"{shop.root}?q=ord"
    elsewhere = await shop.part("?q=ord", **{"hx-current-url": "https://evil.example/x"})
    assert not {"hx-push-url", "hx-replace-url"} & set(elsewhere.headers)


async def test_it_is_sorted_by_a_column_either_way(shop):
    for name in ("b", "C", "a"):
        await shop.make(name)
    assert rows_of(await shop.get()) == ["a", "b", "C"]
    assert rows_of(await shop.get("?sort=-name")) == ["C", "b", "a"]
    assert 'aria-sort="descending"' in (await shop.get("?sort=-name")).text
    assert rows_of(await shop.get("?sort=nonsense")) == ["a", "b", "C"]


async def test_more_than_a_page_is_shown_on_demand(shop, monkeypatch):
    monkeypatch.setattr("hookvault.admin.webhooks.rows.PAGE", 2)
    for name in ("a", "b", "c"):
        await shop.make(name)
    first = await shop.get()
    assert rows_of(first) == ["a", "b"]
    (more,) = re.findall(r'hx-get="([^"]*after=[^"]*)"', first.text.split("webhooks-more")[1])
    rest = await shop.page.get(more.replace("&amp;", "&"), headers=PARTLY)
    assert rows_of(rest) == ["c"]
    assert rest.text.lstrip().startswith("<tbody")
    assert "webhooks-more" not in rest.text


async def test_a_switch_changes_the_webhook_and_answers_its_row(shop):
    webhook = await shop.make("one")
    answer = await shop.post(f"/{webhook.id}/switch", {"on": "false"})
    assert answer.text.lstrip().startswith(f'<tr id="w-{webhook.id}" class="is-off"')
    assert 'aria-checked="false"' in answer.text
    assert "Disabled" in words(answer)
    assert not (await shop.find(webhook)).is_active
    await shop.post(f"/{webhook.id}/switch", {"on": "true"})
    assert (await shop.find(webhook)).is_active


async def test_several_are_switched_and_deleted_once_that_is_typed(shop):
    made = [await shop.make(name) for name in ("a", "b", "c")]
    ids = [str(each.id) for each in made[:2]]
    done = await shop.page.post(f"{shop.root}/bulk", data={"do": "disable", "id": ids}, headers={"referer": ""})
    assert done.status_code == 303
    assert [(await shop.find(each)).is_active for each in made] == [False, False, True]
    asked = await shop.post("/remove", {"id": ids})
    assert "Type delete 2 to confirm" in words(asked)
    assert await shop.names() == ["a", "b", "c"]
    await shop.post("/remove", {"id": ids, "confirm": "delete 3"})
    assert await shop.names() == ["a", "b", "c"]
    await shop.post("/remove", {"id": ids, "confirm": "delete 2"})
    assert await shop.names() == ["c"]


@pytest.mark.parametrize("path", ["/bulk", "/remove", "/test"])
async def test_nothing_is_done_where_nothing_is_ticked(shop, path):
    await shop.make("a")
    answer = await shop.post(path, {"do": "enable", "id": ["nonsense"]})
    assert answer.status_code == 422
    assert "Tick the webhooks" in words(answer)


async def test_several_are_tested_one_after_another(shop):
    async with N8n() as n8n:
        good = await shop.make("good", webhook_url=n8n.url("/webhook/ok"))
        bad = await shop.make("wrong", webhook_url=n8n.url("/webhook/error"))
        shown = await shop.post("/test", {"all": "on"})
        assert "0 of 2 tested" in words(shown)
        assert f'hx-trigger="tried-{good.id} from:body once"' in shown.text
        assert n8n.seen == []
        first = await shop.post(f"/{good.id}/probe", {"done": "0", "good": "0", "of": "2"})
        assert f'"tried-{good.id}"' in first.headers["hx-trigger"]
        assert "1 of 2 tested: 1 succeeded" in words(first)
        second = await shop.post(f"/{bad.id}/probe", {"done": "1", "good": "1", "of": "2"})
        assert "2 of 2 tested: 1 succeeded , 1 failed" in words(second)
        assert "500" in words(second)
        assert len(n8n.seen) == 2
    gone = await shop.post("/01900000-0000-7000-8000-000000000000/probe", {"done": "2", "good": "1", "of": "3"})
    assert "Not tested" in words(gone)
    assert "tried-" in gone.headers["hx-trigger"]


async def test_a_viewer_is_shown_and_may_do_nothing(shop, looker):
    webhook = await shop.make("one")
    page = await looker.get()
    assert rows_of(page) == ["one"]
    for offered in ("Add webhook", "Test all", 'role="switch"', "/edit", "/delete", "data-pick-all", "data-pick "):
        assert offered not in page.text
    at = f"/{webhook.id}"
    for path in ("/new", f"{at}/edit", f"{at}/duplicate", f"{at}/delete", f"{at}/rotate", f"{at}/auth", f"{at}/test"):
        assert (await looker.get(path)).status_code == 403, path
    data = {"on": "false", "confirm": "one", "id": str(webhook.id), "do": "disable", "payload": "{}"}
    for path in (
        "/bulk",
        "/remove",
        "/test",
        "/exchange",
        *(f"{at}/{deed}" for deed in ("switch", "delete", "rotate", "edit", "test")),
    ):
        answer = await looker.page.post(looker.root + path, data=data)
        assert answer.status_code == 403, path
    assert (await looker.post(f"{at}/probe", {"done": "0"})).text.count("Not tested") == 1
    assert (await shop.find(webhook)).is_active


async def test_another_site_s_form_is_refused(app, site, tenant, shop):
    webhook = await shop.make("one")
    who = await person(app)
    async with browser(app, asgi=site) as opened:
        await opened.post("/login", data={**who.login, "next": "/"})
        opened.headers["origin"] = "https://evil.example"
        for path in (
            f"/{webhook.id}/switch",
            f"/{webhook.id}/delete",
            "/bulk",
            "/remove",
            "/new",
            "/exchange",
            "/test",
        ):
            answer = await opened.post(shop.root + path, data={"on": "false", "confirm": "one"})
            assert (answer.status_code, "foreign_origin" in answer.text) == (403, True), path
    assert (await shop.find(webhook)).is_active


async def test_a_tenant_that_is_gone_is_said_as_a_page_and_as_a_part(app, shop):
    webhook = await shop.make("one")
    await app.tenants.delete_tenant(shop.tenant)
    for path in ("", "/figures", "/new", "/exchange", "/export", f"/{webhook.id}", f"/{webhook.id}/counted"):
        page, part = await shop.get(path), await shop.part(path)
        assert (page.status_code, part.status_code) == (404, 404), path
        assert "tenant_not_found" in page.text
        assert "<html" not in part.text


async def test_another_tenant_s_webhook_is_none_of_this_one_s(app, shop):
    other = await app.tenants.create_tenant("Other")
    theirs = await app.webhooks.create_n8n_webhook(other.id, "x", webhook_url="https://n8n.example.com/webhook/x")
    for path in ("", "/edit", "/duplicate", "/test", "/recent", "/health", "/delete", "/rotate", "/auth"):
        assert (await shop.get(f"/{theirs.id}{path}")).status_code == 404, path
    assert (await shop.post(f"/{theirs.id}/switch", {"on": "false"})).status_code == 404
