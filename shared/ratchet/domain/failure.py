"""A failed attempt as it is stored and shown: its kind, and its reason without secrets."""

import re
from dataclasses import dataclass
from datetime import timedelta

from ratchet.domain.error_text import text_of
from ratchet.domain.frames import traceback_of
from ratchet.domain.masking import mask_secrets
from ratchet.domain.transience import is_transient, longest_wait
from ratchet.domain.workflow import FailureKind

MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, ready to be stored and shown: the reason is sanitised and at most 500 characters long."""

    kind: FailureKind
    error_class: str
    reason: str
    retry_after: timedelta | None = None
    traceback: str | None = None
    """Where it came from, for staff."""

    @property
    def is_transient(self) -> bool:
        """Whether trying again may help."""
        return self.kind is FailureKind.TRANSIENT


def classify(error: BaseException, *, retry_on: tuple[type[BaseException], ...] = ()) -> Failure:
    """Turn what a step raised into a Failure; `retry_on` adds the step's own transient error types.

    See `ratchet.domain.transience` for what is transient. Never raises, whatever the error is: at worst the reason says
    that its text could not be read.
    """
    try:
        return _classified(error, retry_on)
    except BaseException as problem:  # foreign code, asked in a way that nobody thought of, may raise anything at all
        reason = f"The step raised an error that cannot be read ({type(problem).__qualname__})"
        return Failure(FailureKind.PERMANENT, "Unreadable", reason)


def _classified(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> Failure:
    name, text = type(error).__name__, text_of(error)
    transient = is_transient(error, retry_on=retry_on)
    return Failure(
        kind=FailureKind.TRANSIENT if transient else FailureKind.PERMANENT,
        error_class=sanitise(name),
        reason=sanitise(f"{name}: {text}" if text else name),
        retry_after=longest_wait(error) if transient else None,
        traceback=traceback_of(error),
    )


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def sanitise(text: str) -> str:
    """Text fit for storing and showing: no control characters, credentials or tokens, at most 500 characters."""
    text = mask_secrets(_CONTROL.sub(" ", text[: MAX_REASON * 8])).strip()
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
