"""Amazon SNS, for SMS."""

import re

from hookvault.providers.base import Field, Provider
from hookvault.providers.proof import FORM, Code, Config, Occasion, Proof, ProofRequest, by_status, text_of
from hookvault.providers.sigv4 import Signer, sign

_IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
_ERROR = re.compile(rb"<Code>(\w+)</Code>")
_REFUSED = frozenset(
    {b"InvalidClientTokenId", b"SignatureDoesNotMatch", b"ExpiredToken", b"IncompleteSignature"}
    | {b"MissingAuthenticationToken", b"UnrecognizedClientException"}
)
_LIMITED = frozenset({b"Throttling", b"ThrottlingException", b"RequestLimitExceeded"})


def _base(config: Config) -> str:
    region = text_of(config, "region")
    return f"https://sts.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")


def _caller(config: Config, occasion: Occasion) -> ProofRequest:
    """Who the key belongs to: the one question that every key may ask."""
    signer = Signer(
        text_of(config, "accessKeyId"), text_of(config, "secretAccessKey"), text_of(config, "region"), "sts"
    )
    headers = (("content-type", FORM),)
    signed = sign(signer, "POST", [*headers, ("host", occasion.host)], _IDENTITY, occasion.moment)
    return ProofRequest("POST", "/", (*headers, *signed), _IDENTITY)


def _verdict(_config: Config, status: int, body: bytes) -> Code:
    if status == 200:
        return "ok" if b"<GetCallerIdentityResult>" in body and b"<Account>" in body else "unexpected_answer"
    found = _ERROR.search(body)
    code = found[1] if found else b""
    if code in _REFUSED:
        return "auth_failed"
    if code in _LIMITED:
        return "rate_limited"
    return by_status(status) if status >= 300 else "unexpected_answer"


AWS_SNS = Provider(
    kind="aws_sns",
    label="AWS SNS",
    fields=(
        Field(
            name="accessKeyId",
            label="Access key ID",
            required=True,
            pattern=r"^AKIA[A-Z0-9]{16}$",
            hint="An access key ID is usually AKIA and 16 capitals and digits. One that begins with ASIA "
            "is temporary and soon stops working.",
            max_length=256,
        ),
        Field(
            name="secretAccessKey",
            label="Secret access key",
            required=True,
            pattern=r"^[A-Za-z0-9/+=]{40}$",
            hint="A secret access key usually has 40 characters.",
            max_length=1024,
        ),
        Field(
            name="region",
            label="Region",
            required=True,
            secret=False,
            pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]$",
            hint="A region is written like eu-central-1.",
            max_length=63,
            value_kind="label",
        ),
        Field(
            name="senderId",
            label="Sender ID",
            secret=False,
            pattern=r"^(?=.*[A-Za-z])[A-Za-z0-9]{1,11}$",
            hint="A sender ID usually has up to 11 letters and digits, with at least one letter.",
            max_length=64,
        ),
    ),
    proofs=(Proof(fields=("accessKeyId", "secretAccessKey"), base=_base, request=_caller, verdict=_verdict),),
)
