"""A retry whose delay queue has lost its target for a while comes in time, not when the broker looks again."""

import asyncio
import time

import aio_pika

from tests.integration.executor.processes import Site

LATE_BY_AT_MOST = 8.0


async def test_after_an_outage_of_its_target_a_retry_comes_within_seconds(site: Site) -> None:
    site.start("executor")
    site.start("recovery")
    workflow_id = await site.begin("retrying")
    await site.ran("fail_once")
    connection = await aio_pika.connect(site.amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("executor.steps.default", passive=True)
        await queue.unbind("ratchet.commands", "step.default")
        # The delay of two seconds ends while the command can go nowhere; the broker tries it again after minutes.
        await asyncio.sleep(3)
        await queue.bind("ratchet.commands", "step.default")
    bound_at = time.monotonic()
    await site.reaches(workflow_id, "Completed")
    assert time.monotonic() - bound_at < LATE_BY_AT_MOST
    assert site.counted_effects()["fail_once"] == 2
