"""All providers, by what they are for."""

from collections.abc import Mapping
from types import MappingProxyType

from hookvault.errors import InvalidError
from hookvault.providers.aws_sns import AWS_SNS
from hookvault.providers.base import Provider
from hookvault.providers.n8n import N8N
from hookvault.providers.twilio import TWILIO
from hookvault.providers.vonage import VONAGE
from hookvault.providers.whatsapp import WHATSAPP

SMS: Mapping[str, Provider] = MappingProxyType({item.kind: item for item in (TWILIO, VONAGE, AWS_SNS)})
ALL: tuple[Provider, ...] = (WHATSAPP, *SMS.values(), N8N)

__all__ = ["ALL", "N8N", "SMS", "WHATSAPP", "secret_fields", "sms_provider"]


def sms_provider(name: str) -> Provider:
    """The SMS provider of this name.

    Raises:
        InvalidError: it isn't known; the message lists those that are.
    """
    found = SMS.get(name) if isinstance(name, str) else None
    if found is None:
        message = f"must be one of: {', '.join(SMS)}"
        raise InvalidError(f"provider {message}", errors=[{"field": "provider", "message": message}])
    return found


def secret_fields() -> frozenset[tuple[str, str]]:
    """Every (kind, field) that is stored encrypted; rotation, backup and tests go by it."""
    return frozenset((item.kind, field.name) for item in ALL for field in item.fields if field.secret)
