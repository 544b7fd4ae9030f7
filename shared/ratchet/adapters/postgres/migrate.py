"""Brings the schema to its newest version: `python -m ratchet.adapters.postgres.migrate [revision]`."""

import asyncio
import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ratchet.adapters.postgres.connecting import connect
from ratchet.adapters.postgres.locks import Lock


async def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade to `revision` (or downgrade with "base"); safe to repeat and to run from several processes at once."""
    engine = migration_engine(database_url)
    try:
        async with engine.begin() as connection:
            # Two migrating processes wait for each other.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": Lock.MIGRATION.value})
            await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


def migration_engine(database_url: str) -> AsyncEngine:
    """An engine without our limits: a migration may take its time."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(database_url, application="ratchet-migrate")
    )


def alembic_config() -> Config:
    """Alembic's configuration, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def newest_revision() -> str:
    """The revision this code needs."""
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def _run(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)


def main() -> int:
    """Migrate the database that `RATCHET_DATABASE_URL` names."""
    url = os.environ.get("RATCHET_DATABASE_URL")
    if not url:
        sys.stderr.write("RATCHET_DATABASE_URL is not set: it names the database to migrate\n")
        return 2
    asyncio.run(migrate(url, *sys.argv[1:2]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
