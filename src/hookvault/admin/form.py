"""What a form submitted: bounded, and read as what the API takes."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from hookvault.errors import MalformedError, TooLargeError

_MOST_BYTES = 2 * 1024 * 1024
_MOST_FIELDS = 1000
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Form:
    """A form's fields in their order."""

    pairs: tuple[tuple[str, str], ...]

    def text(self, name: str) -> str:
        """A field without white space around it; empty where it is absent."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """A field as it was typed, such as a password."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be there several times."""
        return [value for key, value in self.pairs if key == name]

    def is_on(self, name: str) -> bool:
        """Whether a box is ticked."""
        return any(key == name for key, _ in self.pairs)

    def number(self, name: str) -> int | float | str | None:
        """A field as a number; None where it is empty; as typed where it is none, so that the API says so."""
        text = self.text(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            pass
        try:
            value = float(text)
        except ValueError:
            return text
        return value if math.isfinite(value) else text

    def lines(self, name: str) -> list[str]:
        """The lines of a field that are not empty."""
        return [line.strip() for line in self.raw(name).splitlines() if line.strip()]

    def given(self, names: Iterable[str]) -> dict[str, str]:
        """The fields among these that hold anything."""
        return {name: text for name in names if (text := self.text(name))}

    def values(self, *, but: Iterable[str] = ()) -> Mapping[str, str]:
        """What was typed, to be shown again; `but` names secrets, which no page ever holds."""
        hidden = set(but)
        return {name: value for name, value in self.pairs if name not in hidden}


async def read_form(request: Request) -> Form:
    """The fields of a submitted form.

    Raises:
        TooLargeError: more than 2 MiB, or more than 1,000 fields.
        MalformedError: not a form, or not UTF-8.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != _FORM:
        raise MalformedError("This is not a form as our pages submit it.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise TooLargeError("The form is longer than 2 MiB. Shorten what was typed.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise MalformedError("The form is not UTF-8.") from None
    except ValueError:
        raise TooLargeError("The form has too many fields.") from None
    return Form(tuple(pairs))


def read_json(text: str) -> Any:
    """A text as JSON (RFC 8259).

    Raises:
        ValueError: it is none, nested too deep, or holds NaN, Infinity, or a number beyond all.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else _refuse(digits)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"policy.timeoutMs": 5}` as `{"policy": {"timeoutMs": 5}}`: fields are named as the API names what is wrong with them."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        within = made
        for step in path:
            within = within.setdefault(step, {})
        within[last] = value
    return made
