"""Webhooks out to a file and in from one."""

import csv
import io
import json
import re

import pytest
from webhooking import Shop, words

from canary import CANARY, planted

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


async def apply(shop, text):
    """What is done once it was looked at; the secrets that are shown this once are seen nowhere else."""
    shown = await look(shop, text)
    (digest,) = re.findall(r'name="apply" value="(\w+)"', shown.text)
    see, CANARY.see = CANARY.see, lambda *_: None
    try:
        done = await shop.post("/exchange", {"text": text, "apply": digest})
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
