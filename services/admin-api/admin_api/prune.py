"""Forget what nobody needs any more: promises that were kept, and answers of old idempotency keys."""

import asyncio
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


async def prune_forever(starts: "AcceptedStarts", keys: "IdempotencyKeys") -> None:
    """Prune each minute until cancelled; several instances may do so at once."""
    while True:
        try:
            await prune_once(starts, keys)
        except Exception as error:  # whatever it was, the rows are still there and this runs again
            log.warning("prune.postponed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EVERY.total_seconds())


async def prune_once(starts: "AcceptedStarts", keys: "IdempotencyKeys") -> None:
    """Delete in batches until little is left."""
    while await starts.prune(BATCH) == BATCH:
        pass
    while await keys.prune(KEPT, BATCH) == BATCH:
        pass
