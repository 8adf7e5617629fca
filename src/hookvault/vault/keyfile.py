"""A key in a file of the data directory, for development: made once, and kept."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from hookvault.errors import SetupError
from hookvault.settings import check_key


def kept_key(path: Path, setting: str = "ENCRYPTION_KEY") -> str:
    """The key in a file, made where there is none, readable by its owner only.

    Args:
        path: The file, whose directory is made too.
        setting: What may be given instead.

    Raises:
        SetupError: it can't be read or written, or holds no key.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and linked: of two first starts at once, one wins and both read the same key.
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                with suppress(FileExistsError):
                    os.link(draft, path)
            finally:
                draft.unlink()
        return check_key(path.read_text().strip())
    except OSError as error:
        raise SetupError(f"The key file {path} can't be used: {error.strerror}. Set {setting} instead.") from None
    except ValueError as error:
        raise SetupError(f"The key file {path} {error}.") from None
