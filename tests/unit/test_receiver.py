"""The demo's receiver answers word for word as n8n does, and every answer is judged as what it is."""

import asyncio
import json
import time

import httpx
import pytest

from hookvault.demo.answer import KINDS, answer
from hookvault.demo.receiver import Receiver
from hookvault.webhooks.outcome import judge_response

ACTIVE = (
    "The workflow must be active for a production URL to run successfully. You can activate the workflow using the toggle in "
    "the top-right of the editor. Note that unlike test URL calls, production URL calls aren't shown on the canvas (only in "
    "the executions list)"
)
TESTED = (
    "Click the 'Execute workflow' button on the canvas, then try again. (In test mode, the webhook only works for one call "
    "after you click this button)"
)
PATH = "acme/order"
ANSWERS = {  # status, JSON or text, and headers beyond the content type
    "started": (200, {"message": "Workflow was started"}, {}),
    "empty": (200, "", {}),
    "not_active": (
        404,
        {"code": 404, "message": 'The requested webhook "POST acme/order" is not registered.', "hint": ACTIVE},
        {},
    ),
    "wrong_method": (
        404,
        {
            "code": 404,
            "message": "This webhook is not registered for POST requests. Did you mean to make a GET request?",
        },
        {},
    ),
    "unauthorized": (403, "Authorization data is wrong!", {"www-authenticate": 'Basic realm="Webhook"'}),
    "ip_refused": (403, "IP is not allowed to access the webhook!", {}),
    "unparsable": (422, {"code": 422, "message": "Failed to parse request body"}, {}),
    "workflow_error": (500, {"message": "Error in workflow"}, {}),
    "problem": (500, {"code": 0, "message": "There was a problem executing the workflow"}, {}),
    "limited": (429, {"error": "Too many requests to the clearing house"}, {"retry-after": "45"}),
    "busy": (503, {"error": "The CRM is being updated"}, {"retry-after": "60"}),
}


@pytest.fixture
async def served():
    """A receiver whose paths name the kind of answer, and a client of it."""
    receiver = Receiver(lambda path, _: (answer(path.partition("/")[0], PATH, {"executionId": "7"}), 0.0))
    await receiver.start(0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{receiver.port}", timeout=5) as client:
        yield receiver, client
    await receiver.close()


@pytest.mark.parametrize("kind", ANSWERS)
async def test_each_answer_is_n8ns(served, kind):
    status, body, headers = ANSWERS[kind]
    got = await served[1].post(f"/webhook/{kind}", json={"n": 1})
    assert got.status_code == status
    if isinstance(body, str):
        assert got.text == body
        assert "content-type" not in got.headers
    else:
        assert got.text == json.dumps(body, separators=(",", ":"))
        assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert {
        name: got.headers.get(name) for name in ("www-authenticate", "retry-after") if name in got.headers
    } == headers


async def test_the_last_nodes_result_and_a_starting_n8n(served):
    assert (await served[1].post("/webhook/result", json={})).json() == {"executionId": "7"}
    starting = await served[1].post("/webhook/starting", json={})
    assert (starting.status_code, starting.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<pre>Cannot POST /webhook/acme/order</pre>" in starting.text


async def test_what_is_answered_before_any_workflow_is_looked_at(served):
    client = served[1]
    test_url = await client.post("/webhook-test/order", json={})
    said = {"code": 404, "message": 'The requested webhook "order" is not registered.', "hint": TESTED}
    assert (test_url.status_code, test_url.json()) == (404, said)
    deleted = await client.delete("/webhook/started")
    said = "This webhook is not registered for DELETE requests. Did you mean to make a POST request?"
    assert (deleted.status_code, deleted.json()) == (404, {"code": 404, "message": said})
    assert (await client.post("/webhook/started", content=b"{no")).json() == ANSWERS["unparsable"][1]
    assert (await client.post("/other", json={})).status_code == 404
    assert (await client.get("/api/v1/workflows?limit=1")).text.startswith('{"data":[')


async def test_a_body_of_more_than_16_mib_is_a_problem_and_never_413(served):
    reader, writer = await asyncio.open_connection("127.0.0.1", served[0].port)
    writer.write(b"POST /webhook/started HTTP/1.1\r\nhost: x\r\ncontent-length: 16777217\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 5)  # to its end: the connection can't go on
    writer.close()
    assert said.startswith(b"HTTP/1.1 500 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2]) == ANSWERS["problem"][1]


async def test_what_never_answers_and_what_hangs_up(served):
    receiver, client = served
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/webhook/closed", json={})
    with pytest.raises(httpx.ReadTimeout):
        await client.post("/webhook/hang", json={}, timeout=0.3)
    began, hanging = time.monotonic(), asyncio.create_task(client.post("/webhook/hang", json={}))
    await asyncio.sleep(0.1)
    receiver.hurry()
    await hanging
    assert time.monotonic() - began < 3


async def test_it_starts_again_on_its_port_and_not_on_a_taken_one(served):
    receiver, _ = served
    port = receiver.port
    other = Receiver(lambda path, _: (answer("started", path), 0.0))
    with pytest.raises(OSError, match="in use"):
        await other.start(port)
    await receiver.close()
    assert await receiver.start(port) == port


@pytest.mark.parametrize(
    ("kind", "said", "retry"),
    [
        ("started", None, False),
        ("not_active", "not active in n8n", True),
        ("starting", "n8n is starting", True),
        ("wrong_method", "another HTTP method", False),
        ("test_url", "test URL", False),
        ("unauthorized", "refused the call", False),
        ("workflow_error", "workflow ran and failed", True),
        ("limited", "HTTP 429", True),
        ("busy", "HTTP 503", True),
    ],
)
def test_each_answer_is_judged_as_what_it_is(kind, said, retry):
    verdict = judge_response(KINDS[kind].status, answer(kind, PATH).body)
    assert (verdict.message is None) == (said is None)
    assert said is None or said in verdict.message
    assert verdict.retry is retry
