"""Invitations and links to a new password, by a real mail server: each for one use, and telling nobody anything."""

import asyncio
from datetime import timedelta

import pytest

from canary import CANARY, planted
from entrance import make_quick, origin, person, somewhere
from hookvault.accounts.token import token_hash
from hookvault.db.migrate import migrate
from hookvault.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)
from hookvault.ids import new_id
from hookvault.settings import Settings
from hookvault.vault.secret import Secret
from hookvault.wiring import build
from post import PostOffice

KEY = "4b1d" + "9e37a5c2" * 7 + "f06e"
URL = "https://hookvault.example.com"


@pytest.fixture(scope="module")
async def post():
    async with PostOffice() as office:
        yield office


@pytest.fixture(scope="module")
async def app(database_url, post, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(
        database_url=database_url, encryption_key=KEY, hookvault_data_dir=folder, app_url=f"{URL}/", **post.settings
    )
    built = await build(settings)
    make_quick(built)
    yield built
    await built.close()


def address():
    return f"guest-{new_id()}@example.com"


async def invited(app, post, role="admin"):
    """A new invitation with the token that its mail holds."""
    to = address()
    made = await app.accounts.invitations.invite(to, role, by="Ann")
    return made.invitation, post.token(to)


async def accept(app, token, password=None):
    return await app.accounts.invitations.accept(token, "Guest", Secret(password or planted("guest")), origin())


async def dead(asked):
    with pytest.raises(NotFoundError) as caught:
        await asked
    assert caught.value.code == "link_invalid"


async def test_an_invitation_makes_an_admin_once(app, post):
    made, token = await invited(app, post, "viewer")
    mail = post.mails[-1]
    assert (mail["To"], mail["From"], mail["Subject"]) == (
        made.email, "Hookvault <hookvault@example.com>", "Your invitation to Hookvault"
    )  # fmt: skip
    text = mail.get_body(("plain",)).get_content()
    assert "Ann invites you to Hookvault, as a viewer." in text
    assert f"{URL}/invitations/{token}" in text
    assert made.expires_at - made.created_at == timedelta(hours=72)
    assert (await app.accounts.invitations.look_up(token)).email == made.email
    with pytest.raises(InvalidError) as caught:
        await accept(app, token, "too short")
    assert caught.value.code == "weak_password"
    password = planted("guest-password")
    user = await accept(app, token, password)
    assert (user.email, user.role, user.name, user.must_change_password) == (made.email, "viewer", "Guest", False)
    CANARY.made((await app.accounts.logins.log_in(made.email, Secret(password), origin())).cookie.open())
    await dead(accept(app, token))
    await dead(app.accounts.invitations.look_up(token))
    assert await state_of(app, made) == "accepted"


async def state_of(app, made):
    return next(
        one.state for one in (await app.accounts.invitations.list_invitations(limit=200)).items if one.id == made.id
    )


async def test_of_many_who_accept_at_once_one_does(app, post, owner):
    made, token = await invited(app, post)
    results = await asyncio.gather(*[accept(app, token) for _ in range(6)], return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert {type(result) for result in results if isinstance(result, Exception)} == {NotFoundError}
    assert len(await owner("SELECT 1 FROM platform_users WHERE email = $1", made.email)) == 1


async def test_it_is_sent_again_revoked_and_runs_out(app, post, owner):
    made, first = await invited(app, post)
    with pytest.raises(ConflictError) as caught:
        await app.accounts.invitations.invite(made.email.upper(), "admin")
    assert caught.value.code == "invitation_exists"
    await app.accounts.invitations.resend(made.id)
    second = post.token(made.email)
    assert second != first
    await dead(accept(app, first))
    await owner("UPDATE user_invitations SET expires_at = now() WHERE id = $1", made.id)
    assert await state_of(app, made) == "expired"
    await dead(accept(app, second))
    await app.accounts.invitations.resend(made.id)
    third = post.token(made.email)
    assert await state_of(app, made) == "pending"
    await app.accounts.invitations.revoke(made.id)
    await app.accounts.invitations.revoke(made.id)
    await dead(accept(app, third))
    assert await state_of(app, made) == "revoked"
    with pytest.raises(ConflictError) as ended:
        await app.accounts.invitations.resend(made.id)
    assert ended.value.code == "invitation_ended"
    with pytest.raises(NotFoundError):
        await app.accounts.invitations.resend(new_id())
    await app.accounts.invitations.invite(made.email, "admin")  # and may be invited anew
    post.token(made.email)
    actions = await owner("SELECT action FROM audit_events WHERE target_id = $1 ORDER BY id", str(made.id))
    assert [row[0].partition(".")[2] for row in actions] == ["created", "resent", "resent", "revoked"]


async def test_one_that_ran_out_stands_in_nobody_s_way(app, post, owner):
    made, _ = await invited(app, post)
    await owner("UPDATE user_invitations SET expires_at = now() WHERE id = $1", made.id)
    again = await app.accounts.invitations.invite(made.email, "viewer")
    post.token(made.email)
    assert again.invitation.role == "viewer"


async def test_who_is_an_admin_is_not_invited(app, post):
    who = await person(app)
    with pytest.raises(ConflictError) as caught:
        await app.accounts.invitations.invite(who.email.upper(), "admin")
    assert caught.value.code == "admin_exists"
    made, token = await invited(app, post)
    await app.admins.create_admin(made.email)
    with pytest.raises(ConflictError):
        await accept(app, token)
    for email in (
        "no address",
        "a@b\r\nBcc: c@d.example",
        "a,b@example.com",
        "<a@example.com>",
        "a@[::1]",
        "ä@example.com",
    ):
        with pytest.raises(InvalidError):
            await app.accounts.invitations.invite(email, "admin")


async def test_only_a_hash_of_the_token_is_kept(app, post, owner):
    made, token = await invited(app, post)
    (row,) = await owner("SELECT * FROM user_invitations WHERE id = $1", made.id)
    assert token not in str(dict(row))
    assert row["token_hash"] == token_hash(token)


async def test_a_server_that_fails_leaves_the_invitation_to_be_sent_again(app, post):
    to = address()
    post.refuses = "451 try later"
    try:
        with pytest.raises(UnavailableError) as caught:
            await app.accounts.invitations.invite(to, "admin")
    finally:
        post.refuses = None
    assert caught.value.code == "mail_unavailable"
    made = next(one for one in (await app.accounts.invitations.list_invitations()).items if one.email == to)
    assert caught.value.members == {"invitationId": str(made.id)}
    assert (await app.accounts.invitations.resend(made.id)).mail == "sent"
    await accept(app, post.token(to))


async def ask(app, email, ip=None):
    await app.accounts.resets.ask(email, origin(ip))
    await app.accounts.resets.settle()


async def test_a_link_sets_a_new_password_once_and_ends_all_sessions(app, post):
    who = await person(app)
    session = await app.accounts.logins.log_in(who.email, Secret(who.password), origin())
    CANARY.made(session.cookie.open())
    await ask(app, who.email.upper())
    token, new = post.token(who.email), planted("reset")
    assert f"{URL}/password-resets/{token}" in post.mails[-1].get_body(("plain",)).get_content()
    use = app.accounts.resets.use
    with pytest.raises(InvalidError) as caught:
        await use(token, Secret("short"), origin())
    assert caught.value.code == "weak_password"
    results = await asyncio.gather(*[use(token, Secret(new), origin()) for _ in range(4)], return_exceptions=True)
    assert [result for result in results if not isinstance(result, NotFoundError)] == [None]
    with pytest.raises(UnauthorizedError):
        await app.accounts.sessions.authenticate(session.cookie.open())
    with pytest.raises(UnauthorizedError):
        await app.accounts.logins.log_in(who.email, Secret(who.password), origin())
    CANARY.made((await app.accounts.logins.log_in(who.email, Secret(new), origin())).cookie.open())
    await dead(use(token, Secret(new), origin()))


async def test_nobody_learns_whether_an_address_is_known(app, post):
    disabled = await person(app)
    await app.admins.update_admin(disabled.id, {"disabled": True})
    before = len(post.mails)
    for email in ("nobody-here@example.com", disabled.email, "no address at all", "\ud800"):
        assert await ask(app, email) is None
    assert len(post.mails) == before
    await app.audit.tally.save(all_of_it=True)


async def test_a_failing_server_is_not_seen_by_who_asked(app, post):
    who = await person(app)
    post.refuses = "550 no"
    try:
        assert await ask(app, who.email) is None
    finally:
        post.refuses = None
    assert post.count(who.email) == 0


async def test_links_run_out_and_die_with_what_they_were_for(app, post, owner):
    who, use = await person(app), app.accounts.resets.use
    await ask(app, who.email)
    first = post.token(who.email)
    (row,) = await owner("SELECT * FROM password_resets WHERE user_id = $1", who.id)
    assert row["expires_at"] - row["created_at"] == timedelta(hours=1)
    assert first not in str(dict(row))
    await owner("UPDATE password_resets SET expires_at = now() WHERE user_id = $1", who.id)
    await dead(use(first, Secret(planted("x")), origin()))
    await app.accounts.prune()
    assert await owner("SELECT 1 FROM password_resets WHERE user_id = $1", who.id) == []
    await ask(app, who.email)
    second = post.token(who.email)
    await app.admins.update_admin(who.id, {"disabled": True})
    await dead(use(second, Secret(planted("x")), origin()))


async def test_mails_that_anybody_can_cause_are_few(app, post):
    who, here = await person(app), somewhere()
    for _ in range(3):
        await ask(app, who.email)
    with pytest.raises(TooManyRequestsError) as caught:
        await ask(app, who.email)
    assert caught.value.retry_after_s > 200
    assert post.count(who.email) == 3
    for _ in range(3):
        post.mails.pop()
    for n in range(10):
        await ask(app, f"nobody-{n}@example.com", here)
    with pytest.raises(TooManyRequestsError):
        await ask(app, "nobody-11@example.com", here)


async def test_production_without_a_server_gives_the_link_to_who_invites(make_database, tmp_path, caplog):
    url = await make_database()
    await migrate(url)
    secret = {"session_secret": "s" * 40, "app_env": "production", "app_url": URL}
    app = await build(
        Settings(database_url=url, encryption_key=KEY, hookvault_data_dir=tmp_path, **secret), migrate=False
    )
    make_quick(app)
    try:
        made = await app.accounts.invitations.invite("guest@example.com", "owner")
        assert made.mail == "not_set_up"
        link = made.link.open()
        token = link.removeprefix(f"{URL}/invitations/")
        CANARY.made(token)
        assert token not in caplog.text
        user = await app.accounts.invitations.accept(token, "", Secret(planted("guest")), origin())
        assert user.role == "owner"
        await ask(app, "guest@example.com")
        assert "mail_not_set_up" in caplog.text
        assert not (tmp_path / "session.key").exists()
    finally:
        await app.close()
