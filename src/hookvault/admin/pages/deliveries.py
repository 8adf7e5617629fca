"""Deliveries: what waits, what failed, and one's whole story."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

ROUTES: Sequence[BaseRoute] = ()
