"""Finding the place to go on from in a definition that may have changed since the checkpoint was taken."""

from collections.abc import Sequence

from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.recovery import StoredCheckpoint


def place_after(definition: WorkflowDefinition, line: Sequence[StoredCheckpoint]) -> int | str:
    """The position of the step that follows the last checkpoint of `line`, or why there is none that is right.

    Steps are matched by their ids. There is a right place if the steps that are done are the first ones of the
    definition, in whatever order; otherwise a step would be left out or done twice. Steps that are done and that the
    definition no longer has do not matter, except for the last one: it may have been renamed.
    """
    if not line:
        return 0
    done = {checkpoint.position.step_id for checkpoint in line}
    last = line[-1].position.step_id
    which = f"{definition.name!r} version {definition.version}"
    if last not in definition.positions:
        return f"{which} has no step {last!r} any more, so where to go on is not known"
    place = 1 + max(position for step, position in definition.positions.items() if step in done)
    never = [step.id for step in definition.steps[:place] if step.id not in done]
    if never:
        named = ("step " if len(never) == 1 else "steps ") + ", ".join(map(repr, never))
        before = definition.steps[place - 1].id
        return f"{which} now has {named} before {before!r}, which this workflow has done without"
    return place
