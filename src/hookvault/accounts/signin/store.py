"""All SQL on user_sessions and login_attempts."""

from datetime import datetime
from typing import Any
from uuid import UUID

from hookvault.accounts.model import PlatformUser, Session
from hookvault.accounts.store import USER_COLUMNS
from hookvault.clock import now
from hookvault.db.pool import SystemTx

_SESSION_COLUMNS = "s.id, s.stage, s.created_at, s.seen_at, s.expires_at, s.user_agent, s.ip"
_USER = ", ".join(f"{name.strip()} AS u_{name.strip().rpartition('.')[2]}" for name in USER_COLUMNS.split(","))

_INSERT = """
INSERT INTO user_sessions (id, user_id, token_hash, stage, created_at, seen_at, expires_at, user_agent, ip)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8)
"""

_OF_USER = f"""
SELECT {_SESSION_COLUMNS}, {_USER}, t.confirmed_at IS NOT NULL AS u_has_totp
FROM user_sessions s JOIN platform_users u ON u.id = s.user_id LEFT JOIN user_totp t ON t.user_id = u.id
"""  # noqa: S608 - constants only

# Both limits are looked at here: what has run out is nobody's, whether or not it was removed yet.
_IN_FORCE = "s.expires_at > $2 AND s.seen_at > $3 AND u.disabled_at IS NULL"

_FIND = f"{_OF_USER} WHERE s.token_hash = $1 AND {_IN_FORCE}"

_LIST = f"{_OF_USER} WHERE s.user_id = $1 AND {_IN_FORCE} AND s.stage = 'full' ORDER BY s.id DESC"

# Of many requests at once one writes, and none waits for it.
_TOUCH = """
UPDATE user_sessions SET seen_at = $2
WHERE id = (SELECT id FROM user_sessions WHERE id = $1 AND seen_at < $3 FOR UPDATE SKIP LOCKED)
"""

_RENEW = """
UPDATE user_sessions SET token_hash = $2, stage = 'full', created_at = $3, seen_at = $3, expires_at = $4 WHERE id = $1
"""

_END_BY_HASH = "DELETE FROM user_sessions WHERE token_hash = $1"

_END = "DELETE FROM user_sessions WHERE user_id = $1 AND id = $2"

_END_ALL = "DELETE FROM user_sessions WHERE user_id = $1 AND ($2::uuid IS NULL OR id <> $2)"

_END_OLDEST = """
DELETE FROM user_sessions WHERE id IN (SELECT id FROM user_sessions WHERE user_id = $1 ORDER BY id DESC OFFSET $2)
"""

_PRUNE = "DELETE FROM user_sessions WHERE expires_at < $1 OR seen_at < $2"

# Counts an attempt before it is made, so that many at once are not let in together. Where a pause is on, nothing is counted.
_CHARGE = """
INSERT INTO login_attempts AS a (kind, subject, count, open_at, forget_at)
VALUES ($1, $2, 1, $3::timestamptz, $3::timestamptz + make_interval(secs => $4))
ON CONFLICT (kind, subject) DO UPDATE SET
    count = CASE WHEN a.forget_at < $3 THEN 1 ELSE a.count + 1 END,
    open_at = $3::timestamptz + make_interval(secs => CASE WHEN a.forget_at < $3 OR a.count + 1 < $5 THEN 0
        ELSE least($6::float8, $7::float8 * 2 ^ least(a.count + 1 - $5, 20)) END),
    forget_at = $3::timestamptz + make_interval(secs => $4 + CASE WHEN a.forget_at < $3 OR a.count + 1 < $5 THEN 0
        ELSE least($6::float8, $7::float8 * 2 ^ least(a.count + 1 - $5, 20)) END)
WHERE a.open_at <= $3
RETURNING count
"""

_OPEN_AT = "SELECT open_at FROM login_attempts WHERE kind = $1 AND subject = $2"

_UNCHARGE = """
UPDATE login_attempts SET count = greatest(count - 1, 0), open_at = least(open_at, $3)
WHERE kind = $1 AND subject = $2
"""

_CLEAR = "DELETE FROM login_attempts WHERE kind = $1 AND subject = $2"

_KNOW = """
INSERT INTO login_attempts (kind, subject, count, open_at, forget_at) VALUES ($1, $2, 0, $3, $4)
ON CONFLICT (kind, subject) DO UPDATE SET forget_at = excluded.forget_at
"""

_KNOWN = "SELECT EXISTS (SELECT FROM login_attempts WHERE kind = $1 AND subject = $2 AND forget_at > $3)"

_PRUNE_ATTEMPTS = "DELETE FROM login_attempts WHERE forget_at < $1"


async def insert(tx: SystemTx, session: Session, token_hash: bytes) -> None:
    """Stores a new session."""
    values = (session.stage, session.created_at, session.expires_at, session.user_agent, session.ip)
    await tx.execute(_INSERT, session.id, session.user.id, token_hash, *values)


async def find(tx: SystemTx, token_hash: bytes, moment: datetime, idle_since: datetime) -> Session | None:
    """The session of a token; None when there is none in force."""
    row = await tx.fetchrow(_FIND, token_hash, moment, idle_since)
    return None if row is None else _session(row)


async def list_of(tx: SystemTx, user_id: UUID, moment: datetime, idle_since: datetime) -> list[Session]:
    """The sessions of a user that are in force, the newest first."""
    return [_session(row) for row in await tx.fetch(_LIST, user_id, moment, idle_since)]


async def touch(tx: SystemTx, session_id: UUID, moment: datetime, before: datetime) -> None:
    """Notes that a session is used, where that was last noted before a moment."""
    await tx.execute(_TOUCH, session_id, moment, before)


async def renew(tx: SystemTx, session: Session, token_hash: bytes) -> bool:
    """Goes on with a session under another token, as a full one from now on; False when it has ended."""
    return await tx.execute(_RENEW, session.id, token_hash, session.created_at, session.expires_at) > 0


async def end_by_hash(tx: SystemTx, token_hash: bytes) -> None:
    """Ends the session of a token."""
    await tx.execute(_END_BY_HASH, token_hash)


async def end(tx: SystemTx, user_id: UUID, session_id: UUID) -> bool:
    """Ends one session of a user; whether there was one."""
    return await tx.execute(_END, user_id, session_id) > 0


async def end_all(tx: SystemTx, user_id: UUID, *, but: UUID | None = None) -> int:
    """Ends all sessions of a user, but one where it is named; how many."""
    return await tx.execute(_END_ALL, user_id, but)


async def end_oldest(tx: SystemTx, user_id: UUID, kept: int) -> None:
    """Ends a user's sessions but the newest few."""
    await tx.execute(_END_OLDEST, user_id, kept)


async def prune(tx: SystemTx, moment: datetime, idle_since: datetime) -> None:
    """Removes sessions that have run out, and attempts that count no more."""
    await tx.execute(_PRUNE, moment, idle_since)
    await tx.execute(_PRUNE_ATTEMPTS, moment)


async def charge(tx: SystemTx, kind: str, subject: bytes, bounds: tuple[float, int, float, float]) -> datetime | None:
    """Counts an attempt; None when it may be made, else when it may be.

    Args:
        tx: The transaction.
        kind: What is counted.
        subject: Of whom.
        bounds: Seconds until it is forgotten, how many are free, the longest pause and the first, in seconds.
    """
    forget_s, free, longest_s, first_s = bounds
    if await tx.fetchval(_CHARGE, kind, subject, now(), forget_s, free, longest_s, first_s) is not None:
        return None
    found: datetime | None = await tx.fetchval(_OPEN_AT, kind, subject)
    return found


async def uncharge(tx: SystemTx, kind: str, subject: bytes) -> None:
    """Takes back an attempt that was none."""
    await tx.execute(_UNCHARGE, kind, subject, now())


async def clear(tx: SystemTx, kind: str, subject: bytes) -> None:
    """Forgets what was counted."""
    await tx.execute(_CLEAR, kind, subject)


async def know(tx: SystemTx, kind: str, subject: bytes, until: datetime) -> None:
    """Remembers somebody who was right."""
    await tx.execute(_KNOW, kind, subject, now(), until)


async def is_known(tx: SystemTx, kind: str, subject: bytes) -> bool:
    """Whether somebody is remembered."""
    return bool(await tx.fetchval(_KNOWN, kind, subject, now()))


def _session(row: Any) -> Session:
    user = PlatformUser(**{name[2:]: value for name, value in row.items() if name.startswith("u_")})
    return Session(user=user, **{name: value for name, value in row.items() if not name.startswith("u_")})
