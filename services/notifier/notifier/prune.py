"""Forgets old notifications, a little at a time."""

import asyncio
from datetime import timedelta

import structlog
from ratchet.notifications import FeedStore

OFTENEST = timedelta(seconds=1)
SELDOMEST = timedelta(minutes=10)

log = structlog.get_logger()


async def prune_forever(store: FeedStore, kept_for: timedelta) -> None:
    """Prune now and then, until cancelled; a retention of 0 keeps everything."""
    if not kept_for:
        return
    pause = min(max(kept_for / 4, OFTENEST), SELDOMEST)
    while True:
        try:
            gone = await store.prune(kept_for=kept_for)
        except Exception as error:  # an outage, most likely; the next round does its work
            log.warning("feeds.not_pruned", error=f"{type(error).__name__}: {error}")
        else:
            if gone:
                log.info("feeds.pruned", notifications=gone)
        await asyncio.sleep(pause.total_seconds())
