"""The log shows no secret, in whatever form it gets there."""

import base64
import io
import json
import logging
import re
import sys
import threading
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault import log
from hookvault.settings import Settings
from hookvault.vault.cipher import FieldCipher, place_data
from hookvault.vault.registry import Place
from hookvault.vault.secret import Secret
from hookvault.vault.service import TenantCipher

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


AWKWARD = "k\"e\\y/with spaces & é😀\nand=+%41'tail"


def escaped(value, depth):
    """A value inside JSON inside JSON, and so on, as each of its writers does it."""
    for _ in range(depth):
        value = json.dumps(value)[1:-1]
    return value


FORMS = {
    "raw": lambda value: value,
    "json": lambda value: escaped(value, 1),
    "json in json": lambda value: escaped(value, 2),
    "json four deep": lambda value: escaped(value, 4),
    "json with its own letters": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "json that escapes slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "json that escapes everything": lambda value: "".join(
        f"\\u{unit:04X}" for unit in memoryview(value.encode("utf-16-le")).cast("H")
    ),
    "repr": lambda value: repr(value)[1:-1],
    "repr of json": lambda value: repr(json.dumps(value)[1:-1])[1:-1],
    "url": lambda value: quote(value, safe=""),
    "url, lower case": lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
    "url in url": lambda value: quote(quote(value, safe=""), safe=""),
    "form": quote_plus,
    "json in url": lambda value: quote(json.dumps(value)[1:-1], safe=""),
    "url in json": lambda value: json.dumps(quote(value))[1:-1],
    "base64": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 in url": lambda value: quote(base64.b64encode(value.encode()).decode().rstrip("="), safe=""),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("value", [AWKWARD, "sk_live_4242424242424242", "pass word+1/2=", "Zürich-8000"])
def test_a_live_value_is_masked_wherever_it_stands_and_however_often(name, value):
    redactor = log.Redactor()
    redactor.register(value)
    form = FORMS[name](value)
    shown = redactor.redact(f"a {form} b, {form}\n[{form}]")
    assert form not in shown
    assert shown.count("***") == 3
    if name not in ("base64", "base64 for urls", "base64 in url"):  # whose last letters hold bits of what follows
        assert shown == "a *** b, ***\n[***]"


def test_a_value_inside_a_document_in_base64_is_masked():
    redactor = log.Redactor()
    redactor.register(AWKWARD)
    for document in (AWKWARD, json.dumps({"token": AWKWARD}), json.dumps({"token": AWKWARD}, ensure_ascii=False)):
        for before in ("", "x", "xy"):
            whole = base64.b64encode(f"{before}{document}".encode()).decode()
            assert "***" in redactor.redact(whole)


def test_overlapping_values_in_an_escaped_text_are_masked_whole():
    redactor = log.Redactor()
    for value in ('abc"defghi', 'ghi"jklmnop', 'c"defghi"jk'):
        redactor.register(value)
    whole = 'abc"defghi"jklmnop'
    assert redactor.redact(f"<{whole}> <{json.dumps(whole)[1:-1]}>") == "<***> <***>"


def test_a_text_with_escapes_and_no_secret_stays_as_it_is():
    redactor = log.Redactor()
    redactor.register("some-live-value")
    for text in (
        "100% of C:\\temp\\new, %zz %4",
        "\\",
        "%",
        "\\ud800 \\udc00",
        '{"a": "\\u00e9\\\\n"}',
        "%ff%fe%C3%A9",
    ):
        assert redactor.redact(text) == text


def test_ten_thousand_live_values_are_all_masked_and_the_first_lines_are_not_slow():
    redactor = log.Redactor()
    values = [f"value-{number}-{number * 7919:x}\n" for number in range(log.MAX_SECRETS)]
    began = time.process_time()
    for value in values:
        redactor.register(value)
    registered = time.process_time() - began
    text = " ".join(json.dumps(value) for value in values[::97])
    shown = redactor.redact(text)
    assert shown.split(" ") == ['"***"'] * len(values[::97])
    assert registered < 0.5  # a fiftieth of a millisecond each is ten times what it takes
    redactor.register("one more than fits")
    assert values[0] in redactor.redact(values[0])
    assert redactor.redact(values[1]) == "***"


def test_values_that_were_dropped_before_any_line_leave_nothing_behind(monkeypatch):
    monkeypatch.setattr(log, "MAX_SECRETS", 10)
    redactor = log.Redactor()
    for number in range(1000):
        redactor.register(f"value-number-{number:05}")
    assert len(redactor._new) <= 2 * 10
    assert redactor.redact("value-number-00989 value-number-00990") == "value-number-00989 ***"
    assert len(redactor._index) <= 10 * 8


def test_what_the_vault_seals_or_opens_is_masked_from_then_on(monkeypatch):
    cipher, place = TenantCipher("acme", 1, FieldCipher(bytes(32))), Place("n8n_webhooks", "w", "auth_token")
    for use in (lambda secret: cipher.seal(place, secret), None):
        monkeypatch.setattr(log, "_redactor", log.Redactor())
        secret = Secret(AWKWARD)
        if use is None:
            sealed = cipher._cipher.seal(AWKWARD, place_data(place.table, place.row_id, place.field) + cipher._bound)
            assert AWKWARD in log.redact(f"told {AWKWARD}")
            assert cipher.open(place, sealed).same_as(secret)
        else:
            use(secret)
        assert log.redact(f"told {AWKWARD} and {json.dumps(AWKWARD)}") == 'told *** and "***"'
