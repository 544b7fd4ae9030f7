"""The error tree: one root, and every error knows what it means for the work at hand."""

from datetime import timedelta

LONGEST_WAIT = timedelta(hours=24)


def wait_of(asked: object) -> timedelta | None:
    """A wait that somebody asked for, in seconds or as a timedelta, up to a day; None for what is none."""
    if isinstance(asked, timedelta):
        wait = asked
    elif isinstance(asked, int | float) and not isinstance(asked, bool):
        if not 0 < asked < float("inf"):  # not a number is neither
            return None
        wait = timedelta(seconds=min(asked, LONGEST_WAIT.total_seconds()))
    else:
        return None
    return min(wait, LONGEST_WAIT) if wait > timedelta(0) else None


class RatchetError(Exception):
    """Root of every error that Ratchet raises on purpose."""


class TransientError(RatchetError):
    """Raised by a step: this may pass by itself, so the step is retried.

    `retry_after` asks for a longer wait than the retry plan has (for example a `Retry-After` header): seconds or a
    timedelta. One that is none (negative, not a number) asks for nothing.
    """

    def __init__(self, message: str = "", *, retry_after: timedelta | float | None = None) -> None:
        super().__init__(message)
        self.retry_after = wait_of(retry_after)


class PermanentError(RatchetError):
    """Raised by a step: trying again cannot help, so the workflow fails at once."""


class HeartbeatLost(TransientError):
    """The step gave no sign of life within its heartbeat time limit."""


class StepTimeout(TransientError):
    """The step ran longer than its time limit."""


class IllegalTransition(RatchetError):
    """The workflow's status does not allow what was asked."""


class CheckpointDamaged(RatchetError):
    """A checkpoint's content does not match its checksum."""


class StateNotStorable(PermanentError):
    """A step returned something that cannot be kept as JSON."""


class InvalidDefinition(RatchetError):
    """A workflow definition contradicts itself, or another one of the same name and version."""


class MalformedMessage(RatchetError):
    """A message cannot be understood; it is parked with this error's text as the reason."""


class InvalidSettings(RatchetError):
    """The environment holds a value that cannot be used; the text names the variable."""


class Fenced(Exception):
    """The claim was lost before the commit: nothing was written, and nothing may be."""


class ClaimForgotten(ConnectionError):
    """The database died and came back without a start or claim it had answered: the message has to be handled anew."""


class CannotStart(RatchetError):
    """A service cannot do its work with the servers as they are; the text names the setting and says what to do."""
