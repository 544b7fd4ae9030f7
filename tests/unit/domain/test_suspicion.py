"""A process killer is found within its four starts, and nobody else is failed for it."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.recovery import AUTOMATIC_LIMIT
from ratchet.domain.suspicion import group_size, is_last_chance, is_suspect


@dataclass(eq=False)
class Workflow:
    kills: bool
    recoveries: int = 0
    starts: int = 0
    done: bool = False
    failed: bool = False


def life(crowd: list[Workflow]) -> bool:
    """One life of a process, from the redelivery of everything that is not done; whether it died."""
    for item in crowd:
        item.failed |= not item.done and item.recoveries >= AUTOMATIC_LIMIT
    left = [item for item in crowd if not item.done and not item.failed]
    waiting = [item for item in left if is_suspect(item.recoveries)]
    if dies_of([item for item in left if item not in waiting]):
        return True
    passed = 0
    while waiting:
        together = [item for item in waiting if not is_last_chance(item.recoveries)]
        group = together[: group_size(len(together), passed)] if together else waiting[:1]
        waiting = [item for item in waiting if item not in group]
        if dies_of(group):
            return True
        passed = len(group) if together else 0
    return False


def dies_of(group: list[Workflow]) -> bool:
    """All of them run at once."""
    for item in group:
        item.recoveries += item.starts > 0
        item.starts += 1
    if any(item.kills for item in group):
        return True
    for item in group:
        item.done = True
    return False


@given(st.lists(st.booleans(), min_size=1, max_size=120))
def test_only_killers_are_failed_and_everybody_else_gets_done(crowd: list[bool]) -> None:
    workflows = [Workflow(kills) for kills in crowd]
    lives = 1
    while life(workflows):
        lives += 1
    assert lives <= 4 * (len(workflows) + 1)
    assert [item.failed for item in workflows] == crowd
    assert [item.done for item in workflows] == [not kills for kills in crowd]
    assert max(item.starts for item in workflows) <= AUTOMATIC_LIMIT + 1


def test_forty_innocents_are_tried_in_three_rounds() -> None:
    waiting, passed, rounds = 40, 0, 0
    while waiting:
        passed = group_size(waiting, passed)
        waiting -= passed
        rounds += 1
    assert rounds == 3


@given(st.integers(1, 1000))
def test_a_killer_among_many_costs_a_few_times_the_root_of_their_number_at_first(waiting: int) -> None:
    first = group_size(waiting, 0)
    assert 1 <= first <= waiting
    assert first**2 <= max(waiting, 1)


def test_who_has_one_start_left_is_tried_alone() -> None:
    assert [is_suspect(recoveries) for recoveries in range(3)] == [False, True, True]
    assert [is_last_chance(recoveries) for recoveries in range(3)] == [False, False, True]
