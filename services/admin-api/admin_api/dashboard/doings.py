"""What a person may do to a workflow from its page: when, who, by which route, and what will happen then."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ratchet.domain.workflow import FINAL, TRANSITIONS, WorkflowStatus
from ratchet.tokens import Principal

Json = dict[str, Any]

_LIVE = frozenset({"NotStarted", "InProgress", "Executing"})
_FAILED = frozenset({"Failed"})
_RESTORABLE = frozenset({"Failed", "Paused", "Completed", "Cancelled"})
_OVERRIDABLE = frozenset(status.value for status in WorkflowStatus) - {status.value for status in FINAL}


@dataclass(frozen=True, slots=True)
class Doing:
    """One thing to do. `route` is below the workflow's own, or below the admin's."""

    name: str
    label: str
    route: str
    statuses: frozenset[str]
    consequence: Callable[[Json], str]
    staff: bool = False
    admin: bool = False
    danger: bool = False
    cli: str = ""

    def is_allowed(self, me: Principal, workflow: Json) -> bool:
        """Whether to offer it; the API decides again."""
        if workflow["status"] not in self.statuses:
            return False
        if self.name == "skip" and not _current_is_optional(workflow):
            return False
        if self.admin:
            return me.is_admin
        if self.staff:
            return me.is_staff
        return me.is_admin or me.sub == workflow["ownerId"]

    def api_path(self, workflow_id: str) -> str:
        """The route, below the API's prefix."""
        return f"{'/admin' if self.staff or self.admin else ''}/workflows/{workflow_id}/{self.route}"


def _current_is_optional(workflow: Json) -> bool:
    return any(step["status"] == "current" and step["optional"] for step in workflow["steps"])


def _step(workflow: Json) -> str:
    return f"“{workflow['currentStep']}”" if workflow["currentStep"] else "its first step"


def _after(workflow: Json) -> str:
    ids = [step["stepId"] for step in workflow["steps"]]
    index = ids.index(workflow["currentStep"]) + 1 if workflow["currentStep"] in ids else len(ids)
    return f"goes on with “{ids[index]}”" if index < len(ids) else "is Completed"


def _recover(workflow: Json) -> str:
    return (
        "The checkpoint it stands on is verified; if it is damaged, the newest intact one before it is taken. Then "
        f"the workflow goes on from there: {_step(workflow)} runs again with all its retries, under the idempotency "
        "key it had. Steps that were committed are not run again, unless their checkpoint is damaged."
    )


def _retry(workflow: Json) -> str:
    return (
        f"The step {_step(workflow)} runs again from the same state, with all its retries and under the idempotency "
        "key it had. No other is repeated."
    )


def _skip(workflow: Json) -> str:
    return (
        f"The optional step {_step(workflow)} is left out for good: the state stays as it is, and the workflow "
        f"{_after(workflow)}."
    )


def _restore(_workflow: Json) -> str:
    return (
        "The workflow stands on the chosen checkpoint again and goes on by itself after it. Steps after it run again, "
        "with whatever they do outside: those that were committed under a new idempotency key. The checkpoints of now "
        "stay in the history, so you can come back."
    )


def _override(_workflow: Json) -> str:
    return "The status is set by hand, along the transition table. A step runs only if the new status says so."


def _cancel(workflow: Json) -> str:
    running = " The step that runs right now may finish outside, but its result is dropped."
    kept = "No further step runs. The history is kept, and a restore can bring it back."
    return kept + (running if workflow["status"] == "Executing" else "")


def _pause(_workflow: Json) -> str:
    return "The step that runs right now may finish and is kept. Nothing begins after it until somebody resumes it."


def _resume(workflow: Json) -> str:
    return f"It goes on where it was paused, with {_step(workflow)}."


DOINGS: Mapping[str, Doing] = {
    doing.name: doing
    for doing in (
        Doing("recover", "Recover", "recover", _FAILED, _recover, cli="recover"),
        Doing("retry", "Retry step", "steps/current/retry", _FAILED, _retry, cli="retry"),
        Doing("skip", "Skip step", "steps/current/skip", _FAILED, _skip, cli="skip"),
        Doing("restore", "Restore…", "restore", _RESTORABLE, _restore, staff=True, cli="restore"),
        Doing("pause", "Pause", "pause", _LIVE - {"NotStarted"}, _pause, cli="pause"),
        Doing("resume", "Resume", "resume", frozenset({"Paused"}), _resume, cli="resume"),
        Doing("override", "Override…", "override", _OVERRIDABLE, _override, admin=True, danger=True, cli="override"),
        Doing("cancel", "Cancel", "cancel", _LIVE | {"Failed", "Paused"}, _cancel, danger=True, cli="cancel"),
    )
}


_RUNS_IT_AGAIN = frozenset({"recover", "retry", "restore"})


def warning_of(doing: Doing, workflow: Json) -> str | None:
    """What somebody who goes on has to have read; None where nothing is dangerous."""
    if doing.name in _RUNS_IT_AGAIN and workflow["failureKind"] == "poison":
        return (
            f"The step {_step(workflow)} has stopped the process of every executor that ran it, and whatever else ran "
            "there began again. It will do so again unless its cause is mended. If it is not, leave it alone."
        )
    if doing.name == "restore" and workflow["status"] in _ENDED:
        return (
            f"This workflow is {workflow['status']}: everybody takes it for ended. A restore undoes that: the steps "
            "after the checkpoint do once more whatever they did outside."
        )
    return None


_ENDED = frozenset(status.value for status in FINAL)


def offered(me: Principal, workflow: Json) -> list[Doing]:
    """What this person may do to this workflow now."""
    return [doing for doing in DOINGS.values() if doing.is_allowed(me, workflow)]


def statuses_to_set(workflow: Json) -> list[str]:
    """Where an override may lead from here."""
    after = TRANSITIONS[WorkflowStatus(workflow["status"])] - {WorkflowStatus.EXECUTING}
    return sorted(status.value for status in after)


def seen_mark(workflow: Json) -> str:
    """Names what a person has seen, so that nobody acts on something else; the API compares it once more."""
    return str(workflow["etag"]).strip('"')
