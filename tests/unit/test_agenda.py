"""Which webhooks a worker looks at next."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hookvault.worker.agenda import Agenda


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def ids(count, first=1):
    return [UUID(int=number) for number in range(first, first + count)]


def at_rest(clock):
    """An agenda whose first scan found nothing."""
    agenda = Agenda(clock)
    agenda.scanned(None, 0.0)
    return agenda


def test_it_begins_with_a_scan_from_the_start():
    agenda = Agenda(Clock())
    assert agenda.is_scan_due()
    assert agenda.cursor == UUID(int=0)


def test_a_scan_goes_on_page_by_page_to_its_end():
    clock = Clock()
    agenda = Agenda(clock)
    agenda.scanned(UUID(int=7), 0.01)
    assert agenda.is_scan_due()
    assert agenda.cursor == UUID(int=7)
    agenda.scanned(None, 0.01)
    assert not agenda.is_scan_due()
    clock.now += 1.0
    assert agenda.is_scan_due()
    assert agenda.cursor == UUID(int=0)


def test_scans_that_take_time_are_made_less_often():
    clock = Clock()
    agenda = Agenda(clock)
    agenda.scanned(UUID(int=7), 0.3)
    agenda.scanned(None, 0.2)
    clock.now += 9.9
    assert not agenda.is_scan_due()
    clock.now += 0.1
    assert agenda.is_scan_due()


def test_a_scan_can_be_asked_for_at_any_time():
    agenda = at_rest(Clock())
    assert not agenda.is_scan_due()
    agenda.rescan()
    assert agenda.is_scan_due()


def test_webhooks_come_in_turns_and_each_once():
    agenda = at_rest(Clock())
    agenda.add(ids(5))
    assert agenda.turn(2) == ids(2)
    assert agenda.turn(2) == ids(2, 3)


def test_who_has_more_to_do_comes_again_only_when_something_stirred():
    agenda = at_rest(Clock())
    agenda.add(ids(3))
    for _ in range(2):
        taken = agenda.turn(3)
        assert taken == ids(3)
        agenda.put_back(taken)
        assert agenda.turn(3) == []
        agenda.stir()


def test_who_was_served_is_gone():
    agenda = at_rest(Clock())
    agenda.add(ids(1))
    agenda.turn(10)
    agenda.stir()
    assert agenda.turn(10) == []
    assert len(agenda) == 0


def test_who_was_put_back_and_told_of_again_comes_at_once_and_once():
    agenda = at_rest(Clock())
    agenda.add(ids(1))
    agenda.put_back(agenda.turn(1))
    agenda.add(ids(1))
    assert agenda.turn(5) == ids(1)
    assert agenda.turn(5) == []


def test_the_others_have_their_turn_although_the_first_were_served():
    agenda = at_rest(Clock())
    agenda.add(ids(10))
    assert agenda.turn(5) == ids(5)
    assert agenda.turn(5) == ids(5, 6)


@given(st.lists(st.tuples(st.sampled_from(["add", "turn", "stir"]), st.integers(1, 20)), max_size=60))
def test_nobody_is_forgotten_and_it_always_comes_to_rest(steps):
    """Whoever is put back is looked at again after a stir; and with all put back, the turns end."""
    agenda = at_rest(Clock())
    for step, number in steps:
        if step == "add":
            agenda.add(ids(number))
        elif step == "stir":
            agenda.stir()
        else:
            agenda.put_back(agenda.turn(number))
    everybody = len(agenda)
    agenda.stir()
    seen = set()
    for _ in range(everybody + 1):
        taken = agenda.turn(7)
        if not taken:
            break
        seen.update(taken)
        agenda.put_back(taken)
    assert agenda.turn(7) == []
    assert len(seen) == everybody
