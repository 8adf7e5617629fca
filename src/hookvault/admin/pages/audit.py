"""The audit log: who did what, to what, how it ended; narrowed by what stands in the URL."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from hookvault.admin.ask import Answer
from hookvault.admin.happening import changes_of, facts_of, title
from hookvault.admin.people import look_up, named
from hookvault.admin.route import page
from hookvault.admin.visit import Visit
from hookvault.api.coverage import AUDIT
from hookvault.clock import iso
from hookvault.errors import NotFoundError
from hookvault.ids import id_time

_FILTERS = ("tenantId", "actor", "action", "outcome", "from", "to")
_ONE_MS, _ONE_DAY = timedelta(milliseconds=1), timedelta(days=1)
_MOST_CHOICES = 200  # tenants and admins that are proposed
_UUID = 36  # characters
# What leaves an event besides the API's routes.
_FURTHER = ("admin.created", "admin.password_reset", "backup.created", "backup.restored", "database.cleaned")
ACTIONS = sorted({kept for kept in AUDIT.values() if isinstance(kept, str)} | {*_FURTHER, "webhook.switched_off"})
_NOBODYS = (
    ("hookvault", "Hookvault itself"),
    ("in-process", "A program in the same process"),
    ("anonymous", "Nobody known"),
)


async def show_audit(visit: Visit) -> Response:
    """A page of events; further rows where these are asked for."""
    asked = {name: visit.query.get(name, "") for name in _FILTERS}
    answer = await visit.ask("GET", "/api/platform/audit", query=_query(visit, asked))
    events = await _events(visit, answer) if answer.ok else []
    cursor = answer.data.get("nextCursor")
    kept = {name: value for name, value in asked.items() if value}
    more = f"/audit?{urlencode(kept | {'cursor': cursor})}" if cursor else ""
    context: dict[str, Any] = {"rows": events, "more": more, "opened": visit.query.get("event")}
    if visit.is_partial:
        answer.require()
        return visit.render("audit/rows.html", **context)
    tenants = (await visit.app.tenants.list_tenants(limit=_MOST_CHOICES)).items
    actors = await _list_actors(visit, asked["actor"])
    actions = [*ACTIONS, *([asked["action"]] if asked["action"] and asked["action"] not in ACTIONS else [])]
    context |= {"asked": asked, "actors": actors, "actions": [(action, title(action)) for action in actions]}
    return visit.render(
        "audit/audit.html", status=answer.status, problem=_said(answer), tenants=tenants, filtered=bool(kept), **context
    )


async def _list_actors(visit: Visit, chosen: str) -> Sequence[tuple[str, str]]:
    """Whom the log can be narrowed to, as (id, name); who is chosen is always among them."""
    admins = (await visit.app.accounts.admins.list_admins(limit=_MOST_CHOICES)).items
    actors = [*((str(admin.id), admin.name or admin.email) for admin in admins), *_NOBODYS]
    if chosen and chosen not in dict(actors):
        actors.append((chosen, (await look_up(visit, [chosen])).get(chosen, chosen)))
    return actors


def _query(visit: Visit, asked: Mapping[str, str]) -> dict[str, str | None]:
    """The page's filters as the API has them. Days are whole ones of the reader's, the last one included."""
    end = _moment(asked["to"], visit.zone, later=_ONE_DAY)
    if (event := visit.query.get("event")) is not None:
        end = iso(_time_of(event) + _ONE_MS)  # the list begins with it
    return {
        "tenantId": asked["tenantId"] or None,
        "actorId": asked["actor"] or None,
        "action": asked["action"] or None,
        "outcome": asked["outcome"] or None,
        "startDate": _moment(asked["from"], visit.zone, later=timedelta()),
        "endDate": end,
        "cursor": visit.query.get("cursor"),
    }


def _time_of(event: str) -> datetime:
    try:
        return id_time(UUID(event))
    except (ValueError, OverflowError):
        raise NotFoundError("There is no such event.", code="event_not_found") from None


def _moment(text: str, zone: tzinfo, *, later: timedelta) -> str | None:
    """A day, or a moment as the API takes it; what is neither goes on, so that the API says so."""
    if not text:
        return None
    try:
        return iso(datetime.combine(date.fromisoformat(text) + later, time(), zone))
    except (ValueError, OverflowError):
        return text


async def _events(visit: Visit, answer: Answer) -> Sequence[dict[str, Any]]:
    """The events of a page, with names; two queries for all of them."""
    items = answer.data["items"]
    people = await look_up(visit, [item[name] for item in items for name in ("actorId", "targetId")])
    webhooks = {key for item in items if (key := _webhook_of(item)) is not None}
    names = await visit.app.analytics.name_webhooks(sorted(webhooks))
    return [_event(item, people, names) for item in items]


def _webhook_of(item: Mapping[str, Any]) -> tuple[str, UUID] | None:
    if item["targetType"] != "webhook" or not item["tenantId"]:
        return None
    try:
        return item["tenantId"], UUID(item["targetId"])
    except ValueError:
        return None


def _event(item: Mapping[str, Any], people: Mapping[str, str], names: Mapping[tuple[str, UUID], str]) -> dict[str, Any]:
    key = _webhook_of(item)
    return {
        **item,
        "at": datetime.fromisoformat(item["at"]),
        "who": named(item["actorType"], item["actorId"], people),
        "title": title(item["action"]),
        "target": _target(item, people) if key is None else names.get(key, ""),
        "href": f"/tenants/{item['tenantId']}/webhooks/{key[1]}" if key else None,
        "changes": changes_of(item["detail"]),
        "facts": facts_of(item["detail"]),
    }


def _target(item: Mapping[str, Any], people: Mapping[str, str]) -> str:
    """What an event was about, where that has a name; empty where there is only an id."""
    kind, identifier, detail = item["targetType"], item["targetId"], item["detail"]
    if kind in ("admin", "user"):
        return people.get(identifier, str(detail.get("email", "")))
    if kind in ("api_key", "invitation"):
        return str(detail.get("name") or detail.get("email") or "")
    return "" if len(identifier) == _UUID else str(identifier)


def _said(answer: Answer) -> str:
    """What is wrong with the filters."""
    if answer.ok:
        return ""
    return "; ".join(f"{name}: {message}" for name, message in answer.errors.items()) or answer.message


ROUTES = (page("/audit", show_audit),)
