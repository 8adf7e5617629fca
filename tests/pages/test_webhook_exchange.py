"""Webhooks out to a file and in from one."""

import csv
import io
import json
import re

import pytest
from webhooking import Shop, words

from canary import CANARY, planted
from hookvault.admin.pages import exchange

NAUGHTY = "<script>alert(1)</script>"
URL = "https://n8n.example.com/webhook/x"


@pytest.fixture
async def shop(app, owner_page, tenant):
    return Shop(app, owner_page, tenant.id)


@pytest.fixture
async def second(app, owner_page):
    return Shop(app, owner_page, (await app.tenants.create_tenant("Second")).id)


async def look(shop, text):
    return await shop.post("/exchange", {"text": text})


async def apply(shop, text, **headers):
    """What is done once it was looked at."""
    shown = await look(shop, text)
    (digest,) = re.findall(r'name="apply" value="(\w+)"', shown.text)
    return await go_on(shop, text, {"apply": digest}, **headers)


async def go_on(shop, text, fields, **headers):
    """What is done; the secrets that are shown this once are seen nowhere else."""
    see, CANARY.see = CANARY.see, lambda *_: None
    try:
        done = await shop.post("/exchange", {"text": text, **fields}, **headers)
    finally:
        CANARY.see = see
    for secret in set(re.findall(r"whsec_[A-Za-z0-9+/=]{20,}", done.text)):
        CANARY.made(secret)
    return done


def verdicts(answer):
    """What would become of each webhook, by name, and why."""
    found = re.findall(r'<tr><td class="end fit">\d+</td>(.*?)</tr>', answer.text, re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]
    return [tuple(text.split(" ", 1)) for text in texts]


async def furnish(shop):
    await shop.make(
        "full",
        description="=1+1",
        auth_type="header",
        auth_config={"headerName": "X-Key"},
        auth_token=planted("token"),
        static_headers={"X-A": planted("a")},
        policy={"timeoutMs": 700, "schedule": [5, 60], "rateLimit": {"calls": 1, "seconds": 2}, "keepPayloads": False},
    )
    await shop.make("plain", is_active=False, description='Grüße, "quoted"\nand two lines')


@pytest.mark.parametrize("kind", ["json", "csv"])
async def test_what_goes_out_comes_in_again_as_the_same(shop, kind):
    await furnish(shop)
    answer = await shop.get(f"/export?format={kind}")
    assert f'filename="webhooks-{shop.tenant}.{kind}"' in answer.headers["content-disposition"]
    shown = await look(shop, answer.text)
    assert verdicts(shown) == [("full", "The same"), ("plain", "The same")], words(shown)
    assert "There is nothing to be done." in words(shown)


@pytest.mark.parametrize("kind", ["json", "csv"])
async def test_what_goes_out_makes_the_same_in_another_tenant(shop, second, kind):
    await shop.make("plain", is_active=False, description='-1 Grüße, "quoted"\nand two', policy={"timeoutMs": 700})
    text = (await shop.get(f"/export?format={kind}")).text
    done = await apply(second, text)
    assert "Created" in words(done)
    assert "whsec_" in done.text
    (made,) = await second.app.webhooks.get_n8n_webhooks_by_tenant(second.tenant)
    (first,) = await shop.app.webhooks.get_n8n_webhooks_by_tenant(shop.tenant)
    for name in ("workflow_name", "webhook_url", "description", "is_active", "auth_type", "policy"):
        assert getattr(made, name) == getattr(first, name), name


async def test_no_secret_goes_out_and_what_is_missing_is_said(shop, second):
    await furnish(shop)
    found = (await shop.get("/export")).json()
    assert found["webhooks"][0]["secretsNeeded"] == ["authToken", "staticHeaders.X-A"]
    shown = await look(second, json.dumps(found))
    assert "authToken must be given" in verdicts(shown)[0][1]
    whole = {**found["webhooks"][0], "authToken": planted("t"), "staticHeaders": {"X-A": planted("a")}}
    done = await apply(second, json.dumps([whole]))
    assert "Created" in words(done)
    assert await second.names() == ["full"]


async def test_no_cell_is_a_formula(shop):
    for number, text in enumerate(("=1+1", "+1", "-1", "@SUM(A1)", "\t=1")):
        await shop.make(f"w{number}", description=text)
    rows = list(csv.DictReader(io.StringIO((await shop.get("/export?format=csv")).text)))
    assert [row["description"][0] for row in rows] == ["'"] * 5
    shown = await look(shop, (await shop.get("/export?format=csv")).text)
    assert {text for _, text in verdicts(shown)} == {"The same"}, words(shown)


# What the API refuses, an import says before it does anything.
REFUSED = [
    {"workflowName": "two words", "webhookUrl": URL},
    {"webhookUrl": URL},
    {"workflowName": "a", "webhookUrl": "https://n8n.example.com/webhook-test/x"},
    {"workflowName": "a", "webhookUrl": "https://169.254.169.254/"},
    {"workflowName": "a", "webhookUrl": "https://user:pass@n8n.example.com/"},
    {"workflowName": "a", "webhookUrl": URL, "method": "GET"},
    {"workflowName": "a", "webhookUrl": URL, "isActive": "perhaps"},
    {"workflowName": "a", "webhookUrl": URL, "authType": "bearer"},
    {"workflowName": "a", "webhookUrl": URL, "authType": "magic"},
    {
        "workflowName": "a",
        "webhookUrl": URL,
        "authType": "basic",
        "authToken": "abcdefgh",
        "authConfig": {"user": "a:b"},
    },
    {"workflowName": "a", "webhookUrl": URL, "authType": "bearer", "authToken": "••••1234"},
    {"workflowName": "a", "webhookUrl": URL, "staticHeaders": {"Host": "x"}},
    {"workflowName": "a", "webhookUrl": URL, "policy": {"timeoutMs": 0}},
    {"workflowName": "a", "webhookUrl": URL, "policy": {"redactPaths": ["card"]}},
    {"workflowName": "a", "webhookUrl": URL, "policy": {"often": True}},
    {"workflowName": "a", "webhookUrl": URL, "description": "x" * 2001},
    {"workflowName": "a", "webhookUrl": URL, "policy": {"schedule": []}},
]


@pytest.mark.parametrize("item", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
async def test_what_the_api_refuses_is_said_beforehand(client, shop, item):
    refused = await client.post(f"/api/platform/tenants/{shop.tenant}/webhooks", json=item)
    assert refused.status_code == 422, refused.text
    shown = await look(shop, json.dumps([item]))
    assert "1 invalid" in words(shown), words(shown)
    assert 'name="apply"' not in shown.text


async def test_what_would_be_changed_is_named_and_then_done(shop):
    await furnish(shop)
    items = [
        {"workflowName": "plain", "description": "New", "policy": {"timeoutMs": 900}},
        {"workflowName": "new", "webhookUrl": URL},
        {"workflowName": "new", "webhookUrl": URL},
        {"workflowName": "full", "webhookUrl": "https://elsewhere.example/x"},
        NAUGHTY,
    ]
    shown = await look(shop, json.dumps(items))
    said = [text for _, text in verdicts(shown)]
    assert said[0] == "Change description policy.timeoutMs"
    assert said[1] == "New"
    assert "stands in the file before" in said[2]
    assert "authToken, staticHeaders.X-A must be given again" in said[3]
    assert await shop.names() == ["full", "plain"]
    done = await apply(shop, json.dumps(items))
    assert words(done).count("Left out") == 3
    assert await shop.names() == ["full", "new", "plain"]
    plain = next(
        e for e in await shop.app.webhooks.get_n8n_webhooks_by_tenant(shop.tenant) if e.workflow_name == "plain"
    )
    assert (plain.description, plain.policy.timeout_ms, plain.is_active) == ("New", 900, False)


def far(answer):
    """What the page would submit next by itself; empty once all is gone through."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', answer.text))


async def test_many_are_done_some_at_a_time(shop, monkeypatch):
    monkeypatch.setattr(exchange, "_AT_ONCE", 4)
    await shop.make("same-00")
    items = [{"workflowName": f"many-{n:02}", "webhookUrl": URL} for n in range(9)]
    items.insert(2, {"workflowName": "same-00"})
    items.insert(3, {"workflowName": "broken", "webhookUrl": "ftp://x"})
    text = json.dumps(items)
    first = await apply(shop, text)
    assert (far(first)["after"], far(first)["done"], far(first)["refused"]) == ("6", "4", "1")
    assert '<progress class="progress" max="11" value="6"' in first.text
    assert len(await shop.names()) == 1 + 4
    second = await go_on(shop, text, far(first))
    assert "<section" not in second.text
    assert re.findall(r"many-\d\d", second.text) == [f"many-{n:02}" for n in range(4, 8)]
    # The same once more, as where an answer was lost: nothing is made twice, nothing fails.
    again = await go_on(shop, text, far(first))
    assert "Refused" not in words(again)
    last = await go_on(shop, text, far(second))
    assert far(last) == {}
    assert "11 webhooks gone through: 8 created or changed, 1 refused or left out, 2 the same already." in words(last)
    assert await shop.names() == [f"many-{n:02}" for n in range(9)] + ["same-00"]


async def test_an_import_that_was_broken_off_is_begun_again(shop, monkeypatch):
    monkeypatch.setattr(exchange, "_AT_ONCE", 2)
    text = json.dumps([{"workflowName": f"many-{n}", "webhookUrl": URL} for n in range(5)])
    await apply(shop, text)
    shown = await look(shop, text)
    assert "3 new 0 changed 2 the same" in words(shown)
    monkeypatch.setattr(exchange, "_AT_ONCE", 25)
    assert "5 webhooks gone through: 3 created or changed, 2 the same already." in words(await apply(shop, text))


@pytest.mark.parametrize("text", ["[", json.dumps([{"workflowName": "other", "webhookUrl": URL}])])
async def test_a_text_that_is_changed_in_between_stops_the_import(shop, monkeypatch, text):
    monkeypatch.setattr(exchange, "_AT_ONCE", 2)
    first = await apply(shop, json.dumps([{"workflowName": f"many-{n}", "webhookUrl": URL} for n in range(5)]))
    stopped = await shop.post("/exchange", {"text": text, **far(first)})
    assert stopped.status_code == 422
    assert "2 of the text that was looked at were gone through." in words(stopped)
    assert far(stopped) == {}
    assert await shop.names() == ["many-0", "many-1"]


@pytest.mark.parametrize("after", ["-1", "501", "1e3", "x", "9" * 30])
async def test_what_is_no_place_in_the_file_is_the_start(shop, after):
    text = json.dumps([{"workflowName": "a", "webhookUrl": URL}])
    digest = re.findall(r'name="apply" value="(\w+)"', (await look(shop, text)).text)[0]
    assert "Created" in words(await go_on(shop, text, {"apply": digest, "after": after, "done": after}))
    assert await shop.names() == ["a"]


async def test_without_scripts_all_is_done_at_once(shop, monkeypatch):
    monkeypatch.setattr(exchange, "_AT_ONCE", 2)
    text = json.dumps([{"workflowName": f"many-{n}", "webhookUrl": URL} for n in range(5)])
    page = await apply(shop, text, **{"hx-request": "false"})
    assert "<html" in page.text
    assert "5 webhooks gone through: 5 created or changed." in words(page)
    assert len(await shop.names()) == 5


async def test_only_what_was_looked_at_is_applied(shop):
    text = json.dumps([{"workflowName": "a", "webhookUrl": URL}])
    answer = await shop.post("/exchange", {"text": text, "apply": "0123456789abcdef"})
    assert "another one than was looked at" in words(answer)
    assert await shop.names() == []


async def test_the_text_is_not_sent_back(shop):
    token = planted("token")
    item = {"workflowName": NAUGHTY, "webhookUrl": URL, "authToken": token}
    page = await shop.page.post(f"{shop.root}/exchange", data={"text": json.dumps([item])})
    assert token not in page.text
    assert NAUGHTY not in page.text
    assert "1 invalid" in words(page)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{nope", "is not JSON: look in line 1"),
        ("[]", "holds no webhooks"),
        ('{"webhooks": 5}', "must hold a list"),
        ('{"webhooks": [], "rows": 1}', "field &#39;rows&#39;"),
        ("just words", "neither JSON nor CSV"),
        ("workflowName,secret\na,b", "column &#39;secret&#39;"),
        ("[" * 5000, "is JSON that can&#39;t be read"),
        (json.dumps([{"workflowName": "a"}] * 501), "Import 500 at most"),
    ],
)
async def test_a_text_that_can_t_be_read_is_said(shop, text, said):
    answer = await look(shop, text)
    assert answer.status_code == 422
    assert said in answer.text, words(answer)


async def test_a_spreadsheet_s_semicolons_are_read(shop):
    shown = await look(shop, f"\ufeffworkflowName;webhookUrl;isActive\r\na;{URL};FALSE\r\nb;{URL};maybe\r\n;;\r\n")
    assert [text[:7] for _, text in verdicts(shown)] == ["New", "Invalid"]
