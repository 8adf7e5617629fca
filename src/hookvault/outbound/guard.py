"""Which URLs and addresses may be called. Pure: nothing here resolves, connects or reads settings.

A URL is read by one strict grammar of our own rather than by a lenient parser, because what two parsers read
differently is how guards are passed. Addresses are judged by what they are, never by what a name looks like:
a literal in a URL and every address that a name resolves to meet the same judgement.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote

import idna

from hookvault.outbound.errors import AddressBlockedError, InvalidURLError

MAX_URL = 2048
HTTP_REFUSED = "http:// is not allowed here: use https://, or set WEBHOOK_ALLOW_HTTP=true"
ADVICE = "add its network to WEBHOOK_ALLOWED_NETWORKS if that is meant"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refusal(NamedTuple):
    """Why an address may not be called, and whether listing its network would change that."""

    kind: str
    listable: bool


def _networks(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ipaddress.ip_network(net), kind) for net, kind in rows)


# Never callable, even when listed: what lives there gives away credentials, or is many machines at once, or
# hides an IPv4 address that would be dialled without having been judged.
_NEVER = _networks(
    ("169.254.169.254/32", "a cloud metadata address"),
    ("169.254.170.2/32", "a cloud metadata address"),
    ("100.100.100.200/32", "a cloud metadata address"),
    ("168.63.129.16/32", "a cloud metadata address"),
    ("192.0.0.192/32", "a cloud metadata address"),
    ("169.254.0.0/16", "a link-local address"),
    ("0.0.0.0/8", "an unspecified address"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "the broadcast address"),
    ("fd00:ec2::/32", "a cloud metadata address"),
    ("fd20:ce::254/128", "a cloud metadata address"),
    ("fe80::/10", "a link-local address"),
    ("ff00::/8", "a multicast address"),
    ("::/128", "an unspecified address"),
    ("64:ff9b:1::/48", "a NAT64 address"),
    ("2001::/32", "a Teredo address"),
    ("2002::/16", "a 6to4 address"),
)
# Refused unless their network is listed. Written out, since ipaddress's own idea of "global" changes.
_PRIVATE = _networks(
    ("10.0.0.0/8", "a private address"),
    ("172.16.0.0/12", "a private address"),
    ("192.168.0.0/16", "a private address"),
    ("127.0.0.0/8", "a loopback address"),
    ("100.64.0.0/10", "a shared (carrier NAT) address"),
    ("192.0.0.0/24", "a reserved address"),
    ("192.0.2.0/24", "a documentation address"),
    ("192.88.99.0/24", "a 6to4 relay address"),
    ("198.18.0.0/15", "a benchmarking address"),
    ("198.51.100.0/24", "a documentation address"),
    ("203.0.113.0/24", "a documentation address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::1/128", "a loopback address"),
    ("fc00::/7", "a private address"),
    ("fec0::/10", "a private (site-local) address"),
    ("2001::/23", "a reserved address"),
    ("2001:db8::/32", "a documentation address"),
    ("3fff::/20", "a documentation address"),
)
_LOOPBACK6 = ipaddress.IPv6Address("::1")
_GLOBAL6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # the third quarter of such an address; RFC 5214 section 6.1


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one (RFC 4291 section 2.5.5.2): the kernel dials that one."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _never(address: Address) -> str | None:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return "an address with a zone"
        if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return "an ISATAP address"
    for network, kind in _NEVER:
        if address in network:
            return kind
    if address in _COMPATIBLE and address != _LOOPBACK6:
        return "an IPv4-compatible address"
    return None


def _private(address: Address) -> str | None:
    for network, kind in _PRIVATE:
        if address in network:
            return kind
    # ::/8 and all that no registry has given out stay outside 2000::/3.
    outside = isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL6
    return "a reserved address" if outside or not address.is_global else None


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which targets may be called.

    Attributes:
        allow_http: Whether plain http may be used.
        allowed_networks: Private networks that may be called all the same. Link-local, metadata and multicast
            addresses and IPv6 forms that hide an IPv4 address are refused even when listed.
    """

    allow_http: bool
    allowed_networks: tuple[Network, ...] = ()

    def refuse_reason(self, address: str) -> str | None:
        """Why `address`, a literal without brackets, must not be dialled; None when it may be.

        An example is "10.0.0.5 is a private address".
        """
        refusal = self._refusal(address)
        return None if refusal is None else f"{address} is {refusal.kind}"

    def vet(self, host: str, addresses: Iterable[str]) -> list[str]:
        """The addresses of `host` in the form to dial: without repeats, IPv4-mapped ones as IPv4.

        Raises:
            AddressBlockedError: when any one of them is forbidden. The others are not used either: who can
                make a name give a forbidden answer chose the others too.
        """
        vetted: dict[str, None] = {}
        for address in addresses:
            refusal = self._refusal(address)
            if refusal is not None:
                raise _blocked(host, address, refusal)
            vetted[str(_unwrapped(ipaddress.ip_address(address)))] = None
        return list(vetted)

    def _refusal(self, text: str) -> Refusal | None:
        try:
            address = _unwrapped(ipaddress.ip_address(text))
        except ValueError:
            return Refusal("not an IP address", listable=False)
        kind = _never(address)
        if kind is not None:
            return Refusal(kind, listable=False)
        if address in _NAT64:  # RFC 6052: the last four bytes are where it leads
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            hidden = _never(inner) or _private(inner)
            return Refusal(f"a NAT64 address of {inner}, {hidden}", listable=False) if hidden else None
        if any(address in network for network in self.allowed_networks):
            return None
        kind = _private(address)
        return None if kind is None else Refusal(kind, listable=True)


def _blocked(host: str, address: str, refusal: Refusal) -> AddressBlockedError:
    where = f"{host} is {refusal.kind}" if host == address else f"{host} resolves to {address}, which is {refusal.kind}"
    return AddressBlockedError(f"blocked: {where}; {ADVICE if refusal.listable else 'such addresses are never called'}")


_PATH_SHAPE = re.compile(r"/[!-~]*\Z")
_HOST_SHAPE = re.compile(r"[0-9a-z_.:-]+\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes; made by `parse_target`.

    Attributes:
        scheme: `http` or `https`.
        host: The name or address: lower-case ASCII (IDNA), no brackets, no trailing dot.
        port: 1 to 65535.
        path: Path and query, percent-encoded ASCII, at least "/". May hold secrets; never logged.
        host_header: The Host field's value (RFC 9110 section 7.2), without the scheme's own port.
        origin: Scheme, host and port (RFC 6454 section 4), by which connections are kept.
    """

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    host_header: str
    origin: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Keep a message from being broken up, also by targets that were not parsed."""
        if not (_PATH_SHAPE.match(self.path) and _HOST_SHAPE.match(self.host)):
            raise InvalidURLError("the URL holds characters that a request line can't")
        if self.host_header not in _host_headers(self.scheme, self.host, self.port):
            raise InvalidURLError("the Host header must name the URL's own host")
        object.__setattr__(self, "origin", f"{self.scheme}://{_bracketed(self.host)}:{self.port}")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host_headers(scheme: str, host: str, port: int) -> Sequence[str]:
    bare = _bracketed(host)
    full = f"{bare}:{port}"
    return (bare, full) if _DEFAULT_PORTS.get(scheme) == port else (full,)


_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?\Z")
_AUTHORITY = re.compile(r"(?:\[(?P<literal>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{0,5}))?\Z")
# Controls, every kind of space, backslashes and lone surrogates: parsers disagree about each of them.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\\s\ud800-\udfff\u200b-\u200f\u2028-\u202e\ufeff]")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z")


def parse_target(url: str, policy: AddressPolicy) -> Target:
    """The target that an absolute http(s) URL names; its fragment is dropped (RFC 3986).

    Parsing a parsed target's own URL gives the same target again.

    Raises:
        InvalidURLError: another scheme, http where it isn't allowed, userinfo, a host that is empty, not IDNA
            or an IP address in any but the usual form, a bad port, white space, control characters or
            backslashes anywhere, or more than 2048 characters.
        AddressBlockedError: the host is an IP address that the policy forbids.
    """
    if len(url) > MAX_URL:
        raise InvalidURLError(f"the URL is longer than {MAX_URL} characters")
    if _FORBIDDEN.search(url):
        raise InvalidURLError("the URL holds white space, a control character or a backslash; percent-encode it")
    parts = _URL.match(url)
    if parts is None:
        raise InvalidURLError("not an absolute URL; write it in full, such as https://n8n.example.com/webhook/orders")
    scheme = parts["scheme"].lower()
    host, port = _authority(parts["authority"], _checked_scheme(scheme, policy))
    target = Target(scheme, host, port, _path(parts["rest"]), _host_headers(scheme, host, port)[0])
    if len(target.origin) + len(target.path) > MAX_URL:
        raise InvalidURLError(f"the URL is longer than {MAX_URL} characters once it is percent-encoded")
    if is_literal(host):
        policy.vet(host, [host])
    return target


def is_literal(host: str) -> bool:
    """Whether a target's host is an IP address and so needs no name resolution."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def _checked_scheme(scheme: str, policy: AddressPolicy) -> int:
    """The scheme's default port."""
    if scheme not in _DEFAULT_PORTS:
        raise InvalidURLError("only https:// URLs can be called" + (" (and http://)" if policy.allow_http else ""))
    if scheme == "http" and not policy.allow_http:
        raise InvalidURLError(HTTP_REFUSED)
    return _DEFAULT_PORTS[scheme]


def _authority(text: str, default_port: int) -> tuple[str, int]:
    if "@" in text:
        raise InvalidURLError("the URL holds a user name or password; put credentials into the webhook's auth fields")
    parts = _AUTHORITY.match(text)
    if parts is None:
        raise InvalidURLError("the URL's host or port can't be read")
    port = int(parts["port"]) if parts["port"] else default_port
    if not 1 <= port <= 65535:
        raise InvalidURLError(f"the URL's port {port} is outside 1 to 65535")
    literal = parts["literal"]
    return (_name(parts["name"]) if literal is None else _ipv6(literal)), port


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise InvalidURLError("the URL's host in brackets is not an IPv6 address") from None
    if address.scope_id is not None or not text.isascii():
        raise InvalidURLError("the URL's IPv6 address has a zone; such addresses can't be called")
    return str(address)


def _name(text: str) -> str:
    host = (text.lower() if text.isascii() else _idna(text)).removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise InvalidURLError("the URL has no host, or one that is not a host name")
    if _NUMBER.match(labels[-1]):
        return _ipv4(host)
    if "xn--" in host:
        _check_punycode(host)
    return host


def _ipv4(host: str) -> str:
    """Names can't end in a number, so this is an address; every spelling but the usual one is refused."""
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise InvalidURLError(
            "the URL's host is an IP address in an unusual form; write four decimal numbers like 203.0.113.7"
        ) from None


def _idna(text: str) -> str:
    """The ASCII form (RFC 5891, mapped by UTS 46 as browsers do)."""
    try:
        return idna.encode(text, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise InvalidURLError("the URL's host is not a valid internationalised name") from None


def _check_punycode(host: str) -> None:
    try:
        for label in host.split("."):
            if label.startswith("xn--"):
                idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        raise InvalidURLError("the URL's host holds an xn-- label that is not a valid one") from None


def _path(rest: str) -> str:
    path, mark, query = rest.partition("?")
    return (_encoded(path) or "/") + mark + _encoded(query)


def _encoded(text: str) -> str:
    """Percent-encoded UTF-8; what is encoded already stays as it is."""
    return quote(_STRAY_PERCENT.sub("%25", text), safe="/%:@!$&'()*+,;=-._~?[]")
