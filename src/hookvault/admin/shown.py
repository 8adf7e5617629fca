"""How numbers, times and JSON are written on a page (pure)."""

import json
from datetime import UTC, datetime, tzinfo
from typing import Any

from markupsafe import Markup

from hookvault.clock import iso, now
from hookvault.ids import NAME_PATTERN

NOTHING = "\N{EN DASH}"
_STEPS = ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES = ("B", "KB", "MB", "GB", "TB")
_BEGINNINGS = frozenset({"is", "must", "has", "may", "can't", "says", "holds"})
_MOST_SHOWN = 200_000  # characters of one JSON value


def number(value: float | None) -> str:
    """`12431` as 12,431."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def milliseconds(value: float | None) -> str:
    """A duration in ms: 152 ms, 1.12 s, 2 min 5 s."""
    if value is None:
        return NOTHING
    if value < 999.5:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 99.95:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def percent(share: float | None) -> str:
    """A share of 1 as a percentage. What is not all is never shown as 100 %, nor what is something as 0 %."""
    if share is None:
        return NOTHING
    value = share * 100
    if 0 < value < 0.1:
        return "<0.1%"
    if 99.95 <= value < 100:
        return "99.9%"
    return f"{value:.1f}%"


def size(value: float | None) -> str:
    """Bytes as KB, MB, ..."""
    if value is None:
        return NOTHING
    for unit in _SIZES:
        if value < 1000 or unit == _SIZES[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return NOTHING


def plural(count: int, one: str, many: str = "") -> str:
    """`1 webhook`, `2 webhooks`."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}"


def initials(text: str) -> str:
    """One or two letters that stand for somebody."""
    parts = [part for part in text.replace("@", " ").replace(".", " ").split() if part[0].isalnum()]
    return "".join(part[0] for part in parts[:2]).upper() or "?"


def about(message: str | None, label: str) -> str:
    """What is wrong with a field as a sentence of its own: `is required` as `API key is required`."""
    if not message:
        return ""
    if NAME_PATTERN in message:
        return "Up to 64 letters, digits, - and _, the first of them a letter or digit."
    if message.split(" ")[0] in _BEGINNINGS:
        message = f"{label} {message}"
    return message[0].upper() + message[1:] + ("" if message.endswith((".", "?", "!")) else ".")


def ago(moment: datetime | None) -> str:
    """How long ago, or in how long: `12 s ago`, `in 5 min`."""
    if moment is None:
        return "never"
    seconds = (now() - moment).total_seconds()
    for unit_s, unit in _STEPS:
        if abs(seconds) >= unit_s:
            count = int(abs(seconds) // unit_s)
            return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"
    return "just now"


def moment(value: datetime | None, zone: tzinfo, form: str) -> Markup:
    """A `<time>` in the reader's zone with UTC as its title.

    Args:
        value: The moment; None is shown as `never`.
        zone: The reader's.
        form: `ago`, `time` (of day, with the day where it is another one), `full`, or `date`.
    """
    if value is None:
        return Markup('<span class="muted">never</span>')
    local = value.astimezone(zone)
    text = {
        "ago": lambda: ago(value),
        "time": lambda: clock_time(local, now().astimezone(zone)),
        "full": lambda: f"{local:%d %b %Y, %H:%M:%S}",
        "date": lambda: f"{local:%d %b %Y}",
    }[form]()
    title = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    live = " data-ago" if form == "ago" else ""
    # Digits and words of our own. A list has a hundred of these, and escaping each part was a tenth of its time.
    return Markup(f'<time datetime="{iso(value)}" title="{title}"{live}>{text}</time>')  # noqa: S704


def clock_time(local: datetime, present: datetime) -> str:
    """The time of day; with the day, and the year, where these are not the present ones."""
    if local.date() == present.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%d %b, %H:%M:%S}" if local.year == present.year else f"{local:%d %b %Y, %H:%M:%S}"


def day(value: datetime | None, zone: tzinfo) -> str:
    """A date in the reader's zone."""
    return NOTHING if value is None else f"{value.astimezone(zone):%d %b %Y}"


def pretty(value: Any) -> Markup:
    """A JSON value as indented text with its parts marked for colour; cut where it is very long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > _MOST_SHOWN:
        return Markup("{}\n…").format(text[:_MOST_SHOWN])
    return Markup("\n").join(_coloured(line) for line in text.splitlines())


def _coloured(line: str) -> Markup:
    """A line of what `json.dumps` indents: at most a key, and then a value."""
    indent, rest = line[: len(line) - len(line.lstrip())], line.lstrip()
    key, separator, value = _split_key(rest)
    shown_key = Markup('<span class="json-key">{}</span>{}').format(key, separator) if separator else Markup("")
    bare = value.rstrip(",")
    comma = value[len(bare) :]
    if bare.startswith('"'):
        kind = "json-text"
    elif bare and (bare[0].isdigit() or bare[0] == "-"):
        kind = "json-number"
    else:
        kind = "json-word" if bare in ("true", "false", "null") else ""
    body = Markup('<span class="{}">{}</span>').format(kind, bare) if kind else Markup("{}").format(bare)
    return Markup("{}{}{}{}").format(indent, shown_key, body, comma)


def _split_key(text: str) -> tuple[str, str, str]:
    if not text.startswith('"'):
        return "", "", text
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return "", "", text
    if text[end : end + 2] != ": ":
        return "", "", text
    return text[:end], ": ", text[end + 2 :]
