"""Points at which tests end a process, between any two writes. Does nothing unless HOOKVAULT_FAULT names one.

`HOOKVAULT_FAULT=ack.before_commit` ends this process, as kill -9 does, when it comes there; `ack.before_commit:3` when it comes
there the third time; `ack.before_commit:1:4711` ends process 4711 instead, such as the database's. Never in production.
"""

import os
import signal

_POINT, _, _rest = os.environ.get("HOOKVAULT_FAULT", "").partition(":")
_PASSES, _, _VICTIM = _rest.partition(":")
_left = int(_PASSES or 1)

if os.environ.get("APP_ENV") == "production":
    _POINT = ""


def fault_point(name: str) -> None:
    """Ends a process if a test asked for it here."""
    if name == _POINT:
        _reach()


def _reach() -> None:
    global _left  # noqa: PLW0603 - counts down once in a process's life
    _left -= 1
    if _left == 0:
        os.kill(int(_VICTIM or os.getpid()), signal.SIGKILL)
