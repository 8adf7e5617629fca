"""Names in place of ids: who made or did something."""

from collections.abc import Mapping

from hookvault.admin.visit import Visit

_MOST = 200  # admins whose names are looked up; of further ones the id is shown
_KINDS = {
    "cli": "the command line",
    "python": "a program in the same process",
    "system": "Hookvault itself",
    "anonymous": "nobody known",
    "api_key": "an API key",
    "user": "a former admin",
}


async def list_people(visit: Visit) -> Mapping[str, str]:
    """What admins are called, by id, by one query."""
    page = await visit.app.accounts.admins.list_admins(limit=_MOST)
    return {str(user.id): user.name or user.email for user in page.items}


def named(kind: str, identifier: str, people: Mapping[str, str]) -> str:
    """Somebody, for a person to read.

    Args:
        kind: `user`, `api_key`, `cli`, `python`, `system` or `anonymous`.
        identifier: Whose.
        people: From `list_people`.
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
