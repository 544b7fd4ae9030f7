"""An executor that died is back soon: what it loads at start is time in which its workflows stand still."""

import subprocess
import sys

UNUSED_BY_EXECUTORS = ("sqlalchemy", "alembic", "fastapi", "cyclopts")


def test_an_executor_loads_nothing_it_does_not_use() -> None:
    program = f"import sys, executor.app; print([name for name in {UNUSED_BY_EXECUTORS!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
