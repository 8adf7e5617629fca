"""Names in place of ids: who made or did something."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from hookvault.admin.visit import Visit

_KINDS = {
    "cli": "the command line",
    "python": "a program in the same process",
    "system": "Hookvault itself",
    "anonymous": "nobody known",
    "api_key": "an API key",
    "user": "a former admin",
}


async def look_up(visit: Visit, identifiers: Iterable[str]) -> Mapping[str, str]:
    """What admins are called, by id, by one query.

    Args:
        visit: Of whom reads it.
        identifiers: Ids of admins, or labels that end in one as `createdBy` does; what is neither is passed over.
    """
    found = await visit.app.accounts.admins.name_admins({key for text in identifiers if (key := _id_of(text))})
    return {str(key): name for key, name in found.items()}


def _id_of(text: str) -> UUID | None:
    kind, colon, identifier = text.rpartition(":")
    if colon and kind != "user":
        return None
    try:
        return UUID(identifier)
    except ValueError:
        return None


def named(kind: str, identifier: str, people: Mapping[str, str]) -> str:
    """Somebody, for a person to read.

    Args:
        kind: `user`, `api_key`, `cli`, `python`, `system` or `anonymous`.
        identifier: Whose.
        people: From `look_up`.
    """
    if kind == "user":
        return people.get(identifier, _KINDS["user"])
    if kind == "cli":
        return f"{identifier}, command line"
    return _KINDS.get(kind, kind)


def named_label(label: str, people: Mapping[str, str]) -> str:
    """As `named`, of a label as `createdBy` has it: `user:0190…`."""
    kind, _, identifier = label.partition(":")
    return named(kind, identifier, people)
