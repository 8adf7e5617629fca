"""Vonage, for SMS."""

from hookvault.providers.base import Field, Provider
from hookvault.providers.proof import Code, Config, Occasion, Proof, ProofRequest, basic, by_status, object_of, text_of


def _base(_config: Config) -> str:
    return "https://rest.nexmo.com"


def _balance(config: Config, _occasion: Occasion) -> ProofRequest:
    return ProofRequest("GET", "/account/get-balance", basic(text_of(config, "apiKey"), text_of(config, "apiSecret")))


def _verdict(_config: Config, status: int, body: bytes) -> Code:
    if status != 200:
        return by_status(status) if status >= 300 else "unexpected_answer"
    return "ok" if isinstance(object_of(body).get("value"), int | float) else "unexpected_answer"


VONAGE = Provider(
    kind="vonage",
    label="Vonage",
    fields=(
        Field(
            name="apiKey",
            label="API key",
            required=True,
            pattern=r"^[0-9a-f]{8}$",
            hint="An API key is usually 8 lower-case hexadecimal digits.",
            max_length=256,
        ),
        Field(
            name="apiSecret",
            label="API secret",
            required=True,
            pattern=r"^.{6,32}$",
            hint="An API secret usually has 6 to 32 characters.",
            max_length=1024,
        ),
        Field(
            name="signatureSecret",
            label="Signature secret",
            pattern=r"^\S{16,}$",
            hint="A signature secret usually has 16 or more characters and no spaces.",
            max_length=1024,
        ),
        Field(
            name="phoneNumber",
            label="Phone number or sender",
            required=True,
            secret=False,
            # Vonage itself wants the number without a +; people type both
            pattern=r"^(\+?[1-9][0-9]{6,14}|[A-Za-z0-9]{1,11})$",
            hint="A sender is a phone number with its country code, or up to 11 letters and digits.",
            max_length=64,
            value_kind="phone",
        ),
    ),
    proofs=(Proof(fields=("apiKey", "apiSecret"), base=_base, request=_balance, verdict=_verdict),),
)
