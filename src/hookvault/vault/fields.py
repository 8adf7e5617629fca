"""Which fields of a configuration are not secret, and the encryption of all others.

Encryption is the default: a field that nobody listed here is encrypted, masked and never shown.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from hookvault.errors import CipherError, InvalidError
from hookvault.vault.cipher import decrypt, encrypt, is_ciphertext

SMS_KINDS = ("twilio", "vonage", "aws_sns")
DEFAULT_SMS_KIND = "twilio"
COMMON_PLAIN = frozenset({"provider", "enabled"})

PLAIN_FIELDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "whatsapp": COMMON_PLAIN | {"phoneNumberId", "businessAccountId", "appId", "phoneNumber"},
        "twilio": COMMON_PLAIN | {"phoneNumber", "messagingServiceSid"},
        "vonage": COMMON_PLAIN | {"phoneNumber"},
        "aws_sns": COMMON_PLAIN | {"region", "senderId"},
        "n8n": COMMON_PLAIN | {"baseUrl"},
    }
)


def is_secret(kind: str, field: str) -> bool:
    """Whether a field of this kind of configuration is kept encrypted; unknown kinds and fields are."""
    return field not in PLAIN_FIELDS.get(kind, frozenset())


def sms_kind(config: Mapping[str, Any]) -> str | None:
    """The SMS provider that a configuration names: by default `twilio`, None for one that isn't known."""
    provider = config.get("provider")
    if provider is None:
        return DEFAULT_SMS_KIND
    return provider if isinstance(provider, str) and provider in SMS_KINDS else None


def encrypt_fields(config: Mapping[str, Any], plain: Collection[str], key: str | bytes | None = None) -> dict[str, Any]:
    """A copy with every field but the plain ones encrypted (version 0).

    None stays None. A text that already has the form of a ciphertext is left as it is, so that passing a
    configuration through twice does no harm; whether it opens shows only when it is opened.

    Args:
        config: Names and values; not changed.
        plain: The names that are not secret, such as `PLAIN_FIELDS["whatsapp"]`.
        key: 64 hex characters or 32 bytes; None takes ENCRYPTION_KEY from the environment.

    Raises:
        InvalidError: secret fields that aren't text, or not valid Unicode, listed in `errors`.
        SetupError, CipherError: no usable key, see `cipher.encrypt`.
    """
    _refuse_other_than_text(config, plain)
    return _mapped(config, plain, lambda text: text if is_ciphertext(text) else encrypt(text, key))


def decrypt_fields(config: Mapping[str, Any], plain: Collection[str], key: str | bytes | None = None) -> dict[str, Any]:
    """A copy with every field but the plain ones decrypted (version 0). None stays None.

    Raises:
        InvalidError: secret fields that aren't text, listed in `errors`.
        CipherError: a field is not a ciphertext (`malformed_ciphertext`) or doesn't open (`cipher_error`);
            the message and the member `field` name it.
        SetupError: no usable key, see `cipher.decrypt`.
    """
    _refuse_other_than_text(config, plain)
    return _mapped(config, plain, lambda text: decrypt(text, key))


def _mapped(config: Mapping[str, Any], plain: Collection[str], change: Callable[[str], str]) -> dict[str, Any]:
    done = {}
    for name, value in config.items():
        done[name] = value if name in plain or value is None else _changed(name, value, change)
    return done


def _changed(name: str, value: str, change: Callable[[str], str]) -> str:
    try:
        return change(value)
    except CipherError as error:
        raise CipherError(f"{name}: {error.message}", code=error.code, field=name) from None
    except InvalidError as error:
        fault = {"field": name, "message": error.message}
        raise InvalidError(f"{name}: {error.message}", errors=[fault]) from None


def _refuse_other_than_text(config: Mapping[str, Any], plain: Collection[str]) -> None:
    wrong = [
        name for name, value in config.items() if name not in plain and value is not None and not isinstance(value, str)
    ]
    if wrong:
        raise InvalidError(
            f"a secret field holds text or null; not so: {', '.join(wrong)}",
            errors=[{"field": name, "message": "must be text"} for name in wrong],
        )
