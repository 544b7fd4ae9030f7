"""Clients and an emitter of events, to talk to notifiers over real sockets."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import orjson
import uvicorn
import websockets
from joserfc import jwt
from joserfc.jwk import OctKey
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.messages import events
from ratchet.messages.envelope import Outgoing
from ratchet.messages.events import Event, EventType, Subject
from ratchet.messages.routes import EVENTS, Route
from websockets.typing import Origin

SECRET = "a-secret-of-more-than-thirty-two-characters"
ORIGIN = "https://app.example"


def token(sub: str = "sarah", *roles: str, ttl: timedelta = timedelta(hours=1), **claims: Any) -> str:
    full = {"sub": sub, "roles": list(roles) or ["user"], "exp": datetime.now(UTC).timestamp() + ttl.total_seconds()}
    return jwt.encode({"alg": "HS256"}, full | claims, OctKey.import_key(SECRET), algorithms=["HS256"])


@dataclass
class Client:
    """A websocket client that keeps what it got."""

    socket: websockets.ClientConnection
    got: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self, limit: float = 5.0) -> dict[str, Any]:
        async with asyncio.timeout(limit):
            frame = orjson.loads(await self.socket.recv())
        self.got.append(frame)
        return dict(frame)

    async def receive_many(self, count: int, limit: float = 10.0) -> list[dict[str, Any]]:
        return [await self.receive(limit) for _ in range(count)]

    async def ids(self, count: int, limit: float = 10.0) -> list[int]:
        return [frame["id"] for frame in await self.receive_many(count, limit)]

    async def is_silent(self, seconds: float = 0.3) -> bool:
        try:
            await self.receive(seconds)
        except TimeoutError:
            return True
        return False

    async def ack(self, position: object) -> None:
        await self.socket.send(json.dumps({"ack": position}))

    async def closed_with(self, limit: float = 5.0) -> int | None:
        async with asyncio.timeout(limit):
            await self.socket.wait_closed()
        return self.socket.close_code


@dataclass
class Notifier:
    """One running instance."""

    server: uvicorn.Server
    task: "asyncio.Task[None]"
    port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(
        self, bearer: str | None = None, *, path: str = "/ws", origin: str | None = None, **query: Any
    ) -> Client:
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        url = f"ws://127.0.0.1:{self.port}{path}" + (f"?{urlencode(query)}" if query else "")
        socket = await websockets.connect(
            url,
            additional_headers=headers,
            origin=Origin(origin) if origin else None,
            proxy=None,
            compression=None,
            max_queue=None,
        )
        return Client(socket)

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.task


@dataclass
class Emitter:
    """Publishes events the way the executor and the recovery service do."""

    publisher: Publisher

    async def __call__(
        self,
        owner: str = "sarah",
        *,
        kind: EventType = EventType.COMPLETED,
        count: int = 1,
        event_id: str | None = None,
    ) -> list[str]:
        messages = [
            events.announce(
                events.plain(kind, number=number),
                Subject(uuid4(), owner, "test"),
                event_id=event_id or str(uuid4()),
                at=datetime.now(UTC),
            )
            for number in range(count)
        ]
        await self.publisher.publish(messages)
        return [message.message_id for message in messages]

    async def large(self, owner: str, *, kilobytes: int, count: int) -> None:
        """Events that fill buffers."""
        await self.publisher.publish(
            [
                events.announce(
                    events.plain(EventType.COMPLETED, filling="x" * 1024 * kilobytes),
                    Subject(uuid4(), owner, "test"),
                    event_id=str(uuid4()),
                    at=datetime.now(UTC),
                )
                for _ in range(count)
            ]
        )

    async def raw(self, body: bytes, **headers: str) -> None:
        """Anything at all, in the name of sarah."""
        named = {"ce-type": headers["type"], "ce-id": str(uuid4()), "ce-subject": str(uuid4()), "ce-ownerid": "sarah"}
        message = Outgoing(
            Route(EVENTS, headers["type"]),
            str(uuid4()),
            headers["type"],
            body,
            "test",
            named | {"ce-time": "2026-01-01T00:00:00Z"},
        )
        await self.publisher.publish([message])

    async def event(self, event: Event, owner: str = "sarah") -> None:
        await self.publisher.publish(
            [events.announce(event, Subject(UUID(int=1), owner, "test"), event_id=str(uuid4()), at=datetime.now(UTC))]
        )


async def until(condition: Callable[[], Awaitable[bool]], limit: float = 5.0) -> None:
    """Ask until it holds."""
    async with asyncio.timeout(limit):
        while not await condition():  # noqa: ASYNC110  # what is asked lies in a server
            await asyncio.sleep(0.02)


def in_order(frames: Sequence[dict[str, Any]]) -> bool:
    ids = [frame["id"] for frame in frames]
    return ids == list(range(ids[0], ids[0] + len(ids)))
