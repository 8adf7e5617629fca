"""Who lives in the demo: three tenants and their workflows. Every credential is made up, and opens nothing."""

from hookvault.demo.model import House, Shares, Workflow

_FINE: Shares = {"started": 0.992, "workflow_error": 0.005, "connection_error": 0.003}
_RESULT: Shares = {"result": 0.985, "workflow_error": 0.010, "empty": 0.005}
_SOLID: Shares = {"started": 1.0}

_WORKFLOWS = (
    Workflow(
        "appointment-booked", "Confirms a new appointment to the patient and blocks the room.", "appointment", 9,
        _RESULT, 140, by="booking-portal", auth="header", policy={"maxRetries": 3},
    ),
    Workflow(
        "appointment-reminder", "Sends the WhatsApp reminder a day ahead, SMS where there is no WhatsApp.", "appointment", 12,
        _FINE, 60, "morning", "scheduler", "bearer", deliver=0.9,
    ),
    Workflow(
        "appointment-cancelled", "Frees the slot and offers it to the waiting list.", "appointment", 4, _FINE, 75,
        by="booking-portal", auth="header",
    ),
    Workflow(
        "appointment-rescheduled", "Moves the calendar entry and tells patient and practitioner.", "appointment", 3,
        _RESULT, 160, by="booking-portal", auth="header",
    ),
    Workflow(
        "no-show-followup", "Writes to patients who did not come. Somebody switched the workflow off in n8n.", "appointment", 1.6,
        {"not_active": 1.0}, 25, "evening", "scheduler", before=_FINE, since_h=61, deliver=0.5,
    ),
    Workflow(
        "whatsapp-inbound", "Routes incoming WhatsApp messages to the right desk.", "whatsapp-inbound", 17,
        {"started": 0.996, "workflow_error": 0.002, "timeout": 0.002}, 45, "always", "whatsapp-gateway", "bearer",
        policy={"rateLimit": {"calls": 600, "seconds": 60}}, deliver=0.3,
    ),
    Workflow(
        "whatsapp-status", "Notes sent, delivered and read receipts on the conversation.", "whatsapp-status", 22,
        _SOLID, 22, "always", "whatsapp-gateway", "bearer", deliver=0.2,
    ),
    Workflow(
        "sms-inbound", "Handles replies to reminders: yes, no, and everything else.", "sms", 5,
        {"started": 0.985, "dns_error": 0.006, "workflow_error": 0.009}, 70, "always", "sms-gateway", "basic",
    ),
    Workflow(
        "lead-captured", "Adds a lead from the website and the ad campaigns to the CRM.", "lead", 6, _RESULT, 210, "always",
        "website", "header", {"maxRetries": 4},
    ),
    Workflow(
        "lead-scored", "Scores a lead with the model and assigns it.", "lead", 5,
        {"late_result": 0.20, "result": 0.775, "timeout": 0.005, "workflow_error": 0.02}, 520, "office", "crm",
        "header", {"timeoutMs": 8000},
    ),
    Workflow(
        "crm-contact-sync", "Keeps contacts equal in CRM and newsletter. The CRM is down just now.", "lead", 2.5,
        {"busy": 0.94, "started": 0.06}, 35, "always", "crm", "bearer", before=_FINE, since_h=5,
        policy={"schedule": [20, 60, 180, 600, 1800]}, deliver=0.75,
    ),
    Workflow(
        "invoice-created", "Sends the invoice and files the PDF.", "invoice", 4, _RESULT, 340, by="billing", auth="jwt",
    ),
    Workflow("invoice-paid", "Books the payment and thanks the patient.", "invoice", 4, _FINE, 80, by="billing", auth="jwt"),
    Workflow(
        "payment-failed", "Starts dunning. Its error branch has a bug that one case in three runs into.", "invoice", 2.2,
        {"started": 0.66, "workflow_error": 0.34}, 110, by="billing", auth="jwt",
        policy={"schedule": [15, 60, 300, 900], "retryOnWorkflowError": True}, deliver=0.7,
    ),
    Workflow(
        "voice-call-transcript", "Summarises phone calls; long calls take long.", "voice", 3.5,
        {"late_result": 0.30, "slow": 0.42, "result": 0.22, "timeout": 0.06}, 900, by="telephony", auth="header",
        policy={"timeoutMs": 5000, "retryOnTimeout": False},
    ),
    Workflow(
        "call-summary-mail", "Mails the summary of a call to the practitioner.", "voice", 2.5,
        {"late_result": 0.55, "result": 0.44, "workflow_error": 0.01}, 700, by="telephony",
    ),
    Workflow(
        "patient-intake-form", "Takes new patients' forms; health data is never stored here.", "form", 2.4, _RESULT, 190,
        "always", "website", "jwt", {"redactPaths": ["$.patient.dateOfBirth", "$.answers"]},
    ),
    Workflow(
        "lab-results-ready", "Tells patients that results are in. The token was changed at n8n and not here.", "form", 1.8,
        {"unauthorized": 1.0}, 18, by="lab-connector", auth="header", policy={"keepPayloads": False}, before=_FINE, since_h=44,
    ),
    Workflow(
        "insurance-eligibility", "Asks the clearing house whether a treatment is covered.", "invoice", 3,
        {"result": 0.88, "limited": 0.10, "timeout": 0.02}, 640, by="billing", auth="basic",
        policy={"timeoutMs": 6000, "concurrency": 4},
    ),
    Workflow(
        "review-request", "Asks for a review two hours after a visit.", "appointment", 3, _FINE, 65, "evening", "scheduler",
    ),
    Workflow(
        "daily-report", "Yesterday's figures for the management.", "report", 0.12, _SOLID, 420, "morning",
        "scheduler", deliver=1.0,
    ),
    Workflow(
        "birthday-greetings", "Wishes a happy birthday. Paused by marketing until spring.", "lead", 0.9, _SOLID, 50, "morning",
        "scheduler", since_h=9 * 24, ended=True,
    ),
    Workflow(
        "newsletter-signup", "Replaced by the CRM's own form; switched off.", "lead", 1.1,
        {"started": 0.9, "workflow_error": 0.1}, 85, "always", "website", since_h=12 * 24, ended=True, active=False,
    ),
    Workflow(
        "fax-gateway", "For the one insurer that still faxes; switched off until it works again.", "form", 0.4,
        {"ip_refused": 0.8, "started": 0.2}, 30, by="lab-connector", since_h=17 * 24, ended=True, active=False,
    ),
)  # fmt: skip

_SHOP = (
    Workflow(
        "order-placed",
        "Confirms an order and tells the warehouse.",
        "order",
        10,
        _RESULT,
        120,
        "always",
        "shop",
        "header",
    ),
    Workflow("order-shipped", "Sends the tracking link.", "order", 7, _FINE, 60, by="warehouse"),
    Workflow("refund-issued", "Books a refund.", "order", 1.5, _RESULT, 210, by="shop", auth="bearer"),
    Workflow("stock-low", "Orders more.", "report", 1, {"started": 0.93, "starting": 0.07}, 40, by="warehouse"),
    Workflow("cart-abandoned", "Writes after two hours.", "order", 4, _FINE, 70, "evening", "shop"),
    Workflow("lead-captured", "Adds wholesale leads.", "lead", 1.2, _RESULT, 180, by="website"),
)
_STUDIO = (
    Workflow(
        "trial-class-booked", "Welcomes to a trial class.", "lead", 3, _RESULT, 130, "evening", "website", "bearer"
    ),
    Workflow("membership-renewed", "Renews for a year.", "invoice", 1, _FINE, 80, by="billing"),
    Workflow("class-cancelled", "Tells all participants.", "appointment", 1, _FINE, 90, by="studio-app"),
)

HOUSES = (
    House(
        "northwind",
        "Northwind Clinics",
        0.80,
        _WORKFLOWS,
        whatsapp={
            "phoneNumberId": "106540352242922",
            "businessAccountId": "419561257915477",
            "accessToken": "EAA" + "ExampleOnlyNotARealTokenDoNotUse0" * 3,
            "appSecret": "0123456789abcdef" * 2,
            "appId": "555000111222333",
            "phoneNumber": "+1 555 078 3881",
        },
        sms={
            "provider": "twilio",
            "accountSid": "AC" + "00000000deadbeef" * 2,
            "authToken": "feedfacefeedface" * 2,
            "phoneNumber": "+1 555 010 0100",
        },
        rate_limit={"calls": 3000, "seconds": 60},
    ),
    House(
        "fjordline",
        "Fjordline Outdoor Shop",
        0.17,
        _SHOP,
        sms={"provider": "vonage", "apiKey": "0badc0de", "apiSecret": "ExampleOnly0Secret", "phoneNumber": "Fjordline"},
    ),
    House("palmstudio", "Palm Street Yoga", 0.03, _STUDIO, suspended=True, ended_h=6 * 24),
)
N8N_API_KEY = "n8n_api_" + "00demo00" * 6  # fits the field's rule, opens nothing
STAGED_TOKEN = "00112233445566778899aabbccddeeff"  # noqa: S105 - made up: what a rotation waits to switch to


def token_of(workflow: Workflow) -> str:
    """The made-up token of a webhook, long enough to be shown by its last four characters."""
    return f"demo-only-{workflow.name}-token-0000"


def auth_of(workflow: Workflow) -> dict[str, object]:
    """The webhook's fields that say how its calls authenticate themselves."""
    if workflow.auth == "none":
        return {}
    configs: dict[str, dict[str, object]] = {
        "header": {"headerName": "X-N8N-Token"},
        "basic": {"user": "hookvault"},
        "jwt": {"algorithm": "HS256", "claims": {"iss": "hookvault", "aud": "n8n"}},
    }
    fields: dict[str, object] = {"auth_type": workflow.auth, "auth_token": token_of(workflow)}
    if workflow.auth in configs:
        fields["auth_config"] = configs[workflow.auth]
    return fields
