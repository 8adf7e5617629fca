"""Keeps values out of what is stored and shown: paths into JSON, and what becomes of what they lead to (pure).

A path is `$`, the whole, followed by steps: `.name`, `['name']`, `[0]`, `[*]` or `.*` (all members), and `..name` (members of
that name at any depth). It goes by the structure alone: JSON inside a string is not looked into.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from hookvault.errors import InvalidError

HIDDEN = "[redacted]"
MAX_PATHS = 50
MAX_LENGTH = 200
MAX_DEEP = 3  # steps of any depth in one path: each looks through the whole of what it is given
_QUOTED = r"""'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*\""""
_STEP = re.compile(
    rf"(?P<deep>\.\.)(?:(?P<deep_name>[\w-]+)|\[(?P<deep_quoted>{_QUOTED})\])"
    rf"|\.(?P<name>[\w-]+)|(?P<every>\.\*|\[\*\])|\[(?P<index>0|[1-9][0-9]{{0,8}})\]|\[(?P<quoted>{_QUOTED})\]"
)
_ESCAPED = re.compile(r"\\(.)")
_STEPS = "a step is .name, ['name'], [0], [*], .* or ..name"

_WHOLE = msgspec.json.encode(HIDDEN)
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # numbers come out as they went in
_encode = msgspec.json.Encoder(decimal_format="number").encode

_Place = tuple[Any, Any]  # a list or dict, and where in it


class Step(NamedTuple):
    """One step of a path; `key` is a name or an index, and None for every member."""

    kind: Literal["member", "every", "deep"]
    key: str | int | None = None


Path = tuple[Step, ...]


class Redaction:
    """What of a webhook's payloads is stored and shown: nothing at all, or all but what some paths lead to.

    Args:
        paths: To what becomes "[redacted]".
        keep: Whether payloads are kept at all.

    Raises:
        InvalidError: something that is not a path.
    """

    def __init__(self, paths: Sequence[str], *, keep: bool = True) -> None:
        self._paths = tuple(parse_path(path) for path in paths)
        self._keep = keep

    def kept(self, data: bytes | None) -> bytes | None:
        """What is kept of JSON text: the same object where nothing is hidden.

        What can't be looked into is hidden whole: text that begins as JSON and is none, since it was cut or is nested too deep,
        and numbers of thousands of digits.
        """
        if data is None or not self._keep:
            return None
        if not self._paths:
            return data
        try:
            document = _decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _WHOLE
        if isinstance(document, str) and document.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return _WHOLE
        holder = [document]
        hidden = [_hide(holder, path) for path in self._paths]
        return _encode(holder[0]) if any(hidden) else data


NOTHING_KEPT = Redaction((), keep=False)


def parse_path(text: str) -> Path:
    """The steps of a path.

    Raises:
        InvalidError: says at which character it is wrong.
    """
    if not text.startswith("$"):
        raise InvalidError("is not a path: it must begin with $")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise InvalidError(f"is not a path at character {at + 1}: {_STEPS}")
        steps.append(_step(found))
        at = found.end()
    if [step.kind for step in steps].count("deep") > MAX_DEEP:
        raise InvalidError(f"has more than {MAX_DEEP} steps of any depth (..name)")
    return tuple(steps)


def check_paths(paths: object) -> None:
    """Refuses what is no list of paths, naming the one that is wrong and where. Raises InvalidError."""
    if not isinstance(paths, list | tuple) or len(paths) > MAX_PATHS:
        raise _fault("policy.redactPaths", f"must be a list of {MAX_PATHS} paths or fewer")
    for number, path in enumerate(paths):
        field = f"policy.redactPaths[{number}]"
        if not isinstance(path, str) or len(path) > MAX_LENGTH:
            raise _fault(field, f"must be a text of {MAX_LENGTH} characters or fewer")
        try:
            parse_path(path)
        except InvalidError as error:
            raise _fault(field, error.message) from None


@lru_cache(4096)
def redaction_of(paths: tuple[str, ...] | None, keep: bool) -> Redaction | None:  # noqa: FBT001 - a policy's field
    """The redaction that a policy asks for; None where it asks for none. Unreadable paths keep nothing."""
    if keep and not paths:
        return None
    try:
        return Redaction(paths or (), keep=keep)
    except InvalidError:  # written by another version: rather nothing than too much
        return NOTHING_KEPT


def shown(data: bytes | None, policies: Sequence[Mapping[str, Any] | None]) -> bytes | None:
    """What may be shown of JSON text under stored policies, each of which holds; the same object where that is all of it."""
    for policy in policies:
        if policy:
            redaction = redaction_of(tuple(policy.get("redactPaths") or ()), policy.get("keepPayloads") is not False)
            data = data if redaction is None else redaction.kept(data)
    return data


def _step(found: re.Match[str]) -> Step:
    quoted = found["quoted"] or found["deep_quoted"]
    name = _ESCAPED.sub(r"\1", quoted[1:-1]) if quoted is not None else found["name"] or found["deep_name"]
    if found["deep"]:
        return Step("deep", name)
    if found["every"]:
        return Step("every")
    return Step("member", int(found["index"]) if found["index"] is not None else name)


def _hide(holder: list[Any], path: Path) -> bool:
    """Hides what a path leads to; whether it leads to anything."""
    places: list[_Place] = [(holder, 0)]
    for step in path:
        places = _below(places, step)
    for container, key in places:
        container[key] = HIDDEN
    return bool(places)


def _below(places: Sequence[_Place], step: Step) -> list[_Place]:
    """Where one step leads from some places, each place once."""
    values = [container[key] for container, key in places]
    if step.kind == "deep":
        return _deep(values, step.key)
    if step.kind == "every":
        return [(value, key) for value in values for key in _keys(value)]
    wanted: type = list if isinstance(step.key, int) else dict
    return [(value, step.key) for value in values if isinstance(value, wanted) and _holds(value, step.key)]


def _deep(values: list[Any], name: Any) -> list[_Place]:
    found: list[_Place] = []
    seen: set[int] = set()  # of two places one may lie in the other
    while values:
        value = values.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict) and name in value:
            found.append((value, name))
        values.extend(value.values() if isinstance(value, dict) else value)
    return found


def _keys(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value)
    return range(len(value)) if isinstance(value, list) else ()


def _holds(value: Any, key: Any) -> bool:
    return key < len(value) if isinstance(value, list) else key in value


def _fault(field: str, message: str) -> InvalidError:
    said = message.rstrip(".")
    return InvalidError(f"{field} {said}.", errors=[{"field": field, "message": said}])
