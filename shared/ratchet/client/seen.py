"""Which failure an action means."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """The workflow as somebody saw it: its `etag`, or at least the number of its `failed_attempt`.

    Another failure by now is refused (`Problem` of the type `failure-changed`), and nothing is done.
    """

    etag: str | None = None
    failed_attempt: int | None = None


NOW = Seen()
"""As it stands when the action is asked for: the client looks first, so what is asked for twice is done once."""
