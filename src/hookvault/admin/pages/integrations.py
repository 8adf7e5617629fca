"""A tenant's integrations: set, changed, tested, removed."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from hookvault.admin.ask import Answer, part
from hookvault.admin.card import IMAGES, TITLES, Card, make_card, mark_of
from hookvault.admin.form import Form
from hookvault.admin.route import blank, deed, page
from hookvault.admin.shown import plural
from hookvault.admin.visit import Visit
from hookvault.admin.whereabouts import where
from hookvault.api.integrations import kind_of
from hookvault.errors import NotFoundError
from hookvault.integrations.layout import provider_of
from hookvault.integrations.model import KINDS, Integration, Kind
from hookvault.providers.base import Field, Provider
from hookvault.providers.registry import SMS
from hookvault.tenants.model import Tenant
from hookvault.webhooks.draft import derived

_MOST_WEBHOOKS = 500  # that are looked at


async def show_integrations(visit: Visit) -> Response:
    """A tenant's integrations, and below them its webhooks, which come by themselves."""
    tenant = await _tenant(visit)
    cards = [await _card(visit, tenant.id, kind) for kind in KINDS]
    filters = {name: value for name, value in visit.query.items() if name in ("q", "status", "sort", "cursor")}
    webhooks = f"/tenants/{part(tenant.id)}/webhooks" + (f"?{urlencode(filters)}" if filters else "")
    return visit.render("integrations/page.html", tenant=tenant, cards=cards, webhooks=webhooks)


async def show_edit(visit: Visit) -> Response:
    """The form of one integration, whether it is there yet or not."""
    tenant, kind = await _tenant(visit), _kind(visit)
    stored = await _stored(visit, tenant.id, kind)
    provider = _provider(kind, stored, visit.query.get("provider"))
    return _form(visit, tenant, kind, (stored, provider))


async def show_fields(visit: Visit) -> Response:
    """The fields of the provider that was chosen, for the form that is open."""
    tenant, kind = await _tenant(visit), _kind(visit)
    stored = await _stored(visit, tenant.id, kind)
    provider = _provider(kind, stored, visit.query.get("provider"))
    known = _fields(tenant, (stored, provider), values=_values(stored, provider))
    return visit.render("integrations/fields.html", errors={}, **known)


async def save(visit: Visit) -> Response:
    """Stores an integration, or tries it as it would be."""
    tenant, kind, form = await _tenant(visit), _kind(visit), await visit.form()
    stored = await _stored(visit, tenant.id, kind)
    provider = _provider(kind, stored, form.text("provider"))
    body = _body(form, provider, stored)
    if form.text("do") == "test":
        answer = await visit.ask("POST", f"{_api(tenant.id, kind)}/test", body)
        return _form(visit, tenant, kind, (stored, provider), form=form, answer=answer)
    version = form.number("version") if stored else None
    answer = await visit.ask(
        "PUT" if stored else "POST", _api(tenant.id, kind), body, version=version if isinstance(version, int) else None
    )
    if not answer.ok:
        return _form(visit, tenant, kind, (stored, provider), form=form, answer=answer)
    before = stored.values.get("baseUrl") if stored else None
    behind = 0 if before in (None, body.get("baseUrl")) else await _count_derived(visit, tenant, str(before))
    return _stored_now(visit, tenant, kind, answer, behind=behind)


async def show_replace(visit: Visit) -> Response:
    """The form of one secret."""
    tenant, kind = await _tenant(visit), _kind(visit)
    return await _replacing(visit, tenant, kind, [visit.path("field")])


async def replace(visit: Visit) -> Response:
    """Stores another secret; where others must come with it, asks for these too."""
    tenant, kind, form = await _tenant(visit), _kind(visit), await visit.form()
    names = [visit.path("field"), *form.all("also")]
    if not form.given(names):
        return await _replacing(visit, tenant, kind, names, note="Enter the new secret.")
    answer = await visit.ask("PUT", _api(tenant.id, kind), form.given(names))
    if not answer.ok:
        also = [name for name in answer.errors if name not in names]
        return await _replacing(visit, tenant, kind, [*names, *also], answer=answer)
    return _stored_now(visit, tenant, kind, answer)


async def test(visit: Visit) -> Response:
    """Asks the provider, and shows in the card what it said."""
    tenant, kind = await _tenant(visit), _kind(visit)
    answer = await visit.ask("POST", f"{_api(tenant.id, kind)}/test")
    return await _shown_again(visit, tenant, kind, answer, said=answer.data.get("message", "") if answer.ok else "")


async def switch(visit: Visit) -> Response:
    """Switches an integration on or off."""
    tenant, kind, form = await _tenant(visit), _kind(visit), await visit.form()
    on = form.text("enabled") == "true"
    answer = await visit.ask("PUT", _api(tenant.id, kind), {"enabled": on})
    return await _shown_again(visit, tenant, kind, answer, said=f"{TITLES[kind]} is {'on' if on else 'off'}.")


async def show_remove(visit: Visit) -> Response:
    """The form that asks once more."""
    return _removing(visit, await _tenant(visit), _kind(visit))


async def remove(visit: Visit) -> Response:
    """Removes an integration with its secrets."""
    tenant, kind, form = await _tenant(visit), _kind(visit), await visit.form()
    if form.text("confirm") != kind:
        return _removing(visit, tenant, kind, note=f"Type {kind} to confirm.")
    answer = await visit.ask("DELETE", _api(tenant.id, kind))
    if not answer.ok:
        return _removing(visit, tenant, kind, answer=answer)
    return visit.done(_home(tenant.id), said=f"{TITLES[kind]} is removed, with its secrets.")


async def _count_derived(visit: Visit, tenant: Tenant, base: str) -> int:
    """How many webhooks still have the address that was derived from a base URL when they were saved."""
    found = await visit.app.webhooks.list_webhooks(tenant.id, limit=_MOST_WEBHOOKS)
    return sum(each.webhook_url == derived(base, tenant.id, tenant.slug, each.workflow_name) for each in found.items)


def _stored_now(visit: Visit, tenant: Tenant, kind: Kind, answer: Answer, *, behind: int = 0) -> Response:
    """What is said after a save; what was generated is shown now and never again."""
    found = answer.data.get("warnings", ())
    labels = {field.name: field.label for field in _provider(kind, None, answer.data.get("provider")).fields}
    warnings = [f"{labels.get(each['field'], each['field'])}: {each['message']}" for each in found]
    if answer.data.get("generated"):
        return visit.show_form(
            "integrations/made.html",
            f"{TITLES[kind]} is connected",
            tenant=tenant,
            made=answer.data["generated"],
            callback=_callback(visit, tenant, kind),
            warnings=warnings,
        )
    said = [f"{TITLES[kind]} is saved."]
    if behind:
        keeps = plural(behind, "webhook keeps its old address", "webhooks keep their old addresses")
        said.append(f"{keeps}: give each its new one below.")
    if warnings:
        said.append(f"Look again at {'; '.join(warnings)}")
    return visit.done(_home(tenant.id), said=" ".join(said))


async def _shown_again(visit: Visit, tenant: Tenant, kind: Kind, answer: Answer, *, said: str) -> Response:
    """The card as it is now; with scripts off the page."""
    if answer.status in (401, 403):
        answer.require()
    if not visit.is_partial:
        return visit.done(_home(tenant.id), said=said or answer.message)
    card = await _card(visit, tenant.id, kind)
    status = 200 if answer.ok else answer.status
    return visit.render("integrations/card.html", status=status, tenant=tenant, card=card, refused=answer.message)


def _form(
    visit: Visit,
    tenant: Tenant,
    kind: Kind,
    what: tuple[Integration | None, Provider],
    *,
    form: Form | None = None,
    answer: Answer | None = None,
) -> Response:
    """The form of an integration; after a try with what the provider said, after a refusal with what is wrong."""
    stored, provider = what
    secrets = {field.name for field in provider.fields if field.secret}
    values = form.values(but=secrets) if form else _values(stored, provider)
    tried = answer if answer is not None and answer.ok else None
    heading = f"{'Edit' if stored else 'Connect'} {TITLES[kind]}"
    shown = visit.show_form(
        "integrations/form.html",
        heading,
        answer=answer,
        kind=kind,
        image=IMAGES[kind],
        providers=[(one.kind, one.label) for one in SMS.values()] if kind == "sms" else [],
        tried=tried.data if tried else None,
        stale=answer is not None and answer.status == 412,
        callback=_callback(visit, tenant, kind),
        cleared=form.all("clear") if form else [],
        **_fields(tenant, what, values=values),
    )
    shown.status_code = 200 if tried else shown.status_code
    return shown


def _fields(tenant: Tenant, what: tuple[Integration | None, Provider], *, values: Mapping[str, Any]) -> dict[str, Any]:
    stored, provider = what
    same = stored is not None and stored.values.get("provider", provider.kind) == provider.kind
    marks = {name: mark_of(secret) for name, secret in stored.secrets.items()} if stored and same else {}
    helps = {field.name: where(provider.kind, field.name) for field in provider.fields}
    known = {"tenant": tenant, "stored": stored, "provider": provider, "helps": helps, "marks": marks, "values": values}
    return {**known, "needed": {name for group in provider.one_of for name in group}}


async def _replacing(
    visit: Visit,
    tenant: Tenant,
    kind: Kind,
    names: Sequence[str],
    *,
    answer: Answer | None = None,
    note: str = "",
) -> Response:
    """The form of one secret, and of those that must come with it."""
    stored = await _stored(visit, tenant.id, kind)
    if stored is None:
        raise NotFoundError("This integration is not connected.", code="integration_not_found")
    provider = _provider(kind, stored, None)
    fields: list[Field] = [field for field in provider.fields if field.name in names and field.secret]
    if names[0] not in {field.name for field in fields}:
        raise NotFoundError("There is no such secret.")
    fields.sort(key=lambda field: list(names).index(field.name))
    marks = {field.name: mark_of(stored.secrets.get(field.name)) for field in fields}
    helps = {field.name: where(provider.kind, field.name) for field in fields}
    verb = "Replace" if stored.secrets[names[0]].set else "Add"
    shown = visit.show_form(
        "integrations/replace.html",
        f"{verb} the {fields[0].label[0].lower() + fields[0].label[1:] if fields[0].label[1:2].islower() else fields[0].label}",
        answer=answer,
        tenant=tenant,
        kind=kind,
        fields=fields,
        marks=marks,
        helps=helps,
        note=note,
    )
    if note:
        shown.status_code = 422
    return shown


def _removing(visit: Visit, tenant: Tenant, kind: Kind, *, answer: Answer | None = None, note: str = "") -> Response:
    known = {"tenant": tenant, "kind": kind, "title": TITLES[kind], "note": note}
    shown = visit.show_form("integrations/remove.html", f"Remove {TITLES[kind]}", answer=answer, **known)
    if note:
        shown.status_code = 422
    return shown


def _body(form: Form, provider: Provider, stored: Integration | None) -> dict[str, Any]:
    """What a form asks for: an empty secret keeps the stored one, any other empty field is cleared."""
    same = stored is not None and stored.values.get("provider", provider.kind) == provider.kind
    body: dict[str, Any] = {"provider": provider.kind} if provider.kind in SMS else {}
    for field in provider.fields:
        text = form.text(field.name)
        if text or (field.required and not field.secret and same):
            body[field.name] = text
        elif same and (not field.secret or field.name in form.all("clear")):
            body[field.name] = None
    return body


def _values(stored: Integration | None, provider: Provider) -> dict[str, str]:
    same = stored is not None and stored.values.get("provider", provider.kind) == provider.kind
    return {name: value or "" for name, value in stored.values.items()} if stored and same else {}


def _provider(kind: Kind, stored: Integration | None, named: str | None) -> Provider:
    """The provider that was chosen, else the stored one."""
    values: Mapping[str, Any] = stored.values if stored else {}
    return provider_of(kind, {"provider": named} if kind == "sms" and named in SMS else values)


async def _card(visit: Visit, tenant_id: str, kind: Kind) -> Card:
    integration = await _stored(visit, tenant_id, kind)
    rotation = await visit.app.rotations.status(tenant_id, kind) if integration else None
    return make_card(kind, integration, rotation)


async def _stored(visit: Visit, tenant_id: str, kind: Kind) -> Integration | None:
    found = await visit.app.integrations.get_tenant_integration(tenant_id)
    integration: Integration | None = getattr(found, kind) if found else None
    return integration


async def _tenant(visit: Visit) -> Tenant:
    return await visit.app.tenants.get_tenant(visit.path("tenant"))


def _kind(visit: Visit) -> Kind:
    return kind_of(visit.path("kind"))


def _callback(visit: Visit, tenant: Tenant, kind: Kind) -> str:
    return f"{visit.app.settings.app_url}/hooks/{part(tenant.id)}/whatsapp" if kind == "whatsapp" else ""


def _home(tenant_id: str) -> str:
    return f"/tenants/{part(tenant_id)}/integrations"


def _api(tenant_id: str, kind: Kind) -> str:
    return f"/api/platform/tenants/{part(tenant_id)}/integrations/{kind}"


_ONE = "/tenants/{tenant}/integrations/{kind}"
ROUTES = (
    page("/tenants/{tenant}/integrations", show_integrations),
    blank(f"{_ONE}/edit", show_edit),
    deed(f"{_ONE}/edit", save),
    page(f"{_ONE}/fields", show_fields),
    blank(f"{_ONE}/secrets/{{field}}", show_replace),
    deed(f"{_ONE}/secrets/{{field}}", replace),
    deed(f"{_ONE}/test", test),
    deed(f"{_ONE}/enabled", switch),
    blank(f"{_ONE}/remove", show_remove),
    deed(f"{_ONE}/remove", remove),
)
