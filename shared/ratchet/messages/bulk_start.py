"""The body of a bulk start: an array whose members stand each alone, and are kept byte by byte where one is parked."""

from functools import cached_property
from typing import Any

from ratchet.domain.errors import MalformedMessage
from ratchet.exact_json import InexactJson, loads, members
from ratchet.messages.commands import MAX_BULK, StartWorkflow, decode, validated
from ratchet.messages.envelope import MAX_BULK_BYTES


class BulkStart:
    """An array of `workflow.start`s."""

    def __init__(self, body: bytes) -> None:
        """Raises MalformedMessage: it is no array of 1 to 1,000 members, or too large as a whole."""
        if len(body) > MAX_BULK_BYTES:
            raise MalformedMessage(f"The body has {len(body)} bytes; a bulk start has at most {MAX_BULK_BYTES}")
        self._body = body
        self._values = self._read()
        self.size = len(self._texts if self._values is None else self._values)
        if not self.size:
            raise MalformedMessage("The array is empty: there is nothing to start")
        if self.size > MAX_BULK:
            raise MalformedMessage(f"A bulk start has at most {MAX_BULK} workflows, not {self.size}")

    def member(self, index: int) -> StartWorkflow:
        """One command. Raises MalformedMessage for a member that cannot be understood."""
        if self._values is None:
            return decode(StartWorkflow, self._texts[index])
        return validated(StartWorkflow, self._values[index])

    def text(self, index: int) -> bytes:
        """The member as it was sent."""
        return self._texts[index]

    def _read(self) -> list[Any] | None:
        """All values at once, which is quicker; None if a member has something that cannot be kept exactly."""
        try:
            return list(loads(self._body))
        except InexactJson:
            return None
        except ValueError as error:
            raise MalformedMessage(f"body: {error}") from error

    @cached_property
    def _texts(self) -> list[bytes]:
        try:
            return members(self._body)
        except ValueError as error:
            raise MalformedMessage(f"body: {error}") from error
