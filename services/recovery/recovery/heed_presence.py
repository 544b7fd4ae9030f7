"""Nobody is told that a workflow goes on while no executor can run it."""

from ratchet.domain.recovery import Problem
from ratchet.ports import WorkflowRow
from ratchet.presence_ports import Served

from recovery.plan import Decision, Facts, Plan, Refusal


async def heed_presence(served: Served, row: WorkflowRow, decision: Decision) -> Decision:
    """The decision, or a refusal where it would wake a workflow that nobody can run now."""
    if not isinstance(decision, Plan) or not decision.wakes or decision.pool is None:
        return decision
    if await served.is_served(row.definition, row.version, decision.pool):
        return decision
    return Refusal(Problem.NO_EXECUTOR, nobody_serves(row, decision.pool))


async def is_served(served: Served, facts: Facts) -> bool:
    """Whether somebody can run the step where the workflow stands."""
    row = facts.row
    step = None if facts.definition is None else facts.definition.step_at(row.step_index)
    return step is None or await served.is_served(row.definition, row.version, step.pool)


def nobody_serves(row: WorkflowRow, pool: str) -> str:
    """For people."""
    return (
        f"No executor of the pool {pool!r} serves {row.definition!r} version {row.version} now; nothing was changed. "
        "Start one that has its module in RATCHET_WORKFLOWS, then ask again"
    )
