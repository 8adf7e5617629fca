"""What a submitted configuration asks for, worked out without any key (pure).

An absent field keeps its value, a string replaces it, null clears it. What the API shows of a secret, sent back as it
was shown, keeps the secret; a mask in a secret's place is refused, so a mask can never be stored over a secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hookvault.errors import InvalidError
from hookvault.integrations.model import StoredConfig
from hookvault.providers.base import Provider
from hookvault.vault.cipher import is_ciphertext
from hookvault.vault.mask import looks_masked

READ_ONLY = frozenset({"updatedAt", "version", "warnings", "generated", "kind", "callbackUrl"})

# Which stored secrets would go to a new place when one of these fields changes: they must be given again with it.
_TRAVELLERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "whatsapp": (("phoneNumberId", "businessAccountId"), ("accessToken",)),
    "twilio": (("accountSid",), ("authToken", "apiKeySid", "apiKeySecret")),
    "vonage": (("apiKey",), ("apiSecret",)),
    "aws_sns": (("region", "accessKeyId"), ("accessKeyId", "secretAccessKey")),
    "n8n": (("baseUrl",), ("apiKey",)),
}


@dataclass(slots=True)
class Change:
    """A submitted configuration, sorted."""

    enabled: bool | None = None
    new: dict[str, str] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)
    warnings: tuple[Mapping[str, str], ...] = ()


def read_change(body: Mapping[str, Any], provider: Provider, *, accept_sealed: bool) -> Change:
    """Sorts a submitted configuration into new values and cleared fields.

    Args:
        body: Field names to strings, null, or what the API showed of a secret; `enabled` may be among them.
        provider: Whose fields these are.
        accept_sealed: Whether a secret may come in the three-part encrypted form (from Python only).

    Raises:
        InvalidError: code `mask_submitted` for a mask, `ciphertext_submitted` for an encrypted value where none is
            taken, else `invalid_input`.
    """
    change = Change()
    secret = {known.name for known in provider.fields if known.secret}
    for name, value in body.items():
        if name in READ_ONLY or (name in secret and _is_shown_secret(value)):
            continue
        if name == "enabled":
            if not isinstance(value, bool):
                raise _fault(name, "must be true or false")
            change.enabled = value
        elif value is None:
            change.cleared.add(name)
        elif not isinstance(value, str):
            raise _fault(name, "must be a string or null")
        else:
            if name in secret:
                check_secret(name, value, accept_sealed=accept_sealed)
            change.new[name] = value
    return change


def check_secret(name: str, value: str, *, accept_sealed: bool = False) -> None:
    """Refuses what can't be a secret: a mask, or a value in stored form.

    Raises:
        InvalidError: code `mask_submitted` or `ciphertext_submitted`.
    """
    if looks_masked(value):
        raise InvalidError(
            f"{name} holds a mask, not a secret. Leave the field out to keep the stored value.",
            code="mask_submitted",
        )
    if is_ciphertext(value) and not accept_sealed:
        raise InvalidError(
            f"{name} holds an encrypted value. Send the secret itself; it is encrypted here.",
            code="ciphertext_submitted",
        )


def validate(change: Change, stored: StoredConfig | None, provider: Provider) -> Change:
    """The change with trimmed values and warnings, once the resulting configuration is complete and well formed.

    Raises:
        InvalidError: `invalid_input`, with all faults by field.
    """
    cleared = dict.fromkeys(change.cleared)
    checked = provider.check({**cleared, **change.new}, stored=set(stored.values) if stored else ())
    warnings = tuple(checked.warnings)
    new = {name: checked.config[name] for name in change.new if name in checked.config}
    return Change(change.enabled, new, change.cleared, warnings)


def secrets_to_repeat(provider: str, changed: set[str], stored: StoredConfig, change: Change) -> list[str]:
    """The stored secrets that must be given again because a field that says where they go has changed."""
    destinations, travellers = _TRAVELLERS.get(provider, ((), ()))
    if not changed.intersection(destinations):
        return []
    return [
        name
        for name in travellers
        if name in stored.values and name not in change.new and name not in change.cleared and name not in changed
    ]


def destinations_of(provider: str) -> tuple[str, ...]:
    """The fields that say where a provider's secrets go."""
    return _TRAVELLERS.get(provider, ((), ()))[0]


def goes_with_secrets(provider: str, name: str) -> bool:
    """Whether a field that says where secrets go is one of them, as a key's id is: it changes with each new key."""
    return name in _TRAVELLERS.get(provider, ((), ()))[1]


def keep_test(stored: StoredConfig | None, change: Change, version: int) -> Mapping[str, Any] | None:
    """What the last test said, where nothing that it was about has changed; as of the version that comes now."""
    if stored is None or stored.test is None or change.new or change.cleared:
        return None
    return {**stored.test, "version": version}


def _is_shown_secret(value: object) -> bool:
    return isinstance(value, Mapping) and "set" in value


def _fault(name: str, message: str) -> InvalidError:
    name = name[:64].encode("utf-8", "replace").decode()  # the caller's own words, short and certain to be encodable
    return InvalidError(f"{name} {message}.", errors=[{"field": name, "message": message}])
