"""The pages of users and invitations, and what links in mails lead to."""

import re
import secrets
from uuid import uuid4

import pytest

from canary import planted
from entrance import browser, person
from post import PostOffice
from seen import SCRIPTED, words

FOREIGN = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


@pytest.fixture
async def stranger(app, site):
    async with browser(app, asgi=site) as opened:
        yield opened


@pytest.fixture
def no_mail(app, monkeypatch):
    """As in production without a mail server: links are given to whoever invites."""
    mailer = app.accounts.invitations._mailer
    monkeypatch.setattr(mailer, "_settings", mailer._settings.model_copy(update={"app_env": "production"}))


def address():
    return f"new-{secrets.token_hex(5)}@example.com"


async def invited(page, role="admin"):
    """Invites somebody; the address and the link's path."""
    email = address()
    answer = await page.post("/users/invite", data={"email": email, "role": role})
    assert answer.status_code == 200
    return email, "/invitations/" + re.search(r"/invitations/([\w-]+)</code>", answer.text)[1]


async def everybody(page):
    """The list of users to its end, as it is written and as it reads."""
    answer = await page.get("/users")
    text, said = answer.text, words(answer)
    while found := re.search(r'hx-get="(/users\?cursor=[^"]+)"', answer.text):
        answer = await page.get(found[1], headers=SCRIPTED)
        assert "<html" not in answer.text
        text, said = text + answer.text, f"{said} {words(answer)}"
    return text, said


async def test_users_are_listed_with_what_matters(owner_page, app):
    other = await person(app, "viewer")
    await app.admins.update_admin(other.id, {"name": "<script>alert(1)</script>", "disabled": True})
    text, said = await everybody(owner_page)
    assert "<script>alert" not in text
    assert f"<script>alert(1)</script> {other.email} Viewer Off never Disabled" in said
    assert re.search(rf"{owner_page.who.email} you {owner_page.who.email} Owner Off (just now|\d+ s ago) Active", said)


async def test_who_is_no_owner_sees_no_button_and_is_refused(visitor, app):
    other = await person(app, "viewer")
    for role in ("admin", "viewer"):
        page = await visitor(role)
        text, _ = await everybody(page)
        assert other.email in text
        assert "/users/invite" not in text
        assert "/remove" not in text
        for path in ("/users/invite", f"/users/{other.id}/edit", f"/users/{other.id}/remove"):
            assert (await page.get(path)).status_code == 403
        for path in ("invite", f"{other.id}/edit", f"{other.id}/disable", f"{other.id}/enable", f"{other.id}/remove"):
            data = {"email": address(), "role": "owner", "name": "", "confirm": other.email}
            assert (await page.post(f"/users/{path}", data=data)).status_code == 403
    assert (await app.admins.get_admin(other.id)).role == "viewer"


async def test_another_site_s_form_changes_nothing(owner_page, app):
    other = await person(app, "viewer")
    answer = await owner_page.post(f"/users/{other.id}/edit", data={"role": "owner", "name": ""}, headers=FOREIGN)
    assert answer.status_code == 403
    assert (await app.admins.get_admin(other.id)).role == "viewer"


async def test_somebody_is_invited_by_mail(owner_page):
    email = address()
    form = await owner_page.get("/users/invite", headers=SCRIPTED)
    assert "alone says who may do what" in words(form)
    assert "<html" not in form.text
    answer = await owner_page.post("/users/invite", data={"email": email, "role": "viewer"}, headers=SCRIPTED)
    assert answer.headers["hx-redirect"] == "/users"
    page = await owner_page.get("/users")
    assert f"{email} is invited as viewer. No mail server is set up" in words(page)
    assert f"{email} by {owner_page.who.email} Viewer Pending just now in 2 d Send again Revoke" in words(page)


async def test_what_is_wrong_with_an_invitation_stands_at_its_field(owner_page, app):
    answer = await owner_page.post("/users/invite", data={"email": "no address", "role": "owner"}, headers=SCRIPTED)
    assert answer.status_code == 422
    assert 'value="no address"' in answer.text
    assert re.search(r'name="email"[^>]* aria-invalid="true"', answer.text, re.DOTALL)
    assert re.search(r'value="owner" checked', answer.text)
    assert "data-failed" in answer.text
    known = await person(app)
    taken = await owner_page.post("/users/invite", data={"email": known.email, "role": "admin"}, headers=SCRIPTED)
    assert (taken.status_code, "There is already an admin" in words(taken)) == (409, True)


async def test_a_link_is_shown_once_where_no_mail_carries_it(owner_page, no_mail):
    email, path = await invited(owner_page)
    assert path not in (await owner_page.get("/users")).text
    found = re.search(rf'id="invitation-([\w-]+)".*?{email}', (await owner_page.get("/users")).text, re.DOTALL)
    again = await owner_page.post(f"/users/invitations/{found[1]}/resend", headers=SCRIPTED, data={})
    link = re.search(r"/invitations/([\w-]+)</code>", again.text)[1]
    assert link not in path
    assert (await owner_page.get(path)).status_code == 404
    assert (await owner_page.get(f"/invitations/{link}")).status_code == 200
    assert (await owner_page.get(f"/users/invitations/{found[1]}/revoke", headers=SCRIPTED)).status_code == 200
    await owner_page.post(f"/users/invitations/{found[1]}/revoke", headers=SCRIPTED, data={})
    assert (await owner_page.get(f"/invitations/{link}")).status_code == 404
    assert re.search(rf"{email} by \S+ Admin Revoked", words(await owner_page.get("/users")))


@pytest.mark.parametrize("came_from", ["none", "cross-site"])
async def test_a_link_is_opened_from_wherever_the_mail_is_read(owner_page, app, no_mail, site, came_from):
    _, path = await invited(owner_page)
    async with browser(app, asgi=site, **{"sec-fetch-site": came_from}) as mail:
        assert (await mail.get(path)).status_code == 200
        assert (await mail.post(path, data={})).status_code == 403


async def test_an_invitation_is_accepted_and_its_admin_signs_in(owner_page, stranger, no_mail):
    email, path = await invited(owner_page, "viewer")
    page = await stranger.get(path)
    assert f"{email} is to be a viewer of this Hookvault." in words(page)
    password = planted("chosen")
    typed = {"name": "Ada <b>L", "password": password, "again": planted("other")}
    different = await stranger.post(path, data=typed)
    assert (different.status_code, "The two are not the same." in words(different)) == (422, True)
    assert 'value="Ada &lt;b&gt;L"' in different.text
    weak = await stranger.post(path, data=typed | {"password": "short", "again": "short"})
    assert weak.status_code == 422
    assert re.search(r'name="password"[^>]* aria-invalid="true"', weak.text, re.DOTALL)
    done = await stranger.post(path, data=typed | {"again": password})
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    assert f"Sign in as {email}" in words(await stranger.get("/login"))
    entered = await stranger.post("/login", data={"email": email, "password": password, "next": "/users"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/users")


@pytest.mark.parametrize("comes_from", ["cross-site", "none"])
async def test_a_link_works_from_wherever_it_is_opened(owner_page, app, site, no_mail, comes_from):
    """In a mail on another site, or typed: browsers say so, and send no Origin."""
    email, path = await invited(owner_page)
    async with browser(app, asgi=site, **{"sec-fetch-site": comes_from}) as opened:
        del opened.headers["origin"]
        assert email in words(await opened.get(path))
        for other in ("/password-resets", "/password-resets/some-token"):
            assert (await opened.get(other)).status_code == 200


async def test_links_that_do_not_work_are_told_alike(owner_page, stranger, no_mail, app, owner):
    _, expired = await invited(owner_page)
    email, used = await invited(owner_page)
    await owner("UPDATE user_invitations SET expires_at = now() - interval '1 s' WHERE email <> $1", email)
    password = planted("used")
    assert (await stranger.post(used, data={"name": "A", "password": password, "again": password})).status_code == 303
    await stranger.get("/login")  # which says what was done
    never = "/invitations/" + "A" * 43
    pages = [await stranger.get(path) for path in (expired, used, never)]
    pages.append(await stranger.post(never, data={"name": "A", "password": password, "again": password}))
    assert {page.status_code for page in pages} == {404}
    assert len({words(page) for page in pages}) == 1
    assert "This link does not work" in words(pages[0])
    assert email not in pages[1].text


async def test_name_and_role_are_changed(owner_page, app):
    other = await person(app, "viewer")
    answer = await owner_page.post(f"/users/{other.id}/edit", data={"name": "Ben", "role": "admin"})
    assert answer.status_code == 303
    assert "Ben is saved. All of their sessions ended." in words(await owner_page.get("/users"))
    found = await app.admins.get_admin(other.id)
    assert (found.name, found.role) == ("Ben", "admin")
    wrong = await owner_page.post(f"/users/{other.id}/edit", data={"name": "Ben", "role": "king"}, headers=SCRIPTED)
    assert wrong.status_code == 422
    assert 'value="Ben"' in wrong.text


async def test_the_last_owner_s_refusal_is_shown_in_words(visitor, app, owner):
    page = await visitor("owner")
    await owner("UPDATE platform_users SET disabled_at = now() WHERE role = 'owner' AND id <> $1", page.who.id)
    said = "This is the last owner who can sign in. Make somebody else an owner first."
    base = f"/users/{page.who.id}"
    for path, data in (
        ("edit", {"name": "", "role": "viewer"}),
        ("disable", {}),
        ("remove", {"confirm": page.who.email}),
    ):
        answer = await page.post(f"{base}/{path}", data=data, headers=SCRIPTED)
        assert (answer.status_code, said in words(answer)) == (409, True), path
    assert (await app.admins.get_admin(page.who.id)).role == "owner"


async def test_somebody_is_disabled_enabled_and_removed(visitor, owner_page, app):
    gone = await visitor("admin")
    base = f"/users/{gone.who.id}"
    await owner_page.post(f"{base}/disable", data={})
    assert (await gone.get("/users")).status_code == 303
    await owner_page.post(f"{base}/enable", data={})
    assert (await app.admins.get_admin(gone.who.id)).disabled_at is None
    refused = await owner_page.post(f"{base}/remove", data={"confirm": "somebody@example.com"})
    assert (refused.status_code, "Nothing was removed" in words(refused)) == (422, True)
    assert (await owner_page.post(f"{base}/remove", data={"confirm": gone.who.email})).status_code == 303
    assert gone.who.email in words(await owner_page.get("/users"))  # what was done is said once
    assert gone.who.email not in words(await owner_page.get("/users"))
    for path in (base + "/edit", f"/users/{uuid4()}/edit", "/users/nobody/edit"):
        assert (await owner_page.get(path)).status_code == 404
        assert "admin_not_found" in (await owner_page.get(path, headers=SCRIPTED)).text


async def test_asking_for_a_new_password_says_the_same_whoever_asks(app, site, stranger):
    who = await person(app)
    async with browser(app, asgi=site) as other:
        known = await stranger.post("/password-resets", data={"email": who.email})
        unknown = await other.post("/password-resets", data={"email": address()})
    assert known.status_code == unknown.status_code == 200
    assert known.text == unknown.text
    await app.accounts.resets.settle()


async def test_who_asks_too_often_is_told_for_how_long_to_wait(stranger):
    email = address()
    for _ in range(4):
        answer = await stranger.post("/password-resets", data={"email": email})
    assert answer.status_code == 429
    assert re.search(r"Try again in \d+ seconds", words(answer))
    assert f'value="{email}"' in answer.text


async def test_a_new_password_is_set_by_its_link(app, stranger, visitor, monkeypatch):
    page, mailer = await visitor("admin"), app.accounts.resets._mailer
    async with PostOffice() as post:
        monkeypatch.setattr(mailer, "_settings", mailer._settings.model_copy(update=post.settings))
        await stranger.post("/password-resets", data={"email": page.who.email})
        await app.accounts.resets.settle()
        path = f"/password-resets/{post.token(page.who.email)}"
    password = planted("reset")
    assert (await stranger.get(path)).status_code == 200
    for typed in ({"password": password, "again": "x"}, {"password": "short", "again": "short"}):
        assert (await stranger.post(path, data=typed)).status_code == 422
    done = await stranger.post(path, data={"password": password, "again": password})
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    assert (await page.get("/settings")).status_code == 303  # every session has ended
    assert (await stranger.post("/login", data={"email": page.who.email, "password": password})).status_code == 303
    again = await stranger.post(path, data={"password": password, "again": password})
    assert (again.status_code, "This link does not work" in words(again)) == (404, True)
