"""`/healthz` (the process lives), `/readyz` (it can do its work) and `/metrics`, the same for every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[bool]]

CHECK_SECONDS = 2.0

LEAVING = "leaving"
"""In a request's state: this process was asked to stop and answers what still comes."""


class NotReady(Exception):
    """What a check raises to say why, in words that anybody may read."""


def health_routes(registry: CollectorRegistry, checks: Mapping[str, Check]) -> list[Route]:
    """Routes to mount in a service; `checks` are asked at each `/readyz`, all at once, each for at most 2 seconds."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        if request.scope.get("state", {}).get(LEAVING):
            return JSONResponse({"ready": False, "checks": {}, "reasons": {"leaving": "asked to stop"}}, 503)
        answers = dict(zip(checks, await asyncio.gather(*map(_ask, checks.values())), strict=True))
        reasons = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
        ready = all(answer is True for answer in answers.values())
        body = {"ready": ready, "checks": {name: answer is True for name, answer in answers.items()}}
        return JSONResponse(body | ({"reasons": reasons} if reasons else {}), status_code=200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


async def _ask(check: Check) -> bool | str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except NotReady as reason:
        return str(reason)
    except Exception:  # whatever a check fails with, it means "not ready"
        return False
