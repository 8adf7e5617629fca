"""All pages, by their paths."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from hookvault.admin.pages import login

ROUTES: Sequence[BaseRoute] = (*login.ROUTES,)
