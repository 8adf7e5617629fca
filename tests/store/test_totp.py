"""Second factors: the codes of RFC 6238, each good once; sealed like every other secret, through rotations and rekeyings."""

import asyncio
import base64

import asyncpg
import pytest

from canary import CANARY
from entrance import code_of, make_quick, origin, person
from hookvault.accounts.factor import totp
from hookvault.accounts.factor.service import Factors
from hookvault.db.migrate import migrate
from hookvault.errors import ConflictError, HookvaultError, InvalidError
from hookvault.settings import Settings
from hookvault.vault.secret import Secret
from hookvault.wiring import build

RFC = base64.b32encode(b"12345678901234567890").decode()
A, B = "4b1d" + "9e37a5c2" * 7 + "f06e", "c0de" * 15 + "1234"


@pytest.fixture(autouse=True)
def quick(app):
    make_quick(app)


# RFC 6238 appendix B, the last six of its eight digits.
@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_are_those_of_the_rfc(moment, code):
    assert totp.code_at(RFC, moment // 30) == code
    assert totp.matching_step(RFC, code, moment, after=0) == moment // 30


# RFC 4226 appendix D.
def test_the_counters_are_those_of_the_rfc():
    codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [totp.code_at(RFC, step) for step in range(10)] == codes


def test_a_code_is_taken_one_step_early_or_late_and_never_again():
    moment, step = 1111111111, 1111111111 // 30
    for ahead in (-1, 0, 1):
        assert totp.matching_step(RFC, totp.code_at(RFC, step + ahead), moment, after=0) == step + ahead
    for ahead in (-3, -2, 2, 3):
        assert totp.matching_step(RFC, totp.code_at(RFC, step + ahead), moment, after=0) is None
    assert totp.matching_step(RFC, totp.code_at(RFC, step), moment, after=step) is None
    assert totp.matching_step(RFC, totp.code_at(RFC, step - 1), moment, after=step) is None
    assert totp.matching_step(RFC, totp.code_at(RFC, step + 1), moment, after=step) == step + 1
    for wrong in ("", "0", "\ud800", "\u0661" * 6, "0" * 60):
        assert totp.matching_step(RFC, wrong, moment, after=0) is None


def test_the_uri_is_what_authenticators_read():
    uri = totp.otpauth_uri("ABC", "ann+x@example.com", "Hook vault")
    query = "secret=ABC&issuer=Hook%20vault&algorithm=SHA1&digits=6&period=30"
    assert uri == f"otpauth://totp/Hook%20vault:ann%2Bx%40example.com?{query}"
    assert len(base64.b32decode(totp.new_secret())) == 20


async def enrolled(app, who):
    """Puts a second factor in force with the code of the step before; the secret and the recovery codes."""
    factors = Factors(app.vault)
    async with app.database.system() as tx:
        user = await app.admins.find_admin(who.email)
        made = await factors.enrol(tx, user)
        secret = made.secret.open()
        CANARY.made(secret)
        codes = [code.open() for code in await factors.confirm(tx, who.id, code_of(secret, -1))]
    for code in codes:
        CANARY.made(code)
    return secret, codes


async def is_right(app, who, code):
    async with app.database.system() as tx:
        return await Factors(app.vault).is_right(tx, who.id, code)


async def test_a_factor_is_in_force_once_confirmed(app):
    who, factors = await person(app), Factors(app.vault)
    async with app.database.system() as tx:
        user = await app.admins.find_admin(who.email)
        with pytest.raises(ConflictError) as caught:
            await factors.confirm(tx, who.id, "000000")
        assert caught.value.code == "totp_missing"
        first = await factors.enrol(tx, user)
        second = await factors.enrol(tx, user)
        assert not first.secret.same_as(second.secret)
        with pytest.raises(InvalidError) as wrong:
            await factors.confirm(tx, who.id, code_of(first.secret.open()))
        assert wrong.value.code == "wrong_code"
        assert not await factors.is_right(tx, who.id, code_of(second.secret.open()))  # not in force yet
        codes = await factors.confirm(tx, who.id, code_of(second.secret.open()))
        assert len({code.open() for code in codes}) == 10
        for again in (factors.enrol(tx, user), factors.confirm(tx, who.id, code_of(second.secret.open()))):
            with pytest.raises(ConflictError) as there:
                await again
            assert there.value.code == "totp_exists"
    assert (await app.admins.find_admin(who.email)).has_totp


async def test_a_code_opens_once(app):
    who = await person(app)
    secret, _ = await enrolled(app, who)
    assert not await is_right(app, who, code_of(secret, -1))  # it confirmed
    assert await is_right(app, who, f" {code_of(secret)[:3]} {code_of(secret)[3:]}")
    assert not await is_right(app, who, code_of(secret))
    assert await is_right(app, who, code_of(secret, 1))


async def test_of_many_with_one_code_one_is_let_in(app):
    who = await person(app)
    secret, codes = await enrolled(app, who)
    for code in (code_of(secret), codes[0]):
        found = await asyncio.gather(*[is_right(app, who, code) for _ in range(8)])
        assert sorted(found) == [False] * 7 + [True]


async def test_each_recovery_code_is_good_once_and_for_its_owner(app):
    who, other = await person(app), await person(app)
    _, codes = await enrolled(app, who)
    await enrolled(app, other)
    assert not await is_right(app, other, codes[0])
    assert await is_right(app, who, codes[0].upper().replace("-", ""))
    assert not await is_right(app, who, codes[0])
    assert await is_right(app, who, codes[1])
    assert not await is_right(app, who, "")


async def test_nothing_is_stored_in_the_clear(app, owner):
    who = await person(app)
    secret, codes = await enrolled(app, who)
    rows = await owner("SELECT t::text FROM user_totp t WHERE user_id = $1", who.id)
    rows += await owner("SELECT t::text FROM user_recovery_codes t WHERE user_id = $1", who.id)
    assert len(rows) == 11
    for hidden in (secret, base64.b32decode(secret).hex(), *codes):
        assert not any(hidden in row[0] for row in rows)


async def test_a_sealed_secret_opens_in_its_own_place_only(app, owner):
    who, other = await person(app), await person(app)
    secret, _ = await enrolled(app, who)
    await enrolled(app, other)
    await owner(
        "UPDATE user_totp SET secret = (SELECT secret FROM user_totp WHERE user_id = $1) WHERE user_id = $2",
        who.id,
        other.id,
    )
    with pytest.raises(HookvaultError) as caught:
        await is_right(app, other, code_of(secret))
    assert (caught.value.status, caught.value.code) == (409, "cipher_error")
    await app.admins.reset_totp(other.email)


async def test_through_a_rotation_a_rekeying_and_a_scan(make_database, tmp_path):
    url = await make_database()
    await migrate(url)
    CANARY.watch(url)
    first = await build(
        Settings(database_url=url, encryption_key=A, encryption_key_next=B, hookvault_data_dir=tmp_path)
    )
    make_quick(first)
    who = await person(first)
    secret, codes = await enrolled(first, who)
    await first.keys.rotate()
    await first.close()
    app = await build(Settings(database_url=url, encryption_key=B, hookvault_data_dir=tmp_path))
    try:
        assert (await app.scans.scan()).secrets == 1
        assert (await app.scans.scan()).unreadable == 0
        assert await is_right(app, who, code_of(secret))
        connection = await asyncpg.connect(url)
        before = await connection.fetchrow("SELECT secret, key_version FROM user_totp")
        app.rekeys._last_readers_s = 0.0
        await app.rekeys.start()
        for _ in range(200):
            if await app.rekeys.step() == "finished":
                break
        after = await connection.fetchrow("SELECT secret, key_version FROM user_totp")
        states = await connection.fetch("SELECT tenant_id, state FROM data_keys ORDER BY version")
        assert [tuple(row) for row in states] == [("*", "destroyed"), ("*", "active")]
        assert (before["key_version"], after["key_version"]) == (1, 2)
        assert before["secret"] != after["secret"]
        assert await is_right(app, who, code_of(secret, 1))
        assert (await app.keys.status()).rekey.unreadable == 0
        await connection.execute("UPDATE user_totp SET secret = reverse(secret)")
        await connection.close()
        assert (await app.scans.scan()).unreadable == 1
        (fault,) = await app.scans.faults()
        assert (fault.tenant_id, fault.table_name, fault.row_id) == ("*", "user_totp", str(who.id))
        assert await is_right(app, who, codes[0])  # and a recovery code still lets its owner in
        await app.tenants.create_tenant("Shredded", tenant_id="shredded")
        await app.keys.shred("shredded")  # which looks at every table with secrets
    finally:
        await app.close()


async def test_two_who_enrol_first_share_one_data_key(make_database, tmp_path):
    url = await make_database()
    await migrate(url)
    app = await build(Settings(database_url=url, encryption_key=A, hookvault_data_dir=tmp_path))
    try:
        make_quick(app)
        people = [await person(app) for _ in range(4)]
        await asyncio.gather(*[enrolled(app, who) for who in people])
        async with app.database.system() as tx:
            assert await tx.fetchval("SELECT count(*) FROM data_keys") == 1
    finally:
        await app.close()


async def test_removing_it_needs_the_password(app):
    who = await person(app)
    await enrolled(app, who)
    here = origin()
    with pytest.raises(InvalidError):
        await app.accounts.logins.remove_factor(await session_of(app, who), Secret("not the password"), here)
    renewed = await app.accounts.logins.remove_factor(await session_of(app, who), Secret(who.password), here)
    assert not renewed.session.user.has_totp
    assert not (await app.admins.find_admin(who.email)).has_totp


async def session_of(app, who):
    async with app.database.system() as tx:
        made = await app.accounts.sessions.begin(tx, await app.admins.find_admin(who.email), "full", origin())
    return made.session
