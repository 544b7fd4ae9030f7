"""A row is called unreadable only for what is wrong with the row."""

import asyncpg
import orjson
import pytest
from asyncpg.exceptions import _base
from ratchet.domain.errors import IllegalTransition
from recovery.restart_scan import is_the_rows_own


@pytest.mark.parametrize(
    "error",
    [
        orjson.JSONDecodeError("no JSON", "{", 0),
        KeyError("steps"),
        TypeError("a number where a list was"),
        IllegalTransition("no"),
        asyncpg.UntranslatableCharacterError("a NUL in its reason"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_damaged_row_raises_is_the_rows_own(error: Exception) -> None:
    assert is_the_rows_own(error)


@pytest.mark.parametrize(
    "error",
    [
        _base.ClientConfigurationError("a ValueError, too"),
        asyncpg.ReadOnlySQLTransactionError("no writes"),
        asyncpg.UndefinedColumnError("not migrated yet"),
        asyncpg.InternalClientError("cut off"),
        asyncpg.InternalServerError("who knows"),
        ConnectionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_server_or_a_driver_raises_is_not(error: Exception) -> None:
    assert not is_the_rows_own(error)
