"""A tenant's credentials, replaced without an interruption."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

ROUTES: Sequence[BaseRoute] = ()
