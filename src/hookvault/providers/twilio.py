"""Twilio, for SMS."""

from hookvault.providers.base import E164, Field, Provider

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
)
