"""What a clinic's platform sends to its workflows: invented people, addresses that belong to nobody (pure)."""

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from hookvault.clock import iso

_FIRST = (
    "Amelia", "Noah", "Sofia", "Liam", "Mina", "Jonas", "Priya", "Mateo", "Hannah", "Omar", "Clara", "Yuki", "Felix",
    "Leila", "Oscar", "Nadia", "Tomas", "Ingrid", "Samuel", "Zoe",
)  # fmt: skip
_LAST = (
    "Brandt", "Okafor", "Lindgren", "Moreau", "Silva", "Nguyen", "Keller", "Haddad", "Novak", "Jensen", "Costa", "Ito",
    "Weber", "Patel", "Rossi", "Dahl",
)  # fmt: skip
_CLINICS = ("Northwind Harbour", "Northwind Old Town", "Northwind Lakeside")
_SERVICES = ("dental cleaning", "physiotherapy", "dermatology check", "eye test", "vaccination", "annual check-up")
_SAID = (
    "Hi, can I move my appointment to Thursday?",
    "Thank you, see you tomorrow!",
    "Where can I park at the clinic?",
    "Do you have anything earlier this week?",
    "Please send me the invoice again.",
    "Yes, I confirm.",
)
_SOURCES = ("google-ads", "website-form", "referral", "instagram", "phone")

Maker = Callable[[random.Random, datetime], dict[str, Any]]


def payload(kind: str, rng: random.Random, moment: datetime) -> dict[str, Any]:
    """A payload of a kind (a key of MAKERS), as if made at a moment."""
    return MAKERS[kind](rng, moment)


def result(rng: random.Random) -> dict[str, Any]:
    """What a workflow's last node answers: the execution, as n8n's users are advised to return it."""
    return {"executionId": str(rng.randrange(40_000, 99_999)), "status": "success", "itemsProcessed": rng.randint(1, 4)}


def metadata(rng: random.Random) -> dict[str, Any]:
    """What the platform notes beside a payload."""
    return {"correlationId": f"req-{rng.randrange(16**8):08x}", "locale": rng.choice(("en-GB", "de-DE", "en-US"))}


def _person(rng: random.Random) -> dict[str, Any]:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    return {
        "id": f"pat_{rng.randrange(10**6):06}",
        "name": f"{first} {last}",
        "email": f"{first}.{last}@example.com".lower(),
        "phone": f"+1555010{rng.randrange(10**4):04}",
    }


def _appointment(rng: random.Random, moment: datetime) -> dict[str, Any]:
    start = (moment + timedelta(days=rng.randint(1, 21))).replace(hour=rng.randint(8, 17), minute=30, second=0)
    return {
        "appointmentId": f"apt_{rng.randrange(10**6):06}",
        "clinic": rng.choice(_CLINICS),
        "service": rng.choice(_SERVICES),
        "startsAt": iso(start.replace(microsecond=0)),
        "durationMinutes": rng.choice((20, 30, 45, 60)),
        "patient": _person(rng),
    }


def _whatsapp(rng: random.Random, moment: datetime, **value: Any) -> dict[str, Any]:
    number = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": number, **value}}
    entry = {"id": "419561257915477", "changes": [change]}
    return {
        "object": "whatsapp_business_account",
        "receivedAt": iso(moment),
        "attempt": rng.randint(1, 2),
        "entry": [entry],
    }


def _inbound(rng: random.Random, moment: datetime) -> dict[str, Any]:
    person = _person(rng)
    sender = person["phone"].lstrip("+")
    message = {"from": sender, "id": f"wamid.{rng.randrange(16**24):024X}", "timestamp": str(int(moment.timestamp()))}
    contact = {"profile": {"name": person["name"]}, "wa_id": sender}
    said = {**message, "type": "text", "text": {"body": rng.choice(_SAID)}}
    return _whatsapp(rng, moment, contacts=[contact], messages=[said])


def _status(rng: random.Random, moment: datetime) -> dict[str, Any]:
    recipient = _person(rng)["phone"].lstrip("+")
    state = rng.choice(("sent", "delivered", "delivered", "read", "read", "failed"))
    status = {"id": f"wamid.{rng.randrange(16**24):024X}", "status": state, "recipient_id": recipient}
    return _whatsapp(rng, moment, statuses=[{**status, "timestamp": str(int(moment.timestamp()))}])


def _sms(rng: random.Random, moment: datetime) -> dict[str, Any]:
    person, sid = _person(rng), f"SM{rng.randrange(16**32):032x}"
    return {
        "MessageSid": sid,
        "From": person["phone"],
        "To": "+15550100100",
        "Body": rng.choice(_SAID),
        "At": iso(moment),
    }


def _lead(rng: random.Random, moment: datetime) -> dict[str, Any]:
    return {
        "leadId": f"lead_{rng.randrange(10**6):06}",
        "source": rng.choice(_SOURCES),
        "interest": rng.choice(_SERVICES),
        "score": rng.randint(5, 98),
        "contact": _person(rng),
        "capturedAt": iso(moment),
    }


def _invoice(rng: random.Random, moment: datetime) -> dict[str, Any]:
    return {
        "invoiceId": f"inv_{moment:%Y}_{rng.randrange(10**5):05}",
        "amount": {"value": f"{rng.randint(35, 480)}.00", "currency": "EUR"},
        "method": rng.choice(("card", "sepa", "invoice")),
        "patient": _person(rng),
        "dueAt": iso(moment + timedelta(days=14)),
    }


def _voice(rng: random.Random, moment: datetime) -> dict[str, Any]:
    seconds = rng.randint(40, 900)
    turns = [{"speaker": who, "text": rng.choice(_SAID)} for who in ("caller", "agent", "caller")]
    call = {"callId": f"call_{rng.randrange(16**8):08x}", "durationSeconds": seconds, "endedAt": iso(moment)}
    return {
        **call,
        "caller": _person(rng),
        "sentiment": rng.choice(("positive", "neutral", "negative")),
        "turns": turns,
    }


def _form(rng: random.Random, moment: datetime) -> dict[str, Any]:
    person = {**_person(rng), "dateOfBirth": f"{rng.randint(1948, 2004)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}"}
    answers = {"allergies": rng.choice(("none", "penicillin", "pollen")), "consent": True}
    return {"formId": "new-patient", "submittedAt": iso(moment), "patient": person, "answers": answers}


def _report(rng: random.Random, moment: datetime) -> dict[str, Any]:
    counts = {"appointments": rng.randint(80, 160), "noShows": rng.randint(1, 9), "newPatients": rng.randint(4, 22)}
    return {"day": f"{moment - timedelta(days=1):%Y-%m-%d}", "clinics": list(_CLINICS), "counts": counts}


def _order(rng: random.Random, moment: datetime) -> dict[str, Any]:
    items = [{"sku": f"SKU-{rng.randrange(1000):03}", "quantity": rng.randint(1, 3)} for _ in range(rng.randint(1, 3))]
    return {
        "orderId": f"ord_{rng.randrange(10**6):06}",
        "customer": _person(rng),
        "items": items,
        "placedAt": iso(moment),
    }


MAKERS: Mapping[str, Maker] = {
    "appointment": _appointment,
    "whatsapp-inbound": _inbound,
    "whatsapp-status": _status,
    "sms": _sms,
    "lead": _lead,
    "invoice": _invoice,
    "voice": _voice,
    "form": _form,
    "report": _report,
    "order": _order,
}
