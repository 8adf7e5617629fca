"""The former system's ciphertexts: opened when they are whole and under its key, else left with a reason."""

import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from canary import planted
from hookvault.custody.intake.unseal import REASONS, Opener, resembles_ciphertext
from hookvault.errors import CipherError
from hookvault.vault import Secret, encrypt, mask_token
from node import needs_node, sealed_in_node

KEY = "8f2a4b6c0d1e3f5a7b9c8d0e2f4a6b8c1d3e5f7a9b0c2d4e6f8a1b3c5d7e9f00"
OTHER = "0" * 63 + "1"
SEALED = encrypt("a secret", KEY)
IV, TAG, BODY = SEALED.split(":")


@pytest.fixture
def opener():
    return Opener(Secret(KEY))


def broken():
    raw = AESGCM(bytes.fromhex(KEY)).encrypt(bytes(12), b"\xff\xfe", None)
    return {
        "trailing text that Node skips": (SEALED + "zz", "malformed"),
        "odd digits": (SEALED + "0", "malformed"),
        "a space inside": (f"{IV}:{TAG}:{BODY[:4]} {BODY[4:]}", "malformed"),
        "a space before": (" " + SEALED, "malformed"),
        "a line break behind": (SEALED + "\n", "malformed"),
        "in quotation marks": (f'"{SEALED}"', "malformed"),
        "a fourth part": (SEALED + ":00", "malformed"),
        "no text part": (f"{IV}:{TAG}", "malformed"),
        "half a tag and no text part": (f"{IV}:{TAG[:9]}", "malformed"),
        "an IV of 8 bytes": (f"{IV[:16]}:{TAG}:{BODY}", "malformed"),
        "an IV of 24 bytes": (f"{IV}{IV}:{TAG}:{BODY}", "malformed"),
        "a tag of 3.5 bytes": (f"{IV}:{TAG[:7]}:{BODY}", "malformed"),
        "a tag of 15.5 bytes": (f"{IV}:{TAG[:31]}:{BODY}", "malformed"),
        "a tag of 17 bytes": (f"{IV}:{TAG}00:{BODY}", "malformed"),
        "a tag of 4 bytes": (f"{IV}:{TAG[:8]}:{BODY}", "truncated_tag"),
        "a tag of 8 bytes": (f"{IV}:{TAG[:16]}:{BODY}", "truncated_tag"),
        "a tag of 12 bytes": (f"{IV}:{TAG[:24]}:{BODY}", "truncated_tag"),
        "a tag of 15 bytes": (f"{IV}:{TAG[:30]}:{BODY}", "truncated_tag"),
        "another key": (encrypt("a secret", OTHER), "wrong_key"),
        "a bit": (f"{IV}:{TAG}:{BODY[:-1]}{int(BODY[-1], 16) ^ 1:x}", "wrong_key"),
        "no bytes of text": (f"{IV}:{TAG}:", "wrong_key"),
        "no UTF-8": (f"{'00' * 12}:{raw[-16:].hex()}:{raw[:-16].hex()}", "not_text"),
        "encrypted twice": (encrypt(SEALED, KEY), "encrypted_twice"),
        "a mask": ("sk_live_***xyz789", "mask"),
        "a mask, encrypted": (encrypt("••••3f9c", KEY), "mask"),
    }


@pytest.mark.parametrize(("text", "reason"), broken().values(), ids=broken().keys())
def test_what_can_not_be_taken_over_has_a_reason(opener, text, reason):
    found = opener.open(text)
    assert (found.secret, found.reason) == (None, reason)
    assert reason in REASONS


@pytest.mark.parametrize(
    "text", [SEALED, SEALED.upper(), f"{IV.upper()}:{TAG}:{BODY}"], ids=["lower", "upper", "mixed"]
)
def test_either_case_opens(opener, text):
    assert opener.open(text).secret.open() == "a secret"
    assert not opener.open(text).plain
    assert opener.opened == 2


@pytest.mark.slow
@needs_node
def test_what_node_made_opens_unless_its_tag_is_short(opener):
    for iv_bytes in (12, 16):
        for tag_bytes in (4, 8, 12, 13, 14, 15, 16):
            [sealed] = sealed_in_node(["text 🔑"], KEY, ivBytes=iv_bytes, tagBytes=tag_bytes)
            found = opener.open(sealed)
            if tag_bytes == 16:
                assert found.secret.open() == "text 🔑"
            else:
                assert found.reason == "truncated_tag"


@pytest.mark.parametrize("text", [None, "", "  ", encrypt("", KEY), encrypt(" ", KEY)], ids=range(5))
def test_nothing_is_nothing(opener, text):
    found = opener.open(text)
    assert (found.secret, found.reason) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "0123456789abcdef" * 4,
        "user:password",
        "deadbeef:cafe",
        "https://a.example:8443/x",
        "eyJhbGci.eyJz.AbC-_",
    ],
)
def test_what_stands_in_the_clear_is_taken_as_it_is_and_told(opener, text):
    found = opener.open(text)
    assert (found.secret.open(), found.plain, found.reason) == (text, True, None)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_text_around_a_ciphertext_is_never_a_secret(before, after):
    text = f"{before}x{SEALED}{after}"
    found = Opener(Secret(KEY)).open(text)
    assert found.secret is None
    assert found.reason is not None


@given(st.integers(min_value=26, max_value=len(SEALED) - 1))
def test_no_beginning_of_a_ciphertext_is_taken_for_a_secret(length):
    assert Opener(Secret(KEY)).open(SEALED[:length]).secret is None


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", min_size=1, max_size=80))
def test_usual_tokens_resemble_no_ciphertext(text):
    assert not resembles_ciphertext(text)


def test_a_long_hostile_value_takes_linear_time(opener):
    for text in (
        "a" * 200_000,
        "a" * 100_000 + ":" + "b" * 100_000,
        "ab:" * 60_000,
        f"{IV}:{TAG[:8]}:" + "a" * 199_999,
    ):
        begun = time.perf_counter()
        opener.open(text)
        assert time.perf_counter() - begun < 2


def test_nothing_shows_a_value(opener):
    value = planted("plain")
    assert value not in repr(opener.open(value))
    assert mask_token(value) not in repr(opener.open(value))


@pytest.mark.parametrize("key", ["", "abc", KEY[:-1], "g" * 64])
def test_a_malformed_key_is_refused(key):
    with pytest.raises(CipherError) as caught:
        Opener(Secret(key))
    assert caught.value.code == "invalid_key"
