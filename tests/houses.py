"""The providers on one loopback port, as far as a test of credentials asks them: each knows which credentials are good."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import unquote

from canary import planted
from hookvault.providers.sigv4 import Signer, sign
from n8n import Answer, N8n, Seen

NUMBER, ACCOUNT = "106540352242922", "102290129340398"
WRONG_TOKEN = {"error": {"message": "Error validating access token", "type": "OAuthException", "code": 190}}
IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult>"
)


def whatsapp(**more):
    ids = {"phoneNumberId": NUMBER, "businessAccountId": ACCOUNT}
    return ids | {"accessToken": planted("wa-token"), "webhookVerifyToken": planted("wa-verify")} | more


def twilio(**more):
    own = {"accountSid": planted("tw-sid"), "authToken": planted("tw-token"), "phoneNumber": "+15555555555"}
    return {"provider": "twilio"} | own | more


def vonage(**more):
    own = {"apiKey": planted("vo-key"), "apiSecret": planted("vo-secret"), "phoneNumber": "4915112345"}
    return {"provider": "vonage"} | own | more


def aws_sns(**more):
    own = {"accessKeyId": planted("aws-id"), "secretAccessKey": planted("aws-secret"), "region": "eu-central-1"}
    return {"provider": "aws_sns"} | own | more


# Each provider's configuration, and what is new of it in a rotation.
CASES = {
    "whatsapp": ("whatsapp", whatsapp, lambda: {"accessToken": planted("wa-token-new")}),
    "twilio": ("sms", twilio, lambda: {"authToken": planted("tw-token-new")}),
    "vonage": ("sms", vonage, lambda: {"apiSecret": planted("vo-secret-new")}),
    "aws_sns": (
        "sms",
        aws_sns,
        lambda: {"accessKeyId": planted("aws-id-new"), "secretAccessKey": planted("aws-secret-new")},
    ),
    "n8n": ("n8n", None, lambda: {"apiKey": planted("n8n-key-new")}),
}


class Houses(N8n):
    """All providers. `take` makes a configuration good, `answers` overrides by path."""

    def __init__(self):
        super().__init__()
        self.tokens, self.logins, self.keys, self.signers = set(), set(), set(), {}
        self.whole = None  # an answer to everything, when set

    def n8n_config(self):
        return {"baseUrl": self.url("/webhook"), "apiKey": planted("n8n-key")}

    def config(self, name):
        """A configuration of a provider that is good."""
        made = self.n8n_config() if name == "n8n" else CASES[name][1]()
        self.take(made)
        return made

    def take(self, config):
        if "accessToken" in config:
            self.tokens.add(config["accessToken"])
        if "authToken" in config:
            self.logins.add((config["accountSid"], config["authToken"]))
        if "apiKeySid" in config:
            self.logins.add((config["apiKeySid"], config["apiKeySecret"]))
        if "apiSecret" in config:
            self.logins.add((config["apiKey"], config["apiSecret"]))
        if "accessKeyId" in config:
            self.signers[config["accessKeyId"]] = config["secretAccessKey"]
        if "baseUrl" in config:
            self.keys.add(config["apiKey"])

    @property
    def base_urls(self):
        return {name: self.url(f"/{name}") for name in ("whatsapp", "twilio", "vonage", "aws_sns")}

    def _answer(self, seen: Seen) -> Answer:
        if self.whole is not None:
            return self.whole
        house = seen.path.split("/")[1].split("?")[0]
        kind = {"api": "n8n"}.get(house, house)
        return getattr(self, f"_{kind}")(seen)

    def _whatsapp(self, seen):
        if seen.headers["authorization"].removeprefix("Bearer ") not in self.tokens:
            return _json(401, WRONG_TOKEN)
        if seen.path.startswith(f"/whatsapp/{ACCOUNT}/phone_numbers?"):
            return _json(200, {"data": [{"id": "1"}, {"id": NUMBER}]})
        if seen.path.startswith(f"/whatsapp/{NUMBER}?"):
            return _json(200, {"id": NUMBER, "display_phone_number": "+1 555-555-5555"})
        return _json(400, {"error": {"code": 100, "error_subcode": 33}})

    def _twilio(self, seen):
        user, password = _login(seen)
        if (user, password) not in self.logins:
            return _json(401, {"code": 20003, "message": "Authenticate", "status": 401})
        if "/Messages.json?" in seen.path:
            return _json(200, {"messages": []})
        sid = unquote(seen.path.removeprefix("/twilio/Accounts/").removesuffix(".json"))
        return _json(200, {"sid": sid, "status": "active", "auth_token": password})  # as the real one does

    def _vonage(self, seen):
        if seen.path != "/vonage/account/get-balance":
            return _json(404, {})
        good = _login(seen) in self.logins
        return _json(200, {"value": 29.18, "autoReload": False}) if good else _json(401, {"title": "Unauthorized"})

    def _aws_sns(self, seen):
        given = seen.headers["authorization"]
        key, _, region, service, _ = given.partition("Credential=")[2].partition(",")[0].split("/")
        if key not in self.signers:
            return Answer(
                403, b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code></Error></ErrorResponse>", "text/xml"
            )
        moment = datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        headers = [(name, seen.headers[name]) for name in ("content-type", "host")]
        signed = dict(sign(Signer(key, self.signers[key], region, service), "POST", headers, seen.body, moment))
        if signed["authorization"] != given or abs((datetime.now(UTC) - moment).total_seconds()) > 300:
            return Answer(
                403, b"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>", "text/xml"
            )
        return Answer(200, IDENTITY.encode(), "text/xml")

    def _n8n(self, seen):
        if seen.path != "/api/v1/workflows?limit=1&excludePinnedData=true":
            return _json(404, {})
        good = seen.headers.get("x-n8n-api-key") in self.keys
        return _json(200, {"data": [{"nodes": "x" * 100_000}]}) if good else _json(401, {"message": "Unauthorized"})


def _json(status, body):
    return Answer(status, json.dumps(body, separators=(",", ":")).encode())


def _login(seen):
    user, _, password = base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
    return user, password
