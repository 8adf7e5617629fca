"""Encryption keys: what is in force, rotated, sealed anew."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

ROUTES: Sequence[BaseRoute] = ()
