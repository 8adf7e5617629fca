"""Which user runs the Postgres server: ourselves, or for root (whom Postgres refuses) an unprivileged one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from hookvault.db.fault import ALTERNATIVE, EmbeddedPostgresError, unusable

if sys.platform != "win32":  # the module is imported there too, when DATABASE_URL is set
    import pwd

CANDIDATES = ("hookvault", "postgres", "nobody", "daemon")
# Nothing of the caller's PG* or locale settings may reach the server; messages stay English, as we read them.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Switch(TypedDict, total=False):
    """The arguments of subprocess.Popen that make a child run as another user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """A user that can run the server. `switch` is whether a child has to change to it."""

    uid: int
    gid: int
    switch: bool

    def options(self) -> Switch:
        """What subprocess needs to run a child as this user, with no group besides its own."""
        return Switch(user=self.uid, group=self.gid, extra_groups=[]) if self.switch else Switch()

    def own(self, path: Path) -> None:
        """Gives a file or directory that we have just made to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(
        self, command: Sequence[str | Path], *, text: str = "", keep: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end as this user, `text` on its stdin, the descriptors `keep` inherited.

        Raises:
            OSError: when it can't be executed at all.
        """
        return subprocess.run(  # noqa: S603 - only programs found by us, never a shell string from outside
            list(command),
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",  # the caller's own directory may be closed to this user
            env=ENVIRONMENT,
            pass_fds=tuple(keep),
            umask=0o077,
            start_new_session=True,
            **self.options(),
        )

    def can_enter(self, directory: Path) -> bool:
        """Whether this user reaches `directory`; tried out, since ACLs and mounts decide too."""
        try:
            return self.run(["/bin/sh", "-c", 'cd "$0"', directory]).returncode == 0
        except OSError:
            return False


def server_account() -> Account:
    """The user for a new cluster.

    Raises:
        EmbeddedPostgresError: `postgres_no_unprivileged_user`.
    """
    uid = os.geteuid()
    if uid != 0:
        return _self(uid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(entry.pw_uid, entry.pw_gid, switch=True)
        if entry.pw_uid != 0 and account.can_enter(Path("/")):
            return account
    raise EmbeddedPostgresError(
        f"Postgres refuses to run as root, and none of the users {', '.join(CANDIDATES)} can do it. "
        f"Create one with: useradd --system hookvault; or run as an ordinary user, {ALTERNATIVE}.",
        code="postgres_no_unprivileged_user",
    )


def owner_account(root: Path) -> Account:
    """The user to whom the cluster at `root` belongs: only that one can run it again.

    Raises:
        EmbeddedPostgresError: `data_dir_unusable` when it belongs to root or to another user than ourselves.
    """
    owner, uid = root.stat(), os.geteuid()
    if owner.st_uid == uid and uid != 0:
        return _self(uid)
    if uid != 0:
        raise unusable(root, f"it belongs to user {_name(owner.st_uid)}. Run as that user or as root, {ALTERNATIVE}.")
    if owner.st_uid == 0:
        name = _name(server_account().uid)
        raise unusable(root, f"it belongs to root, as whom Postgres won't run. Try: chown -R {name}: {root}")
    account = Account(owner.st_uid, owner.st_gid, switch=True)
    if not account.can_enter(root):
        reason = f"the database in it belongs to user {_name(owner.st_uid)}, who can't enter a directory above it."
        raise unusable(root, f"{reason} Give that user access, or move the data directory.")
    return account


def _self(uid: int) -> Account:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedPostgresError(
            f"Postgres refuses to run as user {uid}, which has no entry in /etc/passwd. "
            f"Add one, run as a user that has one, {ALTERNATIVE}.",
            code="postgres_no_unprivileged_user",
        ) from None
    return Account(uid, os.getegid(), switch=False)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
