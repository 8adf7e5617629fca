"""What the pages take from others comes with the build, is locked by hashes, and is no part of the repository."""

import json
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hookvault.admin.assets import ASSETS, check_assets
from hookvault.errors import SetupError

ROOT = Path(__file__).parents[2]
WANTED = [
    "__init__.py",
    "htmx.LICENSE.txt",
    "htmx.min.js",
    "icons.LICENSE.txt",
    "icons.svg",
    "inter-latin-ext.woff2",
    "inter-latin.woff2",
    "inter.LICENSE.txt",
    "stamp.txt",
]


@pytest.fixture(scope="module")
def hook():
    """The names in hatch_build.py."""
    return runpy.run_path(str(ROOT / "hatch_build.py"))


def git(*arguments):
    """What git says; the test is skipped in an unpacked archive."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("git is not installed")
    except subprocess.CalledProcessError as error:
        if error.returncode == 128:
            pytest.skip("this is no clone")
        return ""


def test_the_lock_has_hashes_and_names_no_place():
    text = (ROOT / "package-lock.json").read_text("utf-8")
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert '"resolved"' not in text
    assert "registry" not in text


def test_versions_are_exact_and_those_of_the_lock():
    wanted = json.loads((ROOT / "package.json").read_text("utf-8"))
    locked = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    assert wanted["private"] is True
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted["dependencies"].values())
    assert wanted["dependencies"] == {
        name.removeprefix("node_modules/"): package["version"] for name, package in locked.items() if name
    }


def test_what_is_built_is_no_part_of_the_repository(hook):
    output = hook["OUTPUT"].relative_to(ROOT)
    assert git("check-ignore", f"{output}/htmx.min.js").strip() == f"{output}/htmx.min.js"
    assert git("ls-files", "build", "node_modules", "*.woff2", "*.min.js") == ""


def test_an_absent_icon_stops_the_build_and_all_are_named(hook, tmp_path):
    for name in hook["ICONS"]:
        (tmp_path / f"{name}.svg").write_text(
            '<svg><path stroke="none" d="M0 0h24v24H0z" fill="none"/><path d="M1 1"/></svg>'
        )
    assert hook["sprite"](tmp_path).count("<path") == len(hook["ICONS"])
    for name in ("bolt", "world"):
        (tmp_path / f"{name}.svg").unlink()
    with pytest.raises(hook["AssetsError"], match="no outline icon named bolt, world"):
        hook["sprite"](tmp_path)


def test_no_icon_is_listed_twice(hook):
    assert hook["ICONS"] == sorted(set(hook["ICONS"]))


def test_the_installed_assets_are_found():
    assert check_assets() == ASSETS
    assert sorted(path.name for path in ASSETS.iterdir() if path.is_file()) == WANTED


def test_absent_assets_are_said_with_what_to_do(tmp_path):
    with pytest.raises(SetupError, match="make setup") as raised:
        check_assets(tmp_path)
    assert raised.value.code == "assets_missing"


@pytest.mark.slow
def test_the_wheel_holds_the_assets(hook, tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "-q",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    if "No module named pip" in result.stderr:
        pytest.skip("this environment has no pip")
    assert result.returncode == 0, result.stderr
    [wheel] = tmp_path.glob("hookvault-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("hookvault_assets/")]
        sprite = archive.read("hookvault_assets/icons.svg").decode()
        htmx = archive.read("hookvault_assets/htmx.min.js").decode()
        fonts = [archive.read(name)[:4] for name in names if name.endswith(".woff2")]
    assert sorted(names) == [f"hookvault_assets/{name}" for name in WANTED]
    assert re.findall(r'<symbol id="([a-z0-9-]+)" viewBox="0 0 24 24"', sprite) == hook["ICONS"]
    assert "sourceMappingURL" not in htmx
    assert fonts == [b"wOF2"] * 2


def test_pages_name_only_icons_that_are_there(hook):
    """An icon without a drawing would leave a hole, and nothing else would tell."""
    templates = (ROOT / "src/hookvault/admin/templates").rglob("*.html")
    text = "\n".join(path.read_text("utf-8") for path in templates)
    named = re.findall(
        r'\bicon\("([a-z0-9-]+)"|\bempty\("([a-z0-9-]+)"|\bopens\([^{}]*?, "[^"]*", "([a-z0-9-]+)"', text
    )
    assert {name for names in named for name in names if name} - {"primary"} - set(hook["ICONS"]) == set()
