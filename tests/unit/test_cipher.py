"""The stored form, its strict parser, its compatibility with Node, and the binding of fields to places."""

import re
import traceback

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.errors import CipherError, HookvaultError, InvalidError, SetupError
from hookvault.vault import decrypt, encrypt
from hookvault.vault.cipher import FieldCipher, is_ciphertext, length_prefixed, parse, place_data, tenant_data
from node import in_node, needs_node

KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
OTHER_KEY = "0" * 63 + "1"
FORM = re.compile(r"[0-9a-f]{24}:[0-9a-f]{32}:([0-9a-f]{2})*\Z")
TEXTS = ["", "a", "sk_live_abc123xyz789", "Grüße, 東京 🔑 \x00 end", "x" * 100_000]
PLACE = {"table": "tenant_integrations", "row_id": "r1", "field": "accessToken", "tenant_id": "acme"}


def associated_data(*, table, row_id, field, tenant_id, key_version):
    """As a tenant's cipher puts it together."""
    return place_data(table, row_id, field) + tenant_data(tenant_id, key_version)


@settings(deadline=None)
@given(st.text())
def test_what_is_encrypted_decrypts_to_itself_and_has_the_stored_form(text):
    sealed = encrypt(text, KEY)
    assert FORM.match(sealed)
    assert is_ciphertext(sealed)
    assert decrypt(sealed, KEY) == text
    assert decrypt(sealed, bytes.fromhex(KEY)) == text
    assert decrypt(sealed, KEY.upper()) == text


def test_the_same_text_never_gives_the_same_ciphertext():
    ivs = {encrypt("same", KEY).split(":")[0] for _ in range(2000)}
    assert len(ivs) == 2000


@pytest.mark.parametrize("text", ["", "é", "sk_live_abc123xyz789"])
def test_every_truncation_fails(text):
    sealed = encrypt(text, KEY)
    for length in range(len(sealed)):
        with pytest.raises(CipherError):
            decrypt(sealed[:length], KEY)
        with pytest.raises(CipherError):
            decrypt(sealed[length + 1 :], KEY)


def test_every_flipped_bit_fails():
    parts = parse(encrypt("sk_live_abc123xyz789", KEY))
    for index, part in enumerate(parts):
        for bit in range(len(part) * 8):
            changed = bytearray(part)
            changed[bit // 8] ^= 1 << bit % 8
            text = ":".join(bytes(changed if at == index else whole).hex() for at, whole in enumerate(parts))
            with pytest.raises(CipherError) as caught:
                decrypt(text, KEY)
            assert caught.value.code == "cipher_error"


def test_another_key_fails():
    with pytest.raises(CipherError, match="does not open") as caught:
        decrypt(encrypt("secret text", KEY), OTHER_KEY)
    assert caught.value.code == "cipher_error"


def malformed():
    iv, tag, body = encrypt("some secret", KEY).split(":")
    return {
        "empty": "",
        "colons only": "::",
        "two parts": f"{iv}:{tag}",
        "four parts": f"{iv}:{tag}:{body}:",
        "trailing newline": f"{iv}:{tag}:{body}\n",
        "leading space": f" {iv}:{tag}:{body}",
        "spaces that bytes.fromhex skips": f"{iv}:{tag}:{body[:2]} {body[2:]}",
        "trailing text that Node skips": f"{iv}:{tag}:{body}zz",
        "odd digits": f"{iv}:{tag}:{body}0",
        "upper case": f"{iv}:{tag}:{body}".upper(),
        "4-byte tag": f"{iv}:{tag[:8]}:{body}",
        "12-byte tag": f"{iv}:{tag[:24]}:{body}",
        "13-byte IV": f"{iv}00:{tag}:{body}",
        "8-byte IV": f"{iv[:16]}:{tag}:{body}",
        "full-width digits": f"{iv}:{tag}:\uff11\uff12",
        "lone surrogate": f"{iv}:{tag}:\ud800",
        "not text": None,
        "bytes": f"{iv}:{tag}:{body}".encode(),
    }


@pytest.mark.parametrize("text", malformed().values(), ids=malformed().keys())
def test_what_is_not_exactly_the_stored_form_is_refused(text):
    assert not is_ciphertext(text)
    with pytest.raises(CipherError) as caught:
        decrypt(text, KEY)
    assert caught.value.code == "malformed_ciphertext"


@settings(deadline=None)
@given(st.one_of(st.text(), st.from_regex(r"[0-9a-fA-F]{22,34}:[0-9a-f]{30,34}:[0-9a-f ]*\n?", fullmatch=True)))
def test_the_parser_takes_what_the_contract_says_and_nothing_else(text):
    contract = re.match(r"([0-9a-f]{24}|[0-9a-f]{32}):[0-9a-f]{32}:([0-9a-f]{2})*\Z", text)
    assert is_ciphertext(text) == (contract is not None)
    if contract:
        assert ":".join(part.hex() for part in parse(text)) == text


def test_upper_case_is_taken_on_request_only():
    sealed = encrypt("text", KEY)
    assert parse(sealed.upper(), allow_upper=True) == parse(sealed)
    with pytest.raises(CipherError):
        parse(sealed.upper())
    with pytest.raises(CipherError):
        parse(sealed.upper() + "\n", allow_upper=True)


def test_parsing_a_long_text_takes_linear_time():
    iv, tag, _ = encrypt("", KEY).split(":")
    assert not is_ciphertext(f"{iv}:{tag}:" + "ab" * 4_000_000 + "g")
    assert is_ciphertext(f"{iv}:{tag}:" + "ab" * 4_000_000)


@pytest.mark.parametrize(
    "key", ["", "ab", KEY[:-1], KEY + "0", KEY[:-1] + "g", KEY + "\n", f" {KEY}", b"short", b"", 7]
)
def test_a_malformed_key_is_refused_without_showing_it(key):
    for action in (lambda: encrypt("text", key), lambda: decrypt(encrypt("text", KEY), key)):
        with pytest.raises(CipherError) as caught:
            action()
        assert caught.value.code == "invalid_key"
        assert KEY[:32] not in str(caught.value)


def test_without_a_key_that_of_the_environment_is_used(monkeypatch):
    monkeypatch.setenv("ENCRYPTION_KEY", f"{KEY}\n")
    sealed = encrypt("from the environment")
    assert decrypt(sealed) == decrypt(sealed, KEY) == "from the environment"


@pytest.mark.parametrize("value", [None, "", "  ", "abc", KEY + "00", "g" * 64])
def test_a_bad_key_in_the_environment_says_how_to_make_one(monkeypatch, value):
    monkeypatch.delenv("ENCRYPTION_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("ENCRYPTION_KEY", value)
    for action in (lambda: encrypt("text"), lambda: decrypt(encrypt("text", KEY))):
        with pytest.raises(SetupError, match=r"ENCRYPTION_KEY: .*hookvault keys generate") as caught:
            action()
        assert not (value and value.strip()) or value.strip() not in str(caught.value)


def test_a_lone_surrogate_is_refused_and_its_text_does_not_travel_with_the_error():
    for action in (
        lambda: encrypt("canary-3141 \ud800", KEY),
        lambda: FieldCipher(bytes(32)).seal("canary-3141 \ud800", b"aad"),
    ):
        with pytest.raises(InvalidError) as caught:
            action()
        assert_not_carried(caught.value, "canary-3141")


def test_plaintext_that_is_not_text_does_not_travel_with_the_error():
    sealed = seal_raw(b"canary-3141 \xff\xfe", "000102030405060708090a0b")
    with pytest.raises(CipherError, match="not UTF-8") as caught:
        decrypt(sealed, KEY)
    assert_not_carried(caught.value, "canary-3141")


def seal_raw(plaintext, iv):
    sealed = AESGCM(bytes.fromhex(KEY)).encrypt(bytes.fromhex(iv), plaintext, None)
    return f"{iv}:{sealed[-16:].hex()}:{sealed[:-16].hex()}"


def assert_not_carried(error, canary):
    assert error.__context__ is None
    assert error.__cause__ is None
    assert canary not in f"{error!r} {error} {vars(error)}"


def test_no_error_shows_ciphertext_or_key():
    sealed = encrypt("plain-canary", KEY)
    for text, key in ((sealed, OTHER_KEY), (sealed[:-1], KEY), (sealed + "\n", KEY)):
        with pytest.raises(HookvaultError) as caught:
            decrypt(text, key)
        told = "".join(traceback.format_exception_only(caught.value)) + str(vars(caught.value))
        for part in (*sealed.split(":"), KEY, OTHER_KEY, "plain-canary"):
            assert part not in told


def test_only_text_is_encrypted():
    for value in (None, 7, b"bytes"):
        with pytest.raises(InvalidError, match="only text"):
            encrypt(value, KEY)


@needs_node
@pytest.mark.parametrize("iv_bytes", [12, 16])
def test_what_node_encrypts_opens_here(iv_bytes):
    requests = [{"op": "encrypt", "key": KEY, "text": text, "ivBytes": iv_bytes} for text in TEXTS]
    answers = in_node(requests)
    assert [decrypt(answer["text"], KEY) for answer in answers] == TEXTS
    assert {len(answer["text"].split(":")[0]) for answer in answers} == {iv_bytes * 2}


@needs_node
def test_what_is_encrypted_here_opens_in_node():
    requests = [{"op": "decrypt", "key": KEY, "text": encrypt(text, KEY)} for text in TEXTS]
    assert in_node(requests) == [{"ok": True, "text": text} for text in TEXTS]


@needs_node
def test_both_sides_refuse_an_altered_text():
    sealed = encrypt("text", KEY)
    altered = sealed[:-1] + ("0" if sealed[-1] != "0" else "1")
    assert in_node([{"op": "decrypt", "key": KEY, "text": altered}])[0]["ok"] is False
    with pytest.raises(CipherError):
        decrypt(altered, KEY)


@needs_node
@pytest.mark.parametrize("tag_bytes", [4, 8, 12, 13, 14, 15])
def test_a_shorter_tag_that_node_makes_is_refused(tag_bytes):
    [answer] = in_node([{"op": "encrypt", "key": KEY, "text": "text", "tagBytes": tag_bytes}])
    assert answer["ok"], answer
    with pytest.raises(CipherError) as caught:
        decrypt(answer["text"], KEY)
    assert caught.value.code == "malformed_ciphertext"


@settings(deadline=None)
@given(st.text(), st.binary(min_size=32, max_size=32), st.binary(min_size=1))
def test_a_field_opens_with_its_key_and_place(text, key, aad):
    cipher = FieldCipher(key)
    sealed = cipher.seal(text, aad)
    assert FORM.match(sealed)
    assert cipher.open(sealed, aad).open() == text
    with pytest.raises(CipherError):
        cipher.open(sealed, aad + b"\0")


@pytest.mark.parametrize("part", ["table", "row_id", "field", "tenant_id", "key_version"])
def test_a_field_does_not_open_in_any_other_place(part):
    here = {**PLACE, "key_version": 1}
    there = {**here, part: 2 if part == "key_version" else here[part] + "x"}
    cipher = FieldCipher(bytes(range(32)))
    sealed = cipher.seal("secret", associated_data(**here))
    assert cipher.open(sealed, associated_data(**here)).open() == "secret"
    with pytest.raises(CipherError) as caught:
        cipher.open(sealed, associated_data(**there))
    assert caught.value.code == "cipher_error"


def test_a_version_0_ciphertext_does_not_open_as_a_field_of_the_same_key():
    key = bytes.fromhex(KEY)
    with pytest.raises(CipherError):
        FieldCipher(key).open(encrypt("text", key), associated_data(**PLACE, key_version=1))


def test_a_field_is_never_sealed_without_a_place():
    cipher = FieldCipher(bytes(32))
    with pytest.raises(CipherError, match="bound to its place"):
        cipher.seal("text", b"")
    with pytest.raises(CipherError, match="bound to its place"):
        cipher.open(encrypt("text", bytes(32)), b"")


@pytest.mark.parametrize("key", [None, b"", bytes(16), bytes(31), bytes(33), KEY, 32])
def test_a_field_cipher_takes_32_bytes_and_never_the_environments_key(monkeypatch, key):
    monkeypatch.setenv("ENCRYPTION_KEY", KEY)
    with pytest.raises(CipherError) as caught:
        FieldCipher(key)
    assert caught.value.code == "invalid_key"


PART = st.text(alphabet="ab|,:\x00\x01/é", max_size=4)
PLACES = st.fixed_dictionaries(
    {
        "table": PART,
        "row_id": PART,
        "field": PART,
        "tenant_id": PART,
        "key_version": st.integers(min_value=0, max_value=3),
    }
)


@settings(max_examples=400, deadline=None)
@given(PLACES, PLACES)
def test_two_places_have_the_same_associated_data_only_if_they_are_the_same(one, other):
    assert (associated_data(**one) == associated_data(**other)) == (one == other)


def test_moving_a_border_between_parts_changes_the_associated_data():
    one = associated_data(table="t", row_id="ab", field="c", tenant_id="x", key_version=1)
    other = associated_data(table="t", row_id="a", field="bc", tenant_id="x", key_version=1)
    assert one != other


@settings(deadline=None)
@given(st.lists(st.binary(max_size=6), max_size=5))
def test_a_length_prefixed_list_can_be_read_back(parts):
    packed, found = length_prefixed(*parts), []
    while packed:
        size = int.from_bytes(packed[:4], "big")
        found.append(packed[4 : 4 + size])
        packed = packed[4 + size :]
    assert found == parts


def test_the_associated_data_is_what_the_stored_fields_were_sealed_with():
    """Stored ciphertexts depend on these bytes for ever; a change here makes every database unreadable."""
    expected = b"\0\0\0\x12hookvault/field/v1\0\0\0\x01t\0\0\0\x02r1\0\0\0\x01f\0\0\0\x04acme\0\0\0\x0212"
    assert associated_data(table="t", row_id="r1", field="f", tenant_id="acme", key_version=12) == expected
