"""Clean ground for recovery's tests."""

from collections.abc import AsyncIterator

import pytest
import structlog
from ratchet.adapters.postgres.engine import connect_pool

from tests.integration.recovery.recovery_stage import RecoveryStage


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[RecoveryStage]:
    pool = await connect_pool(database_url, application="test", size=10)
    made = RecoveryStage(pool)
    await made.define()
    with structlog.testing.capture_logs():
        yield made
    await pool.close()
