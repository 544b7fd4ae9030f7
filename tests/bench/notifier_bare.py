"""The yardstick: a bare uvicorn app that sends the same frames in a loop over its sockets, and does nothing else."""

import sys

import uvicorn
from ratchet.service import claim_port, server_config

Message = dict[str, object]


class Bare:
    """`GET /ws` joins; `POST /<n>` sends its body n times to everybody."""

    def __init__(self) -> None:
        self._sends: set[object] = set()

    async def __call__(self, scope: Message, receive: object, send: object) -> None:
        """One connection or request."""
        assert callable(receive)
        assert callable(send)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            self._sends.add(send)
            while (await receive())["type"] != "websocket.disconnect":
                pass
            self._sends.discard(send)
        elif scope["type"] == "http":
            await self._broadcast(int(str(scope["path"])[1:]), receive, send)

    async def _broadcast(self, count: int, receive: object, send: object) -> None:
        assert callable(receive)
        assert callable(send)
        text = (await receive())["body"].decode()
        for _ in range(count):
            for one in self._sends:
                assert callable(one)
                await one({"type": "websocket.send", "text": text})
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})


if __name__ == "__main__":
    config = server_config(Bare())  # type: ignore[arg-type]  # the least that answers
    config.lifespan = "off"
    uvicorn.Server(config).run(sockets=[claim_port("127.0.0.1", int(sys.argv[1]))])
