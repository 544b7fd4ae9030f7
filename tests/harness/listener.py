"""Somebody's open page: a plain websocket client that keeps what it is told and comes back after the last of it."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.harness.waiting import PATIENCE

COME_BACK_AFTER = 0.1

Frame = dict[str, Any]


@dataclass
class Listener:
    """Connected from `with` to its end; a connection that breaks is made anew after the last event that came.

    `after` is the cursor to begin with; None leaves that to the server.
    """

    url: str
    token: str
    after: int | None = None
    everybody: bool = False
    frames: list[Frame] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._socket: ClientConnection | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(lambda: self.connections > 0, what="a connection to the notifier")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._socket is not None:
            self._socket.close()
        self._thread.join()

    @property
    def ids(self) -> list[int]:
        """The positions of the events that came, in the order in which they came."""
        return [frame["id"] for frame in self.frames if "id" in frame]

    def about(self, workflow_id: UUID) -> list[Frame]:
        """The events of one workflow that came so far."""
        return [frame for frame in list(self.frames) if frame.get("data", {}).get("workflowId") == str(workflow_id)]

    def types(self, workflow_id: UUID) -> list[str]:
        """Their names."""
        return [frame["type"] for frame in self.about(workflow_id)]

    def wait_for(self, event: str, workflow_id: UUID, within: timedelta = PATIENCE) -> Frame:
        """The first such event of a workflow, which may have come already."""

        def found() -> Frame | None:
            return next((frame for frame in self.about(workflow_id) if frame["type"] == event), None)

        self.wait(found, what=f"{event} of {workflow_id}", within=within)
        frame = found()
        assert frame is not None
        return frame

    def wait(self, holds: Callable[[], object], *, what: str, within: timedelta = PATIENCE) -> None:
        """Wait until something holds that only changes when a frame or a connection comes."""
        with self._news:
            if not self._news.wait_for(holds, within.total_seconds()):
                told = [(frame["type"], frame.get("data", {}).get("workflowId")) for frame in self.frames]
                raise AssertionError(f"{what}: not within {within.total_seconds():g} s; what came: {told}")

    def acknowledge(self) -> None:
        """Tell the server that everything up to here was seen."""
        assert self._socket is not None
        self._socket.send(json.dumps({"ack": self.ids[-1]}))

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                self._stay_connected()
            except (OSError, WebSocketException):
                self._ending.wait(COME_BACK_AFTER)

    def _stay_connected(self) -> None:
        query = {} if self.after is None else {"after": str(self.after)}
        query |= {"all": "true"} if self.everybody else {}
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.url.replace('http', 'ws', 1)}/ws?{urlencode(query)}"
        with connect(address, additional_headers=headers, proxy=None, close_timeout=1) as socket:
            self._socket = socket
            with self._news:
                self.connections += 1
                self._news.notify_all()
            if self._ending.is_set():
                return
            for text in socket:
                self._keep(json.loads(text))

    def _keep(self, frame: Frame) -> None:
        with self._news:
            self.frames.append(frame)
            self.after = frame.get("id", self.after)
            self._news.notify_all()
