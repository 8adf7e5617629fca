"""An integration as its card shows it: the state in a word, every field, and what looks unusual (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hookvault.errors import InvalidError
from hookvault.integrations.layout import provider_of
from hookvault.integrations.model import Integration, Kind, Rotation, SecretInfo
from hookvault.providers.base import Provider
from hookvault.vault.mask import masked_hint

TITLES: Mapping[Kind, str] = {"whatsapp": "WhatsApp Business", "sms": "SMS", "n8n": "n8n"}
IMAGES: Mapping[Kind, str] = {"whatsapp": "brand-whatsapp", "sms": "message", "n8n": "webhook"}
PURPOSES: Mapping[Kind, str] = {
    "whatsapp": "Keep the credentials of this tenant's WhatsApp number here, sealed.",
    "sms": "Keep the credentials of this tenant's Twilio, Vonage or AWS account here, sealed.",
    "n8n": "Tell where this tenant's n8n stands, so that its webhooks have addresses.",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What may be shown of a stored secret, as the form's macros take it."""

    set: bool
    hint: str | None
    needs_reentry: bool
    key_needed: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A field: its value, or where it is a secret what may be shown of that."""

    name: str
    label: str
    value: str | None
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Card:
    """One integration. `state` is a word and how good that is; `lines` has only what is worth a line."""

    kind: Kind
    title: str
    image: str
    provider: Provider | None
    integration: Integration | None
    state: tuple[str, str]
    lines: Sequence[Line]
    warnings: Sequence[str]
    rotation: Rotation | None

    @property
    def purpose(self) -> str:
        """What connecting it is good for."""
        return PURPOSES[self.kind]


def make_card(kind: Kind, integration: Integration | None, rotation: Rotation | None) -> Card:
    """The card of an integration, or of one that is not there yet."""
    if integration is None:
        return Card(kind, TITLES[kind], IMAGES[kind], None, None, ("Not set", ""), (), (), None)
    provider = provider_of(kind, integration.values)
    state, lines = _state(integration, rotation), _lines(provider, integration)
    warnings = _warnings(provider, integration)
    return Card(kind, TITLES[kind], IMAGES[kind], provider, integration, state, lines, warnings, rotation)


def mark_of(secret: SecretInfo | None) -> Mark | None:
    """What may be shown of a secret; None where there is none at all."""
    if secret is None:
        return None
    return Mark(secret.set, masked_hint(secret.hint), secret.needs_reentry, secret.key_needed)


def _lines(provider: Provider, integration: Integration) -> list[Line]:
    """Secrets always, for they can be replaced here; of the other fields those that are set or must be.

    The number that people know comes first, before all the ids.
    """
    found = []
    for field in provider.fields:
        value = integration.values.get(field.name)
        if field.secret:
            found.append(Line(field.name, field.label, None, mark_of(integration.secrets.get(field.name))))
        elif value or field.required:
            found.append(Line(field.name, field.label, value, None))
    if provider.kind == "whatsapp":
        found.sort(key=lambda line: line.name != "phoneNumber")
    return [
        line
        for line in found
        if line.mark is None or line.mark.set or line.mark.needs_reentry or _asked(provider, line)
    ]


def _asked(provider: Provider, line: Line) -> bool:
    """Whether an absent secret is worth a line: where its absence is a warning, or it is the only one."""
    field = next(field for field in provider.fields if field.name == line.name)
    return bool(field.missing) or field.required or sum(one.secret for one in provider.fields) == 1


def _state(integration: Integration, rotation: Rotation | None) -> tuple[str, str]:
    if any(secret.needs_reentry for secret in integration.secrets.values()):
        return "Secret needed", "bad"
    if not integration.enabled:
        return "Disabled", ""
    if rotation is not None and rotation.staged is not None:
        return "New secrets staged", "accent"
    if integration.last_test is not None and not integration.last_test.ok:
        return "Test failed", "warn"
    return "Connected", "good"


def _warnings(provider: Provider, integration: Integration) -> list[str]:
    """What looks unusual in what is readable, or is absent. Secrets are not looked at: that is done as they are stored."""
    plain = {name: value for name, value in integration.values.items() if value is not None and name != "provider"}
    stored = {name for name, secret in integration.secrets.items() if secret.set}
    try:
        found = provider.check(plain, stored=stored).warnings
    except InvalidError:  # its secrets are lost, which the card says by itself
        return []
    return [fault["message"] for fault in found]
