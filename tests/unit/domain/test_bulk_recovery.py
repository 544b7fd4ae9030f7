from hypothesis import given
from hypothesis import strategies as st
from ratchet.domain.bulk_recovery import BulkState, End, Progress, Start, Wait, next_move

counts = st.integers(0, 20)
progresses = st.builds(
    Progress, pending=counts, started=counts, verified=counts, relapsed=counts, failed=counts, skipped=counts
)


@given(progresses, st.integers(0, 10))
def test_one_relapse_ends_it_whatever_else_is_the_case(progress: Progress, canary: int) -> None:
    move = next_move(progress, canary=canary)
    assert (isinstance(move, End) and move.state is BulkState.STOPPED) or not progress.relapsed


@given(progresses, st.integers(1, 10))
def test_beyond_the_canaries_nothing_starts_before_all_are_verified(progress: Progress, canary: int) -> None:
    move = next_move(progress, canary=canary)
    if isinstance(move, Start) and progress.begun + move.limit > canary:
        assert progress.begun > canary or progress.verified == canary


@given(progresses, st.integers(0, 10))
def test_it_is_completed_only_when_every_item_has_its_outcome(progress: Progress, canary: int) -> None:
    move = next_move(progress, canary=canary)
    if isinstance(move, End) and move.state is BulkState.COMPLETED:
        assert progress.pending == progress.started == 0


def test_it_waits_while_canaries_run_and_while_the_last_ones_do() -> None:
    assert next_move(Progress(pending=10, started=2), canary=2) == Wait()
    assert next_move(Progress(started=1, verified=9), canary=2) == Wait()


def test_a_skipped_canary_is_replaced() -> None:
    assert next_move(Progress(pending=10, skipped=1, verified=1), canary=2) == Start(1)


def test_a_failed_canary_stops_it_and_a_failed_item_later_does_not() -> None:
    assert next_move(Progress(pending=10, failed=1, verified=1), canary=2) == End(
        BulkState.STOPPED, "A canary could not be recovered"
    )
    assert next_move(Progress(pending=10, failed=1, verified=5), canary=2) == Start(10)
