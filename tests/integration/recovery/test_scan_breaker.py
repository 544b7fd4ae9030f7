"""When most recoveries fail again, the scan pauses, probes, and resumes; what it does is stored and audited."""

from datetime import timedelta

from ratchet.adapters.postgres.scan_ledger import PostgresScanLedger
from ratchet.domain.breaker import PROBES, BreakerState

from tests.integration.recovery.recovery_stage import RecoveryStage

EXPIRED = timedelta(seconds=-1)


async def relapses(stage: RecoveryStage, count: int) -> None:
    """Workflows that were taken over and failed all the same."""
    for _ in range(count):
        claim = await stage.begin(stage.executor("dead", EXPIRED))
        heir = stage.executor("heir")
        await stage.give_up(await stage.take(claim.workflow_id, heir, take_over=True), heir)
    await stage.verify()


async def test_the_scan_pauses_probes_and_resumes(stage: RecoveryStage) -> None:
    ledger = PostgresScanLedger(stage.pool)
    await relapses(stage, 10)
    waiting = [await stage.begin(stage.executor("dead", EXPIRED)) for _ in range(PROBES + 4)]

    paused = await stage.scan()
    assert paused is not None
    assert (paused.resumed, paused.held_back) == (0, PROBES + 4)
    report = await ledger.report()
    assert (report.breaker.state, report.last) == (BreakerState.OPEN, paused)
    assert stage.metrics.breaker.labels("open")._value.get() == 1

    await stage.pool.execute("UPDATE scan_state SET probe_at = clock_timestamp()")
    probed = await stage.scan()
    assert probed is not None
    assert (probed.resumed, probed.held_back) == (PROBES, 4)
    still = await stage.scan()
    assert still is not None
    assert still.resumed == 0, "the probes have no verdict yet"

    for claim in waiting:
        if stage.listener.commands(claim.workflow_id):
            await stage.pass_step(claim.workflow_id)
    await stage.verify()
    resumed = await stage.scan()
    assert resumed is not None
    assert resumed.resumed == 4
    assert (await ledger.report()).breaker.state is BreakerState.CLOSED
    states = await stage.pool.fetch("SELECT outcome FROM audit_log WHERE action = 'scan-breaker' ORDER BY id")
    assert [row["outcome"] for row in states] == ["open", "probing", "closed"]


async def test_failed_workflows_are_attended_to_while_the_scan_pauses(stage: RecoveryStage) -> None:
    await relapses(stage, 10)
    await stage.pool.execute("UPDATE workflow_instances SET failed_at = failed_at - interval '1 minute'")
    counts = await stage.scan()
    assert counts is not None
    assert counts.attended == 10


async def test_probes_that_relapse_open_it_again_for_longer(stage: RecoveryStage) -> None:
    await relapses(stage, 10)
    for _ in range(PROBES):
        await stage.begin(stage.executor("dead", EXPIRED))
    await stage.scan()
    await stage.pool.execute("UPDATE scan_state SET probe_at = clock_timestamp()")
    await stage.scan()
    for row in await stage.pool.fetch("SELECT id FROM workflow_instances WHERE status = 'InProgress'"):
        await stage.give_up(await stage.take(row["id"]))
    await stage.verify()
    await stage.scan()
    breaker = (await PostgresScanLedger(stage.pool).report()).breaker
    assert (breaker.state, breaker.trips) == (BreakerState.OPEN, 2)
