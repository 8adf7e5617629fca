"""Twilio, for SMS."""

from urllib.parse import quote

from hookvault.providers.base import E164, Field, Provider
from hookvault.providers.proof import Code, Config, Occasion, Proof, ProofRequest, basic, by_status, object_of, text_of


def _base(_config: Config) -> str:
    return "https://api.twilio.com/2010-04-01"


def _account(config: Config, _occasion: Occasion) -> ProofRequest:
    sid = text_of(config, "accountSid")
    return ProofRequest("GET", f"/Accounts/{quote(sid, safe='')}.json", basic(sid, text_of(config, "authToken")))


def _messages(config: Config, _occasion: Occasion) -> ProofRequest:
    """What a standard API key may read, unlike the account itself."""
    path = f"/Accounts/{quote(text_of(config, 'accountSid'), safe='')}/Messages.json?PageSize=1"
    return ProofRequest("GET", path, basic(text_of(config, "apiKeySid"), text_of(config, "apiKeySecret")))


def _account_verdict(config: Config, status: int, body: bytes) -> Code:
    account = object_of(body)
    if status != 200:
        return _error(status, account.get("code"))
    if not isinstance(account.get("sid"), str):
        return "unexpected_answer"
    if account["sid"] != text_of(config, "accountSid"):
        return "wrong_account"
    return "ok" if account.get("status") == "active" else "auth_failed"  # suspended or closed: nothing can be sent


def _messages_verdict(_config: Config, status: int, body: bytes) -> Code:
    answer = object_of(body)
    if status != 200:
        return _error(status, answer.get("code"))
    return "ok" if isinstance(answer.get("messages"), list) else "unexpected_answer"


def _error(status: int, code: object) -> Code:
    if code in (20003, 20403):  # not authenticated; the account is suspended
        return "auth_failed"
    if status == 404:
        return "wrong_account"
    return by_status(status) if status >= 300 else "unexpected_answer"


TWILIO = Provider(
    kind="twilio",
    label="Twilio",
    fields=(
        Field(
            name="accountSid",
            label="Account SID",
            required=True,
            pattern=r"^AC[0-9a-fA-F]{32}$",
            hint="An account SID is usually AC and 32 hexadecimal digits. SK begins an API key, which goes elsewhere.",
            max_length=256,
        ),
        Field(
            name="authToken",
            label="Auth token",
            required=True,
            pattern=r"^[0-9a-f]{32}$",
            hint="An auth token is usually 32 lower-case hexadecimal digits.",
            max_length=1024,
        ),
        Field(
            name="apiKeySid",
            label="API key SID",
            pattern=r"^SK[0-9a-fA-F]{32}$",
            hint="An API key SID is usually SK and 32 hexadecimal digits.",
            max_length=256,
        ),
        Field(
            name="apiKeySecret",
            label="API key secret",
            pattern=r"^[A-Za-z0-9]{32}$",
            hint="An API key secret is usually 32 letters and digits; shown once, when the key is made.",
            max_length=1024,
        ),
        Field(
            name="phoneNumber",
            label="Phone number",
            secret=False,
            pattern=E164,
            hint="A phone number begins with + and the country code, such as +1 555 555 5555. "
            "A short code or a sender name is right only where the country allows it.",
            max_length=64,
            value_kind="phone",
        ),
        Field(
            name="messagingServiceSid",
            label="Messaging service SID",
            secret=False,
            pattern=r"^MG[0-9a-fA-F]{32}$",
            hint="A messaging service SID is usually MG and 32 hexadecimal digits.",
            max_length=256,
        ),
    ),
    one_of=(("phoneNumber", "messagingServiceSid"),),
    together=(("apiKeySid", "apiKeySecret"),),
    proofs=(
        Proof(fields=("accountSid", "authToken"), base=_base, request=_account, verdict=_account_verdict),
        Proof(fields=("apiKeySid", "apiKeySecret"), base=_base, request=_messages, verdict=_messages_verdict),
    ),
)
