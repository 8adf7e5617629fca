"""Planted secrets, and the search for them in everything that came out: responses, logs, database rows.

A planted secret begins with one mark, so looking for the mark and its pictures in other encodings finds all of them, and
pieces of them. Secrets that the service generates itself are learned from the one answer that may hold them.
"""

import asyncio
import base64
import json
import logging
import re
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import asyncpg
import httpx

from hookvault import log

MARK = "kAnArIeNvOgEl"  # letters only: JSON, URLs and SQL texts leave it as it is
SPECIAL = '/+"&=\\%'  # and what they don't leave as it is
_WIDTH = 40  # characters shown around a finding
_STEM = 12  # characters by which the search finds a picture; every picture is longer

_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


def planted(name: str, *, special: bool = False) -> str:
    """A secret that may never be seen again: unique, recognisable, `special` with characters that get escaped.

    A space never is in it and its last four characters are random, since those may be shown.
    """
    return f"{MARK}-{name}-{SPECIAL if special else ''}{secrets.token_hex(12)}"


def pictures(value: str) -> set[str]:
    """A text as it looks raw, in JSON, in a URL, in hex, and inside longer base64, whatever stands before it."""
    raw = value.encode()
    found = {value, json.dumps(value)[1:-1], quote(value, safe=""), quote(value), raw.hex(), raw.hex().upper()}
    found |= {json.dumps(json.dumps(value))[3:-3], json.dumps(value)[1:-1].replace("/", "\\/")}
    for offset in range(3):
        for alphabet in (b"+/", b"-_"):
            encoded = base64.b64encode(b"\0" * offset + raw, alphabet).decode()
            found.add(encoded[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6])
    return found


class Canary:
    """What came out of one test process, and what must not be in it."""

    def __init__(self) -> None:
        self.responses: list[tuple[str, str]] = []
        self.logs: list[str] = []
        self.rows: list[tuple[str, str]] = []
        self.databases: list[str] = []
        self._generated: dict[str, int] = {}  # value -> which response made it; -1: none may show it
        self._lines = _Lines(self.logs)

    def watch(self, database_url: str) -> None:
        """Has a database searched at the end."""
        self.databases.append(database_url)

    def listen(self) -> None:
        """Keeps all that is logged from now on, as an operator would see it in development and in production."""
        root = logging.getLogger()
        if self._lines not in root.handlers:
            root.addHandler(self._lines)

    async def record(self, response: httpx.Response) -> None:
        """Keeps a response, and learns what secrets it made. Made for httpx's `event_hooks`."""
        await response.aread()
        self.see(
            f"{response.request.method} {response.request.url.path} {response.status_code}",
            "\n".join([*[f"{name}: {value}" for name, value in response.headers.items()], response.text]),
        )
        if response.status_code < 300:
            self._learn(_json(response.text))

    def see(self, what: str, text: str) -> None:
        """Keeps a response's headers and body."""
        self.responses.append((what, text))

    def made(self, value: str) -> None:
        """Learns a generated secret that no response at all may show, such as a key made on the command line."""
        self._generated.setdefault(value, -1)

    def check(self) -> None:
        """Searches everything seen and every watched database.

        Raises:
            AssertionError: naming each place where a secret was found.
        """
        logging.getLogger().removeHandler(self._lines)
        with ThreadPoolExecutor(1) as aside:  # the tests' own loop may be waiting in this thread
            for url in self.databases:
                aside.submit(asyncio.run, self.read(url)).result()
        found = list(self.findings())
        assert not found, f"{len(found)} secrets came out:\n" + "\n".join(found[:20])

    async def read(self, database_url: str) -> None:
        """Takes in every row of every table as text, read as the owner."""
        connection = await asyncpg.connect(database_url)
        try:
            for (table,) in await connection.fetch(_TABLES):
                for (row,) in await connection.fetch(f"SELECT t::text FROM ONLY {table} t"):
                    self.rows.append((f"table {table}", row))
        finally:
            await connection.close()

    def findings(self) -> Iterator[str]:
        """A line for each place that holds a planted secret, or a generated one beyond the answer that made it."""
        starts: dict[
            str, list[tuple[str, str]]
        ] = {}  # the first characters of each picture, looked up at every position
        for value in (MARK, *self._generated):
            for picture in pictures(value):
                starts.setdefault(picture[:_STEM], []).append((value, picture))
        shown: dict[int, set[str]] = {}
        for value, maker in self._generated.items():
            shown.setdefault(maker, set()).add(value)
        places = [*self.responses, *self.rows, *[("log", line) for line in self.logs]]
        for number, (what, text) in enumerate(places):
            own = set(shown.get(number, ()))
            for at in range(len(text) - _STEM + 1):
                for value, picture in starts.get(text[at : at + _STEM], ()):
                    if not text.startswith(picture, at):
                        continue
                    if value == picture and value in own:
                        own.discard(value)  # the one time that it may be seen
                    elif value == MARK:
                        yield f"planted: {what}: {_around(text, at, len(picture))}"
                    else:
                        yield f"generated: {what}: {value[:8]}..."

    def _learn(self, body: object) -> None:
        for value in _generated_in(body):
            if value not in self._generated:
                self._generated[value] = len(self.responses) - 1


class _Lines(logging.Handler):
    """Renders every record the two ways that the service renders its log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self._renderers = [log._formatter(production=production, colors=False) for production in (True, False)]

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += [renderer.format(record) for renderer in self._renderers]


CANARY = Canary()


def _generated_in(body: object) -> Iterable[str]:
    """The secrets that an answer shows because it made them: an API key, a signing secret, generated fields."""
    if not isinstance(body, dict):
        return []
    found = [value for value in (body.get("key"), body.get("signingSecret")) if isinstance(value, str)]
    found += [text for text in (body.get("secret"), *(body.get("recoveryCodes") or ())) if isinstance(text, str)]
    generated = body.get("generated")
    return [*found, *(generated.values() if isinstance(generated, dict) else ())]


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _around(text: str, at: int, length: int) -> str:
    return re.sub(r"\s+", " ", text[max(0, at - _WIDTH) : at + length + _WIDTH])
