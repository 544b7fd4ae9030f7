"""One connection to the database that an address names, made in the same way by everybody who needs one."""

from typing import Any

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from ratchet.postgres_address import PostgresAddress, parse_address

CONNECT_SECONDS = 10
"""For each host, where the address does not say."""

_TRY_THE_NEXT = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


async def connect(
    address: PostgresAddress | str,
    *,
    application: str,
    settings: dict[str, str] | None = None,
    seconds: float = CONNECT_SECONDS,
    **more: Any,
) -> asyncpg.Connection:
    """Connect to the first host that answers and will do; what the address says wins over our own choice of a name.

    The driver gives all hosts one time limit together, so that one which never answers hides those behind it.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: what the last host that was tried said.
    """
    where = parse_address(address) if isinstance(address, str) else address
    session = {**(settings or {}), "application_name": application, **where.session_settings()}
    if where.application_name:
        session["application_name"] = where.application_name
    arguments = {**where.driver_arguments(), "server_settings": session, **more}
    arguments["timeout"] = where.connect_seconds or seconds
    failure: Exception = OSError("no host to connect to")
    for wanted in _passes(where.target_session_attrs):
        for place in where.hosts or (None,):
            at: dict[str, Any] = {} if place is None else {"host": place[0], "port": place[1]}
            try:
                connection: asyncpg.Connection = await asyncpg.connect(
                    **at, **arguments, target_session_attrs=SessionAttribute(wanted)
                )
            except _TRY_THE_NEXT as error:
                failure = error
            else:
                return connection
    raise failure


def _passes(attributes: str) -> tuple[str, ...]:
    return ("standby", "any") if attributes == "prefer-standby" else (attributes,)
