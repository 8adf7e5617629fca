"""API keys and platform admins: shown once, kept as hashes, refused when revoked."""

import asyncio
import secrets
from uuid import uuid4

import pytest
from argon2 import PasswordHasher

from canary import planted
from hookvault.accounts.admins import AdminService
from hookvault.accounts.keys import APIKeyService
from hookvault.db.migrate import migrate
from hookvault.db.pool import Database
from hookvault.errors import ConflictError, InvalidError, NotFoundError, UnauthorizedError
from hookvault.vault import Secret


async def test_a_platform_key_and_a_tenant_s(app, tenant):
    platform = await app.api_keys.create_api_key("  backend ")
    assert platform.key.scopes == ("platform",)
    assert platform.key.name == "backend"
    principal = await app.api_keys.authenticate(platform.token.open())
    assert principal.is_platform
    assert principal.may("call", "any")
    own = await app.api_keys.create_api_key("shop", tenant_id=tenant.id)
    assert own.key.scopes == ("call", "send", "read")
    principal = await app.api_keys.authenticate(own.token.open())
    assert (principal.tenant_id, principal.is_platform) == (tenant.id, False)
    assert principal.may("read", tenant.id)
    assert not principal.may("read", "other")
    narrow = await app.api_keys.create_api_key("reader", tenant_id=tenant.id, scopes=["read"])
    principal = await app.api_keys.authenticate(narrow.token.open())
    assert principal.may("read", tenant.id)
    assert not principal.may("call", tenant.id)


async def test_only_a_hash_is_kept(app, owner):
    made = await app.api_keys.create_api_key("backend")
    token = made.token.open()
    assert token.startswith("hv_")
    assert len(token) == 46
    assert made.key.hint == token[-4:]
    row = (await owner("SELECT * FROM api_keys WHERE id = $1", made.key.id))[0]
    assert token[3:] not in str(dict(row))
    assert token not in repr(made)
    assert row["key_hash"] != token.encode()
    assert len(row["key_hash"]) == 32


async def test_tokens_differ(app):
    made = {(await app.api_keys.create_api_key("k")).token.open() for _ in range(20)}
    assert len(made) == 20


@pytest.mark.parametrize(
    "token", ["", "hv_", "hv_" + "a" * 43, "Bearer x", "\x00", "\ud800", "x" * 10_000], ids=lambda t: repr(t[:9])
)
async def test_an_unknown_key_is_refused(app, token):
    with pytest.raises(UnauthorizedError) as caught:
        await app.api_keys.authenticate(token)
    assert caught.value.code == "unauthorized"
    assert len(token) < 9 or token not in caught.value.message


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_within_a_second(app, database_url):
    elsewhere = await Database.connect(database_url, tenant_connections=1, system_connections=1)
    try:
        other = APIKeyService(elsewhere)
        made = await app.api_keys.create_api_key("short-lived")
        token = made.token.open()
        await other.authenticate(token)
        await app.api_keys.authenticate(token)
        await app.api_keys.revoke_api_key(made.key.id)
        with pytest.raises(UnauthorizedError):
            await app.api_keys.authenticate(token)
        await asyncio.sleep(1.1)
        with pytest.raises(UnauthorizedError):
            await other.authenticate(token)
        await app.api_keys.revoke_api_key(made.key.id)
        await app.api_keys.revoke_api_key(uuid4())
    finally:
        await elsewhere.close()


async def test_a_deleted_tenant_s_keys_are_refused(app, tenant):
    made = await app.api_keys.create_api_key("shop", tenant_id=tenant.id)
    await app.tenants.delete_tenant(tenant.id)
    app.api_keys.forget()
    with pytest.raises(UnauthorizedError):
        await app.api_keys.authenticate(made.token.open())


@pytest.mark.parametrize(
    ("tenant_wide", "scopes"),
    [
        (False, ["call"]),
        (False, ["platform", "call"]),
        (True, ["platform"]),
        (True, []),
        (True, ["admin"]),
        (False, []),
    ],
)
async def test_scopes_that_do_not_fit_are_refused(app, tenant, tenant_wide, scopes):
    with pytest.raises(InvalidError):
        await app.api_keys.create_api_key("k", tenant_id=tenant.id if tenant_wide else None, scopes=scopes)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\x00", "\ud800", "a\nb"], ids=repr)
async def test_a_name_that_cannot_be_shown_is_refused(app, name):
    with pytest.raises(InvalidError):
        await app.api_keys.create_api_key(name)


async def test_a_key_for_nobody_is_refused(app):
    with pytest.raises(NotFoundError) as caught:
        await app.api_keys.create_api_key("k", tenant_id="nobody")
    assert caught.value.code == "tenant_not_found"


async def test_keys_are_listed_newest_first_page_by_page(app, tenant):
    made = [(await app.api_keys.create_api_key(f"k{n}", tenant_id=tenant.id)).key for n in range(5)]
    await app.api_keys.revoke_api_key(made[2].id)
    found, cursor = [], None
    while True:
        page = await app.api_keys.list_api_keys(tenant_id=tenant.id, limit=2, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert {key.id for key in found} == {key.id for key in made}
    assert [key.id for key in found] == sorted((key.id for key in made), reverse=True)
    assert [key.id for key in found if key.revoked_at] == [made[2].id]
    everybody = (await app.api_keys.list_api_keys(limit=200)).items
    assert {key.id for key in made} <= {key.id for key in everybody}


async def test_the_last_use_is_kept(app):
    made = await app.api_keys.create_api_key("used")
    await app.api_keys.authenticate(made.token.open())
    await app.api_keys.save_uses()
    listed = {key.id: key for key in (await app.api_keys.list_api_keys(limit=200)).items}
    assert listed[made.key.id].last_used_at is not None
    await app.api_keys.save_uses()  # nothing new to write


@pytest.fixture
async def admins(make_database):
    """Admins of a database that has none yet."""
    url = await make_database()
    await migrate(url)
    database = await Database.connect(url, tenant_connections=1, system_connections=4)
    yield AdminService(database)
    await database.close()


async def hash_of(admins, user):
    async with admins._database.system() as tx:
        return await tx.fetchval("SELECT password_hash FROM platform_users WHERE id = $1", user.id)


async def test_there_is_one_first_admin_however_many_processes_start(admins):
    made = await asyncio.gather(*[admins.ensure_first_admin(f"a{n}@example.com", None) for n in range(4)])
    assert sum(new is not None for new in made) == 1
    new = next(new for new in made if new)
    assert (new.user.role, new.user.must_change_password) == ("owner", True)
    assert PasswordHasher().verify(await hash_of(admins, new.user), new.password.open())
    assert await admins.ensure_first_admin("b@example.com", None) is None


async def test_the_first_admin_s_password_may_be_given(admins):
    password = planted("first-admin")
    new = await admins.ensure_first_admin("a@example.com", Secret(password))
    assert not new.user.must_change_password
    hashed = await hash_of(admins, new.user)
    assert hashed.startswith("$argon2id$")
    assert PasswordHasher().verify(hashed, password)


async def test_further_admins_and_new_passwords(admins):
    made = await admins.create_admin("Eve@Example.com")
    assert made.user.role == "admin"
    with pytest.raises(ConflictError) as caught:
        await admins.create_admin("eve@example.COM")
    assert caught.value.code == "admin_exists"
    reset = await admins.reset_password("EVE@example.com")
    assert reset.user.id == made.user.id
    assert not reset.password.same_as(made.password)
    assert PasswordHasher().verify(await hash_of(admins, made.user), reset.password.open())
    with pytest.raises(NotFoundError) as caught:
        await admins.reset_password("nobody@example.com")
    assert caught.value.code == "admin_not_found"


@pytest.mark.parametrize(
    "email", ["", "a", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n", "a\x00@b", "a" * 65 + "@b"], ids=repr
)
async def test_what_is_no_address_is_refused(admins, email):
    with pytest.raises(InvalidError):
        await admins.create_admin(email)


async def test_one_time_passwords_are_long_and_random(admins):
    made = {(await admins.create_admin(f"{secrets.token_hex(4)}@example.com")).password.open() for _ in range(4)}
    assert len(made) == 4
    assert all(len(password) == 23 for password in made)
