"""RabbitMQ: wake-up calls in, wake-up calls and events out."""
