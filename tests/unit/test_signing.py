"""Standard Webhooks signatures: the published vector, the reference implementation, and what must not verify."""

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hookvault.vault import Secret
from hookvault.webhooks.signing import new_signing_secret, sign, signing_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
KEYS = st.binary(min_size=24, max_size=64)
PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]))


def headers(key, message_id, timestamp, body):
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, message_id, timestamp, body),
    }


def test_the_published_vector():
    signature = sign(signing_key(Secret(SECRET)), MESSAGE, 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(KEYS, st.uuids(), st.integers(0, 4_000_000_000), PRINTABLE)
def test_as_the_reference_implementation_signs(key, message_id, timestamp, text):
    reference = Webhook(base64.b64encode(key).decode())
    expected = reference.sign(str(message_id), datetime.fromtimestamp(timestamp, UTC), text)
    assert sign(key, str(message_id), timestamp, text.encode()) == expected


@given(st.dictionaries(PRINTABLE, PRINTABLE | st.integers()))
def test_the_reference_implementation_verifies_ours(value):
    secret = new_signing_secret()
    body = json.dumps(value).encode()
    sent = headers(signing_key(secret), "msg_1", int(time.time()), body)
    assert Webhook(secret.open()).verify(body, sent) == value


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "key"])
def test_what_was_changed_on_the_way_does_not_verify(changed):
    secret, body, moment = new_signing_secret(), b'{"a":1}', int(time.time())
    sent = headers(signing_key(secret), "msg_1", moment, body)
    reader = Webhook((new_signing_secret() if changed == "key" else secret).open())
    sent |= {"webhook-id": "msg_2"} if changed == "webhook-id" else {}
    sent |= {"webhook-timestamp": str(moment + 1)} if changed == "webhook-timestamp" else {}
    with pytest.raises(WebhookVerificationError):
        reader.verify(b'{"a":2}' if changed == "body" else body, sent)


def test_a_new_secret_has_32_random_bytes():
    made = {new_signing_secret().open() for _ in range(50)}
    assert len(made) == 50
    assert {len(signing_key(Secret(text))) for text in made} == {32}
    assert all(text.startswith("whsec_") for text in made)


@pytest.mark.parametrize(
    "text", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_*", "whsec_YQ", "WHSEC_YWE="], ids=repr
)
def test_another_text_is_no_signing_secret(text):
    with pytest.raises(ValueError, match="signing secret") as caught:
        signing_key(Secret(text))
    assert len(text) < 8 or text not in str(caught.value)
