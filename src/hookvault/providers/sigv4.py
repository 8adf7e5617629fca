"""AWS Signature Version 4, for requests without a query (pure)."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

_ALGORITHM = "AWS4-HMAC-SHA256"


class Signer(NamedTuple):
    """Whose key signs, and for which service in which region. `secret_key` is a secret: no repr shows it."""

    key_id: str
    secret_key: str
    region: str
    service: str

    def __repr__(self) -> str:
        return f"Signer({self.service} in {self.region})"


def sign(
    signer: Signer,
    method: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    moment: datetime,
) -> tuple[tuple[str, str], ...]:
    """The headers `x-amz-date` and `authorization` for a request to the path `/`.

    Args:
        signer: The key and its scope.
        method: As in the request line.
        headers: Those that are signed, `host` among them; sent exactly as they are here.
        body: Sent exactly as it is here.
        moment: In UTC. AWS refuses one more than a few minutes off.
    """
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    signed = sorted((name.lower(), value.strip()) for name, value in [*headers, ("x-amz-date", stamp)])
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    canonical = "\n".join((method, "/", "", lines, names, hashlib.sha256(body).hexdigest()))
    scope = f"{stamp[:8]}/{signer.region}/{signer.service}/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_signing_key(signer, stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"{_ALGORITHM} Credential={signer.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (("x-amz-date", stamp), ("authorization", credential))


def _signing_key(signer: Signer, day: str) -> bytes:
    key = f"AWS4{signer.secret_key}".encode()
    for part in (day, signer.region, signer.service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
