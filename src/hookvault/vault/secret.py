"""The box a plaintext lives in, so that no log line, error, template or JSON shows it by accident."""

import hmac
from typing import Any, NoReturn, final

from pydantic_core import core_schema

HIDDEN = "***"


@final
class Secret:
    """A text that shows as `***` wherever it is printed; only `open()` gives it out.

    Two boxes are never `==` and hash by identity, so that a set, a dict or an assertion neither compares
    contents in variable time nor prints them; `same_as` compares. A box can't be pickled or copied, and
    neither json nor msgspec can encode it. Pydantic builds one from a string, keeps it a box in Python and
    writes `***` in JSON.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a Secret holds text, not {type(text).__name__}")
        self._text = text

    def open(self) -> str:
        """The plaintext. Each call lets a secret out of its box: keep them few and close to the use."""
        return self._text

    def same_as(self, other: "Secret | str") -> bool:
        """Whether both hold the same text, in a time that doesn't depend on where they differ."""
        theirs = other.open() if isinstance(other, Secret) else other
        # surrogatepass: a text that isn't valid Unicode is merely different, no error that would carry it
        # along
        return hmac.compare_digest(self._text.encode("utf-8", "surrogatepass"), theirs.encode("utf-8", "surrogatepass"))

    def __repr__(self) -> str:
        return HIDDEN

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, format_spec: str) -> str:
        return HIDDEN

    def __getstate__(self) -> NoReturn:  # what copy and every pickle protocol ask for
        raise TypeError("a Secret can't be pickled or copied; open it where it is needed")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        boxed = core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))
        return core_schema.json_or_python_schema(
            json_schema=boxed,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), boxed]),
            # only in JSON: a dump to Python objects keeps the box, or "***" would be stored in the secret's
            # place
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: Any) -> dict[str, Any]:
        return {**handler(schema), "format": "password", "writeOnly": True}
