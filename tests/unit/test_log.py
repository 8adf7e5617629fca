"""The log shows no secret, in whatever form it gets there."""

import base64
import io
import json
import logging
import sys
import threading
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault import log
from hookvault.settings import Settings

KEY = "0123456789abcdef" * 4
PLANTED = 'p"l/a\\n+té d&s=ecret\nvalue'


@pytest.fixture
def stream(monkeypatch):
    """Restores what `setup` changes in the process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    monkeypatch.setattr(log, "_redactor", log.Redactor())
    yield io.StringIO()
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before
    logging.captureWarnings(capture=False)


def production(**more):
    return Settings(app_env="production", encryption_key=KEY, **more)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key hv_" + "a1B2" * 11, "key hv_***"),
        ("signing whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw now", "signing whsec_*** now"),
        ("sent Bearer abc.DEF-123_~+/==", "sent Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: ***"),
        ("to postgresql://owner:p@ss%2Fw@db.example:5432/x", "to postgresql://owner:***@db.example:5432/x"),
        ("to https://token@example.com/a", "to https://***@example.com/a"),
        ("https://example.com/a@b and user@example.com", "https://example.com/a@b and user@example.com"),
        (f"row {'a1' * 12}:{'b2' * 16}:{'c3' * 9}.", "row ***."),
        (f"row {'A1' * 16}:{'b2' * 16}:", "row ***"),
        (f"ENCRYPTION_KEY {KEY.upper()}!", "ENCRYPTION_KEY ***!"),
        (f"digest {KEY}ff", f"digest {KEY}ff"),
        ('{"authToken": "a \\" b", "x": 1}', '{"authToken": "***", "x": 1}'),
        ('{\\"api_key\\": \\"v\\"}', '{\\"api_key\\": \\"***\\"}'),
        ("{'password': 'x', 'n': 2}", "{'password': '***', 'n': 2}"),
        ("GET /hook?api-key=v1&b=2", "GET /hook?api-key=***&b=2"),
        ("X-API-Key: one two", "X-API-Key: ***"),
        ('"client_secret": "never closed', '"client_secret": "***"'),
        (
            "workflow contact-form of tenant acme: 200 in 12 ms",
            "workflow contact-form of tenant acme: 200 in 12 ms",
        ),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_nothing_else(text, expected):
    assert log.Redactor().redact(text) == expected


@given(st.text(min_size=log.MIN_SECRET, max_size=40), st.binary(max_size=4), st.text(max_size=5))
def test_a_live_value_is_masked_in_every_form(value, before, around):
    redactor = log.Redactor()
    redactor.register(value)
    raw = value.encode("utf-8", "surrogatepass")
    for form in (value, quote(raw, safe=""), quote_plus(raw), json.dumps(value)[1:-1], repr(value)[1:-1]):
        assert form not in redactor.redact(f"{around}|{form}|{form}") or form in f"{around}|***|***"
    inside = base64.b64encode(before + raw + before).decode()
    assert redactor.redact(inside) != inside


def test_overlapping_and_repeated_values_are_masked_whole():
    redactor = log.Redactor()
    for value in ("abcdefghij", "fghijklmno", "abcdefghijkl"):
        redactor.register(value)
    assert redactor.redact("<abcdefghijklmno> <abcdefghij> <abcdefghi>") == "<***> <***> <abcdefghi>"


def test_short_values_are_not_taken_and_the_registry_is_bounded(monkeypatch):
    monkeypatch.setattr(log, "MAX_SECRETS", 2)
    redactor = log.Redactor()
    for value in ("short77", "first-value", "second-value", "first-value", "third-value"):
        redactor.register(value)
    assert redactor.redact("short77 first-value second-value third-value") == "short77 *** second-value ***"


def test_redaction_costs_linear_time():
    redactor = log.Redactor()
    for number in range(log.MAX_SECRETS // 10):
        redactor.register(f"value-number-{number}")
    hostile = ("a-" * 5, "token\\\\", '"token": "', "://a:", "Basic ", "0" * 30 + ":", "secret" * 3)
    times = []
    for count in (1_000, 4_000):
        started = time.process_time()
        for piece in hostile:
            redactor.redact(piece * count)
        times.append(time.process_time() - started)
    assert times[1] < times[0] * 10 + 0.1  # four times the text; a quadratic pattern would take sixteen


def test_production_writes_json_lines_with_context(stream):
    log.setup(production(), stream=stream)
    with log.bound(request_id="r-1", tenant_id="acme"):
        log.get_logger("hookvault.test").info("call_recorded", status=200, password="abc")
    log.get_logger().debug("not_shown")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "call_recorded",
        "level": "info",
        "logger": "hookvault.test",
        "request_id": "r-1",
        "tenant_id": "acme",
        "status": 200,
        "password": "***",
    }


def test_names_of_secrets_hide_their_values_at_any_depth(stream):
    log.setup(production(), stream=stream)
    config = {"accessToken": "EAAx", "phone": "1", "more": [{"apiKey": 7, "hasSecret": True}]}
    log.get_logger().info("configured", config=config)
    assert lines(stream)[0]["config"] == {
        "accessToken": "***",
        "phone": "1",
        "more": [{"apiKey": "***", "hasSecret": True}],
    }


@pytest.mark.parametrize("app_env", ["production", "development"])
def test_a_planted_secret_is_nowhere_in_the_log(stream, app_env):
    log.setup(Settings(app_env=app_env, encryption_key=KEY), stream=stream)
    log.register_secret(PLANTED)
    try:
        raise ValueError(f"refused {PLANTED} and {PLANTED!r}")
    except ValueError:
        log.get_logger().exception("failed", value=PLANTED, payload=json.dumps({"x": PLANTED}))
        logging.getLogger("uvicorn.error").exception("library said %s", PLANTED, extra={"more": PLANTED})
    pairs = base64.b64encode(f"user:{PLANTED}".encode()).decode()
    logging.getLogger("asyncio").warning("%s %s", quote(PLANTED), pairs)
    shown = stream.getvalue()
    assert shown.count("Traceback") == 2
    for form in (
        PLANTED,
        repr(PLANTED)[1:-1],
        json.dumps(PLANTED)[1:-1],
        quote(PLANTED),
        pairs,
        "secret\\nvalue",
    ):
        assert form not in shown
    assert "d&s=ecret" not in shown


def test_the_settings_own_secrets_are_masked(stream):
    password = "p%2Fw-0123456"
    settings = production(database_url=f"postgresql://owner:{password}@db/x", session_secret="s" * 33)
    log.setup(settings, stream=stream)
    log.get_logger().warning("seen", a=KEY, b="p/w-0123456", c=password, d="s" * 33)
    assert {key: lines(stream)[0][key] for key in "abcd"} == dict.fromkeys("abcd", "***")


def test_libraries_and_warnings_come_through_and_setup_may_be_repeated(stream):
    for _ in range(3):
        log.setup(production(), stream=stream)
    logging.getLogger("alembic").info("chatter")
    logging.getLogger("somebody").info("news")
    logging.getLogger("py.warnings").warning("careful")
    assert [line["event"] for line in lines(stream)] == ["news", "careful"]


def test_quiet_shows_warnings_only(stream):
    log.setup(production(), quiet=True, stream=stream)
    log.get_logger().info("news")
    log.get_logger().warning("careful")
    assert [line["event"] for line in lines(stream)] == ["careful"]


def test_the_console_form_is_for_people(stream):
    log.setup(Settings(), stream=stream)
    log.get_logger().info("started", port=3000)
    assert "started" in stream.getvalue()
    assert "port=3000" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_uncaught_exceptions_are_logged_and_redacted(stream):
    log.setup(production(), stream=stream)
    log.register_secret(PLANTED)

    def fail():
        raise RuntimeError(PLANTED)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(10)
    (line,) = lines(stream)
    assert line["event"] == "uncaught"
    assert "RuntimeError: ***" in line["exception"]
