"""RabbitMQ: reachable, supported, everything in it as the topology says, and able to carry a message."""

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPException

from ratchet.cli.doctor.check_topology import check_topology
from ratchet.cli.doctor.expected import Expected
from ratchet.cli.doctor.findings import Finding, Level, version_finding
from ratchet.cli.doctor.round_trip import check_round_trip
from ratchet.reaching import Server, reason_of

AREA = "RabbitMQ"
OLDEST = (3, 10)
HIGHEST = 4
CONNECT_SECONDS = 5


async def check_rabbitmq(amqp_url: str, expected: Expected) -> list[Finding]:
    """Connect, look at everything, and send a message around. Changes nothing that is Ratchet's."""
    try:
        connection = await aio_pika.connect(
            amqp_url, timeout=CONNECT_SECONDS, client_properties={"connection_name": "ratchet-doctor"}
        )
    except (OSError, TimeoutError, ValueError, AMQPException) as error:
        found, advice = reason_of(Server.RABBITMQ, error)
        return [Finding(AREA, "connection", Level.RED, found, advice)]
    async with connection:
        return [
            Finding(AREA, "connection", Level.OK, "answers"),
            judge_version(_server_version(connection)),
            *await check_topology(connection, expected),
            await check_round_trip(connection),
        ]


def judge_version(found: str) -> Finding:
    """RabbitMQ 3 is good from 3.10 on, where quorum queues learned to dead-letter at least once."""
    advice = "Use RabbitMQ 3.10 to 4.x"
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return Finding(AREA, "version", Level.RED, f"{found} is too old", advice)
    return version_finding(AREA, found, lowest=OLDEST[0], highest=HIGHEST, advice=advice)


def _server_version(connection: AbstractConnection) -> str:
    transport = connection.transport
    properties = {} if transport is None else transport.connection.server_properties
    return str(properties.get("version", "0"))
