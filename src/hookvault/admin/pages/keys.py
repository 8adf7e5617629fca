"""The encryption keys: which there are and who holds which; rotating, retiring and rekeying; whether everything opens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from hookvault.admin.ask import Answer, part
from hookvault.admin.people import look_up, named_label
from hookvault.admin.route import deed, page
from hookvault.admin.shown import plural
from hookvault.admin.visit import Visit
from hookvault.custody.model import Holder, KeysStatus, MasterKeyStatus, Rekeying
from hookvault.errors import InvalidError, NotFoundError

_KEYS = "/api/platform/keys"
_MOST_TENANTS = 200
ROTATE = "rotate"  # typed before the key is rotated
ALL = "rekey everything"
_REASONS = {
    "key_missing": "The master key that it needs is not held here.",
    "key_destroyed": "Its tenant was shredded.",
    "key_lost": "Its data key is gone.",
    "does_not_open": "It does not open under its key: it was altered, or moved.",
    "malformed": "It is not what the vault writes.",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """How far the present rotation of the master key has come.

    Attributes:
        active: The active key's fingerprint.
        coming: The key that processes hold and that never was active: the next one; None where there is none.
        behind: The living processes that do not hold it.
        previous: Keys that were active and are not retired.
    """

    active: str
    coming: str | None
    behind: Sequence[Holder]
    previous: Sequence[MasterKeyStatus]

    @property
    def is_ready(self) -> bool:
        """Whether rotating would be let through."""
        return self.coming is not None and not self.behind


def turn_of(status: KeysStatus) -> Turn:
    """How far a rotation has come, by who holds what."""
    known = {key.fingerprint for key in status.keys}
    active = next((key.fingerprint for key in status.keys if key.state == "active"), "")
    coming = next((f for holder in status.processes for f in holder.fingerprints if f not in known), None)
    behind = [holder for holder in status.processes if coming not in holder.fingerprints] if coming else []
    return Turn(active, coming, behind, [key for key in status.keys if key.state == "previous"])


async def show_keys(visit: Visit) -> Response:
    """All that concerns the master keys."""
    status, faults = await visit.app.keys.status(), await visit.app.scans.faults()
    works = [work.started_by for work in (status.rekey, status.scan) if work is not None]
    labels = [*works, *(key.retired_by for key in status.keys if key.retired_by)]
    people = await look_up(visit, labels)
    by = {label: named_label(label, people) for label in labels}
    return visit.render(
        "keys/keys.html",
        keys=status,
        turn=turn_of(status),
        faults=faults,
        reasons=_REASONS,
        by=by,
        rekey=status.rekey,
    )


async def show_rotate(visit: Visit) -> Response:
    """Asks for the word that rotates."""
    return await _rotate_form(visit)


async def rotate(visit: Visit) -> Response:
    """Makes the next key the active one; shows why not where it is refused."""
    _check_typed(await visit.form(), ROTATE)
    answer = await visit.ask("POST", f"{_KEYS}/rotate")
    if not answer.ok:
        return await _rotate_form(visit, answer)
    made = answer.data
    if not made["rewrapped"] and made["previous"] == made["active"]:
        return visit.done("/keys", said=f"{made['active']} was the active key already. Nothing was changed.")
    return visit.done(
        "/keys", said=f"{made['active']} is the active key now; {made['rewrapped']} data keys are wrapped under it."
    )


async def show_retire(visit: Visit) -> Response:
    """Asks whether a previous key is to be retired, and why if something still needs it."""
    return await _retire_form(visit, {})


async def retire(visit: Visit) -> Response:
    """Retires a previous key; shows what still needs it where it is refused."""
    form, fingerprint = await visit.form(), visit.path("fingerprint")
    _check_typed(form, fingerprint)
    reason = form.text("reason")
    answer = await visit.ask("POST", f"{_KEYS}/{part(fingerprint)}/retire", {"reason": reason} if reason else None)
    if not answer.ok:
        return await _retire_form(visit, {"reason": reason}, answer)
    return visit.done("/keys", said=f"{fingerprint} is retired. Take it out of the environment of every process.")


async def show_rekey(visit: Visit) -> Response:
    """Asks what is to be sealed anew: one tenant's secrets, or all."""
    return await _rekey_form(visit, {"tenantId": visit.query.get("tenantId", ""), "kind": "tenant"})


async def start_rekey(visit: Visit) -> Response:
    """Begins to rekey."""
    form = await visit.form()
    values = {"kind": form.text("kind"), "tenantId": form.text("tenantId")}
    if values["kind"] == "all" and form.text("confirm") != ALL:
        return await _rekey_form(visit, values, _wrong("confirm", f"Type {ALL} to confirm. Nothing was changed."))
    if values["kind"] != "all" and not values["tenantId"]:
        return await _rekey_form(visit, values, _wrong("tenantId", "Name the tenant."))
    body = {} if values["kind"] == "all" else {"tenantId": values["tenantId"]}
    answer = await visit.ask("POST", f"{_KEYS}/rekey", body)
    if not answer.ok:
        return await _rekey_form(visit, values, answer)
    return visit.done("/keys", said="Rekeying has begun. Calls go on meanwhile; you may leave this page.")


async def show_progress(visit: Visit) -> Response:
    """How far the rekeying came, again and again while it runs."""
    found = await visit.app.rekeys.progress()
    return visit.render("keys/progress.html", rekey=found, by=await _by(visit, found))


async def cancel_rekey(visit: Visit) -> Response:
    """Stops the rekeying that runs."""
    (await visit.ask("DELETE", f"{_KEYS}/rekey")).require()
    return visit.done("/keys", said="Rekeying is stopped. What was sealed anew stays so.")


async def scan(visit: Visit) -> Response:
    """Opens every stored secret to prove that it opens."""
    found = (await visit.ask("POST", f"{_KEYS}/scan")).require().data["scan"]
    total, bad = plural(found["secrets"], "stored secret"), found["unreadable"]
    said = (
        f"{plural(bad, 'secret does', 'secrets do')} not open, of {total}."
        if bad
        else f"Scanned: {total}, and all open."
    )
    return visit.done("/keys", said=said)


async def _by(visit: Visit, rekey: Rekeying | None) -> dict[str, str]:
    if rekey is None:
        return {}
    return {rekey.started_by: named_label(rekey.started_by, await look_up(visit, [rekey.started_by]))}


def _check_typed(form: Any, wanted: str) -> None:
    if form.text("confirm") != wanted:
        raise InvalidError(f"Type {wanted} to confirm. Nothing was changed.", code="not_confirmed")


async def _rotate_form(visit: Visit, answer: Answer | None = None) -> Response:
    visit.require_writer()
    turn = turn_of(await visit.app.keys.status())
    return visit.show_form("keys/rotate.html", "Rotate the master key", answer=answer, turn=turn, word=ROTATE)


async def _retire_form(visit: Visit, values: dict[str, str], answer: Answer | None = None) -> Response:
    visit.require_writer()
    fingerprint = visit.path("fingerprint")
    key = next((key for key in (await visit.app.keys.status()).keys if key.fingerprint == fingerprint), None)
    if key is None:
        raise NotFoundError("This database has never known such a master key.", code="key_not_found")
    return visit.show_form("keys/retire.html", "Retire master key", answer=answer, key=key, values=values)


def _wrong(field: str, message: str) -> Answer:
    return Answer(422, {"detail": "", "errors": [{"field": field, "message": message}]})


async def _rekey_form(visit: Visit, values: dict[str, str], answer: Answer | None = None) -> Response:
    visit.require_writer()
    tenants = (await visit.app.tenants.list_tenants(limit=_MOST_TENANTS)).items
    return visit.show_form("keys/rekey.html", "Rekey", answer=answer, values=values, tenants=tenants, word=ALL)


ROUTES = (
    page("/keys", show_keys),
    page("/keys/rotate", show_rotate),
    deed("/keys/rotate", rotate),
    page("/keys/rekey", show_rekey),
    deed("/keys/rekey", start_rekey),
    page("/keys/rekey/progress", show_progress),
    deed("/keys/rekey/cancel", cancel_rekey),
    deed("/keys/scan", scan),
    page("/keys/{fingerprint}/retire", show_retire),
    deed("/keys/{fingerprint}/retire", retire),
)
