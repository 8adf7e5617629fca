"""Logging: structlog over the standard library, JSON lines in production, a readable console in development.

Whatever reaches the log, ours or a library's, is redacted in its final text, so that a secret inside an
exception's traceback or somebody else's message is caught as well.
"""

import base64
import json
import logging
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, WrappedLogger

from hookvault.settings import Settings

HIDDEN = "***"
MIN_SECRET = 8  # shorter texts turn up everywhere, so that masking them would only make logs unreadable
MAX_SECRETS = 10_000
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_SENSITIVE = (
    "(?:passw(?:or)?d|passphrase|secret|token|authorization|api[_-]?key|encryption[_-]?key|cookie)"
    r"[\w-]{0,40}"
)
_SENSITIVE_NAME = re.compile(_SENSITIVE, re.IGNORECASE)
# Each pattern matches or fails within a bounded run, so that a line costs a time linear in its length.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bhv_[A-Za-z0-9]{20,}"), f"hv_{HIDDEN}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), f"whsec_{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # user:password@ in a URL
    (re.compile(r"://([^\s/?#\"'<>:@]*:)?[^\s/?#\"'<>]+@"), rf"://\1{HIDDEN}@"),
    # a ciphertext, a master key
    (re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{8})?[0-9a-f]{24}:[0-9a-f]{32}:[0-9a-f]*", re.IGNORECASE), HIDDEN),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", re.IGNORECASE), HIDDEN),
    # "password": "..." in JSON or the repr of a dict, the quotes themselves perhaps escaped
    (
        re.compile(rf"({_SENSITIVE}\\*[\"']\s*:\s*)(\\*[\"']).*?(?:(?<!\\)\2|\Z)", re.IGNORECASE | re.DOTALL),
        rf"\1\2{HIDDEN}\2",
    ),
    (re.compile(rf"({_SENSITIVE}=)[^\s&\"',;)}}\]]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # a header
    (
        re.compile(r"\b(authorization|x-api-key|x-n8n-api-key|cookie): *[^\r\n\"']+", re.IGNORECASE),
        rf"\1: {HIDDEN}",
    ),
)


# Escapes as JSON and Python's repr write them, and as URLs do; what stands for a character is decoded, all else stays. Of the
# two kinds the second is taken off only where none of the first is left: a secret may hold what looks like the other.
_ESCAPES = (
    re.compile(
        r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
        r"|\\u[0-9a-fA-F]{4}|\\U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[\"'\\/abfnrtv]"
    ),
    re.compile(r"(?:%[0-9a-fA-F]{2})+"),
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NESTED, _NESTED_URLS = 6, 2  # layers of escapes that are looked through; each doubles what it escapes


class Redactor:
    """Masks secrets in text: what looks like one, and the live values that it was told."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, tuple[str, ...] | None] = OrderedDict()  # None: its forms are not made yet
        self._new: list[str] = []
        self._index: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def register(self, value: str) -> None:
        """Masks a value from now on, also inside base64, URLs and JSON. The oldest of 10,000 makes room.

        Cheap: the vault calls it for each secret that it opens, and most are never looked for.
        """
        if len(value) < MIN_SECRET:
            return
        with self._lock:
            if value in self._values:
                self._values.move_to_end(value)
                return
            self._values[value] = None
            self._new.append(value)
            if len(self._values) > MAX_SECRETS:
                self._forget(self._values.popitem(last=False)[1])
            if len(self._new) > 2 * MAX_SECRETS:  # nobody has logged for long
                self._new = [new for new in self._values if self._values[new] is None]

    def redact(self, text: str) -> str:
        """The text with every secret in it masked."""
        masked = self._without_values(text)
        for pattern, replacement in _PATTERNS:
            masked = pattern.sub(replacement, masked)
        return masked

    def _learn(self) -> None:
        """Makes the forms of what was registered since the last line."""
        with self._lock:
            new, self._new = self._new, []
            for value in new:
                if self._values.get(value, ()) is None:
                    forms = self._values[value] = tuple(_forms(value))
                    for form in forms:
                        self._index.setdefault(form[:MIN_SECRET], set()).add(form)

    def _forget(self, forms: Iterable[str] | None) -> None:
        for form in forms or ():
            kept = self._index.get(form[:MIN_SECRET], set()) - {form}
            if kept:
                self._index[form[:MIN_SECRET]] = kept
            else:
                self._index.pop(form[:MIN_SECRET], None)

    def _without_values(self, text: str) -> str:
        if self._new:
            self._learn()
        if not self._index:
            return text
        spans = self._found(text, None)
        for view, places in _views(text) if "\\" in text or "%" in text else ():
            spans += self._found(view, places)
        return _masked(text, sorted(spans)) if spans else text

    def _found(self, view: str, places: list[int] | None) -> list[tuple[int, int]]:
        """Where values stand, by their places in the text that a view is of. One look-up for each position."""
        index = self._index
        starts = [start for start in range(len(view) - MIN_SECRET + 1) if view[start : start + MIN_SECRET] in index]
        found = [(start, end) for start in starts if (end := self._end_of_value(view, start))]
        return found if places is None else [(places[start], places[end]) for start, end in found]

    def _end_of_value(self, text: str, start: int) -> int:
        forms = self._index.get(text[start : start + MIN_SECRET], ())
        return max((start + len(form) for form in tuple(forms) if text.startswith(form, start)), default=0)


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    """The text without these spans, in the order of their starts; those that overlap are joined."""
    parts, hidden = [], 0
    for start, end in spans:
        if end <= hidden:
            continue
        if start >= hidden:
            parts += [text[hidden:start], HIDDEN]
        hidden = end
    return "".join([*parts, text[hidden:]])


def _views(text: str) -> Iterable[tuple[str, list[int]]]:
    """The text with ever more of its escapes taken off, and the places of each view's characters in the text."""
    view, places = text, list(range(len(text) + 1))
    backslashed, percented = _ESCAPES
    for _ in range(_NESTED_URLS + 1):
        for _ in range(_NESTED):
            if backslashed.search(view) is None:
                break
            view, places = _decoded(backslashed, view, places)
            yield view, places
        if percented.search(view) is None:
            return
        view, places = _decoded(percented, view, places)
        yield view, places


def _decoded(pattern: re.Pattern[str], view: str, before: list[int]) -> tuple[str, list[int]]:
    """A view with one layer of escapes taken off, and where each of its characters stands in the text (and where it ends)."""
    parts, now, last = [], list[int](), 0
    for escape in pattern.finditer(view):
        start, end = escape.span()
        parts.append(view[last:start])
        now += before[last:start]
        plain, widths = _plain(escape[0])
        parts.append(plain)
        for width in widths:
            now.append(before[start])
            start += width
        last = end
    parts.append(view[last:])
    return "".join(parts), now + before[last:]


def _plain(escape: str) -> tuple[str, list[int]]:
    """What an escape stands for, and how wide each of its characters is written."""
    if escape[0] != "%":
        return _character(escape), [len(escape)]
    raw = bytes.fromhex(escape.replace("%", ""))
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("latin-1"), [3] * len(raw)
    return text, [3 * len(character.encode("utf-8", "surrogatepass")) for character in text]


def _character(escape: str) -> str:
    if len(escape) == 12:
        return bytes.fromhex(escape[2:6] + escape[8:]).decode("utf-16-be")
    if escape[1] in "uUx":
        return chr(int(escape[2:], 16))  # noqa: FURB166 - JSON's escapes have no 0
    return _LETTERS.get(escape[1], escape[1])


def _forms(value: str) -> Iterable[str]:
    """How a value may stand in a text whose escapes are taken off: as it is, in a form's URL, inside base64."""
    written = {value, value.replace(" ", "+")}
    for form in {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}:
        raw = form.encode("utf-8", "surrogatepass")
        for offset in range(3):  # base64 reads three bytes at a time: a value inside a longer text has three pictures
            encoded = base64.b64encode(bytes(offset) + raw).decode()
            whole = (offset + len(raw)) * 8 // 6  # the last sextet may hold bits of what follows
            picture = encoded[(offset * 8 + 5) // 6 : whole]
            written |= {picture, picture.translate(_URL_ALPHABET)}
    return (form for form in written if len(form) >= MIN_SECRET)


_URL_ALPHABET = str.maketrans("+/", "-_")
_redactor = Redactor()


def register_secret(value: str) -> None:
    """Masks a live secret in every log line from now on. Values of fewer than 8 characters are not taken."""
    _redactor.register(value)


def redact(text: str) -> str:
    """The text as the log would show it: every secret in it masked."""
    return _redactor.redact(text)


def get_logger(name: str = "hookvault") -> structlog.stdlib.BoundLogger:
    """A structlog logger over the standard library's of that name: `log.info("event_name", key=value)`."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


def bound(**values: str) -> AbstractContextManager[None]:
    """Puts values such as request_id and tenant_id on every line that this task logs inside the block."""
    return structlog.contextvars.bound_contextvars(**values)


def setup(settings: Settings, *, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Sends all logging, libraries' included, through one redacting handler. May be called again.

    Args:
        settings: Give the format, the level, and the secrets to mask.
        quiet: Only warnings and errors, as for a command whose output is read by a person.
        stream: Where to write; stderr when absent.
    """
    for secret in _secrets(settings):
        register_secret(secret)
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(production=settings.production, colors=target.isatty()))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, RedactingFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    level = _LEVELS[settings.log_level]
    root.setLevel(max(level, logging.WARNING) if quiet else level)
    for chatty in (
        "alembic",
        "asyncio",
        "uvicorn",
    ):  # their news is of no use below a warning; debug asks for all
        logging.getLogger(chatty).setLevel(level if level == logging.DEBUG else logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record and masks the secrets in the finished text, traceback and all."""

    def format(self, record: logging.LogRecord) -> str:
        """The line to write."""
        return redact(super().format(record))


def _formatter(*, production: bool, colors: bool) -> RedactingFormatter:
    renderer: Any = structlog.processors.JSONRenderer() if production else structlog.dev.ConsoleRenderer(colors=colors)
    return RedactingFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_SHARED],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )


def _hide_sensitive(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # The finished text is redacted as well. Here a value is seen before rendering escapes it once more.
    return {key: _hidden(key, value) for key, value in event.items()}


def _hidden(name: object, value: Any) -> Any:
    if isinstance(name, str) and _SENSITIVE_NAME.search(name) and not isinstance(value, bool | None):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _hidden(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(None, item) for item in value]
    return redact(value) if isinstance(value, str) else value


_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,  # plain text: rich's tracebacks would show local variables
    _hide_sensitive,
)


def _secrets(settings: Settings) -> Iterable[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
    if settings.database_url is not None:
        password = urlsplit(settings.database_url.get_secret_value()).password or ""
        yield password
        yield unquote(password)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("hookvault").critical("uncaught", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
