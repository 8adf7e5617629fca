"""Where people find what an integration's fields ask for, at the provider's own pages (data only)."""

from collections.abc import Mapping

# By the provider's kind and the field's name, as in `hookvault.providers.registry`.
WHERE: Mapping[tuple[str, str], str] = {
    ("whatsapp", "phoneNumberId"): "developers.facebook.com: your app, WhatsApp, API Setup, under “From”. "
    "It is not the phone number itself.",
    ("whatsapp", "businessAccountId"): "On the same page, API Setup: “WhatsApp Business Account ID”. "
    "It is neither the app ID nor the business portfolio ID.",
    ("whatsapp", "accessToken"): "business.facebook.com: Settings, Users, System users, Generate token, with "
    "whatsapp_business_messaging and whatsapp_business_management. The one on API Setup ends after 24 hours.",
    ("whatsapp", "webhookVerifyToken"): "Any text of your choice, the same as in the app's WhatsApp configuration. "
    "Leave it empty on connecting and one is made for you.",
    ("whatsapp", "appSecret"): "Your app, App settings, Basic. It proves that what comes in comes from Meta.",
    ("whatsapp", "appId"): "Your app, App settings, Basic, beside the app secret.",
    ("whatsapp", "phoneNumber"): "With + and the country code, so that people see which number this is.",
    ("twilio", "accountSid"): "console.twilio.com: Account Info on the first page. It begins with AC.",
    ("twilio", "authToken"): "console.twilio.com: Account Info, below the account SID.",
    ("twilio", "apiKeySid"): "console.twilio.com: Account, API keys & tokens. It begins with SK; goes with its secret.",
    ("twilio", "apiKeySecret"): "Shown once, when the API key is made.",
    (
        "twilio",
        "phoneNumber",
    ): "console.twilio.com: Phone Numbers, Active numbers. This or a messaging service is needed.",
    ("twilio", "messagingServiceSid"): "console.twilio.com: Messaging, Services. It begins with MG.",
    ("vonage", "apiKey"): "dashboard.nexmo.com: at the top of the first page, 8 characters.",
    (
        "vonage",
        "apiSecret",
    ): "dashboard.nexmo.com: API settings. An account has two at most, so one can replace the other.",
    ("vonage", "signatureSecret"): "dashboard.nexmo.com: API settings, where messages that come in are signed.",
    ("vonage", "phoneNumber"): "dashboard.nexmo.com: Numbers. A name of up to 11 letters and digits where the country "
    "allows it.",
    (
        "aws_sns",
        "accessKeyId",
    ): "AWS console: IAM, Users, the user, Security credentials, Create access key. It begins with "
    "AKIA; one with ASIA is temporary.",
    ("aws_sns", "secretAccessKey"): "Shown once, when the access key is made.",
    ("aws_sns", "region"): "Where you send from, such as eu-central-1: at the top right of the AWS console.",
    ("aws_sns", "senderId"): "Up to 11 letters and digits, where the country allows it.",
    (
        "n8n",
        "baseUrl",
    ): "Where n8n's webhooks begin, such as https://n8n.example.com/webhook. {tenantId} and {slug} in it are replaced. "
    "Webhooks keep the address that they were saved with.",
    (
        "n8n",
        "apiKey",
    ): "n8n: Settings, n8n API, Create an API key, with workflow:list and workflow:read. Webhooks are called "
    "without it.",
}


def where(provider: str, field: str) -> str:
    """Where a field's value is found; empty where that is not known."""
    return WHERE.get((provider, field), "")
