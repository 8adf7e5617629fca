"""What is about whoever is signed in: password, second factor, sessions; and what this installation is."""

from io import BytesIO
from typing import Any

import segno
from markupsafe import Markup
from starlette.responses import Response

from hookvault import __version__
from hookvault.accounts.model import Session
from hookvault.admin.agent import device
from hookvault.admin.ask import Answer, part
from hookvault.admin.route import deed, page
from hookvault.admin.visit import Visit
from hookvault.clock import now
from hookvault.errors import UnauthorizedError

_TOTP = "/api/session/totp"
_SHOWN_DAYS = 14
_KINDS = {
    "minuteRollups": "Figures by minute",
    "spans": "Figures by hour and day",
    "audit": "Audit log",
    "rest": "Everything else",
}


async def show_settings(visit: Visit) -> Response:
    """One's own account."""
    own = _own(visit)
    sessions = await visit.app.accounts.sessions.list_sessions(own.user.id)
    return visit.render("settings/settings.html", own=own, sessions=sessions, device=device)


async def show_password(visit: Visit) -> Response:
    """The form of another password."""
    return visit.show_form("settings/password.html", "Change password")


async def change_password(visit: Visit) -> Response:
    """Changes the password; all other sessions end."""
    form = await visit.form()
    if form.raw("newPassword") != form.raw("again"):
        wrong = [{"field": "again", "message": "The two are not the same."}]
        return _password_form(visit, Answer(422, {"detail": "", "errors": wrong}))
    body = {"password": form.raw("password"), "newPassword": form.raw("newPassword")}
    answer = await visit.ask("PUT", "/api/session/password", body)
    if not answer.ok:
        return _password_form(visit, answer)
    return visit.done("/settings", said="Your password is changed. All of your other sessions ended.")


async def show_enrol(visit: Visit) -> Response:
    """Asks for the password before a second factor is made."""
    return visit.show_form("settings/enrol.html", "Set up a second factor")


async def enrol(visit: Visit) -> Response:
    """Makes a second factor and shows its secret, this once, until its first code is given."""
    form = await visit.form()
    answer = await visit.ask("POST", _TOTP, {"password": form.raw("password")})
    if not answer.ok:
        return visit.show_form("settings/enrol.html", "Set up a second factor", answer=answer)
    secret = answer.data["secret"]
    grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return _confirm_form(visit, secret=secret, grouped=grouped, drawing=draw(answer.data["uri"]))


async def confirm(visit: Visit) -> Response:
    """Puts the second factor in force, and shows the recovery codes, this once."""
    form = await visit.form()
    answer = await visit.ask("PUT", _TOTP, {"code": form.text("code")})
    if not answer.ok:
        if visit.is_partial:  # the picture stays where it is; only the form is shown again
            return visit.render("settings/code.html", status=answer.status, **_wrong(answer))
        return _confirm_form(visit, answer)
    codes = answer.data["recoveryCodes"]
    response = visit.show_form("settings/recovery.html", "Keep these recovery codes", codes=codes)
    if visit.is_partial:
        response.headers.update({"hx-retarget": "#factor", "hx-reswap": "outerHTML"})
    return response


async def show_remove(visit: Visit) -> Response:
    """Asks for the password before the second factor is removed."""
    return visit.show_form("settings/remove.html", "Remove the second factor")


async def remove_factor(visit: Visit) -> Response:
    """Removes the second factor with its recovery codes."""
    form = await visit.form()
    answer = await visit.ask("DELETE", _TOTP, {"password": form.raw("password")})
    if not answer.ok:
        return visit.show_form("settings/remove.html", "Remove the second factor", answer=answer)
    return visit.done("/settings", said="The second factor is removed. All of your other sessions ended.")


async def end_session(visit: Visit) -> Response:
    """Ends one session."""
    (await visit.ask("DELETE", f"/api/sessions/{part(visit.path('session_id'))}")).require()
    return visit.done("/settings", said="That session is ended.")


async def end_others(visit: Visit) -> Response:
    """Ends all sessions but this one."""
    ended = (await visit.ask("DELETE", "/api/sessions")).require().data["ended"]
    return visit.done("/settings", said=f"{ended} other session{'' if ended == 1 else 's'} ended.")


async def show_installation(visit: Visit) -> Response:
    """What runs here: versions, places, limits; no secret among them."""
    app = visit.app
    status, storage = await app.keys.status(), await app.retention.storage()
    active = next((key.fingerprint for key in status.keys if key.state == "active"), "")
    return visit.render(
        "settings/installation.html",
        settings=app.settings,
        storage=storage,
        days=[day for day in storage.days if day.day <= now().date()][:_SHOWN_DAYS],
        kinds=_KINDS,
        processes=status.processes,
        active=active,
        release=__version__,
    )


def draw(uri: str) -> Markup:
    """An `otpauth:` address as a QR code: an SVG without any style."""
    out = BytesIO()
    segno.make(uri, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=2, lineclass=None, svgclass=None
    )
    return Markup(out.getvalue().decode())  # noqa: S704 - drawn here, and holds no text


def _own(visit: Visit) -> Session:
    if visit.session is None:
        raise UnauthorizedError("Sign in first.")
    return visit.session


def _wrong(answer: Answer | None) -> dict[str, Any]:
    errors = dict(answer.errors) if answer else {}
    return {"errors": errors, "problem": answer.message if answer and not errors else "", "failed": answer is not None}


def _password_form(visit: Visit, answer: Answer) -> Response:
    return visit.show_form("settings/password.html", "Change password", answer=answer)


def _confirm_form(visit: Visit, answer: Answer | None = None, **made: Any) -> Response:
    shown = {"secret": None, "grouped": "", "drawing": ""} | made
    return visit.show_form("settings/confirm.html", "Set up a second factor", answer=answer, **shown)


ROUTES = (
    page("/settings", show_settings),
    page("/settings/installation", show_installation),
    page("/settings/password", show_password),
    deed("/settings/password", change_password),
    page("/settings/second-factor", show_enrol),
    deed("/settings/second-factor", enrol),
    deed("/settings/second-factor/confirm", confirm),
    page("/settings/second-factor/remove", show_remove),
    deed("/settings/second-factor/remove", remove_factor),
    deed("/settings/sessions/end-others", end_others),
    deed("/settings/sessions/{session_id}/end", end_session),
)
