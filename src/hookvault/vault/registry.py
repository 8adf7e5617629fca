"""Every place where a secret is stored. What is sealed, rekeyed, scanned and checked goes by this list, and nothing else does.

A new encrypted column belongs here before anything can be sealed into it: `place` refuses any other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hookvault.errors import CipherError
from hookvault.vault.fields import COMMON_PLAIN, is_secret, sms_kind

PLATFORM = "*"  # whose secrets are no tenant's: no tenant can have this id, and what is done for all is done for it
LOST = ""  # in a ciphertext's place: there was a secret, its key is gone for good, and it must be entered again


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is stored. A ciphertext opens in its own place only."""

    table: str
    row_id: str
    field: str


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that holds ciphertexts: one as text, or a JSON object with one in each secret member.

    Attributes:
        name: The column; of an object's member the field is `column.member`.
        secret: Of an object: whether one of its members is secret, given the object and the member's name. None for text.
    """

    name: str
    secret: Callable[[Mapping[str, Any], str], bool] | None = None


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with secrets. Its rows carry tenant_id and the key_version that sealed all of the row.

    Attributes:
        name: The table.
        row_id: The column, a uuid, that names the row within its tenant; tenant_id where there is one row for each.
        columns: Those that hold secrets.
        hinted: Whether its rows carry secret_hints, what is shown of their secrets.
    """

    name: str
    row_id: str
    columns: tuple[SealedColumn, ...]
    hinted: bool = True

    def sealed(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The ciphertexts of a row, by field. Those that are LOST are none."""
        found: dict[str, str] = {}
        for column in self.columns:
            value = row[column.name]
            if column.secret is None:
                if value is not None and value != LOST:
                    found[column.name] = value
                continue
            for member, text in (value or {}).items():
                if text is not None and text != LOST and column.secret(value, member):
                    found[f"{column.name}.{member}"] = text
        return found

    def merged(self, row: Mapping[str, Any], sealed: Mapping[str, str]) -> dict[str, Any]:
        """The row's columns with other ciphertexts in their places; what is not secret stays as it is."""
        columns: dict[str, Any] = {}
        for column in self.columns:
            value = row[column.name]
            if column.secret is None:
                columns[column.name] = sealed.get(column.name, value)
            elif value is None:
                columns[column.name] = None
            else:
                members = {name: sealed.get(f"{column.name}.{name}", text) for name, text in value.items()}
                columns[column.name] = members
        return columns

    def place(self, row_id: str, field: str) -> Place:
        """The place of one of the table's fields.

        Raises:
            CipherError: code `unregistered_field`, for a field that no entry here covers.
        """
        column, _, member = field.partition(".")
        for known in self.columns:
            if known.name == column and (known.secret is None) == (not member):
                return Place(self.name, row_id, field)
        raise CipherError(
            f"{self.name}.{field} is not registered as a place for secrets; nothing is sealed there.",
            code="unregistered_field",
        )


def _of_whatsapp(_config: Mapping[str, Any], member: str) -> bool:
    return is_secret("whatsapp", member)


def _of_sms(config: Mapping[str, Any], member: str) -> bool:
    kind = sms_kind(config)
    return member not in COMMON_PLAIN if kind is None else is_secret(kind, member)


def _every(_config: Mapping[str, Any], _member: str) -> bool:
    return True


TENANT_INTEGRATIONS = SealedTable(
    "tenant_integrations",
    "tenant_id",
    (
        SealedColumn("n8n_api_key"),
        SealedColumn("whatsapp_config", _of_whatsapp),
        SealedColumn("sms_config", _of_sms),
    ),
)
N8N_WEBHOOKS = SealedTable(
    "n8n_webhooks",
    "id",
    (
        SealedColumn("auth_token"),
        SealedColumn("signing_secret"),
        SealedColumn("previous_signing_secret"),
        SealedColumn("static_headers", _every),
    ),
)
CREDENTIAL_VERSIONS = SealedTable("credential_versions", "id", (SealedColumn("secrets", _every),))
USER_TOTP = SealedTable("user_totp", "user_id", (SealedColumn("secret"),), hinted=False)

REGISTRY: tuple[SealedTable, ...] = (TENANT_INTEGRATIONS, N8N_WEBHOOKS, CREDENTIAL_VERSIONS, USER_TOTP)
