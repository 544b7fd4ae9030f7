"""Finding the place to go on from in a definition that may have changed since the checkpoint was taken."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ratchet.domain.definition import WorkflowDefinition
from ratchet.domain.recovery import StoredCheckpoint

NOTHING = "(nothing)"
"""Stands for the step that would run where every step is done."""


@dataclass(frozen=True, slots=True)
class Instead:
    """Another step than the one a workflow stopped at would run in its place."""

    stopped_at: str
    runs: str

    def told(self, definition: WorkflowDefinition, *, failed: bool) -> str:
        """Both steps by name, and how to say that it is meant."""
        which = f"{definition.name!r} version {definition.version} has changed"
        what = "had failed" if failed else "was next"
        run = "nothing would run" if self.runs == NOTHING else f"{self.runs!r} would run"
        said = f"If that is meant, say so: {self.runs}"
        return f"Step {self.stopped_at!r} {what}, and {run} in its place: {which}. {said}"


def instead_at(
    definition: WorkflowDefinition, place: int, *, stopped_at: str | None, done: Collection[str]
) -> Instead | None:
    """What would run in the place of the step that a workflow stopped at; None if it is that step itself.

    `place` is where the workflow would go on, `done` are the steps on its line, and on the line that it would go on
    with: those that lie behind `place` are only done again.
    """
    if stopped_at is None or stopped_at in done:
        return None
    runs = next((step.id for step in definition.steps[place:] if step.id not in done), NOTHING)
    return None if runs == stopped_at else Instead(stopped_at, runs)


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
