"""The notifier's events for commands: everybody's where that is allowed, else the caller's own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from http import HTTPStatus
from types import TracebackType
from typing import Self
from uuid import UUID

from rich.text import Text

from ratchet.client import Client, ClientError, Notification, Problem
from ratchet.client.notifications import Place

Remark = Callable[[Text], None]


async def events_of(
    client: Client, *, after: Place = "newest", everybody: bool = True, remark: Remark | None = None
) -> AsyncGenerator[Notification, None]:
    """Events without end; only new ones, unless told otherwise. Lost connections are remarked upon once, and come back.

    Raises:
        ClientError: as `Client.notifications`.
    """

    def on_reconnect(error: ClientError) -> None:
        if remark is not None:
            remark(Text(str(error), style="yellow"))

    for wide in (True, False) if everybody else (False,):
        async with client.notifications(after=after, everybody=wide, on_reconnect=on_reconnect) as events:
            try:
                async for event in events:
                    yield event
            except Problem as problem:
                if not wide or problem.status != HTTPStatus.FORBIDDEN:
                    raise


class Newsfeed:
    """Wakes whoever waits when something happened to one workflow. Without a notifier it never does."""

    def __init__(self, client: Client, workflow_id: UUID) -> None:
        self._client = client
        self._workflow_id = str(workflow_id)
        self._happened = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, at_most: timedelta) -> None:
        """Return when something happened since the last return, or after `at_most`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):
                await self._happened.wait()
        self._happened.clear()

    async def _listen(self) -> None:
        # Whoever waits also looks by itself, so a notifier that refuses is no reason to stop.
        with suppress(ClientError):
            async with aclosing(events_of(self._client)) as events:
                async for event in events:
                    if event.workflow_id == self._workflow_id:
                        self._happened.set()
