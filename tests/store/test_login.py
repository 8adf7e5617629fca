"""Signing in: one answer for whoever may not, pauses that grow, and none that keeps an owner out."""

import asyncio

import pytest
from argon2 import PasswordHasher

from canary import CANARY, planted
from entrance import code_of, make_quick, origin, person, somewhere
from hookvault.accounts.model import Origin
from hookvault.accounts.passwords import Passwords, check_password
from hookvault.errors import InvalidError, TooManyRequestsError, UnauthorizedError, UnavailableError
from hookvault.vault.secret import Secret

WRONG = Secret("this is not the password")


@pytest.fixture(autouse=True)
def quick(app):
    make_quick(app)


async def log_in(app, who, ip=None, **options):
    made = await app.accounts.logins.log_in(who.email, Secret(who.password), origin(ip), **options)
    CANARY.made(made.cookie.open())
    return made


async def fails(app, email, ip=None, password=WRONG):
    with pytest.raises(UnauthorizedError) as caught:
        await app.accounts.logins.log_in(email, password, origin(ip))
    return (caught.value.code, caught.value.message)


async def test_whoever_may_not_gets_one_answer(app):
    who, disabled = await person(app), await person(app)
    await app.admins.update_admin(disabled.id, {"disabled": True})
    answers = {
        await fails(app, who.email),
        await fails(app, "nobody-at-all@example.com"),
        await fails(app, disabled.email, password=Secret(disabled.password)),
        await fails(app, who.email, password=Secret("x" * 100_000)),
        await fails(app, who.email, password=Secret("\ud800")),
        await fails(app, "'; --"),
    }
    assert answers == {("login_failed", "The e-mail address or the password is wrong.")}


async def test_every_attempt_costs_one_comparison(app, monkeypatch):
    """The same work for a user, nobody, and somebody disabled; not measured, but counted."""
    who, disabled = await person(app), await person(app)
    await app.admins.update_admin(disabled.id, {"disabled": True})
    compared = []
    passwords = app.accounts.admins._passwords

    def counted(password, stored):
        compared.append(stored.rpartition("$")[0].rpartition("$")[0])  # the parameters
        return Passwords._is(passwords, password, stored)

    monkeypatch.setattr(passwords, "_is", counted)
    for email in (who.email, "nobody@example.com", disabled.email):
        await fails(app, email)
    assert len(compared) == 3
    assert len(set(compared)) == 1


async def test_a_sign_in_leaves_its_traces(app, owner):
    who, here = await person(app), somewhere()
    made = await app.accounts.logins.log_in(who.email.upper(), Secret(who.password), Origin(here, "B", "req-1"))
    CANARY.made(made.cookie.open())
    assert (await app.admins.find_admin(who.email)).last_login_at is not None
    (event,) = await owner("SELECT * FROM audit_events WHERE action = 'session.created' AND actor_id = $1", str(who.id))
    assert (event["actor_type"], event["ip"], event["request_id"]) == ("user", here, "req-1")
    await fails(app, who.email, here)
    stranger = planted("typed-a-password-as-address")
    await fails(app, stranger, here)
    await app.audit.tally.save(all_of_it=True)
    events = await owner(
        "SELECT target_id, detail FROM audit_events WHERE ip = $1 AND outcome = 'denied' ORDER BY id", here
    )
    assert events[0]["target_id"] == str(who.id)
    assert events[1]["target_id"].startswith("unknown-")
    assert stranger not in str(events)


async def test_a_hash_with_older_parameters_is_made_anew(app, owner):
    who = await person(app)
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(who.password)
    await owner("UPDATE platform_users SET password_hash = $2 WHERE id = $1", who.id, old)
    await log_in(app, who)
    (row,) = await owner("SELECT password_hash FROM platform_users WHERE id = $1", who.id)
    assert "m=8,t=1,p=1" in row[0]
    await log_in(app, who)
    assert (await owner("SELECT password_hash FROM platform_users WHERE id = $1", who.id))[0] == row


async def test_the_session_that_was_there_before_ends(app):
    who = await person(app)
    first = (await log_in(app, who)).cookie.open()
    second = await log_in(app, who, cookie=first)
    with pytest.raises(UnauthorizedError):
        await app.accounts.sessions.authenticate(first)
    await app.accounts.sessions.authenticate(second.cookie.open())
    await log_in(app, who, cookie="garbage.\ud800")


async def test_after_five_failures_there_are_pauses_that_grow(app, owner):
    who, here = await person(app), somewhere()
    for _ in range(5):
        await fails(app, who.email, here)
    pauses = []
    for _ in range(7):
        with pytest.raises(TooManyRequestsError) as caught:
            await log_in(app, who, here)  # even with the right password
        pauses.append(round(caught.value.retry_after_s))
        await owner(
            "UPDATE login_attempts SET open_at = now() - interval '1 s' WHERE kind = 'password both' AND count >= 5"
        )
        await fails(app, who.email, here)
    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    await owner("UPDATE login_attempts SET open_at = now() - interval '1 s' WHERE kind = 'password both'")
    await log_in(app, who, here)
    await fails(app, who.email, here)  # being right forgets the failures
    await fails(app, who.email, here)


async def test_failures_are_forgotten(app, owner):
    who, here = await person(app), somewhere()
    for _ in range(5):
        await fails(app, who.email, here)
    await owner("UPDATE login_attempts SET open_at = now() - interval '1 h', forget_at = now() - interval '1 s'")
    for _ in range(5):
        await fails(app, who.email, here)
    await app.accounts.sessions.prune()


async def test_many_at_once_are_not_let_through_together(app):
    who, here = await person(app), somewhere()

    async def attempt():
        try:
            await fails(app, who.email, here)
        except TooManyRequestsError:
            return False
        return True

    assert sum(await asyncio.gather(*[attempt() for _ in range(20)])) == 5


async def test_one_address_has_thirty_failures_over_all_accounts(app):
    here = somewhere()
    for n in range(30):
        await fails(app, f"nobody-{n}@example.com", here)
    with pytest.raises(TooManyRequestsError):
        await fails(app, "nobody-31@example.com", here)
    await fails(app, "nobody-31@example.com")


async def test_a_flood_on_one_account_never_keeps_its_owner_out(app, owner):
    """From many addresses the account itself gets short pauses, but not for where its owner signed in lately."""
    who, home = await person(app), somewhere()
    await log_in(app, who, home)
    for n in range(50):
        await fails(app, who.email, f"172.16.{n}.1")
    with pytest.raises(TooManyRequestsError) as caught:
        await fails(app, who.email)
    assert caught.value.retry_after_s <= 60
    await log_in(app, who, home)
    await owner("UPDATE login_attempts SET count = 100000, open_at = now() WHERE kind = 'password account'")
    await fails(app, who.email)
    with pytest.raises(TooManyRequestsError) as caught:
        await fails(app, who.email)
    assert caught.value.retry_after_s <= 60
    await log_in(app, who, home)


async def test_addresses_are_not_stored_in_the_clear(app, owner):
    who, here = await person(app), somewhere()
    await fails(app, who.email, here)
    rows = str(await owner("SELECT kind, encode(subject, 'escape') FROM login_attempts"))
    assert who.email not in rows
    assert here not in rows


async def test_wrong_codes_are_slowed_down_and_the_password_alone_forgets_no_failure(app):
    who, here = await person(app), somewhere()
    made = await log_in(app, who, here)
    enrolment = await app.accounts.logins.enrol(made.session, Secret(who.password), origin(here))
    secret = enrolment.secret.open()
    CANARY.made(secret)
    _, codes = await app.accounts.logins.confirm(made.session, code_of(secret, -1), origin(here))
    for code in codes:
        CANARY.made(code.open())
    half = await log_in(app, who, here)
    assert half.session.stage == "second_factor"
    for _ in range(5):
        with pytest.raises(InvalidError) as caught:
            await app.accounts.logins.give_code(half.session, "000000", origin(here))
        assert caught.value.code == "wrong_code"
    with pytest.raises(TooManyRequestsError):
        await app.accounts.logins.give_code(half.session, code_of(secret), origin(here))
    elsewhere = origin()
    whole = await app.accounts.logins.give_code(half.session, code_of(secret), elsewhere)
    CANARY.made(whole.cookie.open())
    assert (whole.session.stage, whole.session.id) == ("full", half.session.id)


async def test_changing_the_password_ends_all_other_sessions(app):
    who = await person(app)
    mine, other = await log_in(app, who), await log_in(app, who)
    new = Secret(planted("new-password"))
    logins = app.accounts.logins
    for old, chosen, code in (
        (WRONG, new, "wrong_password"),
        (Secret(who.password), Secret("short"), "weak_password"),
        (Secret(who.password), Secret(who.password), "same_password"),
    ):
        with pytest.raises(InvalidError) as caught:
            await logins.change_password(mine.session, old, chosen, origin())
        assert caught.value.code == code
    renewed = await logins.change_password(mine.session, Secret(who.password), new, origin())
    CANARY.made(renewed.cookie.open())
    for gone in (mine, other):
        with pytest.raises(UnauthorizedError):
            await app.accounts.sessions.authenticate(gone.cookie.open())
    await app.accounts.sessions.authenticate(renewed.cookie.open())
    await fails(app, who.email, password=Secret(who.password))
    CANARY.made((await logins.log_in(who.email, new, origin())).cookie.open())


@pytest.mark.parametrize(
    "password",
    ["", "short", "x" * 1001, "aaaaaaaaaaaaaaaa", "ababababababab", "ann.lee@example.com", "Ann.Lee.12345", "hookvault1234",
     "HookvaultHookvault!", "password1234", "PASSWORDPASSWORD", "qwertyuiop12"],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_weak_password_is_refused_and_not_quoted(password):
    with pytest.raises(InvalidError) as caught:
        check_password(Secret(password), email="ann.lee@example.com")
    assert caught.value.code == "weak_password"
    assert not password or password not in str(caught.value.members) + caught.value.message


@pytest.mark.parametrize(
    "password", ["correct horse battery", "gr8 Passphrase für uns", "hookvault is where keys live", "x9!aBc" * 150]
)
def test_a_good_password_is_taken(password):
    check_password(Secret(password), email="a@example.com")


async def test_two_spellings_of_one_letter_are_one_password():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    stored = await passwords.hash(Secret("caf\u00e9 caf\u00e9 caf\u00e9"))
    assert await passwords.matches(Secret("cafe\u0301 cafe\u0301 cafe\u0301"), stored)
    assert not await passwords.matches(Secret("cafe cafe cafe"), stored)
    assert not await passwords.matches(Secret("x"), "not a hash")


async def test_two_are_hashed_at_a_time_and_few_wait():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    running, most = 0, 0
    plain = passwords._is

    def watched(password, stored):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return plain(password, stored)
        finally:
            running -= 1

    passwords._is = watched
    results = await asyncio.gather(*[passwords.matches(WRONG, None) for _ in range(60)], return_exceptions=True)
    assert most <= 2
    busy = [result for result in results if isinstance(result, UnavailableError)]
    assert (len(busy), {error.code for error in busy}) == (20, {"busy"})
    assert await passwords.matches(WRONG, None) is False
