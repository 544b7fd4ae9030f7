"""Doing something to a workflow: first what will happen and why one wants it, then the API's answer."""

from typing import Any

from ratchet.domain.json_diff import ChangeKind
from starlette.datastructures import URL
from starlette.responses import RedirectResponse, Response

from admin_api.dashboard.doings import DOINGS, Doing, seen_mark, statuses_to_set, warning_of
from admin_api.dashboard.own_api import Json, Refused
from admin_api.dashboard.visit import Visit, new_key

CHANGED = {
    "title": "The workflow has changed since you opened this page",
    "status": 409,
    "detail": "Nothing was done. What is below shows it as it is now: look again before you go on.",
}
NOT_SURE = {
    "title": "Tick that you have read the warning",
    "status": 422,
    "detail": "Nothing was done. This cannot be taken back, so it is asked for twice.",
}
NO_REASON = {
    "title": "Say why",
    "status": 422,
    "detail": "Nothing was done. The reason is kept in the audit log, for whoever looks at this workflow next.",
}


async def ask(visit: Visit) -> Response:
    """The form with what will happen."""
    return await _form(visit, _doing_of(visit), await _workflow_of(visit))


async def act(visit: Visit) -> Response:
    """Do it once, and lead back to the workflow, where the outcome shows."""
    doing, workflow = _doing_of(visit), await _workflow_of(visit)
    if visit.form.get("seen") != seen_mark(workflow):
        return await _form(visit, doing, workflow, problem=CHANGED)
    if not visit.form.get("reason", "").strip():
        return await _form(visit, doing, workflow, problem=NO_REASON)
    if warning_of(doing, workflow) is not None and visit.form.get("sure") != "yes":
        return await _form(visit, doing, workflow, problem=NOT_SURE)
    path = doing.api_path(workflow["workflowId"])
    try:
        key = visit.form.get("key", "") or new_key()
        # Compared again where it is done: between this look and that one it may fail anew.
        answer = await visit.api.post(path, _body(doing, visit.form), key=key, if_match=workflow["etag"])
    except Refused as refused:
        recovery_id = refused.problem.get("recoveryId")
        if refused.status >= 500 and recovery_id:
            return _to_workflow(workflow, recovery_id)
        return await _form(visit, doing, workflow, problem=refused.problem)
    return _to_workflow(workflow, answer["recoveryId"])


def _doing_of(visit: Visit) -> Doing:
    doing = DOINGS.get(visit.request.path_params["doing"])
    if doing is None:
        raise Refused({"status": 404, "title": "Nothing here", "detail": "There is no such thing to do."})
    return doing


async def _workflow_of(visit: Visit) -> Json:
    return await visit.api.get(f"/workflows/{visit.id_of('workflow_id')}")


def _body(doing: Doing, form: dict[str, str]) -> Json:
    body: Json = {"reason": form["reason"]}
    if doing.name == "restore":
        body["checkpointSeq"] = _number(form.get("checkpoint", ""))
    if form.get("instead"):
        body["runInstead"] = form["instead"]
    if doing.name == "override":
        body["status"] = form.get("status", "")
    return body


def _instead(problem: Json | None) -> str | None:
    """The step that would run in the place of the one that had failed, where a person has to say that it is meant."""
    return None if problem is None else problem.get("wouldRun")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _to_workflow(workflow: Json, recovery_id: str) -> Response:
    place = URL(f"/workflows/{workflow['workflowId']}").include_query_params(recovery=recovery_id)
    return RedirectResponse(str(place), 303)


async def _form(visit: Visit, doing: Doing, workflow: Json, *, problem: Json | None = None) -> Response:
    context: dict[str, Any] = {
        "doing": doing,
        "workflow": workflow,
        "seen": seen_mark(workflow),
        "key": new_key(),
        "given": visit.form or visit.query,
        "problem": problem,
        "allowed": doing.is_allowed(visit.principal, workflow),
        "consequence": doing.consequence(workflow),
        "warning": warning_of(doing, workflow),
        "preview": None,
        "instead": _instead(problem),
        "checkpoints": [],
        "statuses": statuses_to_set(workflow) if doing.name == "override" else [],
    }
    if doing.name == "restore" and visit.principal.is_staff:
        context |= await _restore_context(visit, workflow)
    return visit.page("act.html", status=200 if problem is None else int(problem["status"]), **context)


async def _restore_context(visit: Visit, workflow: Json) -> dict[str, Any]:
    checkpoints = await _checkpoints(visit, workflow["workflowId"])
    given = visit.form.get("checkpoint") or visit.query.get("checkpoint") or ""
    chosen = next((mark for mark in checkpoints if str(mark["seq"]) == given), None)
    preview = None if chosen is None else await _preview(visit, workflow, chosen)
    return {"checkpoints": checkpoints, "chosen": chosen, "preview": preview}


async def _checkpoints(visit: Visit, workflow_id: str) -> list[Json]:
    items: list[Json] = []
    cursor = None
    while True:
        query = {"limit": 200, "cursor": cursor}
        page = await visit.api.get(f"/admin/workflows/{workflow_id}/checkpoints", query)
        items += page["items"]
        cursor = page["nextCursor"]
        if cursor is None or len(items) >= 1000:
            return items


async def _preview(visit: Visit, workflow: Json, chosen: Json) -> Json:
    """What a restore would mean, as the page tells it."""
    path = f"/admin/workflows/{workflow['workflowId']}/restore-preview"
    told = await visit.api.get(path, {"checkpointSeq": chosen["seq"]})
    damaged = told["damagedCheckpoints"]
    warnings = [told["detail"]] if not told["allowed"] and told["detail"] else []
    if damaged:
        warnings.append(f"Damaged, and passed over: checkpoint {', '.join(map(str, damaged))}.")
    return {
        "resumed_step": told["resumedStep"],
        "again": [step["stepId"] for step in told["steps"] if step["alreadyDone"]],
        "warnings": warnings,
        "changes": [change | {"change": _CHANGES[ChangeKind(change["op"])]} for change in told["stateDiff"]],
        "truncated": told["diffTruncated"],
    }


_CHANGES = {ChangeKind.ADD: "added", ChangeKind.REMOVE: "removed", ChangeKind.REPLACE: "changed"}
