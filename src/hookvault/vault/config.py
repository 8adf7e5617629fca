"""Whole WhatsApp and SMS configurations to and from version 0 ciphertext, as the Node.js form has them."""

from collections.abc import Mapping
from typing import Any

from hookvault.errors import InvalidError
from hookvault.vault.fields import PLAIN_FIELDS, SMS_KINDS, decrypt_fields, encrypt_fields, sms_kind


def encrypt_whatsapp_config(config: Mapping[str, Any], key: str | bytes | None = None) -> dict[str, Any]:
    """A copy whose secret fields, and any that aren't known, are encrypted (version 0).

    Raises:
        InvalidError, CipherError, SetupError: as `fields.encrypt_fields`.
    """
    return encrypt_fields(config, PLAIN_FIELDS["whatsapp"], key)


def decrypt_whatsapp_config(config: Mapping[str, Any], key: str | bytes | None = None) -> dict[str, Any]:
    """What `encrypt_whatsapp_config` was given.

    Raises:
        InvalidError, CipherError, SetupError: as `fields.decrypt_fields`.
    """
    return decrypt_fields(config, PLAIN_FIELDS["whatsapp"], key)


def encrypt_sms_config(config: Mapping[str, Any], key: str | bytes | None = None) -> dict[str, Any]:
    """A copy whose secret fields, those of its `provider` (default twilio), are encrypted (version 0).

    Raises:
        InvalidError: the provider isn't known; else as `fields.encrypt_fields`.
        CipherError, SetupError: as `fields.encrypt_fields`.
    """
    return encrypt_fields(config, _plain_sms_fields(config), key)


def decrypt_sms_config(config: Mapping[str, Any], key: str | bytes | None = None) -> dict[str, Any]:
    """What `encrypt_sms_config` was given.

    Raises:
        InvalidError: the provider isn't known; else as `fields.decrypt_fields`.
        CipherError, SetupError: as `fields.decrypt_fields`.
    """
    return decrypt_fields(config, _plain_sms_fields(config), key)


def _plain_sms_fields(config: Mapping[str, Any]) -> frozenset[str]:
    kind = sms_kind(config)
    if kind is None:
        known = ", ".join(SMS_KINDS)
        raise InvalidError(
            f"the SMS provider is not known; known are: {known}",
            errors=[{"field": "provider", "message": f"must be one of: {known}"}],
        )
    return PLAIN_FIELDS[kind]
