"""The shape that keeps the code readable and its walls whole, checked on every file under src/hookvault."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "hookvault"
FILES = sorted(SOURCE.rglob("*.py"))
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "tools", "stuff"}
SQL = re.compile(r"\b(?:SELECT\s+\S|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s)")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|\bNotImplemented(?:Error)?\b")

# Where a plaintext leaves its box, and why. A new place is a decision: add it here with its reason.
OPENS = {
    "accounts/invitations/service.py: InvitationService._sent": "a new token becomes a link",
    "accounts/passwords.py: _bytes": "a password is hashed",
    "accounts/passwords.py: check_password": "a new password is checked",
    "accounts/resets/service.py: ResetService._send": "a new token becomes a link",
    "accounts/signin/sessions.py: Sessions._cookie": "a new token becomes a cookie",
    "accounts/factor/service.py: Factors._step": "a code is compared with its secret's",
    "accounts/token.py: Signer.__init__": "the session secret becomes a key",
    "accounts/token.py: token_hash": "a new token is hashed",
    "api/cookie.py: set_cookie": "a new cookie is set once",
    "api/session.py: confirm_totp": "new recovery codes are shown once",
    "api/session.py: enrol_totp": "a new second factor is shown once",
    "api/users.py: _made": "a link is shown once where no mail can carry it",
    "mail/compose.py: _mail": "a link is written into a mail",
    "mail/mailer.py: Mailer.send": "a mail is logged where development has no server",
    "mail/mailer.py: _message": "a mail is sent",
    "api/keys.py: create_api_key": "a new key is shown once",
    "api/webhooks.py: webhook_out": "a new signing secret is shown once",
    "cli/admin.py: _show": "a one-time password is shown once",
    "cli/apikey.py: create": "a new key is shown once",
    "cli/serve.py: _announce": "the first admin's one-time password is shown once",
    "cli/serve.py: _first_admin": "the log is told what to mask",
    "demo/furnish.py: Furnisher._add_keys": "a new key is used once, and then forgotten",
    "integrations/move.py: enact": "the last four characters are kept as a hint",
    "custody/intake/mapping.py: _object": "a configuration that was encrypted as a whole is parsed",
    "custody/intake/service.py: _plain": "what another system sealed is handed to the services, which seal it anew",
    "custody/intake/unseal.py: Opener.__init__": "another system's key becomes bytes",
    "custody/intake/unseal.py: _judged": "what another system sealed is checked for masks and ciphertexts",
    "integrations/service.py: IntegrationService._unsealed": "a config sealed under ENCRYPTION_KEY is imported",
    "providers/proof.py: text_of": "a provider is asked whether it takes a credential",
    "vault/keys.py: MasterKey.__init__": "a master key becomes bytes",
    "vault/secret.py: Secret.same_as": "two secrets are compared",
    "vault/service.py: TenantCipher.open": "the log is told what to mask",
    "vault/service.py: TenantCipher.seal": "a secret is encrypted, and the log is told what to mask",
    "webhooks/change.py: _hinted": "the last four characters are kept as a hint",
    "webhooks/echo.py: echo_forms": "a receiver's answer is searched for what was sent",
    "webhooks/headers.py: _basic": "a call authenticates itself",
    "webhooks/headers.py: _bearer": "a call authenticates itself",
    "webhooks/headers.py: _header": "a call authenticates itself",
    "webhooks/headers.py: _jwt": "a call authenticates itself",
    "webhooks/headers.py: wire_headers": "static headers are sent",
    "webhooks/signing.py: signing_key": "a call is signed",
}


@cache
def tree(path):
    return ast.parse(path.read_text("utf-8"))


def name(path):
    return path.relative_to(SOURCE).as_posix()


@cache
def functions(path):
    return [node for node in ast.walk(tree(path)) if isinstance(node, FUNCTION)]


def functions_of(files):
    return [(path, function) for path in files for function in functions(path)]


def places(path, wanted):
    """`file: Class.function` of every node for which `wanted` holds."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, FUNCTION | ast.ClassDef)
            within = f"{inside}.{child.name}" if named and inside else child.name if named else inside
            if wanted(child):
                yield f"{name(path)}: {within}"
            yield from walk(child, within)

    return set(walk(tree(path), ""))


def texts(path):
    """Every string that is not a docstring."""
    documented = (ast.Module, ast.ClassDef, *FUNCTION.__args__)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def called(node):
    """The last part of what a call calls, else None."""
    if not isinstance(node, ast.Call):
        return None
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)


def by_part():
    """The files of each part of the package; one test for each of a file's rules and file would take longer than the rules."""
    parts = defaultdict(list)
    for path in FILES:
        parts[name(path).split("/")[0]].append(path)
    return [pytest.param(files, id=part) for part, files in parts.items()]


@pytest.mark.parametrize("files", by_part())
def test_a_file_is_short(files):
    assert [path for path in files if len(path.read_text("utf-8").splitlines()) > 400] == []


@pytest.mark.parametrize("files", by_part())
def test_a_function_is_short_and_takes_few_arguments_by_position(files):
    for path, function in functions_of(files):
        assert function.end_lineno - function.lineno < 50, f"{path}: {function.name} is longer than 50 lines"
        positional = [*function.args.posonlyargs, *function.args.args]
        own = [argument for argument in positional if argument.arg not in ("self", "cls")]
        assert len(own) <= 5, f"{path}: {function.name} takes {len(own)} arguments by position"


@pytest.mark.parametrize("files", by_part())
def test_imports_stand_at_the_top(files):
    for path, function in functions_of(files):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Import | ast.ImportFrom), f"{path}: {function.name} imports something"
            assert called(node) not in ("__import__", "import_module"), f"{path}: {function.name} imports something"


@pytest.mark.parametrize("files", by_part())
def test_nothing_is_unfinished_or_printed(files):
    assert [path for path in files if UNFINISHED.search(path.read_text("utf-8"))] == []
    assert [
        f"{path}:{node.lineno}"
        for path in files
        for node in ast.walk(tree(path))
        if called(node) == "print" and isinstance(node.func, ast.Name)
    ] == []


def test_functions_are_small_on_the_whole():
    lengths = sorted(node.end_lineno - node.lineno + 1 for path in FILES for node in functions(path))
    assert lengths[len(lengths) // 2] <= 12


def test_no_file_has_a_vague_name():
    assert [name(path) for path in FILES if VAGUE & {part.removesuffix(".py") for part in path.parts}] == []


def test_sql_stands_in_stores_and_in_db_only():
    found = {
        f"{name(path)}:{node.lineno}"
        for path in FILES
        if path.name != "store.py" and path.relative_to(SOURCE).parts[0] != "db"
        for node in texts(path)
        if SQL.search(node.value)
    }
    assert found == set()


@pytest.mark.parametrize("maker", ["TenantTx", "SystemTx", "Tx"])
def test_transactions_are_made_in_one_place(maker):
    found = {name(path) for path in FILES if any(called(node) == maker for node in ast.walk(tree(path)))}
    assert found <= {"db/pool.py"}


def test_plaintexts_leave_their_box_in_known_places_only():
    def opens(node):
        """`x.open()` without arguments, also as a function passed on: `map(Secret.open, ...)`."""
        if called(node) == "open" and isinstance(node.func, ast.Attribute):
            return not node.args and not node.keywords
        return isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value) == "Secret"

    found = set().union(*(places(path, opens) for path in FILES))
    assert found - set(OPENS) == set(), "a new place opens a Secret"
    assert set(OPENS) - found == set(), "these no longer open one; take them off the list"


@pytest.mark.parametrize(
    ("source", "test"),
    [
        ("def f():\n    import os\n", test_imports_stand_at_the_top),
        ("def f():\n" + "    x = 1\n" * 50, test_a_function_is_short_and_takes_few_arguments_by_position),
        ("def f(a, b, c, d, e, g): ...\n", test_a_function_is_short_and_takes_few_arguments_by_position),
        ("x = 1\n" * 401, test_a_file_is_short),
        ("# TO" + "DO later\n", test_nothing_is_unfinished_or_printed),
        ("print(1)\n", test_nothing_is_unfinished_or_printed),
    ],
)
def test_these_tests_can_fail(tmp_path, source, test):
    bad = tmp_path / "bad.py"
    bad.write_text(source)
    with pytest.raises(AssertionError):
        test([bad])


def test_test_files_have_names_of_their_own():
    """Two of one name in different folders can't be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
