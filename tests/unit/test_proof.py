"""What a provider's answer means for a credential, and AWS's signature against AWS's own test vectors."""

import json
from datetime import UTC, datetime

import pytest

from canary import planted
from hookvault.providers.proof import Occasion
from hookvault.providers.registry import ALL
from hookvault.providers.sigv4 import Signer, sign
from hookvault.vault.secret import Secret

BY_KIND = {provider.kind: provider for provider in ALL}
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
FORM = ("content-type", "application/x-www-form-urlencoded")
HOST = ("host", "example.amazonaws.com")


# aws-sig-v4-test-suite: get-vanilla, post-vanilla, post-x-www-form-urlencoded
@pytest.mark.parametrize(
    ("method", "headers", "body", "signature"),
    [
        ("GET", [HOST], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", [HOST], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("POST", [FORM, HOST], b"Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)
def test_the_published_vectors(method, headers, body, signature):
    signer = Signer("AKIDEXAMPLE", SECRET_KEY, "us-east-1", "service")
    signed = dict(sign(signer, method, headers, body, MOMENT))
    assert signed["x-amz-date"] == "20150830T123600Z"
    names = ";".join(sorted([*[name for name, _ in headers], "x-amz-date"]))
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert SECRET_KEY not in repr(signer)


CONFIGS = {
    "whatsapp": {"phoneNumberId": "1065", "businessAccountId": "1022", "accessToken": Secret(planted("t"))},
    "twilio": {
        "accountSid": Secret("AC1"),
        "authToken": Secret(planted("a")),
        "apiKeySid": Secret("SK1"),
        "apiKeySecret": Secret(planted("s")),
    },
    "vonage": {"apiKey": Secret("abcdef01"), "apiSecret": Secret(planted("v"))},
    "aws_sns": {"accessKeyId": Secret("AKIA1"), "secretAccessKey": Secret(planted("k")), "region": "eu-central-1"},
    "n8n": {"baseUrl": "https://n8n.example.com:8443/sub/webhook", "apiKey": Secret(planted("n"))},
}


def graph(code):
    return json.dumps({"error": {"code": code, "message": "x"}}).encode()


def aws(code):
    return f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>".encode()


VERDICTS = [
    ("whatsapp", 0, 200, b'{"id":"1065"}', "ok"),
    ("whatsapp", 0, 200, b'{"id":"9"}', "wrong_account"),
    ("whatsapp", 0, 200, b"{}", "unexpected_answer"),
    ("whatsapp", 0, 200, b"[" * 5000, "unexpected_answer"),
    ("whatsapp", 0, 200, graph(190), "auth_failed"),
    ("whatsapp", 0, 401, graph(190), "auth_failed"),
    ("whatsapp", 0, 400, graph(0), "auth_failed"),
    ("whatsapp", 0, 403, graph(10), "scope_missing"),
    ("whatsapp", 0, 400, graph(200), "scope_missing"),
    ("whatsapp", 0, 400, graph(100), "wrong_account"),
    ("whatsapp", 0, 400, graph(80007), "rate_limited"),
    ("whatsapp", 0, 500, graph(2), "unexpected_answer"),
    ("whatsapp", 0, 400, graph("190"), "unexpected_answer"),
    ("whatsapp", 0, 503, b"<html>", "unreachable"),
    ("whatsapp", 0, 302, b"", "unexpected_answer"),
    ("whatsapp", 1, 200, b'{"data":[{"id":"7"},{"id":"1065"}]}', "ok"),
    ("whatsapp", 1, 200, b'{"data":[{"id":"7"}, 5, null]}', "wrong_account"),
    ("whatsapp", 1, 200, b'{"data":[{"id":"7"}],"paging":{"next":"https://x"}}', "ok"),
    ("whatsapp", 1, 200, b'{"data":[],"paging":{"cursors":{}}}', "wrong_account"),
    ("whatsapp", 1, 200, b'{"data":"1065"}', "unexpected_answer"),
    ("whatsapp", 1, 400, graph(100), "wrong_account"),
    ("twilio", 0, 200, b'{"sid":"AC1","status":"active"}', "ok"),
    ("twilio", 0, 200, b'{"sid":"AC2","status":"active"}', "wrong_account"),
    ("twilio", 0, 200, b'{"sid":"AC1","status":"suspended"}', "auth_failed"),
    ("twilio", 0, 200, b"{}", "unexpected_answer"),
    ("twilio", 0, 401, b'{"code":20003}', "auth_failed"),
    ("twilio", 0, 401, b"", "auth_failed"),
    ("twilio", 0, 403, b'{"code":20403}', "auth_failed"),
    ("twilio", 0, 404, b'{"code":20404}', "wrong_account"),
    ("twilio", 0, 429, b"", "rate_limited"),
    ("twilio", 1, 200, b'{"messages":[]}', "ok"),
    ("twilio", 1, 401, b'{"code":70051}', "auth_failed"),
    ("twilio", 1, 403, b'{"code":70051}', "scope_missing"),
    ("twilio", 1, 200, b"", "unexpected_answer"),
    ("vonage", 0, 200, b'{"value":29.18}', "ok"),
    ("vonage", 0, 200, b'{"value":"x"}', "unexpected_answer"),
    ("vonage", 0, 401, b"", "auth_failed"),
    ("vonage", 0, 403, b"", "scope_missing"),
    ("vonage", 0, 429, b"", "rate_limited"),
    ("aws_sns", 0, 200, b"<GetCallerIdentityResult><Account>1</Account>", "ok"),
    ("aws_sns", 0, 200, b"<html>", "unexpected_answer"),
    ("aws_sns", 0, 403, aws("InvalidClientTokenId"), "auth_failed"),
    ("aws_sns", 0, 403, aws("SignatureDoesNotMatch"), "auth_failed"),
    ("aws_sns", 0, 400, aws("ExpiredToken"), "auth_failed"),
    ("aws_sns", 0, 400, aws("Throttling"), "rate_limited"),
    ("aws_sns", 0, 403, aws("AccessDenied"), "scope_missing"),
    ("aws_sns", 0, 503, b"", "unreachable"),
    ("n8n", 0, 200, b'{"data":[{"id":', "ok"),
    ("n8n", 0, 200, b'{ "data": [] }', "ok"),
    ("n8n", 0, 200, b"<!DOCTYPE html>", "unexpected_answer"),
    ("n8n", 0, 401, b"", "auth_failed"),
    ("n8n", 0, 403, b"", "scope_missing"),
    ("n8n", 0, 404, b"", "unexpected_answer"),
]


@pytest.mark.parametrize(("kind", "step", "status", "body", "code"), VERDICTS)
def test_a_verdict(kind, step, status, body, code):
    assert BY_KIND[kind].proofs[step].verdict(CONFIGS[kind], status, body) == code


BASES = {
    "whatsapp": "https://graph.facebook.com/v26.0",
    "twilio": "https://api.twilio.com/2010-04-01",
    "vonage": "https://rest.nexmo.com",
    "aws_sns": "https://sts.eu-central-1.amazonaws.com",
    "n8n": "https://n8n.example.com:8443",
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_where_a_credential_goes_and_that_no_repr_shows_it(kind):
    config = CONFIGS[kind]
    for proof in BY_KIND[kind].proofs:
        assert proof.base(config) == BASES[kind]
        request = proof.request(config, Occasion("host.example.com", MOMENT))
        assert request.path.startswith("/")
        assert repr(request) == f"ProofRequest(method='{request.method}')"
        assert "kAnArIe" not in request.path


def test_in_china_the_name_has_another_end():
    (proof,) = BY_KIND["aws_sns"].proofs
    assert proof.base({"region": "cn-north-1"}) == "https://sts.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize("value", ["../../me", "a/b?c#d", "é"])
def test_an_odd_id_stays_one_part_of_the_path(value):
    config = CONFIGS["whatsapp"] | {"phoneNumberId": value}
    request = BY_KIND["whatsapp"].proofs[0].request(config, Occasion("h", MOMENT))
    assert request.path.count("/") == 1
    assert request.path.count("?") == 1
    assert request.path.isascii()
