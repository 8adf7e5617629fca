"""A tenant's webhooks: the table, and what is done to several at once."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

ROUTES: Sequence[BaseRoute] = ()
