"""Where the assets lie that the pages take from others: htmx, icons, fonts. The build brings them (hatch_build.py)."""

import importlib.util
from pathlib import Path

from hookvault.errors import SetupError

_PACKAGE = "hookvault_assets"
_SPEC = importlib.util.find_spec(_PACKAGE)

# Importing this never fails, so that a command without pages works without them.
ASSETS = Path(_SPEC.origin).parent if _SPEC is not None and _SPEC.origin else Path(_PACKAGE)


def check_assets(folder: Path = ASSETS) -> Path:
    """The folder of the assets, once it is known to be there.

    Raises:
        SetupError: Hookvault was not installed from a wheel, or not by `make setup`; says what to do.
    """
    if not (folder / "stamp.txt").is_file():
        raise SetupError(
            f"The admin pages' assets are not installed: there is no package {_PACKAGE}. In a clone of the repository run "
            "`make setup`; elsewhere install Hookvault's wheel anew.",
            code="assets_missing",
        )
    return folder
