"""Which addresses may be dialled: every literal form of what must not be reached is refused."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.outbound.errors import AddressBlockedError, InvalidURLError
from hookvault.outbound.guard import AddressPolicy, parse_target

NOTHING = AddressPolicy(allow_http=True)
EVERYTHING = AddressPolicy(True, (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))

PRIVATE = [
    "10.0.0.5", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1", "127.0.0.1", "127.255.255.254",
    "100.64.0.1", "100.127.255.254", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "240.0.0.1", "254.255.255.255", "::1", "fc00::1", "fd12:3456::1", "fec0::1",
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:20::1", "100::1", "5f00::1", "4000::1", "0:1::1", "200::1",
]  # fmt: skip
NEVER = [
    "0.1.2.3", "::ffff:0:0",  "169.254.169.254", "169.254.170.2", "169.254.1.1", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "224.0.0.1", "239.255.255.255", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "fd12::1%eth0", "febf::1",
    "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b:1::1", "2001::1", "2001:0:a00:1::", "2002:a00:1::", "2002:5db8:d822::", "::10.0.0.1", "::8.8.8.8",
    "2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "11.0.0.1", "2606:4700::1111",
    "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE + NEVER)
def test_forbidden(address):
    reason = NOTHING.refuse_reason(address)
    assert reason is not None
    assert reason.startswith(f"{address} is ")


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address):
    assert NOTHING.refuse_reason(address) is None
    assert EVERYTHING.refuse_reason(address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_can_be_listed(address):
    assert EVERYTHING.refuse_reason(address) is None


@pytest.mark.parametrize("address", NEVER)
def test_never_even_when_listed(address):
    assert EVERYTHING.refuse_reason(address) is not None


def test_the_kind_is_named():
    assert NOTHING.refuse_reason("10.0.0.5") == "10.0.0.5 is a private address"
    assert NOTHING.refuse_reason("169.254.169.254") == "169.254.169.254 is a cloud metadata address"
    assert NOTHING.refuse_reason("::ffff:127.0.0.1") == "::ffff:127.0.0.1 is a loopback address"
    assert NOTHING.refuse_reason("n8n") == "n8n is not an IP address"


def test_listing_covers_the_mapped_form_and_no_more():
    policy = AddressPolicy(False, (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd12::/16")))
    assert policy.refuse_reason("10.1.2.3") is None
    assert policy.refuse_reason("::ffff:10.1.2.3") is None
    assert policy.refuse_reason("fd12::7") is None
    for other in (
        "10.2.0.1",
        "::ffff:10.2.0.1",
        "127.0.0.1",
        "fd13::1",
        "64:ff9b::10.1.2.3",
        "2002:a01:203::",
    ):
        assert policy.refuse_reason(other) is not None, other


def test_one_forbidden_answer_refuses_the_whole_name():
    with pytest.raises(AddressBlockedError) as caught:
        NOTHING.vet("n8n.example.com", ["8.8.8.8", "10.0.0.5"])
    assert caught.value.message == (
        "blocked: n8n.example.com resolves to 10.0.0.5, which is a private address; "
        "add its network to WEBHOOK_ALLOWED_NETWORKS if that is meant"
    )
    assert caught.value.permanent
    assert caught.value.code == "address_blocked"
    assert caught.value.status == 422
    with pytest.raises(AddressBlockedError, match="never called"):
        EVERYTHING.vet("evil.example.com", ["169.254.169.254"])


def test_vetted_addresses_are_those_to_dial():
    assert NOTHING.vet("a.example", ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111"]) == [
        "8.8.8.8",
        "2606:4700::1111",
    ]


forbidden4 = st.one_of(
    *(st.ip_addresses(network=net) for net in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"))
)


def spellings(address):
    """Ways in which parsers, resolvers and kernels have been talked into dialling an IPv4 address."""
    a, b, c, d = (int(part) for part in str(address).split("."))
    number = int(address)
    wide = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    return [
        str(address), f"{address}.", str(number), hex(number), f"0{number:o}", f"0x{a:x}.{b}.{c}.{d}",
        f"0{a:o}.{b}.{c}.{d}", f"{a}.{b}.{(c << 8) + d}", f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a:03}.{b:03}.{c:03}.{d:03}", f"{a}.{b}.{c}.0x{d:x}", str(address).translate(wide),
        str(address).replace(".", "。"), f"[::ffff:{address}]", f"[{mapped}]", f"[{mapped.exploded}]", f"[::{address}]",
        f"[64:ff9b::{address}]", f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]", f"[2606::5efe:{address}]",
        f"[2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}::]", f"[::ffff:0:{address}]", f"[fe80::{a}%25eth0]",
        f"user@{address}", f"8.8.8.8@{address}", f"8.8.8.8\\@{address}", f"%31{address}", f" {address}",
    ]  # fmt: skip


@given(forbidden4)
def test_no_spelling_of_a_forbidden_address_is_a_target(address):
    for host in spellings(address):
        with pytest.raises((AddressBlockedError, InvalidURLError)):
            parse_target(f"http://{host}/", NOTHING)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_and_its_mapped_form_are_judged_alike(address):
    assert (NOTHING.refuse_reason(str(address)) is None) == (NOTHING.refuse_reason(f"::ffff:{address}") is None)
    wrapped = NOTHING.refuse_reason(f"64:ff9b::{address}")
    assert (wrapped is None) == (NOTHING.refuse_reason(str(address)) is None)


@given(st.ip_addresses())
def test_what_may_be_dialled_is_global_unicast(address):
    if NOTHING.refuse_reason(str(address)) is None:
        inner = address.ipv4_mapped if address.version == 6 and address.ipv4_mapped else address
        assert inner.is_global or inner in ipaddress.ip_network("64:ff9b::/96")
        assert not inner.is_multicast
        assert not inner.is_link_local


@given(st.text(max_size=40))
def test_text_is_never_an_address_to_dial(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert EVERYTHING.refuse_reason(text) is not None
