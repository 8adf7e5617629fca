"""Master keys: fingerprints, wrapping, and errors that name the key that is needed."""

import copy
import hmac
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hookvault.errors import CipherError, WrongKeyError
from hookvault.vault import Secret, decrypt, encrypt
from hookvault.vault.cipher import is_ciphertext
from hookvault.vault.keys import KeyRing, MasterKey, fingerprint, new_data_key

A, B, C = ("8f2a4b6c0d1e3f5a" * 4, "13579bdf02468ace" * 4, "fedcba9876543210" * 4)
PLACE = {"tenant_id": "acme", "version": 1}
KEYS = st.binary(min_size=32, max_size=32)


def test_a_fingerprint_is_public_and_stays_the_same():
    """Databases and backups hold fingerprints for ever: another derivation would lock all of them out."""
    pseudorandom = hmac.digest(bytes(32), bytes(range(32)), "sha256")  # HKDF by hand, RFC 5869 section 2
    by_hand = hmac.digest(pseudorandom, b"hookvault/kcv/v1\x01", "sha256")[:8].hex()
    assert fingerprint(bytes(range(32))) == f"mk_{by_hand}" == "mk_c168d0fa732def6b"
    assert re.fullmatch(r"mk_[0-9a-f]{16}", fingerprint(bytes.fromhex(A)))


@settings(deadline=None)
@given(KEYS, KEYS)
def test_keys_have_the_same_fingerprint_only_if_they_are_the_same(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
    assert one.hex()[:16] not in fingerprint(one)


@pytest.mark.parametrize("key", [None, b"", bytes(16), bytes(33), A])
def test_only_a_whole_key_has_a_fingerprint(monkeypatch, key):
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    with pytest.raises(CipherError) as caught:
        fingerprint(key)
    assert caught.value.code == "invalid_key"


def test_a_master_key_shows_its_fingerprint_only():
    for key in (MasterKey(A), MasterKey(Secret(A)), MasterKey(A.upper())):
        assert key.fingerprint == fingerprint(bytes.fromhex(A))
        assert repr(key) == str(key) == f"MasterKey({key.fingerprint})"
        assert key.raw_hex.open() == A
        with pytest.raises(TypeError):
            pickle.dumps(key)
        with pytest.raises(TypeError):
            copy.deepcopy(key)
        with pytest.raises(TypeError):
            vars(key)


@pytest.mark.parametrize("text", [None, "", "abc", A[:-1], A + "0", "g" * 64, bytes.fromhex(A), A + "\n", Secret("ab")])
def test_a_malformed_master_key_is_refused_and_never_replaced_by_the_environments(monkeypatch, text):
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    with pytest.raises(CipherError) as caught:
        MasterKey(text)
    assert caught.value.code == "invalid_key"
    assert A[:32] not in str(caught.value)


def test_data_keys_are_random_and_32_bytes():
    keys = {new_data_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {32}


@settings(deadline=None)
@given(KEYS, st.text("abcXYZ019_-", min_size=1, max_size=64), st.integers(min_value=1, max_value=2**31))
def test_a_wrapped_key_unwraps(data_key, tenant_id, version):
    master = MasterKey(A)
    wrapped = master.wrap(data_key, tenant_id=tenant_id, version=version)
    assert is_ciphertext(wrapped)
    assert data_key.hex() not in wrapped
    assert MasterKey(A).unwrap(wrapped, tenant_id=tenant_id, version=version) == data_key


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (B, PLACE),
        (A, {"tenant_id": "other", "version": 1}),
        (A, {"tenant_id": "acme", "version": 2}),
        (A, {"tenant_id": "acme1", "version": 1}),
        (A, {"tenant_id": "acm", "version": 1}),
    ],
)
def test_a_wrapped_key_opens_under_its_master_key_tenant_and_version_only(key, place):
    wrapped = MasterKey(A).wrap(new_data_key(), **PLACE)
    with pytest.raises(WrongKeyError, match=MasterKey(key).fingerprint) as caught:
        MasterKey(key).unwrap(wrapped, **place)
    assert repr(place["tenant_id"]) in str(caught.value)


def test_a_wrapped_key_that_was_altered_or_cut_is_refused():
    master = MasterKey(A)
    wrapped = master.wrap(new_data_key(), **PLACE)
    altered = wrapped[:-1] + ("0" if wrapped[-1] != "0" else "1")
    with pytest.raises(WrongKeyError):
        master.unwrap(altered, **PLACE)
    for text in ("", "no ciphertext", wrapped[:-2], wrapped + "\n", wrapped.upper()):
        with pytest.raises(CipherError) as caught:
            master.unwrap(text, **PLACE)
        assert caught.value.code == "malformed_ciphertext"


@pytest.mark.parametrize("data_key", [None, b"", bytes(31), bytes(33), A])
def test_only_a_whole_data_key_is_wrapped(monkeypatch, data_key):
    monkeypatch.setenv("ENCRYPTION_KEY", A)
    with pytest.raises(CipherError) as caught:
        MasterKey(A).wrap(data_key, **PLACE)
    assert caught.value.code == "invalid_key"


def test_the_wrapping_key_is_not_the_master_key():
    wrapped = MasterKey(A).wrap(new_data_key(), **PLACE)
    with pytest.raises(CipherError):
        decrypt(wrapped, A)
    as_version_0 = encrypt("k" * 32, A)
    with pytest.raises(WrongKeyError):
        MasterKey(A).unwrap(as_version_0, **PLACE)


def test_a_ring_finds_its_keys_by_fingerprint():
    current, coming, former = MasterKey(A), MasterKey(B), MasterKey(C)
    ring = KeyRing(current, next=coming, previous=former)
    assert ring.current is current
    assert ring.fingerprints == (current.fingerprint, coming.fingerprint, former.fingerprint)
    for key in (current, coming, former):
        assert ring.by_fingerprint(key.fingerprint) is key
    assert KeyRing(current).fingerprints == (current.fingerprint,)
    assert KeyRing(current, next=MasterKey(A)).fingerprints == (current.fingerprint,)


def test_a_ring_without_the_needed_key_names_all_fingerprints():
    current, coming, needed = MasterKey(A), MasterKey(B), MasterKey(C).fingerprint
    with pytest.raises(WrongKeyError) as caught:
        KeyRing(current, next=coming).by_fingerprint(needed)
    told = str(caught.value)
    assert f"master key {needed} is needed" in told
    assert f"{current.fingerprint} (ENCRYPTION_KEY), {coming.fingerprint} (ENCRYPTION_KEY_NEXT)" in told
    assert caught.value.members == {"needed": needed, "held": [current.fingerprint, coming.fingerprint]}
    assert A not in told
    assert B not in told


def test_a_ring_shows_fingerprints_only():
    current, former = MasterKey(A), MasterKey(B)
    expected = f"{current.fingerprint} (ENCRYPTION_KEY), {former.fingerprint} (ENCRYPTION_KEY_PREVIOUS)"
    assert repr(KeyRing(current, previous=former)) == f"KeyRing({expected})"


def test_a_wrapped_key_of_an_earlier_run_still_unwraps():
    """Wrapped keys are kept for ever too: label, derivation and associated data are fixed by this one."""
    wrapped = (
        "000102030405060708090a0b:b4394b58b31b903cf627baa2b10f5d06:"
        "16b365e0c4569df0618b946fd8c49f2369f088d3b89c8a0e6eb0d84be7ac5c57"
    )
    assert MasterKey(A).unwrap(wrapped, tenant_id="acme", version=3) == bytes(range(32))
