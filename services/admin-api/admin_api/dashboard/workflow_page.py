"""One workflow: where it stands, every attempt and checkpoint, its history, and what can be done about it."""

import hashlib
from typing import Any

from starlette.responses import Response

from admin_api.dashboard.doings import offered
from admin_api.dashboard.own_api import Json, Refused
from admin_api.dashboard.truth import Stage, stage_of
from admin_api.dashboard.visit import Visit

SHOWN_AUDIT = 50


async def workflow_page(visit: Visit) -> Response:
    """The whole page."""
    context = await _seen(visit)
    return visit.page("workflow.html", **context)


async def live_workflow(visit: Visit) -> Response:
    """The part that changes; nothing at all while it has not."""
    context = await _seen(visit)
    if context["version"] == visit.query.get("seen"):
        return Response(status_code=204)
    return visit.page("live_workflow.html", **context)


async def _seen(visit: Visit) -> Json:
    workflow_id = visit.id_of("workflow_id")
    workflow = await visit.api.get(f"/workflows/{workflow_id}")
    history = await visit.api.get(f"/workflows/{workflow_id}/history")
    asked = await _asked_for(visit, workflow_id)
    stage = None if asked is None else stage_of(asked, workflow, history)
    return {
        "workflow": workflow,
        "history": history,
        "steps": _with_attempts(workflow, history),
        "other_lines": _other_lines(history),
        "story": _story(history),
        "audit": await _audit(visit, workflow_id),
        "doings": offered(visit.principal, workflow),
        "asked": asked,
        "stage": stage,
        "version": _version(workflow, history, stage),
    }


async def _asked_for(visit: Visit, workflow_id: str) -> Json | None:
    recovery_id = visit.query.get("recovery")
    if not recovery_id:
        return None
    try:
        return await visit.api.get(f"/workflows/{workflow_id}/recoveries/{recovery_id}")
    except Refused:
        return None


async def _audit(visit: Visit, workflow_id: str) -> list[Json]:
    if not visit.principal.is_admin:
        return []
    page = await visit.api.get("/admin/audit", {"workflowId": workflow_id, "limit": SHOWN_AUDIT})
    return list(page["items"])


def _with_attempts(workflow: Json, history: Json) -> list[Json]:
    """Each step with its executions and its checkpoints; a failed workflow's current step is shown as failed."""
    steps = []
    for step in workflow["steps"]:
        mine = {name: [entry for entry in history[name] if entry["stepId"] == step["stepId"]] for name in _OF_STEPS}
        status = "failed" if step["status"] == "current" and workflow["status"] == "Failed" else step["status"]
        steps.append(step | mine | {"status": status})
    return steps


_OF_STEPS = ("attempts", "checkpoints")


def _other_lines(history: Json) -> set[int]:
    """Checkpoints that the workflow does not stand on: a restore has left them behind."""
    parents = {mark["seq"]: mark["parentSeq"] for mark in history["checkpoints"]}
    seq = next((mark["seq"] for mark in history["checkpoints"] if mark["current"]), None)
    line = set()
    while seq is not None and seq not in line:
        line.add(seq)
        seq = parents.get(seq)
    return set(parents) - line


def _story(history: Json) -> list[tuple[str, str, Json]]:
    """Events and recoveries in one order of time, newest first: instant, kind, entry."""
    told = [(event["time"], "event", event) for event in history["events"]]
    done = [(recovery["attemptedAt"], "recovery", recovery) for recovery in history["recoveries"]]
    return sorted(told + done, key=lambda entry: entry[0], reverse=True)


def _version(workflow: Json, history: Json, stage: Stage | None) -> str:
    parts: list[Any] = [
        *(workflow[name] for name in ("status", "currentStep", "retryCount", "failedAt", "lastCheckpointAt")),
        *(workflow[name] for name in ("nextAttemptAt", "waitingFor", "requiresManualIntervention")),
        workflow["heldUpBy"],
        *(len(history[name]) for name in ("attempts", "checkpoints", "events", "recoveries")),
        None if stage is None else stage.name,
        [request["recoveryId"] for request in workflow["requests"]],
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
