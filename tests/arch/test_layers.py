"""Imports go one way: import-linter's contracts in pyproject.toml hold."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hookvault"


def test_imports_go_one_way():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    result = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_every_directory_of_code_is_a_package():
    # import-linter doesn't see a directory without __init__.py, and so would let it import anything.
    folders = {file.parent for file in SOURCE.rglob("*.py") if "migrations" not in file.parts}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
