"""Rotating an integration's secrets: staged, tested, switched to, and the former ones let go."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from hookvault.admin.ask import Answer, part
from hookvault.admin.card import TITLES, mark_of
from hookvault.admin.form import Form
from hookvault.admin.route import blank, deed, page
from hookvault.admin.visit import Visit
from hookvault.admin.whereabouts import where
from hookvault.api.integrations import kind_of
from hookvault.integrations.layout import provider_of
from hookvault.integrations.model import Kind, Rotation
from hookvault.providers.base import Provider
from hookvault.tenants.model import Tenant

_SHOWN = 20
_HOUR, _DAY = 3600, 86_400
GRACES = (
    (_HOUR, "1 hour"),
    (_DAY, "1 day"),
    (7 * _DAY, "7 days"),
    (30 * _DAY, "30 days"),
    (0, "not at all: they end at once"),
)
_WHICH = ("staged", "current", "previous")


class Act(NamedTuple):
    """A step that is asked about once more: its heading, the button's word, and what is said once it is done."""

    heading: str
    word: str
    said: str


_ACTS: Mapping[str, Act] = {
    "rollback": Act("Go back to the former secrets", "Go back", "The former secrets are the current ones again."),
    "revoke": Act("End the former secrets now", "End them", "The former secrets are gone from here."),
    "discard": Act("Throw the staged secrets away", "Throw away", "The staged secrets are gone."),
}


class Place(NamedTuple):
    """Whose rotation this is, and how it stands."""

    tenant: Tenant
    kind: Kind
    rotation: Rotation
    provider: Provider

    @property
    def path(self) -> str:
        """Its page."""
        return f"/tenants/{part(self.tenant.id)}/integrations/{self.kind}/rotation"

    @property
    def api(self) -> str:
        """Its routes."""
        return f"/api/platform{self.path}"


async def show_rotation(visit: Visit) -> Response:
    """How a rotation stands, and every version there was."""
    place = await _place(visit)
    if visit.is_partial and "cursor" in visit.query:
        return visit.render("integrations/versions.html", **await _versions(visit, place))
    return await _page(visit, place)


async def show_stage(visit: Visit) -> Response:
    """The form of new secrets."""
    return _staging(visit, await _place(visit))


async def stage(visit: Visit) -> Response:
    """Stages new secrets beside the present ones."""
    place, form = await _place(visit), await visit.form()
    names = [field.name for field in place.provider.fields if field.secret]
    body: dict[str, Any] = {**form.given(names), **({"replace": True} if form.is_on("replace") else {})}
    answer = await visit.ask("POST", place.api, body, version=_version(form))
    if not answer.ok:
        return _staging(visit, place, answer=answer)
    warnings = "; ".join(f"{each['field']}: {each['message']}" for each in answer.data["warnings"])
    return visit.done(place.path, said=f"Staged. Test them now.{' Look again at ' + warnings if warnings else ''}")


async def test(visit: Visit) -> Response:
    """Asks the provider whether it takes a version."""
    place, form = await _place(visit), await visit.form()
    which = form.text("which") if form.text("which") in _WHICH else "staged"
    answer = await visit.ask("POST", f"{place.api}/test", {"version": which})
    told = ("good" if answer.data.get("ok") else "bad", answer.data.get("message", "") if answer.ok else answer.message)
    return await _page(visit, await _place(visit), told=told, status=answer.status)


async def switch(visit: Visit) -> Response:
    """Makes the staged secrets the current ones."""
    place, form = await _place(visit), await visit.form()
    body = {"graceSeconds": form.number("graceSeconds"), "force": form.is_on("force")}
    answer = await visit.ask("POST", f"{place.api}/switch", body, version=_version(form))
    told = ("good", "Switched: every call uses the new secrets now.") if answer.ok else ("bad", answer.message)
    return await _page(visit, await _place(visit), told=told, status=answer.status)


def _act_routes(act: str) -> tuple[Route, Route]:
    """The form that asks once more, and what it submits."""

    async def show(visit: Visit) -> Response:
        return _asked_again(visit, await _place(visit), act)

    async def do(visit: Visit) -> Response:
        place, form = await _place(visit), await visit.form()
        if act == "discard":
            answer = await visit.ask("DELETE", place.api, version=_version(form))
        else:
            answer = await visit.ask("POST", f"{place.api}/{act}", version=_version(form))
        return visit.done(place.path, said=_ACTS[act].said) if answer.ok else _asked_again(visit, place, act, answer)

    return blank(f"{_ONE}/{act}", show), deed(f"{_ONE}/{act}", do)


async def _page(visit: Visit, place: Place, *, told: tuple[str, str] | None = None, status: int = 200) -> Response:
    """The whole page, or after a step the part that has changed."""
    known = {**_known(place), "told": told, "graces": GRACES, **await _versions(visit, place)}
    template = "integrations/steps.html" if visit.is_partial else "integrations/rotation.html"
    return visit.render(template, status=status, **known)


def _known(place: Place) -> dict[str, Any]:
    labels = {field.name: field.label for field in place.provider.fields}
    names = {"tenant": place.tenant, "kind": place.kind, "title": TITLES[place.kind], "provider": place.provider}
    return {**names, "rotation": place.rotation, "base": place.path, "labels": labels, "next": _next(place.rotation)}


def _next(rotation: Rotation) -> int:
    """Which of the four steps is to be taken."""
    if rotation.staged is not None:
        return 3 if rotation.staged.test_code == "ok" else 2
    return 4 if rotation.previous is not None else 1


def _staging(visit: Visit, place: Place, *, answer: Answer | None = None) -> Response:
    fields = [field for field in place.provider.fields if field.secret]
    marks = {name: mark_of(secret) for name, secret in place.rotation.current.secrets.items()}
    helps = {field.name: where(place.provider.kind, field.name) for field in fields}
    heading = f"Stage new secrets of {TITLES[place.kind]}"
    known = {**_known(place), "fields": fields, "marks": marks, "helps": helps}
    return visit.show_form("integrations/stage.html", heading, answer=answer, **known)


def _asked_again(visit: Visit, place: Place, act: str, answer: Answer | None = None) -> Response:
    one = _ACTS[act]
    return visit.show_form(
        "integrations/again.html", one.heading, answer=answer, act=act, word=one.word, **_known(place)
    )


async def _versions(visit: Visit, place: Place) -> dict[str, Any]:
    found = await visit.app.rotations.list_versions(
        place.tenant.id, place.kind, limit=_SHOWN, cursor=visit.query.get("cursor")
    )
    more = f"{place.path}?cursor={found.next_cursor}" if found.next_cursor else None
    labels = {field.name: field.label for field in place.provider.fields}
    return {"versions": found.items, "more": more, "labels": labels}


def _version(form: Form) -> int | None:
    version = form.number("version")
    return version if isinstance(version, int) else None


async def _place(visit: Visit) -> Place:
    kind = kind_of(visit.path("kind"))
    tenant = await visit.app.tenants.get_tenant(visit.path("tenant"))
    rotation = await visit.app.rotations.status(tenant.id, kind)
    return Place(tenant, kind, rotation, provider_of(kind, {"provider": rotation.provider}))


_ONE = "/tenants/{tenant}/integrations/{kind}/rotation"
ROUTES = (
    page(_ONE, show_rotation),
    blank(f"{_ONE}/stage", show_stage),
    deed(f"{_ONE}/stage", stage),
    deed(f"{_ONE}/test", test),
    deed(f"{_ONE}/switch", switch),
    *(route for act in _ACTS for route in _act_routes(act)),
)
