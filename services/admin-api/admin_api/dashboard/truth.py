"""How far a recovery really is: nothing counts as done before the step that had failed has passed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

REQUESTED, RESUMED, VERIFIED, RELAPSED, SUPERSEDED = "requested", "resumed", "verified", "relapsed", "superseded"

OPEN = frozenset({REQUESTED, RESUMED})


@dataclass(frozen=True, slots=True)
class Stage:
    """How far it is, and the same in a sentence."""

    name: str
    text: str

    @property
    def is_open(self) -> bool:
        """Whether more is to come."""
        return self.name in OPEN


_TEXTS = {
    REQUESTED: "Asked for. The recovery service has not answered yet.",
    "done": "Done.",
    "refused": "Refused; nothing was changed.",
    "failed": "It could not be done; the workflow stays where it is.",
}


def stage_of(recovery: Json, workflow: Json, history: Json) -> Stage:
    """A recovery's stage, from what the API says about it, the workflow and its history."""
    outcome = str(recovery["outcome"])
    if outcome != RESUMED:
        return Stage(outcome, _TEXTS.get(outcome, outcome))
    told = next(
        (entry.get("verification") for entry in history["recoveries"] if entry["recoveryId"] == recovery["recoveryId"]),
        None,
    )
    if told in {VERIFIED, RELAPSED, SUPERSEDED}:
        return _resumed_to(str(told), recovery)
    return _resumed_to(_seen(recovery, workflow, history), recovery)


def _seen(recovery: Json, workflow: Json, history: Json) -> str:
    since = _at(recovery.get("at") or recovery.get("attemptedAt"))
    if workflow["status"] == "Failed" and _at(workflow["failedAt"]) > since:
        return RELAPSED
    had_failed = _failed_before(history, since) or recovery.get("resumedStep")
    passed = any(
        mark["stepId"] == had_failed and not mark["skipped"] and _at(mark["committedAt"]) > since
        for mark in history["checkpoints"]
    )
    gone_by = recovery.get("kind") == "skip" or workflow["status"] == "Completed"
    return VERIFIED if passed or (gone_by and _has_moved(workflow, history, since)) else RESUMED


def _failed_before(history: Json, since: datetime) -> str | None:
    steps = [
        str(attempt["stepId"])
        for attempt in history["attempts"]
        if attempt["outcome"] == "failed" and _at(attempt["finishedAt"]) <= since
    ]
    return steps[-1] if steps else None


def _has_moved(workflow: Json, history: Json, since: datetime) -> bool:
    moved = any(_at(mark["committedAt"]) > since and not mark["skipped"] for mark in history["checkpoints"])
    return moved or workflow["status"] == "Completed"


def _at(value: Any) -> datetime:
    return datetime.fromisoformat(str(value)).astimezone(UTC)


def _resumed_to(stage: str, recovery: Json) -> Stage:
    step = recovery.get("resumedStep")
    match stage:
        case "verified":
            if recovery.get("kind") == "skip":
                return Stage(stage, "The step was left out, and the workflow went on without it.")
            return Stage(stage, "Verified: the step that had failed has passed.")
        case "relapsed":
            return Stage(stage, "Failed again since. See the newest attempt for the reason.")
        case "superseded":
            return Stage(stage, "Something newer was done to the workflow before it could show.")
        case _:
            where = f"It goes on with “{step}”." if step else "It goes on."
            return Stage(stage, f"{where} Whether that heals it is not known yet.")
