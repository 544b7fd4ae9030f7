"""Where the three servers are, and the names under which everybody is told so."""

from dataclasses import dataclass

VARIABLES = {"postgres": "RATCHET_DATABASE_URL", "rabbitmq": "RATCHET_AMQP_URL", "valkey": "RATCHET_REDIS_URL"}
ALL = tuple(VARIABLES)


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """Where the three servers are; empty for a server that nobody wanted."""

    database_url: str
    amqp_url: str
    redis_url: str

    def as_environ(self) -> dict[str, str]:
        """The URLs under the names that the services read."""
        return dict(zip(VARIABLES.values(), (self.database_url, self.amqp_url, self.redis_url), strict=True))
