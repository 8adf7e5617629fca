"""The pages of all tenants and of one: found, made, set, suspended, shredded, deleted; and what needs attention."""

import re
import secrets

import pytest

from canary import planted
from hookvault.analytics.service import OutsideCall
from seen import SCRIPTED, words

EVIL = '<script>alert("x")</script>'


def mark():
    return secrets.token_hex(5)


def wrong(answer, name):
    """What a form says is wrong with a field."""
    found = re.search(rf'<p class="field-error" id="h-{re.escape(name)}">.*?<span>(.*?)</span>', answer.text, re.DOTALL)
    return found and found[1]


def value_of(answer, name):
    found = re.search(rf'name="{re.escape(name)}"[^>]*? value="([^"]*)"', answer.text)
    return found and found[1]


@pytest.fixture
async def acme(app):
    return await app.tenants.create_tenant(f"Acme {mark()}", tenant_id=f"t-{mark()}")


async def called(app, tenant_id, name, *, good, bad):
    """A webhook that was called."""
    made = await app.webhooks.create_n8n_webhook(tenant_id, name, webhook_url="http://127.0.0.1:9/x")
    for n in range(good + bad):
        call = OutsideCall(made.id, success=n < good, response_time=50, status_code=200 if n < good else 500)
        await app.analytics.create_webhook_analytics(tenant_id, call)
        await app.webhooks.increment_webhook_stats(tenant_id, made.id, success=n < good)
    return made


async def test_a_tenant_is_found_by_any_part_of_its_name_id_and_slug(app, owner_page):
    word = mark()
    await app.tenants.create_tenant(f"Ärzte {word} Öst", tenant_id=f"aerzte-{word}")
    umlauts = await owner_page.get("/tenants", params={"q": f"ärzte {word.upper()} ÖST"})
    assert f'href="/tenants/aerzte-{word}"' in umlauts.text
    await app.tenants.create_tenant(f"Nordlicht {word.upper()}", tenant_id=f"id-{word}", slug=f"slug-{word}")
    await app.tenants.create_tenant(f"Other {word}x_%", status="suspended")
    for asked in (f"LICHT {word}", f"ID-{word}", f"lug-{word}"):
        page = await owner_page.get("/tenants", params={"q": asked})
        assert page.status_code == 200
        assert f'href="/tenants/id-{word}"' in page.text
        assert "Other" not in words(page)
    suspended = await owner_page.get("/tenants", params={"q": word, "status": "suspended"})
    assert f"/tenants/id-{word}" not in suspended.text
    assert f"Other {word}x_%" in words(suspended)
    for nothing in (f"{word}%x", f"i_-{word}", "\x00" + mark()):  # nothing stands for anything else
        assert "No tenant matches" in words(await owner_page.get("/tenants", params={"q": nothing}))
    assert (await owner_page.get("/tenants", params={"cursor": "x"})).status_code == 422


async def test_many_tenants_come_page_by_page_each_once(app, owner_page):
    word = mark()
    for n in range(53):
        await app.tenants.create_tenant(f"Many {word}", tenant_id=f"m{word}-{n:03}")
    first = await owner_page.get("/tenants", params={"q": f"many {word}"})
    seen = re.findall(rf'href="/tenants/(m{word}-\d+)"', first.text)
    assert len(seen) == 50
    more = re.search(r'hx-get="(/tenants\?[^"]*cursor=[^"]*)"', first.text)[1].replace("&amp;", "&")
    rest = await owner_page.get(more, headers=SCRIPTED)
    assert "<html" not in rest.text
    seen += re.findall(rf'href="/tenants/(m{word}-\d+)"', rest.text)
    assert seen == [f"m{word}-{n:03}" for n in range(53)]
    assert "cursor=" not in rest.text


async def test_the_list_tells_what_each_has_and_asks_for_the_figures_once(app, owner_page, acme):
    await app.integrations.configure(acme.id, "n8n", {"baseUrl": "https://n8n.example.com/webhook"}, create=True)
    await called(app, acme.id, "good", good=4, bad=0)
    worst = await called(app, acme.id, "rather-bad", good=1, bad=3)
    page = await owner_page.get("/tenants", params={"q": acme.id})
    assert re.search(r'class="end">2</td>', page.text)
    assert "logo small n8n" in page.text
    assert "logo small sms" not in page.text
    (stats,) = re.findall(r'hx-get="(/tenant-statistics[^"]*)"', page.text)
    figures = await owner_page.get(stats, headers=SCRIPTED)
    assert f'hx-target="#calls-{acme.id}"' in figures.text
    assert "4 succeeded, 3 failed" not in figures.text
    assert "5 succeeded, 3 failed" in figures.text
    assert "62.5%" in words(figures)
    assert f"/tenants/{acme.id}/webhooks/{worst.id}" in figures.text
    assert "3 of 4 calls failed" in words(figures)
    for bad in ("", "a b", ",".join(["t"] * 51)):
        assert (await owner_page.get("/tenant-statistics", params={"ids": bad})).status_code == 422


async def test_figures_of_tenants_are_those_that_the_api_counts(app):
    """With rollups in between, and of each tenant by itself."""
    ids = [(await app.tenants.create_tenant(f"Counted {n}", tenant_id=f"c-{mark()}")).id for n in range(3)]
    await called(app, ids[0], "one", good=3, bad=1)
    await called(app, ids[1], "one", good=0, bad=2)
    found = await app.census.list_activity(ids)
    for tenant_id in ids:
        summary = (await app.figures.summarize(tenant_id)).figures
        counted = found[tenant_id].figures
        assert (counted.total_calls, counted.failed_calls) == (summary.total_calls, summary.failed_calls)
        assert sum(found[tenant_id].successful) == summary.successful_calls
    assert found[ids[2]].worst is None
    assert found[ids[1]].worst.figures.failed_calls == 2


async def test_a_tenant_is_made_and_errors_stand_at_their_fields(app, owner_page, acme):
    form = await owner_page.get("/new-tenant", headers=SCRIPTED)
    assert "<html" not in form.text
    assert 'hx-post="/new-tenant"' in form.text
    word = mark()
    for typed, field in (
        ({"name": "", "slug": f"s-{word}"}, "name"),
        ({"name": f"New {word}", "id": "-no id-"}, "id"),
        ({"name": f"New {word}", "id": acme.id}, "id"),
        ({"name": f"New {word}", "id": f"x-{word}", "slug": acme.slug}, "slug"),
        ({"name": "tab\there"}, "name"),
    ):
        refused = await owner_page.post("/new-tenant", data=typed, headers=SCRIPTED)
        assert refused.status_code in (409, 422)
        assert wrong(refused, field), typed
        assert " data-failed" in refused.text
        assert all(value_of(refused, name) == text for name, text in typed.items() if "\t" not in text)
    made = await owner_page.post("/new-tenant", data={"name": EVIL + word, "id": f"n-{word}"}, headers=SCRIPTED)
    assert (made.status_code, made.headers["hx-redirect"]) == (200, f"/tenants/n-{word}/integrations")
    for path in (
        "/tenants?q=" + word,
        f"/tenants/n-{word}",
        f"/tenants/n-{word}/settings",
        f"/tenants/n-{word}/delete",
    ):
        page = await owner_page.get(path)
        assert EVIL not in page.text
        assert EVIL in words(page) or "script" in words(page)


async def test_a_viewer_reads_and_changes_nothing(app, visitor, acme):
    viewer = await visitor("viewer")
    listed = await viewer.get("/tenants")
    assert "New tenant" not in words(listed)
    settings = await viewer.get(f"/tenants/{acme.id}/settings")
    assert settings.status_code == 200
    assert "Delete" not in words(settings)
    assert '<button class="button primary"' not in settings.text
    for path, data in (
        ("/new-tenant", {"name": "Mine"}),
        (f"/tenants/{acme.id}/settings", {"name": "Mine", "version": "1"}),
        (f"/tenants/{acme.id}/suspend", {"confirm": acme.name}),
        (f"/tenants/{acme.id}/shred", {"confirm": acme.id}),
        (f"/tenants/{acme.id}/delete", {"confirm": acme.name}),
        (f"/tenants/{acme.id}/rekey", {}),
        (f"/tenants/{acme.id}/resume", {}),
    ):
        assert (await viewer.post(path, data=data)).status_code == 403, path
    assert (await app.tenants.get_tenant(acme.id)) == acme


async def test_another_site_s_form_changes_nothing(app, owner_page, acme):
    for path in ("settings", "delete", "suspend", "shred"):
        answer = await owner_page.post(
            f"/tenants/{acme.id}/{path}",
            data={"name": "x", "confirm": acme.name},
            headers={"origin": "https://evil.example"},
        )
        assert answer.status_code == 403
    assert (await app.tenants.get_tenant(acme.id)) == acme


async def test_settings_are_saved_and_errors_stand_at_their_fields(app, owner_page, acme, tenant):
    url = f"/tenants/{acme.id}/settings"
    good = {"name": "Better", "slug": acme.slug, "version": "1", "concurrency": "7", "retentionDays": "30"}
    good |= {"rateLimit.calls": "100", "rateLimit.seconds": "60"}
    for typed, field in (
        ({"name": ""}, "name"),
        ({"slug": "no slug"}, "slug"),
        ({"slug": tenant.slug}, "slug"),
        ({"rateLimit.calls": "many"}, "rateLimit.calls"),
        ({"rateLimit.seconds": ""}, "rateLimit.seconds"),
        ({"concurrency": "0"}, "concurrency"),
        ({"retentionDays": "1.5"}, "retentionDays"),
    ):
        refused = await owner_page.post(url, data=good | typed, headers=SCRIPTED)
        assert refused.status_code in (409, 422)
        assert wrong(refused, field), typed
        assert value_of(refused, "name") == typed.get("name", "Better")
    saved = await owner_page.post(url, data=good, headers=SCRIPTED)
    assert (saved.status_code, saved.headers["hx-redirect"]) == (200, url)
    now = await app.tenants.get_tenant(acme.id)
    assert (now.name, now.rate_limit, now.concurrency, now.retention_days) == ("Better", (100, 60), 7, 30)
    cleared = good | {
        "version": "2",
        "concurrency": "",
        "retentionDays": "",
        "rateLimit.calls": "",
        "rateLimit.seconds": "",
    }
    await owner_page.post(url, data=cleared)
    now = await app.tenants.get_tenant(acme.id)
    assert (now.rate_limit, now.concurrency, now.retention_days) == (None, None, None)


async def test_two_admins_at_once_the_second_is_told_and_keeps_what_was_typed(app, owner_page, acme):
    url = f"/tenants/{acme.id}/settings"
    await app.tenants.update_tenant(acme.id, {"name": "Theirs", "concurrency": 3})
    mine = {"name": "Mine", "slug": acme.slug, "version": "1"}
    refused = await owner_page.post(url, data=mine, headers=SCRIPTED)
    assert refused.status_code == 412
    assert value_of(refused, "name") == "Mine"
    assert "Another admin changed this tenant meanwhile" in words(refused)
    assert "Now set: Theirs" in words(refused)
    assert "Now set: 3" in words(refused)
    assert (await app.tenants.get_tenant(acme.id)).name == "Theirs"
    again = await owner_page.post(url, data=mine | {"version": value_of(refused, "version")}, headers=SCRIPTED)
    assert again.status_code == 200
    assert (await app.tenants.get_tenant(acme.id)).name == "Mine"


async def test_suspending_and_deleting_need_the_name(app, owner_page, acme):
    base = f"/tenants/{acme.id}"
    for act in ("suspend", "delete"):
        shown = await owner_page.get(f"{base}/{act}", headers=SCRIPTED)
        assert f'data-confirm="{acme.name}"' in shown.text
        refused = await owner_page.post(f"{base}/{act}", data={"confirm": acme.id}, headers=SCRIPTED)
        assert refused.status_code == 422
        assert f"Type {acme.name} to confirm" in words(refused)
    assert (await app.tenants.get_tenant(acme.id)).status == "active"
    assert (await owner_page.post(f"{base}/suspend", data={"confirm": acme.name})).status_code == 303
    assert (await app.tenants.get_tenant(acme.id)).status == "suspended"
    page = await owner_page.get(f"{base}/settings")
    assert "Suspended" in words(page)
    assert f'action="{base}/resume"' in page.text
    assert (await owner_page.post(f"{base}/resume")).status_code == 303
    assert (await app.tenants.get_tenant(acme.id)).status == "active"
    gone = await owner_page.post(f"{base}/delete", data={"confirm": acme.name}, headers=SCRIPTED)
    assert gone.headers["hx-redirect"] == "/tenants"
    for path in ("", "/settings", "/figures", "/integrations", "/delete", "/integrations/sms/edit"):
        assert (await owner_page.get(base + path)).status_code == 404
        part = await owner_page.get(base + path, headers=SCRIPTED)
        assert part.status_code == 404
        assert "<html" not in part.text
    assert (await owner_page.post(f"{base}/settings", data={"name": "x", "version": "1"})).status_code == 404


async def test_shredding_says_what_it_can_t_reach_and_rekeying_begins(app, owner_page, acme):
    await app.integrations.configure(
        acme.id, "n8n", {"baseUrl": "https://n8n.example.com/w", "apiKey": planted("n8n")}, create=True
    )
    base = f"/tenants/{acme.id}"
    assert "an old backup in other hands together with an old master key" in words(
        await owner_page.get(f"{base}/shred")
    )
    assert (await owner_page.post(f"{base}/shred", data={"confirm": "x"})).status_code == 422
    assert (await owner_page.post(f"{base}/shred", data={"confirm": acme.id})).status_code == 303
    figures = await owner_page.get(f"{base}/figures", headers=SCRIPTED)
    assert "n8n needs its secrets again" in words(figures)
    card = await owner_page.get(f"{base}/integrations")
    assert "Secret needed" in words(card)
    assert "enter it again" in words(card)
    rekeyed = await owner_page.post(f"{base}/rekey", headers=SCRIPTED, data={})
    assert rekeyed.headers["hx-redirect"] == f"{base}/settings"
    twice = await owner_page.post(f"{base}/rekey", headers=SCRIPTED, data={})
    assert twice.status_code == 409
    assert "runs already" in words(twice)
    await app.rekeys.cancel()


async def test_a_tenant_at_a_glance(app, owner_page, acme):
    base = f"/tenants/{acme.id}"
    empty = words(await owner_page.get(f"{base}/figures"))
    assert "Nothing needs attention" in empty
    assert "No failed calls in 24 hours" in empty
    await called(app, acme.id, "breaks", good=1, bad=9)
    page = await owner_page.get(base)
    assert f'hx-get="{base}/figures"' in page.text
    part = await owner_page.get(f"{base}/figures", headers=SCRIPTED)
    said = words(part)
    assert "<html" not in part.text
    assert "Failing breaks 90% of its calls failed." in said
    assert "Calls 10" in said
    assert "Failed 9" in said
    assert said.count("HTTP 500") + said.count(" 500 ") >= 8
    await app.tenants.update_tenant(acme.id, {"status": "suspended"})
    assert "The tenant is suspended" in words(await owner_page.get(f"{base}/figures"))
