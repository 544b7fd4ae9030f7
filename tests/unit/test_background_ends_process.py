"""A process that cannot keep one of its tasks ends, in good order, and does not say that all was well."""

import os
import subprocess
import sys

from ratchet.service import EXIT_TASK_LOST

SERVICE = """
import sys
from contextlib import asynccontextmanager
from prometheus_client import CollectorRegistry
from ratchet.background import Background
from ratchet.observability.metrics import BackgroundMetrics
from ratchet.service import run_service
from starlette.applications import Starlette

async def hopeless():
    raise RuntimeError("always")

@asynccontextmanager
async def lifespan(_app):
    background = Background(BackgroundMetrics(CollectorRegistry()), shortest=0.001)
    background.keep("hopeless", hopeless)
    yield
    await background.close()
    print("closed", flush=True)

sys.exit(run_service("trial", lambda _settings: Starlette(lifespan=lifespan), lambda _settings: 0))
"""


def test_a_process_that_cannot_keep_a_task_ends_with_a_code_of_its_own() -> None:
    urls = {
        "RATCHET_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d",
        "RATCHET_AMQP_URL": "amqp://u:p@127.0.0.1:1/",
        "RATCHET_REDIS_URL": "redis://127.0.0.1:1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    ended = subprocess.run(
        [sys.executable, "-c", SERVICE], env=inherited | urls, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == EXIT_TASK_LOST, ended.stderr
    assert "closed" in ended.stdout
    assert "background.given_up" in ended.stderr
