"""When a consuming service is ready: its database answers, it can publish, is subscribed, and its work succeeds."""

import asyncpg
from faststream.rabbit import RabbitBroker

from ratchet.adapters.rabbitmq.consumer import is_consuming
from ratchet.adapters.rabbitmq.keep_trying import KeepTrying
from ratchet.adapters.rabbitmq.publisher import Publisher
from ratchet.observability.health import Check


def consumer_checks(
    pool: asyncpg.Pool, publisher: Publisher, broker: RabbitBroker, trying: KeepTrying
) -> dict[str, Check]:
    """The checks behind `/readyz`."""

    async def database() -> bool:
        return bool(await pool.fetchval("SELECT true"))

    async def connected() -> bool:
        return publisher.is_connected

    async def subscribed() -> bool:
        return is_consuming(broker)

    return {
        "database": database,
        "broker": connected,
        "subscribed": subscribed,
        "deliveries": trying.is_getting_through,
    }
