"""Databases of one's own on a running Postgres, for tests that must not see each other's rows."""

import re
from urllib.parse import urlsplit, urlunsplit

from ratchet.adapters.postgres.connecting import connect

from local_stack.apart import run_apart

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def create_database(url: str, name: str, template: str | None = None) -> str:
    """Makes the database `name` anew (an older one of that name is dropped) and answers its URL.

    `template` names a database to copy; nobody may be connected to it. Raises ValueError for a name that is not
    made of lower-case letters, digits and underscores.
    """
    for each in (name, template or name):
        if not NAME.fullmatch(each):
            raise ValueError(f"not a database name: {each!r}")
    copy = f' TEMPLATE "{template}"' if template else ""
    run_apart(_execute(url, [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"{copy}']))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def drop_database(url: str, name: str) -> None:
    """Drops the database and cuts whoever is connected to it. Safe to repeat."""
    if not NAME.fullmatch(name):
        raise ValueError(f"not a database name: {name!r}")
    run_apart(_execute(url, [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)']))


async def _execute(url: str, statements: list[str]) -> None:
    connection = await connect(url, application="ratchet-local-stack")
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
