"""`hookvault analytics export`, as a person runs it."""

import csv
import json
import stat

import pytest
from test_backup_command import forks, place  # noqa: F401 - fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_file_that_is_whole_or_not_there(place):  # noqa: F811 - the fixture
    place.out("analytics", "export", "calls.csv", "--tenant", "acme")
    file = place.folder / "calls.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(csv.DictReader(file.open())) == []
    assert place.out("analytics", "export", "-", "--format", "ndjson") == ""
    place.out("analytics", "export", "calls.parquet", "--status", "failed")
    assert (place.folder / "calls.parquet").read_bytes().startswith(b"PAR1")
    for words, said in (
        (("--cause", "bad_luck"), "workflow_not_active"),
        (("--min-time", "x"), "min time"),
        (("--start", "2026-02-30"), "start"),
        (("--start", "2026-01-02", "--end", "2026-01-01"), "(invalid_range)"),
        (("--format", "xlsx"), "ndjson"),
        (("--tenant", "never-was"), "(tenant_not_found)"),
    ):
        assert said in place.fails("analytics", "export", "bad.csv", *words)
    assert "(file_unwritable)" in place.fails("analytics", "export", "nowhere/calls.csv")
    assert sorted(path.name for path in place.folder.glob("[!.]*")) == ["calls.csv", "calls.parquet"]
    assert json.loads(place.out("tenant", "list", "--json"))[0]["id"] == "acme"
