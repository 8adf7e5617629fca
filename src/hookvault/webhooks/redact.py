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
from hookvault.webhooks.payload import count_members

HIDDEN = "[redacted]"
MAX_PATHS = 50
MAX_LENGTH = 200
MAX_CONTAINERS = 100_000  # lists and objects that are looked through; a tenth of a second
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
        self._walk = _Walk([parse_path(path) for path in paths]) if paths else None
        self._keep = keep

    def kept(self, data: bytes | None) -> bytes | None:
        """What is kept of JSON text: the same object where nothing is hidden.

        What can't be looked into is hidden whole: text that begins as JSON and is none, since it was cut or is nested too deep,
        numbers of thousands of digits, and more lists and objects than are looked through in good time. Of members of the
        same name, of which a parser sees one, only that one is kept.
        """
        if data is None or not self._keep:
            return None
        if self._walk is None:
            return data
        try:
            document = _decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _WHOLE
        if isinstance(document, str) and document.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return _WHOLE
        holder = [document]
        hidden = self._walk.hide(holder)
        if hidden is None:
            return _WHOLE
        encoded = _encode(holder[0])
        return encoded if hidden or count_members(encoded) != count_members(data) else data


class _Walk:
    """All paths at once, in one walk: which steps of which paths may come next is a number with a bit for each.

    The bits of a path lie side by side, and one more after its last step says that it has led somewhere.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._first = self._ends = self._every = self._deep = 0
        self._by_key: dict[str | int, int] = {}
        bit = 1
        for path in paths:
            self._first |= bit
            for step in path:
                if step.kind == "every":
                    self._every |= bit
                elif step.key is not None:
                    self._by_key[step.key] = self._by_key.get(step.key, 0) | bit
                if step.kind == "deep":
                    self._deep |= bit
                bit <<= 1
            self._ends |= bit
            bit <<= 1

    def hide(self, holder: list[Any]) -> bool | None:
        """Hides what the paths lead to from the only item of a list; whether that is anything, and None to give up."""
        if self._first & self._ends:  # the path `$`, the whole
            holder[0] = HIDDEN
            return True
        waiting, hidden, looked = [], False, 0
        if isinstance(holder[0], dict | list):
            waiting.append((holder[0], self._first))
        while waiting:
            container, steps = waiting.pop()
            looked += 1
            if looked > MAX_CONTAINERS:
                return None
            stays, every = steps & self._deep, steps & self._every
            for key, value in container.items() if isinstance(container, dict) else enumerate(container):
                named = self._by_key.get(key)
                follows = stays | (every | steps & named if named else every) << 1
                if follows & self._ends:
                    container[key] = HIDDEN
                    hidden = True
                elif follows and value and isinstance(value, dict | list):
                    waiting.append((value, follows))
        return hidden


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


def _fault(field: str, message: str) -> InvalidError:
    said = message.rstrip(".")
    return InvalidError(f"{field} {said}.", errors=[{"field": field, "message": said}])
