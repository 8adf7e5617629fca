"""The search for planted secrets can find what it looks for, wherever and however it is hidden."""

import base64
import json
import logging
import secrets
from urllib.parse import quote

import asyncpg
import httpx
import pytest

from canary import MARK, Canary, pictures, planted


@pytest.fixture
def canary():
    return Canary()


FORMS = {
    "raw": str,
    "json": json.dumps,
    "json in json": lambda text: json.dumps(json.dumps({"a": text})),
    "url": lambda text: quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind one": lambda text: base64.b64encode(b"u" + text.encode()).decode(),
    "base64 behind two": lambda text: base64.b64encode(b"u:" + text.encode() + b" end").decode(),
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(b"?>" + text.encode()).decode(),
    "the beginning only": lambda text: text[: len(MARK)],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_planted_secret_in_a_response(canary, form):
    secret = planted("proof", special=True)
    canary.see("GET /x 200", f'{{"a": "{FORMS[form](secret)}"}}')
    (found, *_) = canary.findings()
    assert "GET /x 200" in found
    with pytest.raises(AssertionError, match="GET /x 200"):
        canary.check()


async def test_a_planted_secret_in_any_column_of_any_table(canary, make_database):
    url = await make_database()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE SCHEMA other")
        await connection.execute("CREATE TABLE other.days (day int, note jsonb) PARTITION BY LIST (day)")
        await connection.execute("CREATE TABLE other.day1 PARTITION OF other.days FOR VALUES IN (1)")
        await connection.execute("CREATE TABLE clean (a text)")
        await connection.execute("CREATE TABLE raw (a bytea)")
        await connection.execute("INSERT INTO clean VALUES ('nothing here')")
        await connection.execute("INSERT INTO other.days VALUES (1, $1)", json.dumps({"deep": [planted("row")]}))
        await connection.execute("INSERT INTO raw VALUES ($1)", planted("bytes").encode())
    finally:
        await connection.close()
    await canary.read(url)
    assert sorted(line.split(":")[1] for line in canary.findings()) == [" table other.day1", " table public.raw"]
    canary.watch(url)
    with pytest.raises(AssertionError, match="table other.day1"):
        canary.check()


@pytest.mark.parametrize("how", ["text", "traceback", "argument"])
def test_a_planted_secret_in_a_log(canary, how):
    logger = logging.getLogger(f"scratch-{secrets.token_hex(4)}")
    logger.propagate = False
    logger.addHandler(canary._lines)
    logger.warning("nothing yet")
    assert list(canary.findings()) == []
    secret = planted("log")
    if how == "traceback":
        try:
            raise ValueError(secret)
        except ValueError:
            logger.exception("failed")
    elif how == "argument":
        logger.warning("it is %s", secret)
    else:
        logger.warning(secret)
    assert {line.split(":")[1] for line in canary.findings()} == {" log"}


async def test_a_generated_secret_outside_the_answer_that_made_it(canary):
    token = "hv_" + secrets.token_hex(20)
    request = httpx.Request("POST", "http://test/api/platform/api-keys")
    await canary.record(httpx.Response(201, json={"key": token}, request=request))
    await canary.record(httpx.Response(200, json={"items": [{"hint": token[-4:]}]}, request=request))
    assert list(canary.findings()) == []
    for leak in (token, base64.b64encode(f"Bearer {token}".encode()).decode()):
        canary.see("GET /leak 200", f"x {leak} y")
        assert [line for line in canary.findings() if "/leak" in line]
        canary.responses.pop()
    canary.logs.append(token)
    assert [line for line in canary.findings() if "log" in line]


@pytest.mark.parametrize(
    "answer", [{"signingSecret": "whsec_made+up/now=="}, {"generated": {"webhookVerifyToken": "f00dfeedf00dfeed"}}]
)
async def test_every_kind_of_generated_secret_is_learned(canary, answer):
    request = httpx.Request("POST", "http://test/x")
    await canary.record(httpx.Response(201, json=answer, request=request))
    await canary.record(httpx.Response(200, json=answer, request=request))
    assert len(list(canary.findings())) >= 1


def test_a_key_made_elsewhere_is_in_no_answer_at_all(canary):
    canary.made("hv_made-on-the-command-line")
    assert list(canary.findings()) == []
    canary.see("GET /x 200", "hv_made-on-the-command-line")
    assert len(list(canary.findings())) == 1


def test_nothing_is_found_where_nothing_is(canary):
    canary.see("GET /x 200", secrets.token_hex(5000) + base64.b64encode(secrets.token_bytes(50_000)).decode())
    assert list(canary.findings()) == []
    assert all(len(picture) >= len(MARK) for picture in pictures(MARK))
