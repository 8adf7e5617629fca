"""Second factors: made, confirmed by a code, checked, removed. The secrets are sealed by the platform's own data key."""

import re
import secrets
import time
from collections.abc import Callable
from uuid import UUID

from hookvault.accounts.factor import store, totp
from hookvault.accounts.model import Enrolment, PlatformUser
from hookvault.accounts.token import token_hash
from hookvault.db.pool import SystemTx
from hookvault.errors import ConflictError, InvalidError
from hookvault.vault.registry import PLATFORM, USER_TOTP
from hookvault.vault.secret import Secret
from hookvault.vault.service import Vault

ISSUER = "Hookvault"
_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is easily mistaken for another
_GROUPS, _GROUP = 4, 4  # 31^16 > 2^79: nothing that could be guessed from a hash
_SIX_DIGITS = re.compile(r"[0-9]{6}\Z")


class Factors:
    """The second factors of platform admins. Every method works in its caller's transaction.

    Args:
        vault: Seals the secrets.
        clock: Tells the seconds since 1970.
    """

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.time) -> None:
        self._vault = vault
        self._clock = clock

    async def enrol(self, tx: SystemTx, user: PlatformUser) -> Enrolment:
        """Makes a secret that waits for its first code; one that waited before is forgotten.

        Raises:
            ConflictError: code `totp_exists`, when a second factor is in force already.
        """
        cipher = await self._vault.of_platform(tx)
        secret = totp.new_secret()
        sealed = cipher.seal(USER_TOTP.place(str(user.id), "secret"), Secret(secret))
        if not await store.put(tx, user.id, sealed, cipher.version):
            raise ConflictError("A second factor is in force already. Remove it first.", code="totp_exists")
        return Enrolment(Secret(secret), Secret(totp.otpauth_uri(secret, user.email, ISSUER)))

    async def confirm(self, tx: SystemTx, user_id: UUID, code: str) -> list[Secret]:
        """Puts a second factor in force; its recovery codes, which are shown only now.

        Raises:
            ConflictError: `totp_missing` or `totp_exists`.
            InvalidError: code `wrong_code`.
        """
        found = await store.find(tx, user_id)
        if found is None:
            raise ConflictError("There is no second factor to confirm. Begin by making one.", code="totp_missing")
        if found.confirmed_at is not None:
            raise ConflictError("The second factor is in force already.", code="totp_exists")
        step = await self._step(tx, user_id, found, code)
        if step is None:
            raise wrong_code()
        codes = [_new_code() for _ in range(_CODES)]
        await store.confirm(tx, user_id, step, [_hash(user_id, code) for code in codes])
        return [Secret(code) for code in codes]

    async def is_right(self, tx: SystemTx, user_id: UUID, code: str) -> bool:
        """Whether a code is right, of the authenticator or for recovery. It is used up by that.

        Raises:
            VaultError: the secret does not open, and this is no recovery code.
        """
        written = code.strip().lower().replace(" ", "")
        found = await store.find(tx, user_id)
        if found is None or found.confirmed_at is None:
            return False
        if not _SIX_DIGITS.match(written):
            return await store.use_code(tx, user_id, _hash(user_id, written))
        step = await self._step(tx, user_id, found, written)
        return step is not None and await store.use_step(tx, user_id, step)

    async def remove(self, tx: SystemTx, user_id: UUID) -> bool:
        """Removes a second factor with its recovery codes; whether there was one."""
        return await store.delete(tx, user_id)

    async def _step(self, tx: SystemTx, user_id: UUID, found: store.SealedFactor, code: str) -> int | None:
        cipher = await self._vault.at(tx, PLATFORM, found.key_version)
        secret = cipher.open(USER_TOTP.place(str(user_id), "secret"), found.secret)
        return totp.matching_step(secret.open(), code, self._clock(), after=found.last_step)


def wrong_code() -> InvalidError:
    """What is said of a code that is wrong, too old, or was used before."""
    message = "The code is wrong, or was used before. Wait for the next one."
    return InvalidError(message, code="wrong_code", errors=[{"field": "code", "message": message}])


def _new_code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def _hash(user_id: UUID, code: str) -> bytes:
    return token_hash(f"{user_id} {code.replace('-', '')}")
