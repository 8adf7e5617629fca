"""Documents and project files say what the code does."""

import html
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from hookvault import __version__
from hookvault.analytics.cause import CAUSES
from hookvault.providers.registry import ALL
from hookvault.settings import Settings

ROOT = Path(__file__).parents[2]
# Written in halves, so that this file is none of those that name them.
REGISTRIES = ["pypi" + ".org", "files.python" + "hosted.org", "registry.npm" + "js.org"]
GUIDE = ROOT / "INTEGRATION_MANAGEMENT.md"
PICTURE = re.compile(r"""(?:!\[[^]]*\]\(|src(?:set)?=")([\w./-]+\.(?:png|svg))""")
LARGEST_PICTURE = 160_000  # bytes, as docs/screens.py has it
# What stands in bold in the guide and is n8n's word, or is put together from parts by a template.
NOT_IN_TEMPLATES = {"Production URL", "Connect WhatsApp", "Connect SMS", "Connect n8n"}
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


def documents():
    """Every document of ours."""
    return [path for path in tracked() if path.suffix == ".md"]


def pictures_of(document):
    """The pictures that a document names, from the root on."""
    named = PICTURE.findall(document.read_text("utf-8"))
    return {(document.parent / name).resolve().relative_to(ROOT).as_posix() for name in named}


def test_every_picture_that_is_named_is_there():
    assert {name for document in documents() for name in pictures_of(document) if not (ROOT / name).is_file()} == set()


def test_every_picture_is_named_somewhere_and_small():
    pictures = {path.relative_to(ROOT).as_posix(): path for path in tracked() if path.parent == ROOT / "docs/screens"}
    assert pictures.keys() - {name for document in documents() for name in pictures_of(document)} == set()
    assert [name for name, path in pictures.items() if path.stat().st_size > LARGEST_PICTURE] == []


def test_pictures_are_those_that_the_script_takes():
    taken = runpy.run_path(str(ROOT / "docs" / "screens.py"))["SHOTS"]
    names = {f"{taking.__name__}.png" for taking in taken} | {"overview-dark.png"}
    assert names == {path.name for path in (ROOT / "docs" / "screens").iterdir()}


def test_the_guide_says_what_the_pages_say():
    """What stands in bold, and is no sentence, is a text of the pages."""
    pages = [*(ROOT / "src/hookvault/admin").rglob("*.html"), *(ROOT / "src/hookvault/admin").rglob("*.py")]
    texts = html.unescape("\n".join(path.read_text("utf-8") for path in pages))
    bold = set(re.findall(r"\*\*([^*\n]+)\*\*", GUIDE.read_text("utf-8")))
    assert {word for word in bold - NOT_IN_TEMPLATES if not word.endswith(".") and word not in texts} == set()


def test_the_guide_has_every_cause_and_every_field():
    guide = GUIDE.read_text("utf-8")
    assert {text for text in CAUSES.values() if f"| {text.partition(' (HTTP ')[0]} |" not in guide} == set()
    fields = {field.label for provider in ALL for field in provider.fields}
    assert {label for label in fields if label.lower() not in guide.lower()} == set()
