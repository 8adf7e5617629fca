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
from urllib.parse import quote, quote_plus, unquote, urlsplit

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


class Redactor:
    """Masks secrets in text: what looks like one, and the live values that it was told."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._index: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def register(self, value: str) -> None:
        """Masks a value from now on, also inside base64, URLs and JSON. The oldest of 10,000 makes room."""
        if len(value) < MIN_SECRET:
            return
        with self._lock:
            if value in self._values:
                self._values.move_to_end(value)
                return
            forms = self._values[value] = tuple(_forms(value))
            for form in forms:
                self._index.setdefault(form[:MIN_SECRET], set()).add(form)
            if len(self._values) > MAX_SECRETS:
                self._forget(self._values.popitem(last=False)[1])

    def redact(self, text: str) -> str:
        """The text with every secret in it masked."""
        masked = self._without_values(text)
        for pattern, replacement in _PATTERNS:
            masked = pattern.sub(replacement, masked)
        return masked

    def _forget(self, forms: Iterable[str]) -> None:
        for form in forms:
            kept = self._index.get(form[:MIN_SECRET], set()) - {form}
            if kept:
                self._index[form[:MIN_SECRET]] = kept
            else:
                self._index.pop(form[:MIN_SECRET], None)

    def _without_values(self, text: str) -> str:
        # One look-up for each position, however many values there are; spans that overlap are joined.
        parts, hidden = [], 0
        for start in range(len(text) - MIN_SECRET + 1) if self._index else ():
            end = self._end_of_value(text, start)
            if end <= hidden:
                continue
            if start >= hidden:
                parts += [text[hidden:start], HIDDEN]
            hidden = end
        return "".join([*parts, text[hidden:]])

    def _end_of_value(self, text: str, start: int) -> int:
        forms = self._index.get(text[start : start + MIN_SECRET], ())
        return max((start + len(form) for form in tuple(forms) if text.startswith(form, start)), default=0)


def _forms(value: str) -> Iterable[str]:
    raw = value.encode("utf-8", "surrogatepass")
    written = {value, repr(value)[1:-1], quote(raw, safe=""), quote(raw), quote_plus(raw)}
    written |= {json.dumps(form)[1:-1] for form in written}
    written |= {json.dumps(value, ensure_ascii=False)[1:-1]}
    for offset in range(3):  # base64 reads three bytes at a time: a value inside a longer text has three pictures
        for alphabet in (b"+/", b"-_"):
            encoded = base64.b64encode(b"\0" * offset + raw, alphabet).decode().rstrip("=")
            whole = (offset + len(raw)) * 8 // 6  # the last sextet may hold bits of what follows
            written.add(encoded[(offset * 8 + 5) // 6 : whole])
    return (form for form in written if len(form) >= MIN_SECRET)


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
