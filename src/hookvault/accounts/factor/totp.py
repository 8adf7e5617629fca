"""Time-based one-time passwords (RFC 6238): SHA-1, six digits, thirty seconds, as every authenticator makes them."""

import base64
import hmac
import secrets
import struct
from urllib.parse import quote, urlencode

STEP_S = 30
_DIGITS = 6
_WINDOW = 1  # steps before and after the present one: clocks differ, and people type slowly
_SECRET_BYTES = 20  # as RFC 4226 section 4 recommends


def new_secret() -> str:
    """160 random bits in base32, as authenticators take them."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of one step (RFC 4226 section 5.3)."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", step), "sha1")
    offset = digest[-1] & 0xF
    number = struct.unpack_from(">I", digest, offset)[0] & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def matching_step(secret: str, code: str, moment: float, *, after: int) -> int | None:
    """The step whose code this is, among those near a moment and after the last one that was used; None when there is none."""
    present = int(moment) // STEP_S
    found = None
    for step in range(max(present - _WINDOW, 0), present + _WINDOW + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode("utf-8", "surrogatepass")) and step > after:
            found = step
    return found


def otpauth_uri(secret: str, account: str, issuer: str) -> str:
    """What an authenticator reads from a QR code."""
    fields = {"secret": secret, "issuer": issuer, "algorithm": "SHA1", "digits": _DIGITS, "period": STEP_S}
    query = urlencode(fields, quote_via=quote)  # a space as %20: some authenticators show a plus as it is
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query}"
