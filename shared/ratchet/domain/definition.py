"""What a workflow consists of: its steps and their rules, without the code that runs them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ratchet.domain.dependency import HOLDS
from ratchet.domain.errors import InvalidDefinition
from ratchet.domain.retry import Retry

DEFAULT_POOL = "default"


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step's rules. `retry` and `timeout` left at None take the executor's settings."""

    id: str
    optional: bool = False
    pool: str = DEFAULT_POOL
    waits_for_command: bool = False
    timeout: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    retry: Retry | None = None
    long_running: bool = False
    depends_on: str | None = None

    @property
    def delays(self) -> tuple[timedelta, ...]:
        """The waits that it asks for by itself; each needs a delay queue."""
        retries = () if self.retry is None else self.retry.delays
        return retries if self.depends_on is None else (*retries, *HOLDS)


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A named, versioned list of steps, run in order."""

    name: str
    version: int
    steps: tuple[StepDefinition, ...]
    recovers_automatically: bool = False
    positions: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        positions = {step.id: index for index, step in enumerate(self.steps)}
        if not self.steps:
            raise InvalidDefinition(f"Workflow {self.name!r} has no steps")
        if len(positions) != len(self.steps):
            raise InvalidDefinition(f"Workflow {self.name!r} has two steps with the same id")
        object.__setattr__(self, "positions", positions)

    def step_at(self, index: int) -> StepDefinition | None:
        """The step at `index`, or None past the last one."""
        return self.steps[index] if 0 <= index < len(self.steps) else None


def to_document(definition: WorkflowDefinition) -> list[dict[str, Any]]:
    """The steps as JSON, for services that run without the workflow's code; durations in seconds."""
    return [
        {
            "id": step.id,
            "optional": step.optional,
            "pool": step.pool,
            "waitsForCommand": step.waits_for_command,
            "timeout": _seconds(step.timeout),
            "heartbeatTimeout": _seconds(step.heartbeat_timeout),
            "retry": None if step.retry is None else [delay.total_seconds() for delay in step.retry.delays],
            "longRunning": step.long_running,
            "dependsOn": step.depends_on,
        }
        for step in definition.steps
    ]


def from_document(name: str, version: int, steps: list[dict[str, Any]], *, automatic: bool) -> WorkflowDefinition:
    """The inverse of `to_document`."""
    return WorkflowDefinition(
        name=name,
        version=version,
        recovers_automatically=automatic,
        steps=tuple(
            StepDefinition(
                id=step["id"],
                optional=step["optional"],
                pool=step["pool"],
                waits_for_command=step["waitsForCommand"],
                timeout=_duration(step["timeout"]),
                heartbeat_timeout=_duration(step["heartbeatTimeout"]),
                retry=None if step["retry"] is None else Retry(*step["retry"]),
                long_running=step["longRunning"],
                depends_on=step["dependsOn"],
            )
            for step in steps
        ),
    )


def fingerprint(definition: WorkflowDefinition) -> str:
    """A digest of the step ids in order: it changes exactly when a checkpoint's position could mean another step."""
    ids = json.dumps([step.id for step in definition.steps])
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
