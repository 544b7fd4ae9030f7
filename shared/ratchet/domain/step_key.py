"""The key by which other systems recognise that a step is asked for again."""

from uuid import UUID


def step_key(workflow_id: UUID, step_id: str, commits: int) -> str:
    """The idempotency key of a step that has been committed `commits` times in its workflow, on whatever line.

    It is the same however often the step is tried and whoever asks for it again, until it has committed. Only a restore
    to before a commit makes the step be done once more, and then it has another key. A skipped step was not committed.
    """
    return f"{workflow_id}:{step_id}:{commits}"
