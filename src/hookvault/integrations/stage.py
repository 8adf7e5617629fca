"""What may be staged: new secrets for where the present ones go, and nothing else (pure)."""

from collections.abc import Mapping
from typing import Any

from hookvault.errors import InvalidError
from hookvault.integrations.change import (
    READ_ONLY,
    Change,
    destinations_of,
    goes_with_secrets,
    read_change,
    secrets_to_repeat,
    validate,
)
from hookvault.integrations.model import StoredConfig
from hookvault.providers.base import Provider
from hookvault.providers.proof import Config
from hookvault.vault.secret import Secret


def read_staged(body: Mapping[str, Any], provider: Provider, stored: StoredConfig, opened: Config) -> Change:
    """The secrets of a submitted body that differ from the present ones, checked as for a direct change.

    Args:
        body: Field names to new secrets. A plain field may be among them as it is stored.
        provider: Whose fields these are.
        stored: The integration as it is.
        opened: Its values, secrets boxed.

    Raises:
        InvalidError: `destination_changed`, `not_a_secret`, `secrets_required`, `unchanged`; and as for a direct change.
    """
    given = _without_plain(body, provider, stored)
    change = validate(read_change(given, provider, accept_sealed=False), stored, provider)
    if not change.new:
        names = [field.name for field in provider.fields if field.secret]
        fault = [{"field": names[0], "message": "is not given, nor any other secret"}]
        raise InvalidError(f"Give at least one new secret: {', '.join(names)}.", errors=fault)
    new = {name: value for name, value in change.new.items() if not _is(opened.get(name), value)}
    if not new:
        raise InvalidError("These are the secrets in use already; there is nothing to rotate to.", code="unchanged")
    _refuse_moves(provider, new, stored, change)
    return Change(new=new, warnings=change.warnings)


def _without_plain(body: Mapping[str, Any], provider: Provider, stored: StoredConfig) -> dict[str, Any]:
    plain = {field.name for field in provider.fields if not field.secret} | {"provider", "enabled"}
    given = {}
    for name, value in body.items():
        if name in READ_ONLY:
            continue
        if name not in plain:
            if value is None:
                raise _fault(name, "can't be cleared by a rotation; change the integration itself")
            given[name] = value
        elif value != (stored.enabled if name == "enabled" else stored.values.get(name)):
            moved = name == "provider" or name in destinations_of(provider.kind)
            raise _moved(name) if moved else _no_secret(name)
    return given


def _refuse_moves(provider: Provider, new: Mapping[str, str], stored: StoredConfig, change: Change) -> None:
    """Refuses another account in the place of this one. An access key's id is another with each key, and comes with it."""
    moved = {name for name in destinations_of(provider.kind) if name in new and name in stored.values}
    for name in sorted(moved):
        if not goes_with_secrets(provider.kind, name):
            raise _moved(name)
    missing = secrets_to_repeat(provider.kind, moved, stored, change)
    if missing:
        raise InvalidError(
            f"{', '.join(sorted(moved))} is new: give {', '.join(missing)} with it.",
            code="secrets_required",
            errors=[{"field": name, "message": "must be given too"} for name in missing],
        )


def _is(current: str | Secret | None, value: str) -> bool:
    return isinstance(current, Secret) and current.same_as(value)


def _moved(name: str) -> InvalidError:
    message = "says where the secrets go and can't be changed by a rotation; change the integration itself"
    return _fault(name, message, "destination_changed")


def _no_secret(name: str) -> InvalidError:
    return _fault(name, "is not a secret; change the integration itself", "not_a_secret")


def _fault(name: str, message: str, code: str | None = None) -> InvalidError:
    name = name[:64].encode("utf-8", "replace").decode()  # the caller's own words
    return InvalidError(f"{name} {message}.", code=code, errors=[{"field": name, "message": message}])
