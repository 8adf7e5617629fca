"""Places in flight: fair among tenants, never more than there are, and few for a receiver that does not answer."""

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hookvault.worker.share import FIRST_PLACES, PARKED, Shares, leftover

TENANTS = 4
HOOKS = [(UUID(int=n + 1), f"t{n % TENANTS}") for n in range(24)]
QUICK, SLOW = 0.01, 5.0


class Clock:
    """Time as a test sets it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def places(limit=64):
    clock = Clock()
    return Shares(limit, clock), clock


def run(shares, hook, calls, *, seconds=QUICK, answered=True):
    """So many calls, one after the other."""
    for _ in range(calls):
        shares.take(*hook, 1)
        shares.end(hook[0], seconds=seconds, answered=answered)


class Process(RuleBasedStateMachine):
    """A worker's process: it asks for places, takes what it is given, and ends its calls in any order and way."""

    @initialize(limit=st.integers(1, 64))
    def begin(self, limit):
        self.shares, self.clock = places(limit)
        self.calls = []

    @rule(
        waiting=st.lists(st.sampled_from(HOOKS), unique=True, max_size=len(HOOKS)), most=st.none() | st.integers(0, 3)
    )
    def claim(self, waiting, most):
        """What is allotted, or less where fewer jobs are found."""
        free, rooms = self.shares.free, {hook: self.shares.room(*hook) for hook in waiting}
        # Where places for the unknown are fewer than tenants, one that is known may have two and an unknown one none.
        enough_for_all = self.shares._for_unproven >= len({hook[1] for hook in waiting})
        given_out = self.shares.allot(waiting)
        tenant_of = dict(HOOKS)
        assert sum(given_out.values()) <= free
        assert all(0 < given_out[hook[0]] <= rooms[hook] for hook in waiting if hook[0] in given_out)
        assert given_out.keys() <= dict(waiting).keys()
        if enough_for_all:
            is_fair(
                {hook[1] for hook in waiting if rooms[hook]},
                {key: (tenant_of[key], n) for key, n in given_out.items()},
                free,
            )
        for webhook_id, number in given_out.items():
            taken = number if most is None else min(number, most)
            if taken:
                self.shares.take(webhook_id, tenant_of[webhook_id], taken)
                self.calls += [(webhook_id, False)] * taken

    @rule(
        place=st.integers(0, 10_000),
        seconds=st.sampled_from([None, QUICK, 0.99, 1.0, SLOW, 30.0]),
        answered=st.booleans(),
        passes=st.sampled_from([0.0, 0.5, 1.5, 40.0]),
    )
    def end(self, place, seconds, answered, passes):
        self.clock.now += passes
        if self.calls:
            call, parked = self.calls.pop(place % len(self.calls))
            self.shares.end(call, seconds=seconds, answered=answered, parked=parked)

    @rule(place=st.integers(0, 10_000))
    def park(self, place):
        """A call takes long: it goes on without its place."""
        if self.calls:
            number = place % len(self.calls)
            call, parked = self.calls[number]
            if not parked:
                self.calls[number] = (call, self.shares.park(call))

    @invariant()
    def nobody_has_more_than_its_own(self):
        shares = getattr(self, "shares", None)
        if shares is None:
            return
        half, tenant_of = max(1, shares.limit // 2), dict(HOOKS)
        assert 0 <= shares.free <= shares.limit
        assert shares.busy == len(self.calls)
        busy = {tenant: sum(tenant_of[call] == tenant for call, _ in self.calls) for tenant in set(tenant_of.values())}
        assert max(busy.values()) <= half
        assert shares._tenants == {tenant: number for tenant, number in busy.items() if number}
        known = shares._webhooks.values()
        assert all(1 <= webhook.window <= max(shares.limit, FIRST_PLACES, 16) for webhook in known)
        assert shares.parked == sum(parked for _, parked in self.calls) <= shares.limit * PARKED
        assert shares._unproven == sum(webhook.busy - webhook.parked for webhook in known if not webhook.proven)
        assert sum(shares._risked.values()) == sum(webhook.busy for webhook in known if not webhook.proven)

    def teardown(self):
        """Whatever happened: as the last call ends nothing is held any more."""
        if not hasattr(self, "shares"):
            return
        for call, parked in self.calls:
            self.shares.end(call, parked=parked)
        assert self.shares.busy == self.shares.parked == self.shares._unproven == 0
        assert self.shares._tenants == self.shares._risked == {}
        assert self.shares.free == self.shares.limit


def is_fair(with_room, given_out, free):
    """Nobody has two while another who could have one has none."""
    totals = dict.fromkeys(with_room, 0)
    for tenant, number in given_out.values():
        totals[tenant] += number
    if totals and max(totals.values()) >= 2:
        assert min(totals.values()) >= 1
    if totals and free:
        assert any(totals.values())


TestProcess = Process.TestCase
TestProcess.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_webhook_begins_with_a_few_places_and_earns_one_with_each_quick_answer():
    shares, _ = places()
    hook = HOOKS[0]
    assert shares.room(*hook) == FIRST_PLACES
    run(shares, hook, 5)
    assert shares.room(*hook) == FIRST_PLACES + 5
    run(shares, hook, 500)
    assert shares.room(*hook) == 32  # the half of all that a tenant may have


def test_calls_that_never_came_back_take_half_of_the_places_down_to_one():
    shares, clock = places()
    hook = HOOKS[0]
    run(shares, hook, 500)
    rooms = []
    for _ in range(8):
        clock.now += 30
        run(shares, hook, 1, seconds=30.0, answered=False)
        rooms.append(shares._webhooks[hook[0]].window)
    assert rooms == [32, 16, 8, 4, 2, 1, 1, 1]
    run(shares, hook, 3)
    assert shares.room(*hook) == 4  # and it earns them back


def test_calls_that_ended_together_count_once():
    """So that a receiver that hangs is called often enough for its circuit to open."""
    shares, clock = places()
    hook = HOOKS[0]
    shares.take(*hook, FIRST_PLACES)
    clock.now += 30
    for _ in range(FIRST_PLACES):
        shares.end(hook[0], seconds=30.0, answered=False)
    assert shares.room(*hook) == FIRST_PLACES // 2


def test_a_receiver_that_answers_slowly_has_places_and_not_all_of_them():
    shares, _ = places(256)
    hook = HOOKS[0]
    run(shares, hook, 100, seconds=SLOW)
    assert shares.room(*hook) == 16
    run(shares, hook, 200)
    assert shares.room(*hook) == 128
    run(shares, hook, 300, seconds=SLOW)
    assert shares.room(*hook) == 16


def test_a_receiver_that_hangs_with_many_places_gets_no_more_within_a_second():
    shares, clock = places(256)
    hook = HOOKS[0]
    run(shares, hook, 500)
    shares.take(*hook, 20)
    assert shares.room(*hook) == 108
    clock.now += 1.5
    assert shares.room(*hook) == 0
    shares.end(hook[0], seconds=1.4)  # one came back: it answers after all
    assert shares.room(*hook) > 0


def test_a_call_that_takes_long_gives_its_place_back_and_counts_for_its_tenant_still():
    shares, _ = places(64)
    hook, other = HOOKS[0], HOOKS[1]
    shares.take(*hook, FIRST_PLACES)
    assert shares.free == 64 - FIRST_PLACES
    assert all(shares.park(hook[0]) for _ in range(FIRST_PLACES))
    assert shares.free == 64
    assert shares.room(*hook) == 0
    assert shares.room(*other) == FIRST_PLACES - 1  # a little less: the parking fills
    for _ in range(FIRST_PLACES):
        shares.end(hook[0], seconds=30.0, answered=False, parked=True)
    assert (shares.busy, shares.parked, shares.free) == (0, 0, 64)


def test_only_so_many_calls_are_parked():
    shares, _ = places(1)
    for number in range(20):
        hook = (UUID(int=number + 1), f"t{number}")
        shares.take(*hook, 1)
        assert shares.park(hook[0]) == (number < PARKED)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(4, 256), st.integers(2, 60))
def test_however_many_tenants_hang_whoever_answers_finds_a_place_within_a_second(limit, tenants):
    shares, clock = places(limit)
    known = (UUID(int=999_999), "known")
    run(shares, known, 10)
    dead = {(UUID(int=t * 100 + h + 1), f"dead{t}") for t in range(tenants) for h in range(17)}
    for _ in range(20):
        taken = shares.allot([*dead, known])
        assert taken.get(known[0], 0) > 0
        for webhook_id, number in taken.items():
            if webhook_id != known[0]:
                shares.take(webhook_id, dict(dead)[webhook_id], number)
        clock.now += 1.1
        for webhook_id, number in taken.items():
            if webhook_id != known[0]:
                _ = [shares.park(webhook_id) for _ in range(number)]


def test_what_was_not_called_teaches_nothing():
    shares, _ = places()
    hook = HOOKS[0]
    for _ in range(20):
        shares.take(*hook, 1)
        shares.end(hook[0])
    assert shares.room(*hook) == FIRST_PLACES


@given(st.integers(4, 256), st.integers(1, 40))
def test_the_last_quarter_is_for_those_known_to_answer(limit, hooks):
    """However many webhooks come up at once that nobody knows yet, and hang."""
    shares, _ = places(limit)
    known = (UUID(int=999), "known")
    run(shares, known, 10)
    strangers = [(UUID(int=n + 1), f"s{n}") for n in range(hooks)]
    for _ in range(5):
        for webhook_id, number in shares.allot(strangers).items():
            shares.take(webhook_id, dict(strangers)[webhook_id], number)
    assert shares.busy <= limit - limit // 4
    assert shares.room(*known) > 0
    assert shares.allot([*strangers, known])[known[0]] > 0


def test_a_tenant_that_hangs_has_an_eighth_of_all_places_and_leaves_the_others_the_rest():
    shares, clock = places(256)
    mine = [(UUID(int=n + 1), "mine") for n in range(50)]
    for _ in range(20):
        for webhook_id, number in shares.allot(mine).items():
            shares.take(webhook_id, "mine", number)
    assert shares.busy == 32
    clock.now += 60
    assert shares.allot(mine) == {}
    other = (UUID(int=999), "other")
    assert shares.allot([*mine, other]) == {other[0]: FIRST_PLACES}


def test_a_tenant_whose_webhooks_answer_has_half_of_all_places_and_no_more():
    shares, _ = places(64)
    mine = [(UUID(int=n + 1), "mine") for n in range(8)]
    for hook in mine:
        run(shares, hook, 100)
    for _ in range(20):
        for webhook_id, number in shares.allot(mine).items():
            shares.take(webhook_id, "mine", number)
    assert shares.busy == 32


def test_the_least_busy_tenant_comes_first():
    shares, _ = places(8)
    busy, idle = (UUID(int=1), "busy"), (UUID(int=2), "idle")
    run(shares, busy, 20)
    run(shares, idle, 20)
    shares.take(*busy, 3)
    for hook, number in ((UUID(int=3), 4),):
        run(shares, (hook, "third"), 20)
        shares.take(hook, "third", number)
    assert shares.free == 1
    assert shares.allot([busy, idle]) == {idle[0]: 1}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_process_with_hardly_any_places_still_works(limit):
    shares, _ = places(limit)
    for hook in HOOKS[:3]:
        found = shares.allot([hook])
        assert found == {hook[0]: 1}
        run(shares, hook, 3)


def test_webhooks_that_are_long_idle_are_forgotten(monkeypatch):
    monkeypatch.setattr("hookvault.worker.share._FORGOTTEN", 10)
    shares, _ = places()
    shares.take(*HOOKS[0], 1)
    for n in range(100):
        run(shares, (UUID(int=1000 + n), "many"), 1)
    assert len(shares._webhooks) <= 12
    shares.end(HOOKS[0][0], seconds=QUICK)
    assert shares.busy == 0


@given(st.dictionaries(st.integers(0, 9), st.integers(1, 9)), st.dictionaries(st.integers(0, 9), st.integers(0, 9)))
def test_what_is_left_over_is_what_found_no_job(allotted, found):
    claimed = {key: min(found.get(key, 0), places) for key, places in allotted.items()}
    rest = leftover(allotted, claimed)
    assert all(places > 0 for places in rest.values())
    assert sum(rest.values()) + sum(claimed.values()) == sum(allotted.values())
