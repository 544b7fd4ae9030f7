"""Which checkpoint a recovery goes on from."""

from datetime import UTC, datetime
from uuid import UUID

from ratchet.domain.checkpoint import Position, checksum
from ratchet.domain.recovery import RestorePoint, StoredCheckpoint, line_of, newest_intact
from ratchet.state import canonical

WORKFLOW = UUID(int=7)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stored(seq: int, *, parent: int | None, index: int | None = None, damaged: bool = False) -> StoredCheckpoint:
    index = seq - 1 if index is None else index
    place = Position(WORKFLOW, seq, index, f"step-{index}")
    state = {"seq": seq}
    content = canonical({"seq": -1} if damaged else state)
    return StoredCheckpoint(place, parent, state, content, checksum(place, canonical(state)), NOW)


def test_the_newest_checkpoint_is_taken_when_it_is_intact() -> None:
    line = [stored(1, parent=None), stored(2, parent=1)]
    assert newest_intact(line) == RestorePoint(line[1], ())


def test_a_damaged_checkpoint_is_passed_over_and_named() -> None:
    line = [stored(1, parent=None), stored(2, parent=1, damaged=True), stored(3, parent=2, damaged=True)]
    assert newest_intact(line) == RestorePoint(line[0], (2, 3))


def test_nothing_intact_is_no_restore_point() -> None:
    assert newest_intact([stored(1, parent=None, damaged=True)]) is None


def test_no_checkpoint_at_all_means_from_the_input() -> None:
    point = newest_intact([])
    assert point == RestorePoint(None, ())


def test_the_step_after_the_checkpoint_comes_next() -> None:
    point = newest_intact([stored(1, parent=None, index=4)])
    assert point is not None


def test_a_line_leaves_out_what_a_restore_left_behind() -> None:
    kept = [stored(1, parent=None), stored(2, parent=1), stored(3, parent=1, index=1)]
    assert [checkpoint.seq for checkpoint in line_of(kept, 3)] == [1, 3]


def test_a_line_of_nothing_is_empty() -> None:
    assert line_of([], None) == []
