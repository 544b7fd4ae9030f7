"""Gives the broker its users, their rights and the topology: `python prepare_broker.py`. Safe to repeat.

Reads BROKER_MANAGEMENT_URL, BROKER_ADMIN_USER, BROKER_ADMIN_PASSWORD, one password for each user below, the
administrator's RATCHET_AMQP_URL, and RATCHET_POOLS and RATCHET_RETRY_DELAYS if they are set.
"""
# ruff: noqa: INP001 - a script that is copied into the image, no package

import asyncio
import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

SECONDS = 10


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """One user. The rights are patterns of names: what it may declare, publish or bind to, and consume or bind from."""

    name: str
    password_variable: str
    configure: str
    write: str
    read: str

    @property
    def rights(self) -> dict[str, str]:
        """As the management API takes them."""
        return {"configure": self.configure, "write": self.write, "read": self.read}


NOTHING = "^$"

# A service may declare what is its own and finds the rest in place. Rights on a direct exchange cannot be narrowed to
# routing keys, so whoever may publish commands may publish all of them. The default exchange, which reaches every
# queue, is open only to those who park messages.
USERS = (
    BrokerUser(
        "ratchet_executor",
        "EXECUTOR_PASSWORD",
        configure=r"^executor\.",
        write=r"^(executor\..*|ratchet\.(commands|events|dead)|amq\.default)$",
        read=r"^(executor\..*|ratchet\.commands)$",
    ),
    BrokerUser(
        "ratchet_recovery",
        "RECOVERY_PASSWORD",
        configure=r"^recovery\.",
        write=r"^(recovery\..*|executor\.retry\..*|ratchet\.(commands|events|dead)|amq\.default)$",
        read=r"^(recovery\..*|ratchet\.(commands|dead|parked))$",
    ),
    BrokerUser(
        "ratchet_notifier",
        "NOTIFIER_PASSWORD",
        configure=r"^notifier\.",
        write=r"^(notifier\..*|amq\.default)$",
        read=r"^(notifier\..*|ratchet\.events)$",
    ),
    BrokerUser(
        "ratchet_admin_api",
        "ADMIN_API_PASSWORD",
        configure=NOTHING,
        write=r"^ratchet\.commands$",
        read=NOTHING,
    ),
    # For services that start workflows and drive waiting steps.
    BrokerUser(
        "ratchet_upstream",
        "UPSTREAM_PASSWORD",
        configure=NOTHING,
        write=r"^ratchet\.commands$",
        read=NOTHING,
    ),
)


class BrokerNotPreparedError(Exception):
    """The broker could not be prepared; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class Management:
    """The management API of one broker."""

    url: str
    user: str
    password: str

    def put(self, path: str, content: Mapping[str, str]) -> None:
        """Create or replace what `path` names.

        Raises:
            BrokerNotPreparedError: when the broker refuses it or does not answer.
        """
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        body = json.dumps(content).encode()
        try:
            # The operator names the broker, so whatever scheme stands there is meant.
            request = Request(f"{self.url}/api/{path}", body, headers, method="PUT")  # noqa: S310 - see above
            with urlopen(request, timeout=SECONDS):  # noqa: S310 - see above
                pass
        except HTTPError as error:
            raise BrokerNotPreparedError(f"{self.url} refused {path}: {error.code} {error.reason}") from error
        except URLError as error:
            raise BrokerNotPreparedError(
                f"{self.url} does not answer ({error.reason}). Is the management plugin enabled?"
            ) from error


def set_up_users(management: Management, vhost: str, passwords: Mapping[str, str]) -> None:
    """Make every user with its password and exactly its rights."""
    for user in USERS:
        management.put(f"users/{user.name}", {"password": passwords[user.password_variable], "tags": ""})
        management.put(f"permissions/{quote(vhost, safe='')}/{user.name}", user.rights)


async def declare_topology(amqp_url: str) -> None:
    """Declare every exchange and queue, as the administrator."""
    from ratchet.adapters.rabbitmq import topology
    from ratchet.adapters.rabbitmq.publisher import connect
    from ratchet.settings import Settings

    # Only these two of the settings matter here; the servers' addresses are required but not used.
    settings = Settings(database_url="postgresql://unused", amqp_url=amqp_url, redis_url="redis://unused")
    connection = await connect(amqp_url, name="ratchet-broker-setup")
    async with connection, connection.channel() as channel:
        await topology.declare(channel, pools=settings.pools, delays=settings.retry_delays)


def main() -> int:
    """Exit codes: 0 when everything is in place, 1 when the broker refused something, 2 when a variable is missing."""
    needed = ["BROKER_MANAGEMENT_URL", "BROKER_ADMIN_USER", "BROKER_ADMIN_PASSWORD", "RATCHET_AMQP_URL"]
    needed += [user.password_variable for user in USERS]
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        sys.stderr.write(f"Set {', '.join(missing)} (see the top of this file)\n")
        return 2
    management = Management(
        os.environ["BROKER_MANAGEMENT_URL"].rstrip("/"),
        os.environ["BROKER_ADMIN_USER"],
        os.environ["BROKER_ADMIN_PASSWORD"],
    )
    amqp_url = os.environ["RATCHET_AMQP_URL"]
    vhost = urlsplit(amqp_url).path.removeprefix("/") or "/"
    try:
        set_up_users(management, vhost, os.environ)
        asyncio.run(declare_topology(amqp_url))
    except (BrokerNotPreparedError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
