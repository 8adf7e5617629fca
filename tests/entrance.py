"""What tests of signing in share: people with passwords, quick hashing, and browsers."""

import re
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx
from argon2 import PasswordHasher

from canary import CANARY, _json, planted
from hookvault.accounts.factor import totp
from hookvault.accounts.model import Origin
from hookvault.accounts.passwords import _hash_of_nothing
from hookvault.api.app import create_app
from hookvault.vault.secret import Secret

ORIGIN = "http://127.0.0.1:3000"  # APP_URL where nothing is set
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def make_quick(app):
    """The same hashing, of a kind that takes no time."""
    passwords = app.accounts.admins._passwords
    passwords._hasher, passwords._nobodys = QUICK, _hash_of_nothing(QUICK)


@dataclass
class Person:
    """An admin whose password is known."""

    id: UUID
    email: str
    password: str

    @property
    def login(self):
        return {"email": self.email, "password": self.password}


def somewhere():
    """An address of its own, so that no test slows another down."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def origin(ip=None):
    return Origin(ip or somewhere(), "Test/1.0")


async def person(app, role="admin", email=None):
    """Makes an admin with a password of the admin's own."""
    email = email or f"{role}-{secrets.token_hex(5)}@example.com"
    made = await app.admins.create_admin(email, role=role)
    password = planted(role)
    async with app.database.system() as tx:
        hashed = await app.accounts.admins._passwords.hash(Secret(password))
        await tx.execute(
            "UPDATE platform_users SET password_hash = $2, must_change_password = false WHERE id = $1",
            made.user.id,
            hashed,
        )
    return Person(made.user.id, email, password)


def code_of(secret, ahead=0):
    """The code that an authenticator shows, now or in some steps."""
    return totp.code_at(secret, int(time.time()) // totp.STEP_S + ahead)


def browser(app, ip=None, asgi=None, **headers):
    """A browser on our own pages, from an address of its own. What it is sent and sends is searched for secrets."""
    transport = httpx.ASGITransport(asgi or create_app(app), client=(ip or somewhere(), 5))
    known = {"origin": ORIGIN, "sec-fetch-site": "same-origin", "user-agent": "Browser/1.0", **headers}
    hooks = {"response": [_seen]}
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=known, event_hooks=hooks)


@asynccontextmanager
async def signed_in(app, who, **options):
    """A browser of somebody who is signed in."""
    async with browser(app, **options) as opened:
        answer = await opened.post("/api/session", json=who.login)
        assert answer.status_code == 201, answer.text
        yield opened


async def _seen(response):
    """The one header that may hold a cookie's value is looked at here; everything else is the canary's."""
    cookie = response.headers.get("set-cookie")
    await response.aread()
    shown = [f"{name}: {value}" for name, value in response.headers.items() if name != "set-cookie"]
    text = response.text
    if "otpauth://" in text:  # which holds the secret once more
        text = re.sub(r"\?secret=\w+", "?", text)
    CANARY.see(f"{response.request.method} {response.status_code}", "\n".join([*shown, text]))
    if response.status_code < 300:
        CANARY._learn(_json(response.text))
    if cookie and (value := cookie.split(";")[0].partition("=")[2]):
        CANARY.made(value)
        CANARY.made(value.partition(".")[0])
