"""Finding the place to go on from in a definition that may have changed since the checkpoint was taken."""

from collections.abc import Sequence

from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.recovery import StoredCheckpoint


def place_after(definition: WorkflowDefinition, line: Sequence[StoredCheckpoint]) -> int | str:
    """The position of the step that follows the last checkpoint of `line`, or why there is none that is right.

    Steps are matched by their ids. The place is right only if every step before it was done on this line and none
    after it was: otherwise a step would be left out or done twice. Steps that the definition no longer has, and whose
    work is done, do not matter.
    """
    if not line:
        return 0
    done = {checkpoint.position.step_id for checkpoint in line}
    last = line[-1].position.step_id
    position = definition.positions.get(last)
    which = f"{definition.name!r} version {definition.version}"
    if position is None:
        return f"{which} has no step {last!r} any more, so where to go on is not known"
    left_out = [step.id for step in definition.steps[: position + 1] if step.id not in done]
    if left_out:
        return f"{which} now has {_named(left_out)} before {last!r}, which this workflow never did"
    repeated = [step.id for step in definition.steps[position + 1 :] if step.id in done]
    if repeated:
        return f"{which} now has {_named(repeated)} after {last!r}, which this workflow has done already"
    return position + 1


def _named(steps: Sequence[str]) -> str:
    return ("step " if len(steps) == 1 else "steps ") + ", ".join(map(repr, steps))
