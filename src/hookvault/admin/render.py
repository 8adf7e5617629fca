"""Templates: every text is escaped, and what they have in common is put in here."""

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markupsafe import Markup

from hookvault import __version__
from hookvault.admin import shown
from hookvault.admin.static import Static
from hookvault.api.services import App

if TYPE_CHECKING:
    from hookvault.admin.visit import Visit

# Where the menu leads: path, icon, name, and what it is about.
MENU = (
    ("/", "layout-dashboard", "Overview", ""),
    ("/tenants", "building", "Tenants", ""),
    ("/analytics", "chart-bar", "Analytics", ""),
    ("/calls", "list-details", "Calls", ""),
    ("/deliveries", "send", "Deliveries", ""),
    ("/audit", "history", "Audit log", "Administration"),
    ("/users", "users", "Users & invitations", "Administration"),
    ("/api-keys", "terminal-2", "API keys", "Administration"),
    ("/keys", "key", "Encryption keys", "Administration"),
    ("/settings", "settings", "Settings", "Administration"),
)
_THEMES = ("light", "dark")
_MOST_ICONS = 256  # kept as they are written; a page has dozens


class Renderer:
    """Makes pages of templates."""

    def __init__(self, app: App, static: Static) -> None:
        self._environment = Environment(
            loader=PackageLoader("hookvault.admin"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            {
                "about": shown.about,
                "number": shown.number,
                "ms": shown.milliseconds,
                "percent": shown.percent,
                "bytes": shown.size,
                "ago": shown.ago,
                "plural": shown.plural,
                "initials": shown.initials,
                "pretty": shown.pretty,
                "moment": _moment,
                "day": _day,
            }
        )
        self._environment.globals.update(
            {
                "static": static.url,
                "icon": lru_cache(_MOST_ICONS)(partial(_icon, static)),
                "menu": MENU,
                "version": __version__,
                "production": app.settings.production,
                "retention_days": app.settings.analytics_retention_days,
            }
        )

    def render(self, template: str, visit: "Visit", **context: Any) -> str:
        """The text of a page.

        Args:
            template: Its file under `templates/`.
            visit: Whom it is for.
            context: What the template is given.
        """
        theme = visit.request.cookies.get("theme", "")
        return self._environment.get_template(template).render(
            visit=visit,
            user=visit.session.user if visit.session else None,
            theme=theme if theme in _THEMES else "",
            path=visit.request.url.path,
            **context,
        )


@pass_context
def _moment(context: Context, value: Any, form: str = "ago") -> Markup:
    """A moment in the reader's zone, with UTC on hover; see `shown.moment`."""
    return shown.moment(value, context["visit"].zone, form)


@pass_context
def _day(context: Context, value: Any) -> str:
    return shown.day(value, context["visit"].zone)


def _icon(static: Static, name: str, kind: str = "") -> Markup:
    return Markup('<svg class="icon {}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
        kind, static.url("icons.svg"), name
    )
