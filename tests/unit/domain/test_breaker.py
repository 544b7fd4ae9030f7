from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ratchet.domain.breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PATIENCE,
    PROBES,
    Breaker,
    BreakerState,
    Evidence,
    advance,
    allowance,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLOSED = Breaker(BreakerState.CLOSED, NOW)
MOST_RELAPSED = Evidence(verified=4, relapsed=8)


def test_it_opens_when_most_recent_recoveries_relapsed() -> None:
    opened = advance(CLOSED, MOST_RELAPSED, NOW)
    assert opened == Breaker(BreakerState.OPEN, NOW, NOW + FIRST_PAUSE, 1)
    assert allowance(CLOSED, opened) == 0


@pytest.mark.parametrize("evidence", [Evidence(), Evidence(0, 9), Evidence(10, 10), Evidence(100, 5)])
def test_it_stays_closed_on_few_verdicts_and_on_good_ones(evidence: Evidence) -> None:
    assert advance(CLOSED, evidence, NOW) is CLOSED
    assert allowance(CLOSED, CLOSED) is None


def test_it_rescues_nobody_until_the_pause_is_over_and_then_a_few() -> None:
    opened = advance(CLOSED, MOST_RELAPSED, NOW)
    assert advance(opened, Evidence(), NOW + FIRST_PAUSE / 2) is opened
    probing = advance(opened, Evidence(), NOW + FIRST_PAUSE)
    assert probing.state is BreakerState.PROBING
    assert allowance(opened, probing) == PROBES
    assert allowance(probing, probing) == 0


@pytest.mark.parametrize(
    ("evidence", "later", "expected"),
    [
        (Evidence(verified=2, pending=1), timedelta(0), BreakerState.CLOSED),
        (Evidence(relapsed=2, verified=1), timedelta(0), BreakerState.OPEN),
        (Evidence(verified=1, pending=2), timedelta(0), BreakerState.PROBING),
        (Evidence(pending=3), PATIENCE + timedelta(seconds=1), BreakerState.CLOSED),
        (Evidence(), timedelta(0), BreakerState.CLOSED),
    ],
)
def test_the_probes_decide(evidence: Evidence, later: timedelta, expected: BreakerState) -> None:
    assert advance(Breaker(BreakerState.PROBING, NOW, None, 1), evidence, NOW + later).state is expected


def test_each_failed_probe_doubles_the_pause_up_to_a_limit() -> None:
    breaker, pauses = Breaker(BreakerState.PROBING, NOW, None, 0), []
    for _ in range(6):
        breaker = advance(breaker, Evidence(relapsed=3), NOW)
        assert breaker.probe_at is not None
        pauses.append(breaker.probe_at - NOW)
        breaker = replace(breaker, state=BreakerState.PROBING)
    assert pauses == [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(6)]
    closed = advance(breaker, Evidence(verified=3), NOW)
    assert closed.trips == 0
