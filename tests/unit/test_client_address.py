"""Where a request came from is told by whom we trust, not by whoever writes a header."""

import ipaddress

import pytest

from hookvault.api.access import client_ip, is_direct_loopback

TRUSTED = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8"))


def scope(peer, *forwarded, **others):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in others.items()]
    return {"client": (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),  # not through a proxy of ours
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("127.0.0.1", ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),  # a proxy that appends a line of its own
        ("127.0.0.1", ["6.6.6.6, 1.2.3.4, 10.1.1.1"], "1.2.3.4"),  # through two of ours
        ("127.0.0.1", ["1.2.3.4:5555"], "1.2.3.4"),
        ("127.0.0.1", ["[2001:db8::1]:5555"], "2001:db8::1"),
        ("127.0.0.1", ["x" * 60_000], "127.0.0.1"),
        ("127.0.0.1", ["\xff\xfe"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_hop_that_a_trusted_proxy_names(peer, forwarded, found):
    assert client_ip(scope(peer, *forwarded), TRUSTED) == found


def test_loopback_through_a_proxy_is_not_loopback():
    assert is_direct_loopback(scope("127.0.0.1"))
    assert is_direct_loopback(scope("::1"))
    assert not is_direct_loopback(scope("192.0.2.1"))
    assert not is_direct_loopback(scope("127.0.0.1", "1.2.3.4"))
    assert not is_direct_loopback(scope("127.0.0.1", via="1.1 proxy"))
    assert not is_direct_loopback(scope("127.0.0.1", x_real_ip="1.2.3.4"))
