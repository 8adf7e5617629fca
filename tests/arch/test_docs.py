"""Documents and project files say what the code does."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest

from hookvault import __version__
from hookvault.settings import Settings

ROOT = Path(__file__).parents[2]
# Written in halves, so that this file is none of those that name them.
REGISTRIES = ["pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org"]
SKIPPED = {".git", ".venv", ".hookvault", "node_modules", "build", "dist"}


def tracked():
    """Every file under version control, and those about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
        files = [ROOT / line for line in listing.split("\0") if line]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        files = [path for path in ROOT.rglob("*") if not SKIPPED & set(path.relative_to(ROOT).parts)]
    return [path for path in files if path.is_file()]


def test_settings_page_is_what_the_settings_say():
    page = runpy.run_path(str(ROOT / "docs" / "generate.py"))["settings_page"]()
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == page, "run: make docs"


def test_every_setting_is_described():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_readme_names_every_setting(setting):
    assert re.search(rf"\b{setting.upper()}\b", (ROOT / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("lock", ["run", "dev", "build", "node"])
def test_lock_files_are_hashed_and_name_no_host(lock):
    text = (ROOT / "requirements" / f"{lock}.lock").read_text("utf-8")
    assert "://" not in text
    assert "index-url" not in text
    pinned = re.findall(r"^[\w.-]+(?:\[[\w,.-]+\])?==\S+.*\\$", text, re.MULTILINE)
    assert pinned
    assert len(pinned) == len(re.findall(r"^\S", text, re.MULTILINE)), "a requirement without version or hash"


def test_no_file_names_a_registry():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in tracked()
        if any(host.encode() in path.read_bytes() for host in REGISTRIES)
    }
    assert found == set()


def test_no_private_file_is_tracked():
    private = re.compile(r"(?:^|/)(?:\.hookvault/|\.env$|encryption\.key$|.*\.pem$)|(?:^|/)__pycache__/")
    assert [path for path in tracked() if private.search(path.relative_to(ROOT).as_posix())] == []


def test_versions_agree():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_make_targets_are_listed_in_its_help():
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    assert targets == set(re.findall(r"^([a-z]+):.* ## ", text, re.MULTILINE))
