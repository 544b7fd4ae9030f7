"""How long a step may keep the event loop, and what then."""

from datetime import timedelta

import pytest
from ratchet.domain.blocking import GRACE, Verdict, judge

LIMIT, LEASE = timedelta(seconds=30), timedelta(seconds=20)


@pytest.mark.parametrize(
    ("blocked", "verdict"),
    [
        (timedelta(0), Verdict.WAIT),
        (LIMIT + GRACE, Verdict.WAIT),
        (LIMIT + GRACE + timedelta(seconds=1), Verdict.FAIL_STEP),
        (LIMIT + GRACE + LEASE, Verdict.FAIL_STEP),
        (LIMIT + GRACE + LEASE + timedelta(seconds=1), Verdict.END_PROCESS),
        (timedelta(days=1), Verdict.END_PROCESS),
    ],
)
def test_a_step_has_its_limit_and_a_grace_and_the_process_one_lease_more(blocked: timedelta, verdict: Verdict) -> None:
    assert judge(blocked, limit=LIMIT, lease=LEASE) is verdict
