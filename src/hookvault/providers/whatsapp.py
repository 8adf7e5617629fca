"""WhatsApp Business Cloud API (Meta)."""

from urllib.parse import quote

from hookvault.providers.base import E164, Field, Provider
from hookvault.providers.proof import Code, Config, Occasion, Proof, ProofRequest, by_status, object_of, text_of

_GRAPH = "https://graph.facebook.com/v26.0"

# What Graph's own error codes mean; the status beside them says little. Session and token; permission; rate limits.
_DEAD = frozenset({0, 102, 190})
_LIMITED = frozenset({4, 17, 80007, 130429})


def _get(config: Config, path: str) -> ProofRequest:
    # In a header, never in the query: a query ends up in the logs of proxies.
    return ProofRequest("GET", path, (("authorization", f"Bearer {text_of(config, 'accessToken')}"),))


def _number(config: Config, _occasion: Occasion) -> ProofRequest:
    number = quote(text_of(config, "phoneNumberId"), safe="")
    return _get(config, f"/{number}?fields=id,display_phone_number,verified_name,quality_rating")


def _numbers(config: Config, _occasion: Occasion) -> ProofRequest:
    account = quote(text_of(config, "businessAccountId"), safe="")
    return _get(config, f"/{account}/phone_numbers?fields=id&limit=100")


def _error(status: int, body: bytes) -> Code:
    error = object_of(body).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        return by_status(status) if status >= 300 else "unexpected_answer"
    if code in _DEAD:
        return "auth_failed"
    if code in (3, 10) or 200 <= code < 300:
        return "scope_missing"
    if code in _LIMITED:
        return "rate_limited"
    return "wrong_account" if code == 100 else "unexpected_answer"  # 100: no such object, or not for this token to see


def _number_verdict(config: Config, status: int, body: bytes) -> Code:
    if status != 200 or "error" in object_of(body):
        return _error(status, body)
    found = object_of(body).get("id")
    return "ok" if found == config["phoneNumberId"] else "wrong_account" if found else "unexpected_answer"


def _numbers_verdict(config: Config, status: int, body: bytes) -> Code:
    listed = object_of(body)
    numbers = listed.get("data")
    if status != 200 or not isinstance(numbers, list):
        return _error(status, body)
    if any(isinstance(number, dict) and number.get("id") == config["phoneNumberId"] for number in numbers):
        return "ok"
    paging = listed.get("paging")
    more = (
        isinstance(paging, dict) and "next" in paging
    )  # of an account with over a hundred the first hundred say nothing
    return "ok" if more else "wrong_account"


def _base(_config: Config) -> str:
    return _GRAPH


WHATSAPP = Provider(
    kind="whatsapp",
    label="WhatsApp",
    fields=(
        Field(
            name="phoneNumberId",
            label="Phone number ID",
            required=True,
            secret=False,
            pattern=r"^[0-9]{10,20}$",
            hint="A phone number ID is usually 10 to 20 digits. It is not the phone number itself; "
            "the app's API Setup page shows both.",
            max_length=64,
        ),
        Field(
            name="businessAccountId",
            label="Business account ID",
            required=True,
            secret=False,
            pattern=r"^[0-9]{10,20}$",
            hint="A WhatsApp business account ID is usually 10 to 20 digits. "
            "It is easily confused with the app ID and the business portfolio ID.",
            max_length=64,
        ),
        Field(
            name="accessToken",
            label="Access token",
            required=True,
            pattern=r"^EAA[A-Za-z0-9]{60,}$",
            hint="An access token usually begins with EAA and has more than 60 letters and digits, without 'Bearer'.",
        ),
        Field(
            name="webhookVerifyToken",
            label="Webhook verify token",
            hint="Any text; it must be the same in the app's webhook settings.",
            max_length=1024,
            generated=True,
        ),
        Field(
            name="appSecret",
            label="App secret",
            pattern=r"^[0-9a-f]{32}$",
            hint="An app secret is usually 32 lower-case hexadecimal digits.",
            missing="Without the app secret the signature of incoming messages (X-Hub-Signature-256) can't be checked.",
            max_length=1024,
        ),
        Field(
            name="appId",
            label="App ID",
            secret=False,
            pattern=r"^[0-9]{10,20}$",
            hint="An app ID is usually 10 to 20 digits.",
            max_length=64,
        ),
        Field(
            name="phoneNumber",
            label="Phone number",
            secret=False,
            pattern=E164,
            hint="A phone number begins with + and the country code, such as +1 555 555 5555.",
            missing="Without the phone number people can't see which number this is.",
            max_length=64,
            value_kind="phone",
        ),
    ),
    proofs=(
        Proof(fields=("accessToken",), base=_base, request=_number, verdict=_number_verdict),
        Proof(fields=("accessToken",), base=_base, request=_numbers, verdict=_numbers_verdict),
    ),
)
