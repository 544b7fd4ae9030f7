"""An SQLAlchemy engine for free-form queries; apart from the pools, because loading it takes a restart's time."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ratchet.adapters.postgres.engine import server_settings, sqlalchemy_url


def connect_engine(database_url: str, *, application: str, size: int) -> AsyncEngine:
    """An SQLAlchemy engine with the same limits; it connects at first use."""
    return create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=size,
        max_overflow=0,
        pool_timeout=5,
        connect_args={"server_settings": server_settings(application), "command_timeout": 10},
    )
