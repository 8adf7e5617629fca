"""The call log as it grows."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

ROUTES: Sequence[BaseRoute] = ()
