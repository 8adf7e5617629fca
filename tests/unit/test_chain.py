"""The chain of audit events: every field is in the hash, and every way to alter a sequence shows."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from hookvault.audit.chain import START, Entry, digest, verify

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
OTHER = {
    "tenant_id": "acmf",
    "seq": 2,
    "id": UUID(int=2),
    "at": AT + timedelta(microseconds=1),
    "actor_type": "admin",
    "actor_id": "Ann ",
    "action": "webhook.updatee",
    "target_type": "webhooks",
    "target_id": "",
    "outcome": "failed",
    "detail": '{"a":  1}',
    "ip": "",
    "request_id": None,
}


def entry(**more):
    fields = {
        "tenant_id": "acme", "seq": 1, "id": UUID(int=1), "at": AT, "actor_type": "api_key", "actor_id": "Ann",
        "action": "webhook.updated", "target_type": "webhook", "target_id": "w", "outcome": "success",
        "detail": '{"a": 1}', "ip": None, "request_id": "r",
    }  # fmt: skip
    return Entry(**fields | more)


def chain(length=5):
    made, last = [], START
    for seq in range(1, length + 1):
        plain = entry(seq=seq, id=UUID(int=seq), target_id=f"w{seq}")
        last = digest(plain, last)
        made.append(dataclasses.replace(plain, hash=last))
    return made


def test_every_field_is_in_the_hash():
    names = {field.name for field in dataclasses.fields(Entry)} - {"hash"}
    assert names == OTHER.keys()
    found = {digest(entry(**{name: value}), START) for name, value in OTHER.items()}
    assert len(found | {digest(entry(), START), digest(entry(), bytes(31) + b"\1")}) == len(OTHER) + 2


def test_what_stands_in_two_fields_is_not_what_stands_in_one():
    pairs = [("actor_id", "action"), ("action", "target_type"), ("target_type", "target_id")]
    for one, two in pairs:
        assert digest(entry(**{one: "ab", two: "c"}), START) != digest(entry(**{one: "a", two: "bc"}), START)


def test_the_hash_is_what_it_was():
    """Chains that were written must verify for ever: another way to hash needs another label, and both."""
    assert digest(entry(), START).hex() == "4b3c5a1ca03ba6e51f99544111fa7166fc86967dd77533a693e5a8b4a4f375cc"


@pytest.mark.parametrize("zone", [timedelta(hours=5), timedelta(hours=-3)])
def test_a_moment_is_one_in_every_zone(zone):
    elsewhere = AT.astimezone(timezone(zone))
    assert digest(entry(at=elsewhere), START) == digest(entry(), START)


def test_a_sound_chain():
    assert verify([]) is None
    assert verify(chain(), tenant_id="acme") is None
    assert verify(chain(), kept={1: chain()[0].hash, 5: chain()[4].hash}) is None


def faults_of(entries, **more):
    fault = verify(entries, tenant_id="acme", **more)
    return None if fault is None else (fault.seq, fault.id.int if fault.id else None, fault.what)


def test_each_way_to_break_it_shows_where():
    sound = chain()
    assert faults_of(sound[1:]) == (1, None, "missing")
    assert faults_of(sound[:2] + sound[3:]) == (3, None, "missing")
    assert faults_of([*sound[:3], sound[1], *sound[3:]]) == (2, 2, "out of order")
    assert faults_of([sound[0], dataclasses.replace(sound[1], ip="x"), *sound[2:]]) == (2, 2, "changed")
    assert faults_of([sound[0], dataclasses.replace(sound[1], hash=None), *sound[2:]]) == (2, 2, "changed")
    alone = dataclasses.replace(sound[1], actor_id="Bob")
    alone = dataclasses.replace(alone, hash=digest(alone, sound[0].hash))
    assert faults_of([sound[0], alone, *sound[2:]]) == (3, 3, "changed")


def test_what_only_a_kept_head_shows():
    sound = chain()
    kept = {5: sound[4].hash}
    assert faults_of(sound[:4]) is None
    assert faults_of(sound[:4], kept=kept) == (5, None, "cut off at the end")
    assert faults_of([], kept=kept) == (1, None, "cut off at the end")
    rewritten, last = [], START
    for old in sound:
        new = dataclasses.replace(old, actor_id="Bob")
        last = digest(new, last)
        rewritten.append(dataclasses.replace(new, hash=last))
    assert faults_of(rewritten) is None
    assert faults_of(rewritten, kept=kept) == (5, 5, "changed")
