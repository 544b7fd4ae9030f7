#!/usr/bin/env bash
# What a websocket client is told by uvicorn's "websockets-sansio" implementation when the app just ends.
#
# One would guess: an app that returns after it has accepted closes normally (1000), and one that raises is an internal
# error (1011). Seen: 1006 for both, which means that there was no close frame at all.
#
# Output seen:
#   uvicorn 0.54.0, websockets 17.4
#   the app returns: 1006
#   the app raises:  1006
# Exits 0 while that holds, 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 websockets==17.4
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import logging
import socket
from importlib.metadata import version

import uvicorn
import websockets


async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/raises":
        raise ValueError("on purpose")


async def code_of(port, path):
    async with websockets.connect(f"ws://127.0.0.1:{port}{path}", proxy=None) as client:
        try:
            await client.recv()
        except websockets.ConnectionClosed:
            pass
        await client.wait_closed()
        return client.close_code


async def main():
    logging.disable(logging.CRITICAL)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    print(f"uvicorn {version('uvicorn')}, websockets {version('websockets')}")
    returns, raises = await code_of(port, "/returns"), await code_of(port, "/raises")
    print(f"the app returns: {returns}")
    print(f"the app raises:  {raises}")
    server.should_exit = True
    await serving
    return (returns, raises) == (1006, 1006)


raise SystemExit(0 if asyncio.run(main()) else "This has changed.")
PYTHON
