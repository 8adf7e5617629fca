"""What n8n answers, word for word as it was measured on its versions 1 and 2 (pure)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_ACTIVE = (
    "The workflow must be active for a production URL to run successfully. You can activate the workflow using the toggle in "
    "the top-right of the editor. Note that unlike test URL calls, production URL calls aren't shown on the canvas (only in "
    "the executions list)"
)
_TESTING = (
    "Click the 'Execute workflow' button on the canvas, then try again. (In test mode, the webhook only works for one call "
    "after you click this button)"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `slow_s` is how long it takes by itself; `never` says that none comes."""

    status: int
    body: bytes = b""
    content_type: str | None = _JSON
    headers: tuple[tuple[str, str], ...] = ()
    slow_s: float = 0.0
    never: bool = False


def answer(kind: str, path: str, result: Mapping[str, Any] | None = None) -> Answer:
    """The answer of a kind to a call of `/webhook/<path>`.

    Args:
        kind: A key of KINDS.
        path: What follows `/webhook/`.
        result: What a workflow's last node gave, for `result` and `late_result`.
    """
    made = KINDS[kind]
    if result is not None and kind in ("result", "late_result"):
        return Answer(200, _text(result), slow_s=made.slow_s)
    if b"{path}" in made.body:
        return Answer(made.status, made.body.replace(b"{path}", path.encode()), made.content_type, made.headers)
    return made


def wrong_method(method: str) -> Answer:
    """What a webhook that listens to POST answers to another method."""
    said = f"This webhook is not registered for {method} requests. Did you mean to make a POST request?"
    return Answer(404, _text({"code": 404, "message": said}))


def _text(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _refused(message: str) -> Answer:
    # As n8n does: no content type, and a challenge for Basic whatever the node's authentication is.
    return Answer(403, message.encode(), None, (("www-authenticate", 'Basic realm="Webhook"'),))


def _unknown(name: str, hint: str) -> bytes:
    return _text({"code": 404, "message": f'The requested webhook "{name}" is not registered.', "hint": hint})


KINDS: Mapping[str, Answer] = {
    "started": Answer(200, b'{"message":"Workflow was started"}'),
    "slow": Answer(200, b'{"message":"Workflow was started"}', slow_s=2.5),
    "result": Answer(200, b'{"status":"ok"}'),
    "late_result": Answer(200, b'{"status":"ok"}', slow_s=1.2),
    "empty": Answer(200, b"", None),
    "not_active": Answer(404, _unknown("POST {path}", _ACTIVE)),
    "test_url": Answer(404, _unknown("{path}", _TESTING)),
    "wrong_method": Answer(
        404,
        _text(
            {
                "code": 404,
                "message": "This webhook is not registered for POST requests. Did you mean to make a GET request?",
            }
        ),
    ),
    "starting": Answer(
        404,
        b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n<body>\n'
        b"<pre>Cannot POST /webhook/{path}</pre>\n</body>\n</html>\n",
        _HTML,
    ),
    "unauthorized": _refused("Authorization data is wrong!"),
    "ip_refused": Answer(403, b"IP is not allowed to access the webhook!", None),
    "unparsable": Answer(422, _text({"code": 422, "message": "Failed to parse request body"})),
    "workflow_error": Answer(500, b'{"message":"Error in workflow"}'),
    "problem": Answer(500, b'{"code":0,"message":"There was a problem executing the workflow"}'),
    "limited": Answer(429, b'{"error":"Too many requests to the clearing house"}', headers=(("retry-after", "45"),)),
    "busy": Answer(503, b'{"error":"The CRM is being updated"}', headers=(("retry-after", "60"),)),
    "hang": Answer(200, never=True),
    "closed": Answer(0, never=True),  # the connection ends without a word
}
