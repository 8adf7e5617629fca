"""The vault's public API: encrypt and decrypt texts and configurations, mask them, and box plaintexts.

Ciphertexts have the form `{IV}:{AuthTag}:{Encrypted}`, lower-case hex, AES-256-GCM, byte-compatible with
Node's `crypto`. Without a key given, ENCRYPTION_KEY of the environment is used.
"""

from hookvault.vault.cipher import decrypt, encrypt
from hookvault.vault.config import (
    decrypt_sms_config,
    decrypt_whatsapp_config,
    encrypt_sms_config,
    encrypt_whatsapp_config,
)
from hookvault.vault.fields import decrypt_fields, encrypt_fields
from hookvault.vault.mask import mask_long_token, mask_sms_config, mask_token, mask_whatsapp_config
from hookvault.vault.secret import Secret

__all__ = [
    "Secret",
    "decrypt",
    "decrypt_fields",
    "decrypt_sms_config",
    "decrypt_whatsapp_config",
    "encrypt",
    "encrypt_fields",
    "encrypt_sms_config",
    "encrypt_whatsapp_config",
    "mask_long_token",
    "mask_sms_config",
    "mask_token",
    "mask_whatsapp_config",
]
