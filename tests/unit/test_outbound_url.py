"""Reading URLs, and what goes into a request's head: nothing that a caller gives can break a message up."""

import ipaddress
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookvault.outbound.errors import AddressBlockedError, InvalidHeaderError, InvalidURLError
from hookvault.outbound.guard import AddressPolicy, Target, parse_target
from hookvault.outbound.wire import encode_request

OPEN = AddressPolicy(True, (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
STRICT = AddressPolicy(allow_http=False)


@pytest.mark.parametrize(
    ("url", "origin", "path", "host_header"),
    [
        ("https://n8n.example.com", "https://n8n.example.com:443", "/", "n8n.example.com"),
        ("HTTPS://N8N.Example.COM:443/a", "https://n8n.example.com:443", "/a", "n8n.example.com"),
        ("https://n8n.example.com.:8443/a#b", "https://n8n.example.com:8443", "/a", "n8n.example.com:8443"),
        ("https://h.example?x=1", "https://h.example:443", "/?x=1", "h.example"),
        ("https://h.example/a?b?c=/d#e?f", "https://h.example:443", "/a?b?c=/d", "h.example"),
        ("https://h.example:/a", "https://h.example:443", "/a", "h.example"),
        ("http://h.example:443/", "http://h.example:443", "/", "h.example:443"),
        ("https://büch.example/ü?q=ß", "https://xn--bch-hoa.example:443", "/%C3%BC?q=%C3%9F", "xn--bch-hoa.example"),
        ("https://faß.example/", "https://xn--fa-hia.example:443", "/", "xn--fa-hia.example"),
        ("https://h.example/%7e%zz%", "https://h.example:443", "/%7e%25zz%25", "h.example"),
        ('https://h.example/a"<>{}|^`', "https://h.example:443", "/a%22%3C%3E%7B%7D%7C%5E%60", "h.example"),
        ("https://h.example/?a[0]=1", "https://h.example:443", "/?a[0]=1", "h.example"),
        ("https://[2606:4700:0:0::1111]:99/", "https://[2606:4700::1111]:99", "/", "[2606:4700::1111]:99"),
        ("http://my_n8n:5678/x", "http://my_n8n:5678", "/x", "my_n8n:5678"),
    ],
)  # fmt: skip
def test_reads(url, origin, path, host_header):
    target = parse_target(url, OPEN)
    assert (target.origin, target.path, target.host_header) == (origin, path, host_header)


@pytest.mark.parametrize(
    "url",
    [
        "", "h.example", "//h.example/", "https:/h.example", "https:h.example", "https://", "https:///a", "https://:443/",
        "https://?a", "ftp://h.example/", "file:///etc/passwd", "gopher://h.example/", "javascript://h.example/%0a",
        "https://user@h.example/", "https://user:pw@h.example/", "https://@h.example/", "https://h.example:0/",
        "https://h.example:65536/", "https://h.example:999999/", "https://h.example:-1/", "https://h.example:٣/",
        "https://h.example:80:80/", "https://h.example:a/", "https://h exa.example/", "https://h.example/a b",
        "https://h.example/\r\nX: y", "https://h.example/\t", "https://h.example\\@evil.example/", "https://h.example/\\",
        "https://h.example/\x00", "https://h.example/\x7f", "https://h.example/\x85", "https://h.example/\u2028",
        "https://h.example/\u3000", "https://h.example/\ud800", "https://h..example/", "https://.h.example/",
        "https://h.example../", "https://-h.example/", "https://h-.example/", "https://h%2eexample/",
        "https://h.example%00/", "https://xn--a.example/", "https://xn--.example/", "https://[::1/", "https://::1/",
        "https://[::1]x/", "https://[h.example]/", "https://[1.2.3.4]/", "https://[]/", "https://[fe80::1%25eth0]/",
        "https://[v1.a]/", "https://h!.example/", "https://h,i.example/", "https://2130706433/", "https://0x7f.1/",
        "https://0177.0.0.1/", "https://127.1/", "https://1.2.3/", "https://1.2.3.4.5/", "https://256.1.1.1/",
        "https://a.1/", "https://a.0x1/", "https://0x/", f"https://{'a' * 64}.example/", "https://💩\u200d.example/",
        f"https://{'a.' * 127}example/", "https://h.example/" + "a" * 2048, "https://h.example/" + "ü" * 1000,
        " https://h.example/", "https://h.example/ ",
    ],
)  # fmt: skip
def test_refuses(url):
    with pytest.raises(InvalidURLError) as caught:
        parse_target(url, OPEN)
    assert caught.value.permanent
    assert not caught.value.sent
    assert (caught.value.code, caught.value.status) == ("invalid_url", 422)


def test_http_only_where_allowed():
    with pytest.raises(InvalidURLError, match="WEBHOOK_ALLOW_HTTP"):
        parse_target("http://h.example/", STRICT)
    assert parse_target("https://h.example/", STRICT).port == 443


def test_a_forbidden_literal_is_refused_at_once():
    with pytest.raises(AddressBlockedError, match=re.escape("blocked: 127.0.0.1 is a loopback address")):
        parse_target("https://127.0.0.1/", STRICT)
    with pytest.raises(AddressBlockedError):
        parse_target("https://[::ffff:a9fe:a9fe]/latest/meta-data", OPEN)


def test_messages_hold_no_secret_of_the_url():
    for url in (
        "https://u:s3cret@h.example/",
        "https://h.example/\n?s3cret",
        "ftp://h.example/?s3cret",
        "s3cret",
    ):
        with pytest.raises(InvalidURLError) as caught:
            parse_target(url, OPEN)
        assert "s3cret" not in caught.value.message
    assert "s3cret" not in repr(parse_target("https://h.example/webhook/s3cret?s3cret", OPEN))


pieces = st.one_of(
    st.sampled_from(list("/?#@:[]%.\\ \r\n\t\x00&=;'\"<>{}|^`~+")),
    st.sampled_from(
        ["http://", "https://", "h.example", "127.0.0.1", "xn--", "%0d%0a", "%", "0x7f", "[::1]", "é", "。"]
    ),
    st.characters(),
)


@given(st.lists(pieces, max_size=20).map("".join))
@example("http://h.example/%0d%0aX: y")
def test_what_is_accepted_fits_a_request_line_and_reads_the_same_again(tail):
    for url in (tail, f"http://{tail}", f"https://h.example/{tail}"):
        try:
            target = parse_target(url, OPEN)
        except (InvalidURLError, AddressBlockedError):
            continue
        assert re.fullmatch(r"/[!-~]*", target.path)
        assert re.fullmatch(r"[0-9a-z_.:-]+", target.host)
        assert not set("@\\/?#\r\n ") & set(target.host_header)
        assert 1 <= target.port <= 65535
        assert parse_target(target.origin + target.path, OPEN) == target


@pytest.mark.parametrize(
    "fields",
    [
        ("https", "h.example", 443, "/a b", "h.example"),
        ("https", "h.example", 443, "/a\r\nX: y", "h.example"),
        ("https", "h.example", 443, "", "h.example"),
        ("https", "h.example", 443, "/", "other.example"),
        ("https", "h.example", 443, "/", "h.example\r\nX: y"),
        ("https", "h.example\n", 443, "/", "h.example\n"),
        ("https", "H.example", 443, "/", "H.example"),
    ],
)
def test_a_target_made_by_hand_can_break_nothing_up_either(fields):
    with pytest.raises(InvalidURLError):
        Target(*fields)


TARGET = parse_target("https://h.example/a?b", OPEN)


def test_the_message():
    message = encode_request("POST", TARGET, b"{}", [("Content-Type", "application/json"), ("x-name", "Zoë\t!")])
    assert message == (
        b"POST /a?b HTTP/1.1\r\nHost: h.example\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\n"
        b"Content-Type: application/json\r\nx-name: Zo\xeb\t!\r\n\r\n{}"
    )
    assert b"Content-Length: 0\r\n" in encode_request("POST", TARGET, b"", [])
    assert b"Content-Length" not in encode_request("GET", TARGET, b"", [])


@pytest.mark.parametrize(
    "header",
    [
        ("x", "a\r\nb: c"), ("x", "a\nb"), ("x", "a\r"), ("x", "\n"), ("x", "a\x00"), ("x", "\x7f"), ("x", "\u0130"),
        ("x", "€"), ("x: y\r\nz", "a"), ("", "a"), ("x y", "a"), ("x:", "a"), ("é", "a"), ("x\n", "a"),
        ("Host", "evil"), ("content-length", "1"), ("CONNECTION", "close"), ("Transfer-Encoding", "chunked"),
        ("accept-encoding", "gzip"), ("Expect", "100-continue"), ("upgrade", "h2c"), ("TE", "trailers"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_sent(header):
    with pytest.raises(InvalidHeaderError) as caught:
        encode_request("POST", TARGET, b"", [("x-good", "1"), header, ("x-also", "2")])
    assert caught.value.code == "invalid_header"


@pytest.mark.parametrize("method", ["", "post", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "CONNECT", "TRACE"])
def test_methods_that_cannot_be_sent(method):
    with pytest.raises(InvalidHeaderError):
        encode_request(method, TARGET, b"", [])


def test_a_refused_value_is_not_in_the_message():
    with pytest.raises(InvalidHeaderError) as caught:
        encode_request("POST", TARGET, b"", [("authorization", "Bearer s3cret\n")])
    assert "s3cret" not in caught.value.message
    assert "authorization" in caught.value.message


texts = st.text(st.characters(max_codepoint=0x180), max_size=12)


@given(st.lists(st.tuples(texts, texts), max_size=4), st.binary(max_size=20))
def test_a_head_has_as_many_lines_as_it_was_given(headers, body):
    try:
        message = encode_request("POST", TARGET, body, headers)
    except InvalidHeaderError:
        return
    head, _, rest = message.partition(b"\r\n\r\n")
    assert rest == body
    assert re.split(rb"[\r\n\x00]+", head)[4:] == [f"{name}: {value}".encode("latin-1") for name, value in headers]
