"""Whatever happens in whatever order: deliveries, duplicates, crashes, scans, people, damage; the promises hold.

Hypothesis drives the executor's and recovery's own code on the real Postgres adapter. A failure prints the steps that
led to it.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from ratchet.adapters.postgres import definitions
from ratchet.adapters.postgres.audit_sealing import verify
from ratchet.adapters.postgres.engine import connect_pool
from ratchet.crash_points import CrashPoint
from ratchet.domain.recovery import RecoveryKind
from ratchet.domain.workflow import WorkflowStatus

from tests.integration.recovery.world import Script, World

OUTCOMES = st.lists(st.sampled_from(["done", "done", "transient", "permanent", "lingers"]), max_size=4)
PLACES = st.none() | st.sampled_from(list(CrashPoint))
NUMBERS = st.integers(0, 100)
PLAIN = [
    RecoveryKind.RECOVER,
    RecoveryKind.RETRY,
    RecoveryKind.SKIP,
    RecoveryKind.RECOVER,
    RecoveryKind.RETRY,
    RecoveryKind.CANCEL,
    RecoveryKind.PAUSE,
    RecoveryKind.RESUME,
]
TARGETS = [WorkflowStatus.IN_PROGRESS, WorkflowStatus.PAUSED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED]

CLEAN = """
TRUNCATE workflow_instances, checkpoints, step_attempts, outbox, recovery_attempts, recovery_watches,
    recovery_verdicts, audit_log, audit_chain, audit_unsealed;
UPDATE scan_state SET breaker = 'closed', changed_at = clock_timestamp(), probe_at = NULL, trips = 0
"""

LINES = """
SELECT c.workflow_id, c.seq, c.parent_seq, c.step_index, c.step_id, c.skipped,
    c.state::text LIKE '%damaged%' AS damaged, c.state ->> 'key' AS key,
    ARRAY(SELECT jsonb_array_elements_text(coalesce(c.state -> 'path', '[]'))) AS path
FROM checkpoints c ORDER BY c.workflow_id, c.seq
"""

ROWS = """
SELECT id, status::text AS status, claim_token, lease_until, checkpoint_seq, last_seq, current_step, current_step_index,
    requires_manual_intervention AS flagged, recoveries_since_progress AS recoveries, failure_reason
FROM workflow_instances
"""

MOVING = """
SELECT EXISTS (SELECT FROM workflow_instances WHERE status IN ('NotStarted', 'InProgress', 'Executing')
    OR (status = 'Failed' AND NOT requires_manual_intervention))
"""

SEEN = """
SELECT 'status ' || status AS what, count(*) FROM workflow_instances GROUP BY 1
UNION ALL SELECT 'kind ' || failure_kind, count(*) FROM workflow_instances WHERE status = 'Failed' GROUP BY 1
UNION ALL SELECT kind || ' ' || outcome, count(*) FROM recovery_attempts GROUP BY 1
UNION ALL SELECT verdict, count(*) FROM recovery_verdicts GROUP BY 1
UNION ALL SELECT 'checkpoints', count(*) FROM checkpoints
UNION ALL SELECT 'passed over', count(*) FROM recovery_attempts WHERE cardinality(damaged_checkpoints) > 0
"""

DONE_AGAIN = """
SELECT count(*) FROM (
    SELECT FROM checkpoints WHERE NOT skipped GROUP BY workflow_id, step_id HAVING count(*) > 1
) AS again
"""

REACHED = Counter[str]()
"""What happened over all runs: a property of what never happens says nothing."""


class AnyOrderOfEvents(RuleBasedStateMachine):
    """One run: up to three workflows, and thirty things that happen."""

    url: str
    loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.pool = self.run(connect_pool(self.url, application="test", size=6))
        self.run(self.pool.execute(CLEAN))
        self.world = World(self.pool)
        self.run(definitions.register(self.pool, self.world.registry.definitions))
        self.run(self.world.start())

    # --- what happens; what cannot happen at the moment does not ---------------------------------------------------

    @rule()
    def another_workflow_starts(self) -> None:
        if len(self.world.workflows) < 3:
            self.run(self.world.start())

    @rule(number=NUMBERS, outcomes=OUTCOMES, dies_at=PLACES)
    def a_message_is_delivered(self, number: int, outcomes: list[str], dies_at: CrashPoint | None) -> None:
        if not self.world.waiting:
            return
        message = self.world.waiting[number % len(self.world.waiting)]
        self.run(self.world.deliver(message, Script(list(outcomes), dies_at)))

    @rule(number=NUMBERS, dies_at=PLACES)
    def a_message_is_delivered_and_its_step_takes_its_time(self, number: int, dies_at: CrashPoint | None) -> None:
        if not self.world.waiting:
            return
        message = self.world.waiting[number % len(self.world.waiting)]
        self.run(self.world.deliver(message, Script(["lingers"], dies_at)))

    @rule(rounds=st.integers(1, 4))
    def for_a_while_all_goes_well(self, rounds: int) -> None:
        for _ in range(rounds):
            for message in list(self.world.waiting):
                self.run(self.world.deliver(message, Script()))

    @rule(number=NUMBERS, seq=NUMBERS, rounds=st.integers(0, 2))
    def all_goes_well_and_then_a_person_restores(self, number: int, seq: int, rounds: int) -> None:
        self.for_a_while_all_goes_well(2)
        self.run(self.world.restore(number, seq))
        self.for_a_while_all_goes_well(rounds)

    @rule(number=NUMBERS, seq=NUMBERS)
    def a_person_cancels_a_running_step_restores_and_the_step_begins_anew(self, number: int, seq: int) -> None:
        if not self.world.running:
            return
        workflow_id = self.world.running[number % len(self.world.running)].message.workflow_id
        self.run(self.world.command(RecoveryKind.CANCEL, workflow_id))
        self.run(self.world.restore(number, seq))
        for message in [item for item in self.world.waiting if item.workflow_id == workflow_id]:
            self.run(self.world.deliver(message, Script(["lingers"])))

    @rule(number=NUMBERS)
    def a_step_fails_for_good(self, number: int) -> None:
        if not self.world.waiting:
            return
        message = self.world.waiting[number % len(self.world.waiting)]
        self.run(self.world.deliver(message, Script(["permanent"])))

    @rule(number=NUMBERS)
    def a_process_dies_in_its_step(self, number: int) -> None:
        if not self.world.waiting:
            return
        message = self.world.waiting[number % len(self.world.waiting)]
        self.run(self.world.deliver(message, Script([], CrashPoint.BEFORE_COMMIT)))

    @rule(number=NUMBERS)
    def a_message_is_doubled(self, number: int) -> None:
        if not self.world.waiting:
            return
        self.world.waiting.append(self.world.waiting[number % len(self.world.waiting)])

    @rule(number=NUMBERS)
    def a_message_is_lost(self, number: int) -> None:
        if not self.world.waiting:
            return
        del self.world.waiting[number % len(self.world.waiting)]

    @rule(number=NUMBERS)
    def a_step_that_took_its_time_ends(self, number: int) -> None:
        if not self.world.running:
            return
        self.run(self.world.go_on(self.world.running[number % len(self.world.running)]))

    @rule(number=NUMBERS)
    def a_process_is_killed_in_the_middle_of_its_step(self, number: int) -> None:
        if not self.world.running:
            return
        self.run(self.world.kill(self.world.running[number % len(self.world.running)]))

    @rule(number=NUMBERS, heir_lingers=st.booleans())
    def a_frozen_process_is_replaced_and_thaws(self, number: int, heir_lingers: bool) -> None:
        if not self.world.waiting:
            return
        message = self.world.waiting[number % len(self.world.waiting)]
        known = list(self.world.running)
        self.run(self.world.deliver(message, Script(["lingers"])))
        for frozen in [item for item in self.world.running if item not in known]:
            again = replace(message, redelivered=True)
            self.world.waiting.append(again)
            self.run(self.world.deliver(again, Script(["lingers"] if heir_lingers else [])))
            self.run(self.world.go_on(frozen))

    @rule(number=NUMBERS, lingers=st.booleans())
    def the_broker_gives_a_running_steps_message_to_another_process(self, number: int, lingers: bool) -> None:
        if not self.world.running:
            return
        item = self.world.running[number % len(self.world.running)]
        again = replace(item.message, redelivered=True)
        self.world.waiting.append(again)
        self.run(self.world.deliver(again, Script(["lingers"] if lingers else [])))

    @rule(number=NUMBERS)
    def a_message_is_delivered_again_although_its_step_still_runs(self, number: int) -> None:
        if not self.world.running:
            return
        item = self.world.running[number % len(self.world.running)]
        self.world.waiting.append(replace(item.message, redelivered=True))

    @rule()
    def time_passes(self) -> None:
        self.run(self.world.time_passes())

    @rule()
    def the_scan_runs(self) -> None:
        self.run(self.world.scan())

    @rule()
    def the_relay_runs(self) -> None:
        self.run(self.world.relay())

    @rule()
    def verdicts_are_given(self) -> None:
        self.run(self.world.stage.verify())

    @rule()
    def dead_letters_arrive(self) -> None:
        if not self.world.dead:
            return
        self.run(self.world.hand_over_dead_letters())

    @rule()
    def dead_letters_are_lost(self) -> None:
        if not self.world.dead:
            return
        self.world.dead.clear()

    @rule(kind=st.sampled_from(PLAIN), number=NUMBERS)
    def a_person_acts(self, kind: RecoveryKind, number: int) -> None:
        self.run(self.world.command(kind, self.one(number)))

    @rule(number=NUMBERS, seq=NUMBERS)
    def a_person_restores(self, number: int, seq: int) -> None:
        self.run(self.world.restore(number, seq))

    @rule(number=NUMBERS, status=st.sampled_from(TARGETS))
    def a_person_overrides(self, number: int, status: WorkflowStatus) -> None:
        self.run(self.world.command(RecoveryKind.OVERRIDE, self.one(number), status=status, reason="r"))

    @rule(number=NUMBERS, age=st.integers(0, 2))
    def a_checkpoint_is_damaged(self, number: int, age: int) -> None:
        self.run(self.world.damage(self.one(number), age))

    def one(self, number: int) -> Any:
        return self.world.workflows[number % len(self.world.workflows)]

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def checkpoints_are_a_chain_in_which_each_step_is_committed_once(self) -> None:
        self.run(self.check_checkpoints())

    async def check_checkpoints(self) -> None:
        known: dict[Any, Any] = {}
        keys: set[tuple[Any, str]] = set()
        for row in await self.pool.fetch(LINES):
            parent = known.get((row["workflow_id"], row["parent_seq"]))
            assert row["parent_seq"] is None or parent is not None, "its parent is missing"
            assert row["step_index"] == (0 if parent is None else parent["step_index"] + 1), "a step was left out"
            known[row["workflow_id"], row["seq"]] = row
            if row["damaged"]:
                continue
            before = [] if parent is None else parent["path"]
            if row["skipped"]:
                assert parent is None or parent["damaged"] or row["path"] == before, "a skipped step changed the state"
                continue
            assert row["path"][-1] == row["step_id"]
            assert parent is None or parent["damaged"] or row["path"] == [*before, row["step_id"]], "wrong state"
            assert len(row["path"]) == len(set(row["path"])), "a step was committed twice on one line"
            assert (row["workflow_id"], row["key"]) not in keys, "an effect was committed twice under one key"
            keys.add((row["workflow_id"], row["key"]))

    @invariant()
    def a_steps_key_stays_until_it_has_committed(self) -> None:
        assert not self.world.wrong_keys

    @invariant()
    def a_claim_is_held_exactly_by_what_is_executing(self) -> None:
        for row in self.run(self.pool.fetch(ROWS)):
            held = row["claim_token"] is not None
            assert held or row["status"] != "Executing"
            assert not held or row["status"] in {"Executing", "Paused"}
            assert row["recoveries"] <= 3
            if row["status"] == "Failed":
                assert row["failure_reason"]

    # --- and in the end ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.run(self.settle_down())
        finally:
            self.run(self.world.close())
            self.run(self.pool.close())

    async def settle_down(self) -> None:
        """The faults stop; what is left is whatever the platform does by itself."""
        world = self.world
        for _ in range(40):
            for item in list(world.running):
                await world.go_on(item)
            await world.relay()
            for message in list(world.waiting):
                await world.deliver(message, Script())
            await world.hand_over_dead_letters()
            await world.time_passes()
            # A breaker that has opened pauses for minutes of the database's clock; here nothing fails any more.
            await world.pool.execute("UPDATE scan_state SET breaker = 'closed', changed_at = clock_timestamp()")
            await world.scan()
            await world.stage.verify()
            if not world.waiting and not world.running and await self.is_at_rest():
                break
        await self.check_checkpoints()
        rows = await world.pool.fetch(ROWS)
        for row in rows:
            at_rest = row["status"] in {"Completed", "Cancelled", "Paused"}
            assert at_rest or (row["status"] == "Failed" and row["flagged"]), f"left behind: {dict(row)}"
        await world.stage.seal()
        assert (await verify(world.pool)).intact
        for row in await world.pool.fetch(SEEN):
            REACHED[row["what"]] += row["count"]
        REACHED["done again"] += await world.pool.fetchval(DONE_AGAIN)
        REACHED["fenced"] += int(world.metrics.fenced._value.get())
        open_for_ended = "SELECT count(*) FROM recovery_watches o JOIN workflow_instances w ON w.id = o.workflow_id"
        assert await world.pool.fetchval(f"{open_for_ended} WHERE w.status <> 'Paused'") == 0

    async def is_at_rest(self) -> bool:
        return not await self.pool.fetchval(MOVING)


@pytest.mark.timeout(600)
def test_the_promises_hold_in_any_order_of_events(database_url: str) -> None:
    loop = asyncio.new_event_loop()
    machine = type("Machine", (AnyOrderOfEvents,), {"url": database_url, "loop": loop})
    limits = settings(
        max_examples=120,
        stateful_step_count=50,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    try:
        with structlog.testing.capture_logs():
            run_state_machine_as_test(machine, settings=limits)  # type: ignore[no-untyped-call]  # it has no types
    finally:
        loop.close()
    for what in (
        "checkpoints",
        "verified",
        "relapsed",
        "takeover resumed",
        "rescue resumed",
        "restore resumed",
        "fenced",
    ):
        assert REACHED[what] > 0, dict(REACHED)
