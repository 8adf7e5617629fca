"""Paths into JSON: what they lead to is gone, and everything else is as it was."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookvault.errors import InvalidError
from hookvault.webhooks.edit import check_policy
from hookvault.webhooks.redact import HIDDEN, MAX_CONTAINERS, Redaction, parse_path, redaction_of, shown

NAMES = ["a", "b", "card", "two words", "it's"]
WHOLE = b'"[redacted]"'


def hidden(document, *paths):
    return json.loads(Redaction(paths).kept(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.card.number", {"card": {"number": HIDDEN, "name": "Ann"}, "items": [{"email": 1}, {"email": 2}]}),
        ("$.card", {"card": HIDDEN, "items": [{"email": 1}, {"email": 2}]}),
        ("$['card']['number']", {"card": {"number": HIDDEN, "name": "Ann"}, "items": [{"email": 1}, {"email": 2}]}),
        ('$["card"].*', {"card": {"number": HIDDEN, "name": HIDDEN}, "items": [{"email": 1}, {"email": 2}]}),
        (
            "$.items[*].email",
            {"card": {"number": 4111, "name": "Ann"}, "items": [{"email": HIDDEN}, {"email": HIDDEN}]},
        ),
        ("$.items[1]", {"card": {"number": 4111, "name": "Ann"}, "items": [{"email": 1}, HIDDEN]}),
        ("$..email", {"card": {"number": 4111, "name": "Ann"}, "items": [{"email": HIDDEN}, {"email": HIDDEN}]}),
        (
            "$.items..['email']",
            {"card": {"number": 4111, "name": "Ann"}, "items": [{"email": HIDDEN}, {"email": HIDDEN}]},
        ),
        ("$", HIDDEN),
    ],
)
def test_what_a_path_leads_to(path, left):
    document = {"card": {"number": 4111, "name": "Ann"}, "items": [{"email": 1}, {"email": 2}]}
    assert hidden(document, path) == left


@pytest.mark.parametrize("path", ["$.none", "$.items.email", "$[0]", "$.items[9]", "$.card.number.more", "$..none"])
def test_a_path_that_leads_nowhere_leaves_the_very_bytes(path):
    data = b'{"card" : {"number":1e2},  "items":[{"email":1.50}]}'
    assert Redaction([path]).kept(data) is data


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "begin with $"),
        ("card", "begin with $"),
        ("$card", "character 2"),
        ("$.", "character 2"),
        ("$.a.", "character 4"),
        ("$..", "character 2"),
        ("$.a b", "character 4"),
        ("$[", "character 2"),
        ("$[-1]", "character 2"),
        ("$[01]", "character 2"),
        ("$['a]", "character 2"),
        ("$['a\\x']", "character 2"),
        ("$.a[?(@.b)]", "character 4"),
    ],
)
def test_what_is_no_path_is_refused_with_its_place(path, said):
    with pytest.raises(InvalidError, match=said.replace("$", r"\$")):
        parse_path(path)
    with pytest.raises(InvalidError) as caught:
        check_policy({"redactPaths": ["$.fine", path]})
    assert caught.value.message.startswith("policy.redactPaths[1] ")


@pytest.mark.parametrize("paths", ["$.a", {"$.a": 1}, ["$.a"] * 51, ["$." + "a" * 199], [1], [None]])
def test_what_is_no_list_of_paths(paths):
    with pytest.raises(InvalidError):
        check_policy({"redactPaths": paths})


def test_limits_that_just_fit():
    assert check_policy({"redactPaths": ["$." + "a" * 198] * 50})["redactPaths"]
    assert check_policy({"redactPaths": []}) == {}
    with pytest.raises(InvalidError):
        check_policy({"keepPayloads": 0})


def test_numbers_stay_as_they_were():
    data = b'{"a":1,"b":[123456789012345678901234567890,0.1000000000000000055511151231257827,1e400,-0.0]}'
    kept = Redaction(["$.a"]).kept(data)
    assert (
        kept
        == b'{"a":"[redacted]","b":[123456789012345678901234567890,0.1000000000000000055511151231257827,1E+400,-0.0]}'
    )


@pytest.mark.parametrize(
    "data",
    [
        b'{"card":"4111"',  # cut
        b'"{\\"card\\":\\"4111\\""',  # cut, as a record keeps it
        b'" [{\\"card\\":4111}]"',
        b"9" * 5000,
        b'{"n":' + b"9" * 5000 + b',"card":4111}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_can_not_be_looked_into_is_hidden_whole(data):
    assert Redaction(["$.card"]).kept(data) == WHOLE


def test_text_that_is_no_json_stays():
    assert Redaction(["$.card"]).kept(b'"<html>no</html>"') == b'"<html>no</html>"'
    assert Redaction(["$.card"]).kept(b'""') == b'""'


def test_nothing_is_kept_where_nothing_may_be():
    assert Redaction([], keep=False).kept(b"1") is None
    assert redaction_of(("$.a",), True).kept(b"1") == b"1"
    assert redaction_of(None, True) is redaction_of((), True) is None
    assert redaction_of(("nonsense",), True).kept(b"1") is None  # a path of another version: rather nothing


def test_every_stored_policy_holds():
    data = b'{"a":1,"b":2,"c":3}'
    assert shown(data, [None, {}]) is data
    assert json.loads(shown(data, [{"redactPaths": ["$.a"]}, {"redactPaths": ["$.b"]}])) == {
        "a": HIDDEN,
        "b": HIDDEN,
        "c": 3,
    }
    assert shown(data, [{"redactPaths": ["$.a"]}, {"keepPayloads": False}]) is None


def test_one_place_found_many_ways_is_looked_at_once():
    deep = {}
    for _ in range(60):
        deep = {"a": deep, "b": [deep] * 1}
        if len(json.dumps(deep)) > 200_000:
            break
    assert hidden(deep, "$..a..a..a", "$..b..a..b")  # comes back at all


# A document with leaves that are all different, and every place in it: so nothing can survive unseen.
_counter = iter(range(10**12))
leaves = st.builds(lambda: f"leaf-{next(_counter)}-")
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)
names = st.sampled_from(NAMES)


def quoted(name):
    return "['" + name.replace("'", "\\'") + "']"


steps = st.lists(
    st.one_of(
        names.map(lambda name: ("member", name)),
        st.integers(0, 3).map(lambda index: ("member", index)),
        st.just(("every", None)),
        names.map(lambda name: ("deep", name)),
    ),
    max_size=5,
).filter(lambda found: [kind for kind, _ in found].count("deep") <= 3)


def written(found):
    def one(kind, key):
        if kind == "every":
            return "[*]"
        if isinstance(key, int):
            return f"[{key}]"
        plain = key.isidentifier()
        if kind == "deep":
            return f"..{key}" if plain else f"..{quoted(key)}"
        return f".{key}" if plain else quoted(key)

    return "$" + "".join(one(*step) for step in found)


def leads(found, place):
    """Whether steps lead to a place (names and indexes from the top), worked out another way: by the places alone."""
    if not found:
        return not place
    (kind, key), rest = found[0], found[1:]
    if kind == "deep":
        return any(place[at] == key and leads(rest, place[at + 1 :]) for at in range(len(place)))
    return bool(place) and (kind == "every" or place[0] == key) and leads(rest, place[1:])


def places(document, at=()):
    yield at, document
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*at, key))


def expected(document, paths, at=()):
    if any(leads(found, at) for found in paths):
        return HIDDEN
    if isinstance(document, dict):
        return {key: expected(value, paths, (*at, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [expected(value, paths, (*at, key)) for key, value in enumerate(document)]
    return document


@given(documents, st.lists(steps, min_size=1, max_size=4))
def test_nothing_under_a_path_survives_and_nothing_else_changes(document, paths):
    data = json.dumps(document).encode()
    out = Redaction([written(found) for found in paths]).kept(data)
    assert json.loads(out) == expected(document, paths)
    for place, value in places(document):
        under = any(leads(found, place[:cut]) for found in paths for cut in range(len(place) + 1))
        if isinstance(value, str):
            assert (value.encode() in out) != under


def test_of_members_of_one_name_no_other_is_kept():
    """A parser sees the last one only, so the text with both is not what was looked into."""
    data = b'{"card":{"number":"4999"},"card":{"x":1}}'
    assert Redaction(["$.card.number"]).kept(data) == b'{"card":{"x":1}}'
    assert Redaction(["$.card.number"]).kept(b'{"card":{"number":"4999"},"card":5}') == b'{"card":5}'
    plain = b'{"a": {"x:y": ":"}, "b": [":", {"c": 1}]}'
    assert Redaction(["$.card.number"]).kept(plain) is plain


@pytest.mark.slow
@pytest.mark.parametrize("nesting", ["[[],%s]", '{"a":%s}', "[%s,{}]"])
def test_many_paths_cost_one_walk_and_what_is_too_large_for_it_is_hidden_whole(nesting):
    """Counted in lists and objects that are looked through, not in seconds."""
    paths = [f"$..a..b..c.x{n}" for n in range(50)]
    few = msgspec.json.encode([[[{"a": {"b": {"c": {"x7": "secret"}}}}]] for _ in range(300)])
    assert b"secret" not in Redaction(paths).kept(few)
    assert Redaction(paths).kept(few).count(HIDDEN.encode()) == 300
    many = b"[" + b",".join([(nesting % "[[1]]").encode()] * (MAX_CONTAINERS // 2)) + b"]"
    assert Redaction(paths).kept(many) == msgspec.json.encode(HIDDEN)
