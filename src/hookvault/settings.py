"""All settings, read once from the environment into one frozen object. docs/settings.md is tested against this file."""

import ipaddress
import re
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from hookvault.errors import SetupError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
KEY_ADVICE = "make one with: hookvault keys generate"
_KEY = re.compile(r"[0-9a-fA-F]{64}\Z")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}\Z")
_PROVIDERS = ("whatsapp", "twilio", "vonage", "aws_sns")


def check_key(text: str) -> str:
    """The 64 hex characters of an ENCRYPTION_KEY.

    Raises:
        ValueError: with what is wrong and how to make a right one; never with the key.
    """
    if not _KEY.match(text):
        found = f"it has {len(text)}" if len(text) != 64 else "it has others than 0-9 and a-f"
        raise ValueError(f"must be exactly 64 hexadecimal characters, and {found}; {KEY_ADVICE}")
    if len(set(text.lower())) < 4:
        raise ValueError(f"is made of hardly more than one digit and protects nothing; {KEY_ADVICE}")
    return text.lower()


class Settings(BaseSettings):
    """The service's settings. Each field's description is the sentence shown in docs/settings.md."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    app_env: Literal["development", "production"] = Field(
        "development", description="`production` refuses weak settings, listing all of them at once."
    )
    database_url: SecretStr | None = Field(
        None,
        description="Any PostgreSQL 15 or newer. Without it an embedded Postgres runs in the data directory.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="64 hexadecimal characters. Required in production; in development made once, mode 0600.",
    )
    encryption_key_next: SecretStr | None = Field(None, description="The coming key while keys are rotated.")
    encryption_key_previous: SecretStr | None = Field(None, description="The former key until it is retired.")
    import_database_url: SecretStr | None = Field(
        None, description="The former system's PostgreSQL database, for `hookvault import` only; it is only read."
    )
    import_encryption_key: SecretStr | None = Field(
        None, description="The key of that system's secrets; by default it is ENCRYPTION_KEY."
    )
    session_secret: SecretStr | None = Field(
        None,
        description="Signs sessions, 32 characters or more. Required in production; in development made once, mode 0600.",
    )
    session_idle_minutes: int = Field(720, ge=5, le=43_200, description="A session not used for so long has ended.")
    session_max_hours: int = Field(
        168, ge=1, le=8760, description="A session so old has ended, however much it is used."
    )
    smtp_host: str | None = Field(
        None, description="The mail server. Without it development logs mails; production gives invitations' links out."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="The mail server's port.")
    smtp_user: str | None = Field(None, description="The name to sign in at the mail server with.")
    smtp_pass: SecretStr | None = Field(None, description="The password to sign in at the mail server with.")
    smtp_from: str | None = Field(
        None, description="The sender, `address` or `Name <address>`; required with SMTP_HOST."
    )
    smtp_tls: Literal["auto", "tls", "starttls", "none"] = Field(
        "auto",
        description="How the mail server is reached: `auto` is TLS on port 465, else STARTTLS, which it must offer; nothing of "
        "both on loopback.",
    )
    app_url: str = Field(
        "http://127.0.0.1:3000", description="The public address; links use it, never the Host header."
    )
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(3000, ge=1, le=65535, description="The port to listen on.")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Networks (CIDR, comma separated) whose X-Forwarded-For is believed."
    )
    admin_email: str | None = Field(None, description="The first platform admin, used only while there is none.")
    admin_password: SecretStr | None = Field(
        None,
        description="That admin's password, 12 characters or more; in development made and printed once.",
    )
    hookvault_data_dir: Path = Field(Path(".hookvault"), description="Embedded database, development keys and exports.")
    webhook_allow_http: bool | None = Field(
        None, description="Whether plain http targets may be called; by default only in development."
    )
    webhook_allowed_networks: Annotated[tuple[Network, ...] | None, NoDecode] = Field(
        None,
        description="Private networks (CIDR, comma separated) that may be called; by default loopback in development, "
        "none in production. Link-local, metadata and multicast addresses never may.",
    )
    webhook_timeout_s: float = Field(30.0, gt=0, le=120, description="Seconds for one call, the body included.")
    webhook_max_response_bytes: int = Field(
        65536, ge=0, le=16_777_216, description="Bytes of a response that are kept."
    )
    webhook_max_payload_bytes: int = Field(1_048_576, ge=2, le=16_777_216, description="Bytes that a payload may have.")
    webhook_concurrency: int = Field(
        256, ge=1, le=10_000, description="Calls in flight at once in one process, and as many deliveries."
    )
    provider_base_urls: Annotated[Mapping[str, str] | None, NoDecode] = Field(
        None,
        description="Where providers are asked instead of at their own addresses, for tests and proxies: "
        "`twilio=https://proxy.example.com/twilio`, comma separated; of `whatsapp`, `twilio`, `vonage`, `aws_sns`. "
        "Tenants' credentials are sent there.",
    )
    analytics_retention_days: int = Field(90, ge=1, le=3650, description="Days after which recorded calls are dropped.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )

    @field_validator("trusted_proxies", "webhook_allowed_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())

    @field_validator("provider_base_urls", mode="before")
    @classmethod
    def _base_urls(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        for name, _, url in pairs:
            if name not in _PROVIDERS or not url.startswith(("https://", "http://")):
                raise ValueError(f"must be like twilio=https://proxy.example.com, with one of {', '.join(_PROVIDERS)}")
        return {name: url.rstrip("/") for name, _, url in pairs}

    @field_validator("app_url")
    @classmethod
    def _own_url(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise ValueError("must be the address that people open, like https://hookvault.example.com")
        return value.strip().rstrip("/")

    @field_validator("smtp_from")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        if value is not None and (not value.isprintable() or not _ADDRESS.match(parseaddr(value)[1])):
            raise ValueError("must be an e-mail address, or like: Hookvault <hookvault@example.com>")
        return value

    @field_validator("encryption_key", "encryption_key_next", "encryption_key_previous")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(check_key(value.get_secret_value().strip()))

    @field_validator("import_encryption_key")
    @classmethod
    def _foreign_key(cls, value: SecretStr | None) -> SecretStr | None:
        """Only its form: what another system was protected with can't be chosen any more."""
        if value is not None and not _KEY.match(value.get_secret_value().strip()):
            raise ValueError("must be exactly 64 hexadecimal characters, the key of the system to import from")
        return None if value is None else SecretStr(value.get_secret_value().strip().lower())

    @field_validator("database_url", "import_database_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be the URL of a PostgreSQL database: postgresql://user:password@host/database")
        return value

    @property
    def production(self) -> bool:
        """Whether weak settings are refused and nothing is generated."""
        return self.app_env == "production"

    @property
    def allow_http(self) -> bool:
        """Whether plain http targets may be called."""
        return not self.production if self.webhook_allow_http is None else self.webhook_allow_http

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """The private networks that may be called."""
        if self.webhook_allowed_networks is not None:
            return self.webhook_allowed_networks
        loopback = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
        return () if self.production else loopback


def load_settings() -> Settings:
    """The settings of this process's environment.

    Raises:
        SetupError: listing every wrong setting at once, each with its name and what to do, without any value.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise SetupError(_listed([_fault(item) for item in error.errors(include_input=False)])) from None
    faults = _mail_faults(settings) + (_production_faults(settings) if settings.production else [])
    if faults:
        raise SetupError(_listed(faults))
    return settings


def _fault(item: object) -> str:
    fields = dict(item)  # type: ignore[call-overload]
    name = str(fields["loc"][0]).upper() if fields["loc"] else "settings"
    return f"{name}: {str(fields['msg']).removeprefix('Value error, ')}"


def _listed(faults: list[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    return f"{len(faults)} settings are not usable." + "".join(f"\n  {fault}" for fault in faults)


def _mail_faults(settings: Settings) -> list[str]:
    if settings.smtp_host is None:
        return []
    faults = []
    if settings.smtp_from is None:
        faults.append("SMTP_FROM: required with SMTP_HOST, the address that mails come from")
    if settings.smtp_user is not None and settings.smtp_pass is None:
        faults.append("SMTP_PASS: required with SMTP_USER")
    if settings.smtp_tls == "none" and settings.smtp_user is not None and not is_loopback(settings.smtp_host):
        faults.append("SMTP_TLS: must not be none with SMTP_USER: the password would travel for everybody to read")
    return faults


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _production_faults(settings: Settings) -> list[str]:
    faults = []
    if settings.encryption_key is None:
        faults.append(f"ENCRYPTION_KEY: required in production; {KEY_ADVICE}")
    secret = settings.session_secret
    if secret is None or len(secret.get_secret_value()) < 32:
        faults.append(
            "SESSION_SECRET: required in production, 32 characters or more; make one with: hookvault keys generate"
        )
    elif settings.encryption_key and secret.get_secret_value().lower() == settings.encryption_key.get_secret_value():
        faults.append("SESSION_SECRET: must not be the ENCRYPTION_KEY")
    password = settings.admin_password
    if password is not None and len(password.get_secret_value()) < 12:
        faults.append("ADMIN_PASSWORD: must have 12 characters or more")
    return faults
