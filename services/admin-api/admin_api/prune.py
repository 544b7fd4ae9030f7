"""Forget what nobody needs any more: promises that were kept, and answers of old idempotency keys."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from admin_api.once import KEPT

if TYPE_CHECKING:
    from ratchet.adapters.postgres.accepted_starts import AcceptedStarts
    from ratchet.adapters.postgres.idempotency import IdempotencyKeys

EVERY = timedelta(minutes=1)
BATCH = 1000

log = structlog.get_logger()


async def prune_forever(
    starts: "AcceptedStarts", keys: "IdempotencyKeys", outages: Iterable[type[BaseException]]
) -> None:
    """Prune each minute until cancelled; several instances may do so at once."""
    expected = tuple(outages)
    while True:
        try:
            await prune_once(starts, keys)
        except expected as error:
            log.info("prune.postponed", error=type(error).__name__)
        await asyncio.sleep(EVERY.total_seconds())


async def prune_once(starts: "AcceptedStarts", keys: "IdempotencyKeys") -> None:
    """Delete in batches until little is left."""
    while await starts.prune(BATCH) == BATCH:
        pass
    while await keys.prune(KEPT, BATCH) == BATCH:
        pass
