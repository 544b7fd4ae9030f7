"""Bulk recovery: what it will touch, typed consent, and then its progress, item by item."""

import hashlib

from ratchet.domain.bulk_recovery import DEFAULT_CANARIES, MAX_CANARIES
from starlette.responses import RedirectResponse, Response

from admin_api.dashboard.inbox import filters_of
from admin_api.dashboard.own_api import Json, Refused
from admin_api.dashboard.visit import Visit, new_key

RUNS = "/admin/recoveries"
PAGE = 50
GROUPS_SHOWN = 200


async def runs(visit: Visit) -> Response:
    """All bulk recoveries, newest first."""
    page = await visit.api.get(RUNS, {"cursor": visit.query.get("cursor"), "limit": PAGE})
    return visit.page("bulk_runs.html", items=page["items"], next=page["nextCursor"])


async def plan(visit: Visit) -> Response:
    """What would be recovered, and the form to do it."""
    return await _plan(visit, filters_of(visit.query))


async def begin(visit: Visit) -> Response:
    """Begin it, if the number of workflows was typed as it is now."""
    filters = filters_of(visit.form)
    total, _groups = await _matching(visit, filters)
    problem = _mistake(visit.form, total)
    if problem is None:
        which = {"filter": filters} if filters else {"all": True}
        body = {
            **which,
            "expected": total,
            "reason": visit.form["reason"],
            "canary": int(visit.form.get("canary") or DEFAULT_CANARIES),
        }
        try:
            answer = await visit.api.post(RUNS, body, key=visit.form.get("key", "") or new_key())
        except Refused as refused:
            problem = refused.problem
        else:
            return RedirectResponse(f"/bulk/{answer['recoveryId']}", 303)
    return await _plan(visit, filters, problem=problem)


async def run(visit: Visit) -> Response:
    """One bulk recovery as far as it is."""
    return visit.page("bulk_run.html", **await _seen(visit))


async def live_run(visit: Visit) -> Response:
    """The part that changes; nothing at all while it has not."""
    context = await _seen(visit)
    if context["version"] == visit.query.get("seen"):
        return Response(status_code=204)
    return visit.page("live_bulk_run.html", **context)


async def cancel(visit: Visit) -> Response:
    """Begin no further item."""
    run_id = visit.id_of("run_id")
    body = {"reason": visit.form.get("reason", "")}
    await visit.api.post(f"{RUNS}/{run_id}/cancel", body, key=visit.form.get("key", "") or new_key())
    return RedirectResponse(f"/bulk/{run_id}", 303)


async def _seen(visit: Visit) -> Json:
    run_id = visit.id_of("run_id")
    query = {"cursor": visit.query.get("cursor"), "limit": PAGE}
    found = await visit.api.get(f"{RUNS}/{run_id}", query)
    version = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
    return {"run": found, "run_id": run_id, "version": version, "key": new_key()}


async def _plan(visit: Visit, filters: Json, *, problem: Json | None = None) -> Response:
    total, groups = await _matching(visit, filters)
    return visit.page(
        "bulk_plan.html",
        status=200 if problem is None else int(problem["status"]),
        filters=filters,
        total=total,
        groups=groups,
        given=visit.form,
        problem=problem,
        key=new_key(),
        canary=visit.form.get("canary", str(DEFAULT_CANARIES)),
    )


async def _matching(visit: Visit, filters: Json) -> tuple[int, list[Json]]:
    """How many workflows match now, and by what they failed."""
    page = await visit.api.get("/admin/failure-groups", filters | {"limit": GROUPS_SHOWN})
    return int(page["total"]), list(page["items"])


def _is_canary_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_CANARIES)) and int(text) <= MAX_CANARIES


def _mistake(form: Json, total: int) -> Json | None:
    if not form.get("reason", "").strip():
        return {"title": "Say why", "status": 422, "detail": "Nothing was begun. The reason is kept in the audit log."}
    if form.get("confirm", "").strip() != str(total):
        return {
            "title": "The number does not match",
            "status": 409,
            "detail": f"Nothing was begun. {total} workflows match now: look again, and type that number.",
        }
    if not _is_canary_count(form.get("canary") or str(DEFAULT_CANARIES)):
        told = f"Give a number up to {MAX_CANARIES}; 0 for none."
        return {"title": "How many canaries?", "status": 422, "detail": told}
    return None
