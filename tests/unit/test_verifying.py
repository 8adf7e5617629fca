"""What docs/verifying.md and the n8n workflow tell receivers to run accepts our signatures and nothing else."""

import base64
import hashlib
import hmac
import json
import random
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hookvault.vault import Secret
from hookvault.webhooks.signing import new_signing_secret, sign, signing_key

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verifying.md").read_text("utf-8")
WORKFLOW = json.loads((ROOT / "examples" / "n8n-verified-webhook.json").read_text("utf-8"))
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="THE VERIFIERS IN JAVASCRIPT ARE NOT TESTED: there is no `node` on the PATH"
)

SECRET = new_signing_secret().open()
OTHER = new_signing_secret().open()
MESSAGE = "01a20af6-9bbc-7908-9b39-0f58d451aba0"
BODY = '{"name":"Zoë","city":"東京"}'.encode()
TOLERANCE_S = 300
MARGIN_S = 30  # between making a call and checking it, with time for a slow machine


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def node_of(kind):
    return next(node for node in WORKFLOW["nodes"] if node["type"] == f"n8n-nodes-base.{kind}")


def headers(*, secret=SECRET, message_id=MESSAGE, age=0, body=BODY):
    """What we send with a body, `age` seconds ago."""
    timestamp = str(int(time.time()) - age)
    signature = sign(signing_key(Secret(secret)), message_id, timestamp, body)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def without(name):
    return {key: value for key, value in headers().items() if key != name}


def genuine():
    good, other = headers(), headers(secret=OTHER)["webhook-signature"]
    signed = good["webhook-signature"]
    return {
        "as sent": good,
        "four and a half minutes old": headers(age=TOLERANCE_S - MARGIN_S),
        "four and a half minutes early": headers(age=MARGIN_S - TOLERANCE_S),
        "two signatures, the first matches": good | {"webhook-signature": f"{signed} {other}"},
        "two signatures, the second matches": good | {"webhook-signature": f"{other} {signed}"},
        "after one of an unknown version": good | {"webhook-signature": f"v2,{signed[3:]} v1a,AAAA {signed}"},
        "after one without a comma": good | {"webhook-signature": f"v1 {signed}"},
        "after garbage": good | {"webhook-signature": f"v1,***  {signed}"},
        "with other headers": {"content-type": "application/json", "host": "n8n.example.com"} | good,
    }


def not_genuine():
    """The headers of calls that must not be accepted with BODY."""
    good = headers()
    signed = good["webhook-signature"]
    now = int(time.time())
    return {
        "tampered body": headers(body=BODY + b" "),
        "another secret": headers(secret=OTHER),
        "an old timestamp": headers(age=TOLERANCE_S + MARGIN_S),
        "a timestamp of tomorrow": headers(age=-86_400),
        "another timestamp": good | {"webhook-timestamp": str(now - 7)},
        "wrong id": good | {"webhook-id": "01a20af6-9bbc-7908-9b39-0f58d451aba1"},
        "no id": without("webhook-id"),
        "empty id": headers(message_id=""),
        "an id with a dot, signed": headers(message_id="msg.1"),
        "no timestamp": without("webhook-timestamp"),
        "no signature": without("webhook-signature"),
        "empty signature": good | {"webhook-signature": ""},
        "spaces": good | {"webhook-signature": "   "},
        "v1 without comma": good | {"webhook-signature": "v1"},
        "v1 and a comma": good | {"webhook-signature": "v1,"},
        "the base64 alone": good | {"webhook-signature": signed[3:]},
        "unknown version only": good | {"webhook-signature": f"v2,{signed[3:]}"},
        "upper-case version": good | {"webhook-signature": f"V1,{signed[3:]}"},
        "garbage base64": good | {"webhook-signature": "v1,*** not base64 ***"},
        "not ASCII": good | {"webhook-signature": "v1,Zoë 東京 \ud800"},
        "a prefix of it": good | {"webhook-signature": signed[:-4]},
        "more than it": good | {"webhook-signature": f"{signed}A"},
        "two that do not match": good | {"webhook-signature": f"v1,AAAA {headers(secret=OTHER)['webhook-signature']}"},
        "separated by a comma": good | {"webhook-signature": f"v1,AAAA,{signed}"},
        **{f"a timestamp {how}": good | {"webhook-timestamp": text} for how, text in odd_numbers(now).items()},
    }


def odd_numbers(now):
    """Timestamps that some parser takes for a number."""
    return {
        "that is empty": "",
        "in words": "now",
        "behind a space": f" {now}",
        "before a space": f"{now} ",
        "before a line feed": f"{now}\n",
        "with a sign": f"+{now}",
        "below zero": f"-{now}",
        "with a fraction": f"{now}.0",
        "with an underscore": f"{str(now)[:1]}_{str(now)[1:]}",
        "in hex": hex(now),
        "with an exponent": "1e9",
        "that is no number": "NaN",
        "without end": "Infinity",
        "of 5000 digits": "9" * 5000,
        "in full-width digits": "".join(chr(0xFEE0 + ord(digit)) for digit in str(now)),
        "in superscript": "\u00b2",
    }


# Made anew where they are used: they grow old while a whole suite runs.
GENUINE, NOT_GENUINE = list(genuine()), list(not_genuine())


class Page:
    """The names that the page's own Python block defines."""

    def __init__(self):
        names = {}
        exec(compile(blocks("python")[0], "docs/verifying.md", "exec"), names)  # noqa: S102 - our own page
        self.verify, self.refused = names["verify"], names["InvalidSignature"]


@pytest.fixture(scope="module")
def page():
    return Page()


@pytest.fixture(scope="module")
def payload_of():
    names = {}
    exec(compile(blocks("python")[1], "docs/verifying.md", "exec"), names)  # noqa: S102 - our own page
    return names["payload_of"]


def test_the_page_has_the_blocks_that_are_tested_here():
    assert (len(blocks("python")), len(blocks("js"))) == (2, 1)
    assert len(re.findall(r"^```", PAGE, re.MULTILINE)) == 2 * 3, "a block of another language is not tested"


# The page's Python.


@pytest.mark.parametrize("case", GENUINE)
def test_python_accepts(page, case):
    assert page.verify(SECRET, genuine()[case], BODY) == MESSAGE


@pytest.mark.parametrize("case", NOT_GENUINE)
def test_python_refuses_with_its_one_exception(page, case):
    with pytest.raises(page.refused) as caught:
        page.verify(SECRET, not_genuine()[case], BODY)
    assert type(caught.value) is page.refused


def test_python_takes_header_names_in_any_case(page):
    assert page.verify(SECRET, {name.title(): value for name, value in headers().items()}, BODY) == MESSAGE


def test_python_is_a_short_read_of_the_standard_library(page):
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 30
    assert set(re.findall(r"^(?:import|from) (\w+)", blocks("python")[0], re.MULTILINE)) == {"base64", "hmac", "time"}


def test_python_accepts_what_the_reference_implementation_signs(page):
    moment = int(time.time())
    sent = {
        "webhook-id": MESSAGE,
        "webhook-timestamp": str(moment),
        "webhook-signature": Webhook(SECRET).sign(MESSAGE, datetime.fromtimestamp(moment, UTC), BODY.decode()),
    }
    assert page.verify(SECRET, sent, BODY) == MESSAGE
    with pytest.raises(page.refused):
        page.verify(OTHER, sent, BODY)


def test_the_reference_implementation_accepts_what_python_accepts(page):
    for case in ("as sent", "two signatures, the second matches", "four and a half minutes old"):
        assert Webhook(SECRET).verify(BODY, genuine()[case]) == json.loads(BODY)
    for case in ("tampered body", "wrong id", "an old timestamp", "unknown version only"):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(BODY, not_genuine()[case])


def test_the_library_block_gives_the_payload_or_nothing(payload_of):
    for case in ("as sent", "two signatures, the second matches"):
        assert payload_of(SECRET, genuine()[case], BODY) == json.loads(BODY)
    for case in (
        "tampered body",
        "v1 without comma",
        "garbage base64",
        "no id",
        "empty signature",
        "unknown version only",
    ):
        assert payload_of(SECRET, not_genuine()[case], BODY) is None


# JavaScript: the page's and that of n8n's Code node.


def in_node(kind, calls):
    code = blocks("js")[0] if kind == "page" else node_of("code")["parameters"]["jsCode"]
    request = {"kind": kind, "code": code, "calls": calls}
    script = Path(__file__).with_name("node_verifying.js")
    run = subprocess.run(
        [NODE, str(script)], input=json.dumps(request), capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(run.stdout)


def in_node_each(kind, cases):
    return zip(cases, in_node(kind, [call(sent) for sent in cases.values()]), strict=True)


def call(sent, body=BODY, secret=SECRET):
    return {"secret": secret, "headers": sent, "body": None if body is None else base64.b64encode(body).decode()}


@needs_node
def test_javascript_accepts():
    for case, answer in in_node_each("page", genuine()):
        assert answer == {"ok": True, "id": MESSAGE}, case


@needs_node
def test_javascript_refuses_with_its_one_exception():
    for case, answer in in_node_each("page", not_genuine()):
        assert (answer["ok"], answer["expected"]) == (False, True), case


@needs_node
def test_n8n_accepts_and_hands_on_the_verified_body():
    item = {"json": {"verified": True, "id": MESSAGE, "body": json.loads(BODY)}}
    for case, answer in in_node_each("n8n", genuine()):
        assert answer == {"ok": True, "items": [item]}, case


@needs_node
def test_n8n_refuses_and_hands_nothing_on():
    for case, answer in in_node_each("n8n", not_genuine()):
        [item] = answer["items"]
        assert item["json"]["verified"] is False, case
        assert set(item["json"]) == {"verified", "reason"}, case


@needs_node
def test_n8n_refuses_a_form_whose_file_is_a_genuine_body():
    """n8n takes a file named `data` for the raw body, and hands on form fields beside it that nobody signed."""
    [answer] = in_node("n8n", [call(headers() | {"content-type": "Multipart/form-data; boundary=x"})])
    assert answer["items"][0]["json"]["verified"] is False


@needs_node
def test_n8n_refuses_and_says_why_until_it_is_set_up():
    """A reason and no exception: some versions of n8n answer 200 when a workflow fails before it has responded."""
    calls = [call(headers(), secret="whsec_REPLACE_ME"), call(headers(), secret=""), call(headers(), body=None)]
    [placeholder, empty, no_bytes] = [answer["items"][0]["json"] for answer in in_node("n8n", calls)]
    assert {said["verified"] for said in (placeholder, empty, no_bytes)} == {False}
    assert "SECRET" in placeholder["reason"]
    assert "SECRET" in empty["reason"]
    assert "Raw Body" in no_bytes["reason"]


def bodies():
    """Bodies that end in every place of SHA-256's blocks, long ones, and UTF-8."""
    dice = random.Random(20_260_101)
    texts = ("Grüße, 東京 🔑 \x00 end", '{"a":[1,2.5,null,true]}', "\ufeff{}", "\r\n", "é" * 5000)
    return [dice.randbytes(length) for length in (*range(130), 1000, 100_003)] + [text.encode() for text in texts]


def keys():
    """Our own length first, the shortest that Standard Webhooks allows, and lengths around the block of HMAC."""
    dice = random.Random(20_260_102)
    return [dice.randbytes(length) for length in (32, 24, 63, 64, 65, 200)]


def signed_by_hmac(key, body):
    """A call that Python's own hmac signed, and the same with a byte too many."""
    message_id, timestamp = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", str(int(time.time()))
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    sent = {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    secret = "whsec_" + base64.b64encode(key).decode()
    return [call(sent, body, secret), call(sent, body + b"\0", secret)]


@needs_node
@pytest.mark.parametrize("kind", ["page", "n8n"])
def test_javascript_computes_what_python_computes(kind):
    """A call is accepted only if the HMAC that JavaScript computes is, byte for byte, that of Python's hmac."""
    calls = [made for body in bodies() for made in signed_by_hmac(keys()[0], body)]
    calls += [made for key in keys()[1:] for body in bodies()[::43] for made in signed_by_hmac(key, body)]
    answers = in_node(kind, calls)
    if kind == "n8n":
        accepted = [answer["items"][0]["json"]["verified"] for answer in answers]
    else:
        accepted = [answer["ok"] for answer in answers]
    assert accepted == [True, False] * (len(calls) // 2)


# The n8n workflow as a file.


def test_the_workflow_is_what_the_page_says():
    webhook, code, condition = node_of("webhook"), node_of("code"), node_of("if")
    assert (webhook["typeVersion"], code["typeVersion"]) == (2.1, 2)
    assert webhook["parameters"] == {
        "httpMethod": "POST",
        "path": webhook["parameters"]["path"],
        "responseMode": "responseNode",
        "options": {"rawBody": True},
    }
    assert webhook["webhookId"], "without one n8n puts the workflow's id and the node's name into the path"
    assert code["parameters"]["mode"] == "runOnceForAllItems"
    assert code["onError"] == "continueRegularOutput", "code that fails must lead to the 401, not to n8n's empty 200"
    assert code["parameters"]["jsCode"].startswith("const SECRET = 'whsec_REPLACE_ME';")
    [rule] = condition["parameters"]["conditions"]["conditions"]
    assert (rule["leftValue"], rule["operator"]["type"]) == ("={{ $json.verified }}", "boolean")
    for name in ("Verify signature", "Genuine?", "Respond 200"):
        assert name in [node["name"] for node in WORKFLOW["nodes"]]
        assert f"**{name}**" in PAGE


def test_every_connection_names_a_node_and_every_node_is_reached():
    names = [node["name"] for node in WORKFLOW["nodes"]]
    assert len(set(names)) == len(names)
    assert len({node["id"] for node in WORKFLOW["nodes"]}) == len(names)
    targets = [
        link["node"] for outputs in WORKFLOW["connections"].values() for output in outputs["main"] for link in output
    ]
    assert set(WORKFLOW["connections"]) <= set(names)
    assert sorted([*targets, "Webhook"]) == sorted(names)


def test_the_answers_are_200_if_it_is_genuine_and_401_if_not():
    [[accepted], [refused]] = WORKFLOW["connections"]["Genuine?"]["main"]
    by_name = {node["name"]: node["parameters"] for node in WORKFLOW["nodes"]}
    answers = [by_name[link["node"]] for link in (accepted, refused)]
    assert [answer["options"]["responseCode"] for answer in answers] == [200, 401]
    assert json.loads(answers[0]["responseBody"]) == {"message": "ok"}
    assert set(json.loads(answers[1]["responseBody"])) == {"message"}


def test_the_workflow_carries_nothing_of_an_instance():
    assert set(WORKFLOW) == {"id", "name", "nodes", "connections", "pinData", "active", "settings"}
    assert (
        WORKFLOW["id"] == "hookvaultVerified"
    )  # the same for everybody; `n8n import:workflow` takes no file without one
    assert WORKFLOW["pinData"] == {}
    assert WORKFLOW["active"] is False
    text = json.dumps(WORKFLOW)
    for word in ("credentials", "instanceId", "versionId", "templateCredsSetupCompleted", "http://", "https://"):
        assert word not in text
    assert re.findall(r"whsec_\w+", text) == ["whsec_REPLACE_ME"] * text.count("whsec_REPLACE_ME")
    uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
    assert uuid.search(text) is None


def test_the_workflows_code_loads_no_module():
    code = node_of("code")["parameters"]["jsCode"]
    assert re.search(r"\brequire\s*\(|\bimport\b|\bcrypto\b", code) is None
