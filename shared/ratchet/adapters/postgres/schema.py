"""Whether the database has the schema that this program needs; asked once, at start."""

from pathlib import Path

import asyncpg

from ratchet.domain.errors import CannotStart

COMMAND = "python -m ratchet.adapters.postgres.migrate"
_AT = "SELECT CASE WHEN to_regclass('alembic_version') IS NOT NULL THEN 1 END"
_REVISION = "SELECT max(version_num) FROM alembic_version"


def needed_revision() -> str:
    """The newest migration, by the names of the files: to load the library that runs them takes an executor's start."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(path.name.split("_")[0] for path in versions.glob("[0-9]*_*.py"))


async def require_schema(pool: asyncpg.Pool) -> None:
    """A newer schema will do: programs of the release before run on it.

    Raises:
        CannotStart: no migration has run, or not all that this program needs.
    """
    needed = needed_revision()
    try:
        found = await pool.fetchval(_REVISION) if await pool.fetchval(_AT) else None
    except asyncpg.InsufficientPrivilegeError:
        return
    if found is None:
        raise CannotStart(f"RATCHET_DATABASE_URL: the database is empty. Run {COMMAND} (`make up` does it)")
    if found < needed:
        raise CannotStart(
            f"RATCHET_DATABASE_URL: the database is at migration {found}, not at {needed}. Run {COMMAND} first"
        )
