"""Since when recovery has been silent, told from what it owes."""

from datetime import UTC, datetime, timedelta

import pytest
from admin_api.look_over import silent_since
from ratchet.adapters.postgres.overview import Counts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNSCANNED_AFTER = timedelta(minutes=5)


def counts(request: float | None, scan: float | None) -> Counts:
    """Ages in seconds of the oldest request without an answer and of the last scan."""
    ages = [None if age is None else NOW - timedelta(seconds=age) for age in (request, scan)]
    return Counts(0, 0, 0, 0, 0, 0, None, 0, int(request is not None), *ages, NOW, 0)


@pytest.mark.parametrize(
    ("request_age", "scan_age", "silent_for"),
    [
        (None, None, None),
        (None, 10, None),
        (14, 10, None),
        (16, 10, 16),
        (None, 301, 301),
        (None, 299, None),
        (16, 301, 301),
        (500, 301, 500),
    ],
)
def test_recovery_is_silent_since_the_oldest_thing_that_it_owes(
    request_age: float | None, scan_age: float | None, silent_for: float | None
) -> None:
    expected = None if silent_for is None else NOW - timedelta(seconds=silent_for)
    assert silent_since(counts(request_age, scan_age), unscanned_after=UNSCANNED_AFTER) == expected
