"""The fault matrix does what it says: a short run of two of its rows, with the whole account."""

from tests.e2e.measured import rows_of


def test_a_short_run_strikes_and_finds_every_promise_kept() -> None:
    rows = rows_of("chaos", "--seconds", "5", "--seed", "1", "executor-killed", "network-cut")
    assert [row["fault"] for row in rows] == ["executor-killed", "network-cut"]
    assert all(row["strikes"] >= 2 and row["account"]["accepted"] > 100 for row in rows)
