"""An SQLAlchemy engine for free-form queries; apart from the pools, because loading it takes a restart's time."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ratchet.adapters.postgres.engine import server_settings, sqlalchemy_engine


def connect_engine(database_url: str, *, application: str, size: int) -> AsyncEngine:
    """An SQLAlchemy engine with the same limits; it connects at first use."""
    return sqlalchemy_engine(
        database_url, settings=server_settings(application), pool_size=size, max_overflow=0, pool_timeout=5
    )
