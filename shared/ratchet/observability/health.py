"""`/healthz` (the process lives), `/readyz` (it can do its work) and `/metrics`, the same for every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[bool]]

CHECK_SECONDS = 2.0


def health_routes(registry: CollectorRegistry, checks: Mapping[str, Check]) -> list[Route]:
    """Routes to mount in a service; `checks` are asked at each `/readyz`, all at once, each for at most 2 seconds."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        answers = dict(zip(checks, await asyncio.gather(*map(_ask, checks.values())), strict=True))
        ready = all(answers.values())
        return JSONResponse({"ready": ready, "checks": answers}, status_code=200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


async def _ask(check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except Exception:  # whatever a check fails with, it means "not ready"
        return False
