"""What an executor of another release runs: it does not have the workflow under fire."""

from typing import Any

from ratchet import StepContext, Workflow

another_release = Workflow("another-release")


@another_release.step
async def only(ctx: StepContext, state: dict[str, Any]) -> None: ...
