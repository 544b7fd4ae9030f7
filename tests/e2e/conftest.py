"""The people of the end-to-end tests, and what must hold of every workflow that ended well."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from tests.harness.listener import Listener
from tests.harness.person import Person
from tests.harness.platform import Platform
from tests.harness.waiting import until

STATUSES = "SELECT status::text AS status, count(*) AS count FROM workflow_instances WHERE id = ANY ($1) GROUP BY 1"
COMMITS = "SELECT workflow_id, step_id, count(*) AS count FROM checkpoints WHERE workflow_id = ANY ($1) GROUP BY 1, 2"


@pytest.fixture
def sarah(platform: Platform) -> Person:
    return platform.person("sarah")


@pytest.fixture
def page(sarah: Person) -> Iterator[Listener]:
    with sarah.listen() as page:
        yield page


@pytest.fixture
def wait_for_execution(platform: Platform) -> Callable[[UUID, str, int], None]:
    """Waits until a step's code was entered so often."""

    def wait(workflow_id: UUID, step: str, count: int) -> None:
        until(
            lambda: platform.stage.executions(workflow_id, step),
            lambda found: len(found) >= count,
            what=f"execution {count} of {step} in {workflow_id}",
        )

    return wait


@pytest.fixture
def assert_all_completed_once(platform: Platform) -> Callable[..., None]:
    """Waits until all are Completed; then every step has one checkpoint, and repeated code showed the same key."""

    def check(workflow_ids: Iterable[UUID], steps: int, within: timedelta = timedelta(seconds=60)) -> None:
        ids = list(workflow_ids)
        until(
            lambda: platform.sql(STATUSES, ids),
            lambda rows: rows == [{"status": "Completed", "count": len(ids)}],
            what=f"{len(ids)} workflows to be Completed",
            within=within,
        )
        commits = platform.sql(COMMITS, ids)
        assert [row for row in commits if row["count"] != 1] == []
        assert Counter(row["workflow_id"] for row in commits) == dict.fromkeys(ids, steps)
        for workflow_id in ids:
            executions = platform.stage.executions(workflow_id)
            assert len({execution.key for execution in executions}) == steps

    return check
