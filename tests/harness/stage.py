"""The folder in which the tests and the steps of the test workflows meet: what was executed, what may go on."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

FOLDER_VARIABLE = "ACCEPTANCE_STAGE"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a step's code, noted before anything else happens in it."""

    step: str
    attempt: int
    key: str
    pid: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Written to by steps (in the executors) and by tests; every note is one file or one appended line."""

    folder: Path

    @classmethod
    def of_this_process(cls) -> "Stage":
        """The stage that an executor was started with."""
        return cls(Path(os.environ[FOLDER_VARIABLE]))

    def note(self, workflow_id: UUID, execution: Execution) -> int:
        """Write an execution down; answers how often this step of this workflow was executed so far."""
        with self._effects(workflow_id).open("a") as stream:
            stream.write(json.dumps(asdict(execution)) + "\n")
        return len(self.executions(workflow_id, execution.step))

    def executions(self, workflow_id: UUID, step: str | None = None) -> list[Execution]:
        """Every execution so far, oldest first; of one step if that is named."""
        file = self._effects(workflow_id)
        lines = file.read_text().splitlines() if file.exists() else []
        found = [Execution(**json.loads(line)) for line in lines]
        return [execution for execution in found if step in (None, execution.step)]

    def release(self, workflow_id: UUID, step: str) -> None:
        """Let a held step go on."""
        self._mark(workflow_id, f"{step}.go").touch()

    def is_released(self, workflow_id: UUID, step: str) -> bool:
        """Whether a held step may go on."""
        return self._mark(workflow_id, f"{step}.go").exists()

    def mend(self, workflow_id: UUID) -> None:
        """End whatever trouble this workflow has."""
        self._mark(workflow_id, "mended").touch()

    def is_mended(self, workflow_id: UUID) -> bool:
        """Whether the trouble is over."""
        return self._mark(workflow_id, "mended").exists()

    def _effects(self, workflow_id: UUID) -> Path:
        return self._mark(workflow_id, "jsonl")

    def _mark(self, workflow_id: UUID, name: str) -> Path:
        return self.folder / f"{workflow_id}.{name}"
