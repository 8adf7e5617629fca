"""Sessions: found by a signed cookie, ended by time, by their owner, and by what changes what they may do."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from canary import CANARY
from entrance import make_quick, origin, person
from hookvault.accounts.model import Origin
from hookvault.accounts.signin.sessions import Sessions
from hookvault.accounts.token import Signer
from hookvault.audit.model import IN_PROCESS
from hookvault.errors import ConflictError, InvalidError, NotFoundError, UnauthorizedError
from hookvault.vault.secret import Secret


@pytest.fixture(autouse=True)
def quick(app):
    make_quick(app)


async def begun(app, who, stage="full", where=None):
    """A new session; its cookie."""
    async with app.database.system() as tx:
        made = await app.accounts.sessions.begin(tx, await app.admins.find_admin(who.email), stage, where or origin())
    cookie = made.cookie.open()
    CANARY.made(cookie)
    CANARY.made(cookie.partition(".")[0])
    return made.session, cookie


async def is_in(app, cookie):
    try:
        await app.accounts.sessions.authenticate(cookie)
    except UnauthorizedError:
        return False
    return True


async def test_a_cookie_is_found_and_only_a_hash_is_kept(app, owner):
    who = await person(app)
    session, cookie = await begun(app, who)
    principal = await app.accounts.sessions.authenticate(cookie)
    assert (principal.session.id, principal.session.user.id, principal.is_platform) == (session.id, who.id, True)
    (row,) = await owner("SELECT * FROM user_sessions WHERE id = $1", session.id)
    token = cookie.partition(".")[0]
    assert len(token) == 43
    assert token not in str(dict(row))
    assert row["token_hash"] == hashlib.sha256(token.encode()).digest()


class Untouched:
    """A database that nobody may ask anything."""

    def system(self):
        raise AssertionError("the database was asked")


async def test_what_was_not_made_here_never_reaches_the_database(app):
    _, cookie = await begun(app, await person(app))
    token, _, seal = cookie.partition(".")
    hours = timedelta(hours=1)
    elsewhere = Sessions(Untouched(), Signer(Secret("another secret" * 3)), idle=hours, longest=hours)
    here = Sessions(Untouched(), app.accounts.sessions._signer, idle=hours, longest=hours)
    for made_up in (
        "",
        ".",
        token,
        f"{token}.",
        f".{seal}",
        f"{token[:-1]}A.{seal}",
        f"{token}.{seal}x",
        "\ud800.\xff",
        cookie * 9,
    ):
        with pytest.raises(UnauthorizedError):
            await here.authenticate(made_up)
    with pytest.raises(UnauthorizedError):
        await elsewhere.authenticate(cookie)
    with pytest.raises(AssertionError):
        await here.authenticate(cookie)


@pytest.mark.parametrize(
    "change",
    [
        "seen_at = seen_at - interval '12 hours 1 minute'",
        "expires_at = now() - interval '1 second'",
    ],
)
async def test_time_ends_it(app, owner, change):
    who = await person(app)
    session, cookie = await begun(app, who)
    assert await is_in(app, cookie)
    await owner(f"UPDATE user_sessions SET {change} WHERE id = $1", session.id)
    assert not await is_in(app, cookie)
    assert await app.accounts.sessions.list_sessions(who.id) == []
    await app.accounts.prune()
    assert await owner("SELECT 1 FROM user_sessions WHERE id = $1", session.id) == []


async def test_use_keeps_it_but_not_beyond_its_longest(app, owner):
    session, cookie = await begun(app, await person(app))
    assert session.expires_at - session.created_at == timedelta(hours=168)
    await owner("UPDATE user_sessions SET seen_at = seen_at - interval '11 hours' WHERE id = $1", session.id)
    await asyncio.gather(*[app.accounts.sessions.authenticate(cookie) for _ in range(6)])
    (row,) = await owner("SELECT seen_at, expires_at FROM user_sessions WHERE id = $1", session.id)
    assert row["expires_at"] == session.expires_at
    first = row["seen_at"]
    assert first >= session.created_at
    await app.accounts.sessions.authenticate(cookie)
    assert (await owner("SELECT seen_at FROM user_sessions WHERE id = $1", session.id))[0][0] == first  # once a minute


async def test_half_a_session_lasts_ten_minutes_and_is_not_listed(app):
    who = await person(app)
    session, cookie = await begun(app, who, "second_factor")
    assert session.expires_at - session.created_at == timedelta(minutes=10)
    assert (await app.accounts.sessions.authenticate(cookie)).session.stage == "second_factor"
    assert await app.accounts.sessions.list_sessions(who.id) == []


async def test_they_are_listed_and_ended_one_or_all_others(app):
    who, other = await person(app), await person(app)
    made = [await begun(app, who, where=Origin(f"192.0.2.{n}", "Browser\n" + "x" * 500)) for n in range(4)]
    theirs, their_cookie = await begun(app, other)
    listed = await app.accounts.sessions.list_sessions(who.id)
    assert [one.id for one in listed] == [session.id for session, _ in reversed(made)]
    assert (listed[0].ip, len(listed[0].user_agent), "\n" in listed[0].user_agent) == ("192.0.2.3", 200, False)
    await app.accounts.sessions.end(made[0][0], made[1][0].id, actor=IN_PROCESS)
    await app.accounts.sessions.end(made[0][0], theirs.id, actor=IN_PROCESS)  # not one's own: nothing
    assert [await is_in(app, cookie) for _, cookie in made] == [True, False, True, True]
    assert await is_in(app, their_cookie)
    assert await app.accounts.sessions.end_others(made[0][0], actor=IN_PROCESS) == 2
    assert [await is_in(app, cookie) for _, cookie in made] == [True, False, False, False]
    assert await is_in(app, their_cookie)


async def test_a_renewed_session_has_another_cookie_and_the_old_is_nobody_s(app):
    session, cookie = await begun(app, await person(app), "second_factor")
    async with app.database.system() as tx:
        renewed = await app.accounts.sessions.renew(tx, session)
    new = renewed.cookie.open()
    CANARY.made(new)
    assert not await is_in(app, cookie)
    assert (await app.accounts.sessions.authenticate(new)).session.stage == "full"
    await app.accounts.sessions.end(session, session.id, actor=IN_PROCESS)
    with pytest.raises(UnauthorizedError):
        async with app.database.system() as tx:
            await app.accounts.sessions.renew(tx, session)


async def test_a_user_has_fifty_at_most(app):
    who = await person(app)
    first = (await begun(app, who))[1]
    for _ in range(50):
        last = (await begun(app, who))[1]
    assert (await is_in(app, first), await is_in(app, last)) == (False, True)
    assert len(await app.accounts.sessions.list_sessions(who.id)) == 50


@pytest.mark.parametrize("deed", ["role", "disable", "delete", "reset", "totp"])
async def test_what_changes_a_person_s_rights_ends_the_sessions(app, deed):
    who = await person(app)
    _, cookie = await begun(app, who)
    await app.admins.update_admin(who.id, {"name": "Ann"})
    assert await is_in(app, cookie)  # a name is no right
    deeds = {
        "role": lambda: app.admins.update_admin(who.id, {"role": "viewer"}),
        "disable": lambda: app.admins.update_admin(who.id, {"disabled": True}),
        "delete": lambda: app.admins.delete_admin(who.id),
        "reset": lambda: app.admins.reset_password(who.email),
        "totp": lambda: app.admins.reset_totp(who.email),
    }
    await deeds[deed]()
    assert not await is_in(app, cookie)


async def test_an_admin_is_changed_with_an_event_that_says_what(app, owner):
    who = await person(app)
    assert (await app.admins.update_admin(who.id, {"role": "viewer", "name": " Ann ", "disabled": True})).name == "Ann"
    await app.admins.update_admin(who.id, {"disabled": True})  # nothing new, no event
    events = await owner(
        "SELECT detail FROM audit_events WHERE target_id = $1 AND action = 'admin.updated'", str(who.id)
    )
    assert len(events) == 1
    for part in ('"before": "admin"', '"after": "viewer"', '"field": "disabled"'):
        assert part in events[0][0]
    for wrong in ({"role": "god"}, {"name": "a\nb"}, {"name": "x" * 201}, {"email": "x@example.com"}):
        with pytest.raises(InvalidError):
            await app.admins.update_admin(who.id, wrong)
    await app.admins.delete_admin(who.id)
    await app.admins.delete_admin(who.id)
    with pytest.raises(NotFoundError):
        await app.admins.update_admin(who.id, {"name": "x"})


@pytest.fixture
async def owners(app, owner):
    """Two owners, and no others for a while."""
    before = [
        row[0] for row in await owner("SELECT id FROM platform_users WHERE role = 'owner' AND disabled_at IS NULL")
    ]
    made = [await person(app, "owner") for _ in range(2)]
    await owner("UPDATE platform_users SET disabled_at = now() WHERE id = ANY($1)", before)
    yield made
    await owner("UPDATE platform_users SET disabled_at = NULL WHERE id = ANY($1)", before)
    await owner("DELETE FROM platform_users WHERE id = ANY($1)", [one.id for one in made])


@pytest.mark.parametrize("turn", range(4))
async def test_of_two_last_owners_one_stays_whatever_is_done_at_once(app, owner, owners, turn):
    one, two = owners
    deeds = [
        app.admins.update_admin(one.id, {"role": "admin"}) if turn % 2 else app.admins.delete_admin(one.id),
        app.admins.update_admin(two.id, {"disabled": True})
        if turn > 1
        else app.admins.update_admin(two.id, {"role": "viewer"}),
    ]
    results = await asyncio.gather(*deeds, return_exceptions=True)
    refused = [result for result in results if isinstance(result, ConflictError)]
    assert [error.code for error in refused] == ["last_owner"]
    assert [result for result in results if isinstance(result, Exception)] == refused
    (row,) = await owner("SELECT count(*) FROM platform_users WHERE role = 'owner' AND disabled_at IS NULL")
    assert row[0] == 1
