"""The `hookvault` command as a person runs it: real processes on a real database."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import asyncpg
import pytest
from argon2 import PasswordHasher
from typer.main import get_command

from hookvault import __version__
from hookvault.cli.main import app
from hookvault.db import embedded
from hookvault.db.migrate import migrate
from hookvault.vault.keys import MasterKey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("hookvault")
KEY = "9f8e7d6c5b4a3021" * 4
API_KEY = re.compile(r"hv_[A-Za-z0-9]{43}")


class Forks:
    """The process in forks.py."""

    def __init__(self):
        program = [sys.executable, Path(__file__).with_name("forks.py")]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def run(self, job):
        print(json.dumps(job), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Place:
    """A working directory and an environment of its own, with nothing of ours in it but what a test gives."""

    def __init__(self, forks, folder, **environment):
        self.forks = forks
        self.folder = folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment}

    def run(self, *words, stdin="", **more):
        """Runs the command to its end, forked off a process that has imported it already."""
        files = {name: self.folder.parent / f"{self.folder.name}.{name}" for name in ("stdin", "stdout", "stderr")}
        for file in files.values():
            file.write_text(stdin if file == files["stdin"] else "")
        job = {"words": [str(COMMAND), *words], "folder": str(self.folder), "environment": {**self.environment, **more}}
        code = self.forks.run({**job, **{name: str(file) for name, file in files.items()}})
        return subprocess.CompletedProcess(words, code, files["stdout"].read_text(), files["stderr"].read_text())

    def out(self, *words, **more):
        result = self.run(*words, **more)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def fails(self, *words, **more):
        """The one line with which a command fails."""
        result = self.run(*words, **more)
        assert (result.returncode, result.stdout) == (1, ""), result.stdout
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.stderr
        return result.stderr

    @contextmanager
    def serving(self, *words, **more):
        """A server that is ready: its process and its address."""
        port = free_port()
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", str(port), *words],
            cwd=self.folder,
            env={**self.environment, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            await_ready(process, f"http://127.0.0.1:{port}")
            yield process, f"http://127.0.0.1:{port}"
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate(timeout=30)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def await_ready(process, url):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/readyz", timeout=5) as answer:
                assert answer.status == 200
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    process.kill()
    pytest.fail(f"the server did not get ready: {process.communicate(timeout=30)}")


def stopped(process, number):
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def forks():
    started = Forks()
    yield started
    started.close()


@pytest.fixture
async def place(forks, tmp_path, make_database):
    """On a database of its own, with a key."""
    url = await make_database()
    await migrate(url)
    return Place(forks, tmp_path, DATABASE_URL=url, ENCRYPTION_KEY=KEY)


@pytest.fixture
def bare(forks, tmp_path):
    """On an embedded Postgres of its own, as on the first day."""
    yield Place(forks, tmp_path)
    embedded.destroy(tmp_path / ".hookvault")


async def counts(url, *tables):
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    finally:
        await connection.close()


def test_the_commands_are_those_of_the_manual():
    command = get_command(app)
    names = {name: sorted(getattr(part, "commands", {})) for name, part in command.commands.items()}
    assert names == {
        "serve": [],
        "worker": [],
        "demo": [],
        "doctor": [],
        "import": [],
        "db": ["clean", "migrate", "stop", "url"],
        "api-key": ["create", "list", "revoke"],
        "admin": ["create", "disable", "enable", "list", "reset-password", "reset-totp", "role"],
        "tenant": ["create", "list", "show"],
        "keys": ["generate", "rekey", "retire", "rotate", "scan", "shred", "status"],
        "credential": ["discard", "revoke", "rollback", "stage", "status", "switch", "test"],
        "analytics": ["export", "prune", "rebuild", "show", "sizes"],
        "audit": ["heads", "verify"],
        "backup": ["create", "restore", "verify"],
    }


def test_generate_prints_a_key_and_nothing_else(forks, tmp_path):
    place = Place(forks, tmp_path, ENCRYPTION_KEY="not-a-key")
    first, second = place.run("keys", "generate"), place.run("keys", "generate")
    assert re.fullmatch(r"[0-9a-f]{64}\n", first.stdout)
    assert first.stdout != second.stdout
    assert first.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [[COMMAND], [sys.executable, "-m", "hookvault"]])
def test_version_by_either_way_of_calling(tmp_path, command):
    result = subprocess.run(
        [*command, "--version"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert (result.stdout, result.stderr) == (f"hookvault {__version__}\n", "")


def test_wrong_usage_is_2(place):
    for words in (
        ["api-key", "create"],
        ["api-key", "create", "--platform", "--tenant", "acme"],
        ["api-key", "revoke", "not-a-uuid"],
        ["serve", "--port", "0"],
        ["nothing"],
    ):
        assert place.run(*words).returncode == 2, words


def test_a_platform_key_from_making_to_revoking(place):
    made = place.run("api-key", "create", "--platform", "--name", "backend")
    key = made.stdout.split()[-1]
    assert made.returncode == 0
    assert API_KEY.fullmatch(key)
    assert made.stdout == f"{key}\n"
    assert key not in made.stderr

    (item,) = json.loads(place.out("api-key", "list", "--json"))
    assert (item["name"], item["hint"], item["scopes"], item["tenantId"]) == ("backend", key[-4:], ["platform"], None)
    assert key not in place.out("api-key", "list")

    assert "is revoked" in place.run("api-key", "revoke", item["id"]).stderr
    assert json.loads(place.out("api-key", "list", "--json"))[0]["revokedAt"]
    assert "(api_key_not_found)" in place.fails("api-key", "revoke", "00000000-0000-7000-8000-000000000000")


def test_tenants_and_their_keys(place):
    place.out("tenant", "create", "Acme Ltd", "--id", "acme", "--slug", "acme-ltd")
    assert "(tenant_exists)" in place.fails("tenant", "create", "Other", "--id", "acme")
    assert "(invalid_input)" in place.fails("tenant", "create", "Other", "--id", "a b")
    shown = json.loads(place.out("tenant", "show", "acme", "--json"))
    assert (shown["id"], shown["slug"], shown["name"], shown["status"]) == ("acme", "acme-ltd", "Acme Ltd", "active")
    assert [item["id"] for item in json.loads(place.out("tenant", "list", "--json"))] == ["acme"]
    assert "Acme Ltd" in place.out("tenant", "list")
    assert "(tenant_not_found)" in place.fails("tenant", "show", "nobody")

    key = place.out("api-key", "create", "--tenant", "acme").split()[-1]
    (item,) = json.loads(place.out("api-key", "list", "--tenant", "acme", "--json"))
    assert (item["hint"], item["scopes"]) == (key[-4:], ["call", "send", "read"])
    assert "(tenant_not_found)" in place.fails("api-key", "create", "--tenant", "nobody")


async def test_an_admin_gets_a_one_time_password(place):
    async def hashed():
        connection = await asyncpg.connect(place.environment["DATABASE_URL"])
        try:
            return await connection.fetchval("SELECT password_hash FROM platform_users")
        finally:
            await connection.close()

    password = place.out("admin", "create", "ann@example.com").split()[-1]
    assert PasswordHasher().verify(await hashed(), password)
    assert "(admin_exists)" in place.fails("admin", "create", "Ann@example.com")
    again = place.out("admin", "reset-password", "ann@example.com").split()[-1]
    assert again != password
    assert PasswordHasher().verify(await hashed(), again)
    assert "(admin_not_found)" in place.fails("admin", "reset-password", "bob@example.com")


@pytest.mark.parametrize(
    "words",
    ["api-key list", "tenant create X", "keys status", "admin create a@b", "db migrate", "db clean --yes", "serve"],
)
def test_a_wrong_key_stops_every_command(place, words):
    place.out("tenant", "create", "Acme", "--id", "acme")
    wrong = secrets.token_hex(32)
    message = place.fails(*words.split(), ENCRYPTION_KEY=wrong, PORT=str(free_port()))
    assert message.startswith("error: Wrong ENCRYPTION_KEY")
    assert message.count("\n") == 1
    assert KEY not in message
    assert wrong not in message
    assert [item["id"] for item in json.loads(place.out("tenant", "list", "--json"))] == ["acme"]


def test_status_shows_the_key_by_fingerprint(place):
    place.out("tenant", "create", "Acme")
    (item,) = json.loads(place.out("keys", "status", "--json"))["keys"]
    assert (item["state"], item["dataKeys"], item["held"]) == ("active", 1, True)
    assert item["fingerprint"] in place.out("keys", "status")


def test_the_life_of_keys_by_commands(place):
    place.out("tenant", "create", "Acme", "--id", "acme")
    old, new = MasterKey(KEY).fingerprint, secrets.token_hex(32)
    assert "(no_next_key)" in place.fails("keys", "rotate")
    rotated = place.run("keys", "rotate", ENCRYPTION_KEY_NEXT=new)
    assert rotated.returncode == 0
    assert f"Rotated from {old} to {MasterKey(new).fingerprint}: 1 data keys" in rotated.stderr
    assert "Wrong ENCRYPTION_KEY" in place.fails("keys", "status")
    moved = {"ENCRYPTION_KEY": new, "ENCRYPTION_KEY_PREVIOUS": KEY}
    assert "active key already" in place.run("keys", "rotate", **moved).stderr
    assert "(key_active)" in place.fails("keys", "retire", MasterKey(new).fingerprint, **moved)
    assert "(key_not_found)" in place.fails("keys", "retire", "mk_0000000000000000", **moved)
    assert place.run("keys", "retire", old, **moved).returncode == 0
    assert "Done: 0 rows" in place.run("keys", "rekey", **moved).stderr
    assert "(no_rekey)" in place.fails("keys", "rekey", "--cancel", **moved)
    assert place.run("keys", "scan", **moved).stderr == "0 secrets, 0 do not open.\n"
    assert place.run("keys", "shred", "acme", "--yes", **moved).returncode == 0
    assert "(tenant_not_found)" in place.fails("keys", "shred", "nobody", "--yes", **moved)
    status = place.run("keys", "status", ENCRYPTION_KEY=new).stdout
    assert "retired" in status
    assert "finished" in status
    for secret in (KEY, new):
        assert secret not in status + rotated.stderr + rotated.stdout


def test_doctor_says_what_to_do(place):
    assert "never scanned" in place.out("doctor")
    place.run("keys", "scan")
    found = {item["name"]: item["state"] for item in json.loads(place.out("doctor", "--json"))}
    assert found == dict.fromkeys(("database", "keys", "processes", "rekeying", "secrets", "deliveries"), "ok")


def test_no_failure_shows_a_secret_of_the_environment(place):
    url = f"postgresql://owner:planted-password@127.0.0.1:{free_port()}/x"
    for debug in ("", "1"):
        result = place.run("tenant", "list", DATABASE_URL=url, HOOKVAULT_DEBUG=debug)
        assert result.returncode == 1
        assert "(database_unavailable)" in result.stderr
        assert ("Traceback" in result.stderr) == bool(debug)
        assert "planted-password" not in result.stderr
        assert KEY not in result.stderr


def test_an_unexpected_failure_is_short(tmp_path):
    with Path("/dev/full").open("w") as full:  # writing there always fails
        result = subprocess.run(
            [COMMAND, "keys", "generate"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: unexpected OSError")
    assert "HOOKVAULT_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_is_130(place):
    process = subprocess.Popen(
        [COMMAND, "db", "clean"],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr.read(4) == b"This"  # it asks now
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


async def test_the_audit_log_is_verified(place):
    place.out("tenant", "create", "Acme", "--id", "acme")
    place.out("api-key", "create", "--tenant", "acme")
    heads = place.folder / "heads.jsonl"
    heads.write_text(place.out("audit", "heads"))
    assert "(tenant_not_found)" in place.fails("audit", "verify", "--tenant", "nobody")
    kept = [json.loads(line) for line in heads.read_text().splitlines()]
    assert [(head["tenant"], head["seq"], len(head["hash"])) for head in kept] == [("acme", 2, 64)]
    assert place.out("audit", "verify", "--heads", str(heads)) == "2 events in 1 chains verified: all sound.\n"
    assert place.run("audit", "verify").stderr == ""

    connection = await asyncpg.connect(place.environment["DATABASE_URL"])
    try:
        await connection.execute("DELETE FROM audit_events WHERE seq = 2")
        assert "all sound" in place.out("audit", "verify")
        result = place.run("audit", "verify", "--tenant", "acme", "--heads", str(heads))
        assert (result.returncode, "1 broken" in result.stdout) == (1, True)
        assert "tenant acme: event 2 is cut off at the end" in result.stderr
        await connection.execute("UPDATE audit_events SET actor_id = 'x'")
        row = await connection.fetchval("SELECT id FROM audit_events")
        result = place.run("audit", "verify")
        assert result.returncode == 1
        assert f"tenant acme: event 1 ({row}) is changed" in result.stderr
    finally:
        await connection.close()

    heads.write_text('{"tenant": "acme"}\n')
    assert "(invalid_heads)" in place.fails("audit", "verify", "--heads", str(heads))
    assert "(invalid_heads)" in place.fails("audit", "verify", "--heads", "nowhere")


async def test_clean_keeps_the_admins_or_nothing(place):
    url = place.environment["DATABASE_URL"]
    place.out("tenant", "create", "Acme", "--id", "acme")
    place.out("api-key", "create", "--tenant", "acme")
    kept = place.out("api-key", "create", "--platform").split()[-1]
    place.out("admin", "create", "ann@example.com")

    for answer in ("n\n", ""):
        assert "Nothing was changed" in place.run("db", "clean", stdin=answer).stderr
    assert await counts(url, "tenants", "api_keys") == [1, 2]

    done = place.run("db", "clean", "--preserve-admin", "--yes")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +1  tenants$", done.stdout, re.MULTILINE)
    assert "platform_users" not in done.stdout
    tables = ("tenants", "data_keys", "platform_users", "key_history", "api_keys", "audit_events")
    assert await counts(url, *tables) == [0, 0, 1, 1, 1, 1]
    (item,) = json.loads(place.out("api-key", "list", "--json"))
    assert item["hint"] == kept[-4:]

    assert place.run("db", "clean", stdin="y\n").returncode == 0
    assert await counts(url, *tables) == [0, 0, 0, 0, 0, 1]
    place.out("tenant", "create", "New", ENCRYPTION_KEY=secrets.token_hex(32))  # nothing needs the old key


async def test_clean_leaves_the_walls_and_other_peoples_tables(place):
    connection = await asyncpg.connect(place.environment["DATABASE_URL"])
    try:
        await connection.execute("CREATE TABLE theirs AS SELECT 1 AS row")
        walls = "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relkind IN ('r', 'p')"
        before = sorted(map(tuple, await connection.fetch(walls)))
        place.out("tenant", "create", "Acme")
        place.out("db", "clean", "--yes")
        assert sorted(map(tuple, await connection.fetch(walls))) == before
        assert await connection.fetchval("SELECT count(*) FROM theirs") == 1
        protected = [name for name, _, forced in before if forced and not re.search(r"_p\d{8}$", name)]
        left = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in protected}
        assert {name for name, rows in left.items() if rows} == {"audit_events"}
    finally:
        await connection.close()


async def test_clean_gives_up_on_a_busy_database_and_changes_nothing(place):
    place.out("tenant", "create", "Acme")
    connection = await asyncpg.connect(place.environment["DATABASE_URL"])
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tenants IN ACCESS SHARE MODE")
            assert "(database_busy)" in place.fails("db", "clean", "--yes")
    finally:
        await connection.close()
    assert len(json.loads(place.out("tenant", "list", "--json"))) == 1


async def test_commands_start_the_embedded_database_themselves(bare):
    assert "did not run" in bare.out("db", "stop")
    bare.out("tenant", "create", "Acme", "--id", "acme")
    url = bare.out("db", "url")
    assert re.fullmatch(r"postgresql://\S+\n", url)
    assert await counts(url.strip(), "tenants") == [1]
    assert (bare.folder / ".hookvault" / "encryption.key").stat().st_mode & 0o777 == 0o600
    assert "is stopped" in bare.out("db", "stop")
    assert "acme" in bare.out("tenant", "list")
    assert "already" in bare.out("db", "migrate")


def test_stop_is_for_the_embedded_database_only(place):
    assert "(not_embedded)" in place.fails("db", "stop")


def test_the_first_start_tells_all_that_is_needed(bare):
    with bare.serving() as (process, url):
        busy = bare.fails("serve", "--port", url.rpartition(":")[2])
        assert "(port_in_use)" in busy
        assert busy.count("\n") == 1
        code, out, err = stopped(process, signal.SIGTERM)
    assert code == 0
    password = re.search(r"^ +Password +(\S+)", out, re.MULTILINE)[1]
    for shown in (f"URL        {url}\n", f"{url}/api/docs\n", "Admin      admin@localhost\n"):
        assert shown in out
    assert f"\n  {COMMAND} api-key create --platform\n" in out
    assert password not in err
    assert "Traceback" not in err

    with bare.serving() as (process, _):
        code, out, _ = stopped(process, signal.SIGINT)
    assert code == 0
    assert "Password" not in out


def test_the_printed_command_makes_a_key_that_works(bare):
    folder = bare.folder / "data dir"
    with bare.serving(HOOKVAULT_DATA_DIR=str(folder)) as (process, url):
        key = bare.out("api-key", "create", "--platform", HOOKVAULT_DATA_DIR=str(folder)).split()[-1]
        request = Request(f"{url}/api/platform/tenants", headers={"Authorization": f"Bearer {key}"})
        with urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"items": [], "nextCursor": None}
            assert answer.headers["server"] is None
        _, out, err = stopped(process, signal.SIGTERM)
    assert f"\n  HOOKVAULT_DATA_DIR='{folder}' {COMMAND} api-key create --platform\n" in out
    assert key not in err
    embedded.destroy(folder)


def test_an_admin_password_that_was_given_is_not_printed(place):
    given = {"ADMIN_EMAIL": "ann@example.com", "ADMIN_PASSWORD": "planted-admin-password"}
    with place.serving(**given) as (process, _):
        _, out, err = stopped(process, signal.SIGTERM)
    assert "ann@example.com" in out
    assert "planted-admin-password" not in out + err


async def test_production_refuses_an_unmigrated_database_and_prints_no_secret(forks, tmp_path, make_database):
    environment = {"APP_ENV": "production", "ENCRYPTION_KEY": KEY, "SESSION_SECRET": "s3" * 20}
    admin = {"ADMIN_EMAIL": "ann@example.com", "ADMIN_PASSWORD": "planted-admin-password"}
    place = Place(forks, tmp_path, DATABASE_URL=await make_database(), **environment, **admin)
    assert "(not_migrated)" in place.fails("serve", "--port", str(free_port()))
    assert "up to date now" in place.out("db", "migrate")
    with place.serving() as (process, _):
        code, out, err = stopped(process, signal.SIGTERM)
    assert (code, out) == (0, "")
    assert [json.loads(line)["event"] for line in err.splitlines()][0::99] == ["started"]
    for planted in (KEY, "s3" * 20, "planted-admin-password"):
        assert planted not in err
    assert await counts(place.environment["DATABASE_URL"], "platform_users") == [1]


def test_a_missing_key_stops_production_with_one_line(forks, tmp_path):
    place = Place(forks, tmp_path, APP_ENV="production", SESSION_SECRET="s3" * 20)
    message = place.fails("serve")
    assert (
        message
        == "error: ENCRYPTION_KEY: required in production; make one with: hookvault keys generate (setup_error)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_one_clear_line(place):
    assert "(host_unknown)" in place.fails("serve", "--host", "192.0.2.1", "--port", str(free_port()))


def test_the_example_receiver_answers_as_n8n(tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "receiver.py", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split()[2].rstrip(";")
        request = Request(f"{url}/webhook/acme", b'{"a":1}', {"webhook-id": "w-1"})
        with urlopen(request, timeout=10) as answer:
            assert json.load(answer) == {"message": "Workflow was started"}
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert out == '\nPOST /webhook/acme\nwebhook-id: w-1\n{"a":1}\n\n'
    assert process.returncode == 0
