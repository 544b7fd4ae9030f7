"""The bench measures what it says: a small run of it, with all its checks."""

from tests.e2e.measured import rows_of


def test_a_small_run_completes_and_verifies_every_step_from_the_tables() -> None:
    rows = rows_of("bench", "--quick", "w1-bulk", "w2", "retries")
    assert len(rows) == 3
    assert all(run > 0 for row in rows for run in row.get("workflows_per_second", [1]))
