"""WhatsApp Business Cloud API (Meta)."""

from hookvault.providers.base import E164, Field, Provider

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
)
