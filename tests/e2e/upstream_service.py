"""An upstream service in twenty lines of pika: `upstream_service.py AMQP_URL ROUTING_KEY JSON`."""

import sys
import uuid

import pika  # type: ignore[import-untyped]  # it has no types

amqp_url, routing_key, body = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
channel = connection.channel()
channel.confirm_delivery()  # publishing returns once the broker has the message safe
properties = pika.BasicProperties(
    message_id=str(uuid.uuid4()),  # the idempotency key: keep it when you send again
    content_type="application/json",
    delivery_mode=2,  # survives a restart of the broker
)
channel.basic_publish("ratchet.commands", routing_key, body.encode(), properties, mandatory=True)
connection.close()
