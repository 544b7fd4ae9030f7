"""What became of what was sent, where that is more than yes or no."""

from enum import StrEnum


class InputsVerdict(StrEnum):
    """What became of the inputs of an upstream `step.execute`."""

    DRIVES = "drives"
    """The workflow was waiting for exactly this, or this message is what woke it: claim it."""
    KEPT = "kept"
    """Early: used when the step is reached."""
    IGNORED = "ignored"
    """The step is done, or has its inputs already."""
    UNKNOWN = "unknown"
