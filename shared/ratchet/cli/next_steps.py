"""What a person can do about a workflow that goes no further, as commands to copy."""

from rich.text import Text

from ratchet.client.results import WorkflowView
from ratchet.domain.workflow import WorkflowStatus

POISONED = "This step has stopped the process of every executor that ran it. Mend its cause before it runs again."


def next_steps(view: WorkflowView) -> list[Text]:
    """Commands that fit where the workflow stands; none when there is nothing to do."""
    steps = [Text.assemble((f"{what:<24}", "dim"), f"ratchet {command}") for what, command in _commands(view)]
    return [Text(POISONED, style="bold red"), *steps] if steps and view.failure_kind == "poison" else steps


def _commands(view: WorkflowView) -> list[tuple[str, str]]:
    identity = view.workflow_id
    if view.status is WorkflowStatus.PAUSED:
        return [("let it go on", f"resume {identity}")]
    if view.status is not WorkflowStatus.FAILED:
        return []
    commands = [
        ("try the step again", f"retry {identity}"),
        ("go on from checkpoint", f"recover {identity}"),
        ("see first what it does", f"preview {identity}"),
    ]
    step = view.step(view.current_step)
    if step is not None and step.optional:
        commands.append(("go on without the step", f"skip {identity}"))
    if view.last_checkpoint_at is not None:
        commands.append(("choose a checkpoint", f"checkpoints {identity}"))
    return commands
