"""What unit tests share: values, no servers."""

import uuid

import pytest
from ratchet import StepContext


@pytest.fixture
def context() -> StepContext:
    """A step's context for code that does not care which."""
    return StepContext(uuid.uuid4(), "step", 1, "correlation", {}, "key")
