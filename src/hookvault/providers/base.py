"""A provider's configuration as data: its fields, and the one check that all of them share.

What can be told wrong without asking the provider is refused; what merely looks unusual is a warning, because
providers change the shapes of their tokens and ids without notice.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from hookvault.errors import InvalidError
from hookvault.providers.proof import Proof

E164 = r"^\+[1-9][0-9]{6,14}$"
MAX_UNKNOWN_LISTED = 20  # a body of thousands of unknown fields must not be answered by a longer one

ValueKind = Literal["text", "phone", "url", "label"]
Fault = dict[str, str]

# White space as str.strip() knows it, and invisible characters that come along when a token is copied from a
# web page. One set and one strip: taking the two kinds off in turns would be quadratic in the length.
_SURROUNDING = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + ("\u200b\u200c\u200d\u2060\ufeff")
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_PHONE_FILLING = re.compile(r"[\s().\u2010-\u2015-]+")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a provider's configuration.

    Attributes:
        name: As on the wire and in the stored JSON, camelCase.
        label: As people read it.
        required: Whether a configuration without it is refused.
        secret: Whether it is stored encrypted and never shown; agrees with `vault.fields`, which a test
            checks.
        pattern: The usual shape (anchored, the whole value); another one only warns.
        hint: What to look for when the shape looks off.
        missing: The warning when an optional field is absent; empty for none.
        max_length: Characters after trimming.
        generated: Whether the service makes one where it is absent.
        value_kind: `text`; `phone`, where filling characters don't count for the pattern; `url`, an http(s)
            address without user name, query or fragment; `label`, letters, digits and hyphens, since it
            becomes part of a host name.
    """

    name: str
    label: str
    required: bool = False
    secret: bool = True
    pattern: str | None = None
    hint: str = ""
    missing: str = ""
    max_length: int = 4096
    generated: bool = False
    value_kind: ValueKind = "text"

    def fault(self, value: object) -> str | None:
        """Why a trimmed value is refused, never quoting it; None if it isn't."""
        if not isinstance(value, str):
            return "must be text"
        if len(value) > self.max_length:
            return f"has {len(value)} characters; at most {self.max_length} are allowed"
        categories = {unicodedata.category(character) for character in value}
        if "Cs" in categories:
            return "is not valid Unicode text"
        if categories & _FORBIDDEN_CATEGORIES:
            return "has control characters or line breaks inside; copy it again without them"
        if not value:
            return "must not be empty"
        return _KIND_FAULTS[self.value_kind](value)

    def looks_off(self, value: str) -> bool:
        """Whether an acceptable value hasn't the usual shape."""
        if self.pattern is None:
            return False
        return re.fullmatch(self.pattern, clean_phone(value) if self.value_kind == "phone" else value) is None


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that may be stored: trimmed, without absent fields; and what looks unusual in it.

    Attributes:
        config: Plaintext by field name; kept out of the repr.
        warnings: `{"field", "message"}` each, without any value.
    """

    config: dict[str, str] = field(repr=False)
    warnings: list[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A third party that tenants hold credentials of.

    Attributes:
        kind: As in `vault.fields`, such as `twilio`.
        label: As people read it.
        fields: In the order that a form shows them.
        one_of: Of each group at least one field must be set.
        together: Of each group all or none should be set; else it warns.
        proofs: The calls that prove a configuration, in order; the first that fails is the verdict.
    """

    kind: str
    label: str
    fields: tuple[Field, ...]
    one_of: tuple[tuple[str, ...], ...] = ()
    together: tuple[tuple[str, ...], ...] = ()
    proofs: tuple[Proof, ...] = ()

    def check(self, config: Mapping[str, Any], *, stored: Collection[str] = ()) -> Checked:
        """The configuration, trimmed; null and empty optional fields are left out.

        Args:
            config: This provider's own fields only, without `provider` and `enabled`.
            stored: Names of fields that are stored already and count as set where `config` doesn't mention
                them.

        Raises:
            InvalidError: with all faults at once in `errors`: unknown fields, wrong types, missing, empty and
                over-long ones, control characters. No message quotes a value.
        """
        given = {name: _trimmed(value) for name, value in config.items() if value is not None}
        given = {name: value for name, value in given.items() if value != "" or self._is_required(name)}
        present = given.keys() | {name for name in stored if name not in config}
        faults = self._unknown(config) + self._field_faults(given) + self._absences(present)
        if faults:
            raise InvalidError(_told(self.label, faults), errors=faults)
        return Checked(dict(given), self._warnings(given, present))

    def _is_required(self, name: str) -> bool:
        return any(item.required for item in self.fields if item.name == name)

    def _unknown(self, names: Mapping[str, Any]) -> list[Fault]:
        known = [item.name for item in self.fields]
        unknown = [str(name) for name in names if name not in known]
        message = f"is not a field of {self.label}; its fields are {', '.join(known)}"
        faults = [_fault(_quotable(name), message) for name in unknown[:MAX_UNKNOWN_LISTED]]
        if len(unknown) > MAX_UNKNOWN_LISTED:
            faults.append(_fault("", f"{len(unknown) - MAX_UNKNOWN_LISTED} further fields are unknown too"))
        return faults

    def _field_faults(self, given: Mapping[str, Any]) -> list[Fault]:
        found = ((item.name, item.fault(given[item.name])) for item in self.fields if item.name in given)
        return [_fault(name, message) for name, message in found if message]

    def _absences(self, present: Collection[str]) -> list[Fault]:
        faults = [
            _fault(item.name, "is required") for item in self.fields if item.required and item.name not in present
        ]
        faults += [
            _fault(group[0], f"at least one of {' and '.join(group)} is required")
            for group in self.one_of
            if not any(name in present for name in group)
        ]
        return faults

    def _warnings(self, given: Mapping[str, str], present: Collection[str]) -> list[Fault]:
        warnings = [
            _fault(item.name, item.hint)
            for item in self.fields
            if item.name in given and item.looks_off(given[item.name])
        ]
        warnings += [
            _fault(item.name, item.missing) for item in self.fields if item.missing and item.name not in present
        ]
        for group in self.together:
            absent = [name for name in group if name not in present]
            if absent and len(absent) < len(group):
                warnings.append(_fault(absent[0], f"{' and '.join(group)} are only used together"))
        return warnings


def clean_phone(text: str) -> str:
    """A phone number without the spaces, dashes, dots and parentheses that people type into it."""
    return _PHONE_FILLING.sub("", text)


def _trimmed(value: Any) -> Any:
    return value.strip(_SURROUNDING) if isinstance(value, str) else value


def _fault(name: str, message: str) -> Fault:
    return {"field": name, "message": message}


def _told(label: str, faults: list[Fault]) -> str:
    told = "; ".join(f"{fault['field']} {fault['message']}".strip() for fault in faults)
    return f"The {label} configuration can't be accepted: {told}"


def _quotable(name: str) -> str:
    """A name that somebody else chose, short and fit for every terminal and encoder."""
    return "".join(character if character.isprintable() else "?" for character in name[:64])


def _no_fault(_value: str) -> str | None:
    return None


def _label_fault(value: str) -> str | None:
    return None if _LABEL.match(value) else "may only have letters, digits and hyphens"


def _url_fault(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "must be a full URL that begins with https:// (or http://)"
    if "@" in parts.netloc:
        return "must not have a user name or password in it"
    if "?" in value or "#" in value:
        return "must not have a query or fragment, since a path is added to its end"
    return "must not have spaces or backslashes in it" if re.search(r"[\s\\]", value) else None


_KIND_FAULTS: dict[ValueKind, Callable[[str], str | None]] = {
    "text": _no_fault,
    "phone": _no_fault,
    "url": _url_fault,
    "label": _label_fault,
}
