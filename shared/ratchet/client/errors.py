"""What can go wrong for a caller of Ratchet; each error says what to do next."""

from collections.abc import Mapping
from typing import Any

from ratchet.domain.errors import RatchetError


class ClientError(RatchetError):
    """Root of every error that the client raises on purpose."""


class NotConfigured(ClientError):
    """An address or the token is missing; the text names the variable to set."""


class ServerUnreachable(ClientError):
    """No answer: refused, cut off or too late. What was asked carried an idempotency key, so asking again is safe."""


class Problem(ClientError):
    """The API's answer to what it will not or cannot do (RFC 9457), as it was sent.

    `type` is a stable word for programs, `title` and `detail` are for people, `correlation_id` finds the log lines,
    `extra` holds the other members (for example `success` and `recoveryId` of a failed recovery).
    """

    def __init__(self, status: int, members: Mapping[str, Any]) -> None:
        known = {"type", "title", "status", "detail", "instance", "correlationId"}
        self.status = status
        self.type = str(members.get("type", "about:blank"))
        self.title = str(members.get("title", f"HTTP {status}"))
        self.detail = str(members.get("detail", ""))
        self.correlation_id: str | None = members.get("correlationId")
        self.extra = {name: value for name, value in members.items() if name not in known}
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)


class WaitTimeout(ClientError, TimeoutError):
    """The workflow did not end in time. It goes on without the caller: wait again, or look at it later."""


class NotRecovered(ClientError):
    """Events between the cursor and now are no longer kept, or the cursor lies beyond the newest event.

    Read the workflows' present state (`list`, `get`), then follow again after `position`, where the feed goes on.
    """

    def __init__(self, text: str, position: int | None) -> None:
        super().__init__(text)
        self.position = position


class InvalidCommand(ClientError):
    """The command would be parked instead of done, so it was not sent; the text says what is wrong with it."""


class NotConfirmed(ClientError):
    """The broker did not confirm in time, so whether it took the command is unknown.

    Publish again with the same `message_id` and content: receivers treat it as the same message.
    """

    def __init__(self, text: str, message_ids: frozenset[str]) -> None:
        super().__init__(text)
        self.message_ids = message_ids


class NotRouted(ClientError):
    """The broker has no queue for the command: no executor (or recovery service) has been started against it yet."""
