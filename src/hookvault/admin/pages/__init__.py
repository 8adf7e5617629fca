"""All pages, by their paths."""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from hookvault.admin.pages import (
    analytics,
    apikeys,
    audit,
    calls,
    deliveries,
    exchange,
    guide,
    integrations,
    invitation,
    keys,
    live,
    login,
    overview,
    replays,
    reset,
    rotation,
    settings,
    tenant,
    tenants,
    users,
    webhook,
    webhooks,
)

ROUTES: Sequence[BaseRoute] = (
    *analytics.ROUTES,
    *apikeys.ROUTES,
    *audit.ROUTES,
    *calls.ROUTES,
    *deliveries.ROUTES,
    *exchange.ROUTES,
    *guide.ROUTES,
    *integrations.ROUTES,
    *invitation.ROUTES,
    *keys.ROUTES,
    *live.ROUTES,
    *login.ROUTES,
    *overview.ROUTES,
    *replays.ROUTES,
    *reset.ROUTES,
    *rotation.ROUTES,
    *settings.ROUTES,
    *tenant.ROUTES,
    *tenants.ROUTES,
    *users.ROUTES,
    *webhook.ROUTES,
    *webhooks.ROUTES,
)
