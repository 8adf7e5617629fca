"""What is done to several webhooks at once: switched on or off, and deleted."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute

from hookvault.admin.ask import Answer
from hookvault.admin.pages.draft import api_path, base_path
from hookvault.admin.pages.trial import known_ids
from hookvault.admin.route import deed
from hookvault.admin.shown import plural
from hookvault.admin.visit import Visit
from hookvault.errors import InvalidError
from hookvault.webhooks.model import Webhook

_SAID = {"enable": "enabled", "disable": "disabled"}


async def switch_many(visit: Visit) -> Response:
    """Switches the ticked webhooks on or off; says how many, and which not."""
    form = await visit.form()
    deed_name = form.text("do")
    if deed_name not in _SAID:
        raise InvalidError("Choose what is to be done: enable or disable.")
    chosen = await _chosen(visit, form.all("id"))
    refused: list[Answer] = []
    for webhook in chosen:
        answer = await visit.ask("PUT", api_path(visit, webhook), {"isActive": deed_name == "enable"})
        if not answer.ok:
            refused.append(answer)
    return _report(visit, len(chosen), refused, _SAID[deed_name])


async def remove_many(visit: Visit) -> Response:
    """Deletes the ticked webhooks once that is confirmed; asks for it before."""
    visit.require_writer()
    form = await visit.form()
    chosen = await _chosen(visit, form.all("id"))
    phrase = f"delete {len(chosen)}"
    if form.text("confirm") != phrase:
        return visit.show_form(
            "webhooks/remove.html",
            f"Delete {plural(len(chosen), 'webhook')}",
            webhooks=chosen,
            phrase=phrase,
            root=base_path(visit),
        )
    answers = [await visit.ask("DELETE", api_path(visit, webhook)) for webhook in chosen]
    return _report(visit, len(chosen), [answer for answer in answers if not answer.ok], "deleted")


async def _chosen(visit: Visit, ids: Sequence[str]) -> list[Webhook]:
    """The tenant's webhooks among those that were ticked. Raises InvalidError where there are none."""
    wanted = set(known_ids(ids))
    found = await visit.app.webhooks.get_n8n_webhooks_by_tenant(visit.path("tenant"))
    chosen = [webhook for webhook in found if webhook.id in wanted]
    if not chosen:
        raise InvalidError("Tick the webhooks that are meant.")
    return chosen


def _report(visit: Visit, chosen: int, refused: Sequence[Answer], done: str) -> Response:
    if len(refused) == chosen:
        refused[0].require()
    said = f"{plural(chosen - len(refused), 'webhook')} {done}."
    if refused:
        said += f" {len(refused)} not: {refused[0].message}"
    return visit.done(said=said)


ROUTES: Sequence[BaseRoute] = (
    deed("/tenants/{tenant}/webhooks/bulk", switch_many),
    deed("/tenants/{tenant}/webhooks/remove", remove_many),
)
