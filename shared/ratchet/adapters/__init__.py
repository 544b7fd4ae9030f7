"""Everything that talks to a server: Postgres, RabbitMQ, Redis."""
