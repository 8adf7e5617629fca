"""Cells of an export: CSV that any reader takes apart again, and that no spreadsheet runs; JSON of whatever was recorded."""

import csv
import io
import json
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hookvault.analytics.export import writer_of
from hookvault.analytics.export.row import COLUMNS, compact, plain
from hookvault.analytics.export.table import guarded
from hookvault.analytics.model import WebhookCall

ID = UUID("01890000-0000-7000-8000-000000000000")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
OPENINGS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 - the full-width forms are meant
HOSTILE = st.builds(str.__add__, st.sampled_from([*OPENINGS, "'", '"', ",", "\r\n", "''", "'="]), TEXTS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def call(**fields):
    whole = dict.fromkeys(WebhookCall.__slots__)
    whole |= {"id": ID, "tenant_id": "acme", "webhook_id": ID, "timestamp": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)}
    whole |= {"response_time": 12, "success": False, "attempt": 1, "altered": False}
    return WebhookCall(**whole | fields)


def table_of(*calls):
    writer = writer_of("csv")
    data = writer.head() + writer.rows(calls) + writer.tail()
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


@given(trigger=TEXTS | HOSTILE, message=TEXTS | HOSTILE, payload=VALUES)
def test_what_python_s_reader_gets_back(trigger, message, payload):
    one = call(triggered_by=trigger, error_message=message, request_payload=payload, success=True)
    row, again = table_of(one, one)
    assert row == again
    for cell, text in ((row["triggeredBy"], trigger), (row["errorMessage"], message)):
        assert cell == (f"'{text}" if text[:1] and text[0] in OPENINGS else text)
    assert (json.loads(row["requestPayload"]) if row["requestPayload"] else None) == payload
    assert (row["id"], row["timestamp"], row["responseTime"]) == (str(ID), "2026-01-02T03:04:05.678Z", "12")


@given(TEXTS | HOSTILE)
def test_no_cell_begins_as_a_formula(text):
    assert not guarded(text).startswith(tuple(OPENINGS))
    assert guarded(text).removeprefix("'") == text.removeprefix("'")


@given(VALUES)
def test_a_json_cell_begins_as_no_formula_unless_it_is_a_negative_number(value):
    text = compact(value)
    assert not text.startswith(tuple(OPENINGS)) or isinstance(value, int | float)
    assert json.loads(text) == value


def test_numbers_that_json_has_not():
    assert compact({"a": [float("inf"), 2**100]}) == f'{{"a":[null,{2**100}]}}'
    assert compact(float("-inf")) == "null"


@given(st.lists(VALUES, max_size=4))
def test_ndjson_is_one_line_a_call(values):
    calls = [call(request_payload=value, metadata=value) for value in values]
    lines = writer_of("ndjson").rows(calls).decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [json.loads(json.dumps(plain(one))) for one in calls]
    assert all(list(json.loads(line)) == [column.name for column in COLUMNS] for line in lines)
