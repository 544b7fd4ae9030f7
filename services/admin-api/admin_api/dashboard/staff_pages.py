"""Pages of support and admins beside the inbox: parked messages and the audit log."""

from starlette.datastructures import URL
from starlette.responses import RedirectResponse, Response

from admin_api.dashboard.own_api import Json
from admin_api.dashboard.visit import Visit, new_key

PAGE = 50
AUDIT_FILTERS = ("workflowId", "actor", "action", "outcome")


async def parked(visit: Visit) -> Response:
    """Messages that nobody could act on."""
    page = await visit.api.get("/admin/parked", {"cursor": visit.query.get("cursor"), "limit": PAGE})
    return visit.page("parked.html", new_key=new_key, items=page["items"], next=page["nextCursor"])


async def replay(visit: Visit) -> Response:
    """Send one on its way again."""
    return await _with_parked(visit, "replay", {})


async def discard(visit: Visit) -> Response:
    """Let one go, with a reason."""
    return await _with_parked(visit, "discard", {"reason": visit.form.get("reason", "")})


async def audit(visit: Visit) -> Response:
    """Who did or tried what."""
    filters = {name: visit.query[name] for name in AUDIT_FILTERS if visit.query.get(name)}
    query = filters | {"cursor": visit.query.get("cursor"), "limit": PAGE}
    page = await visit.api.get("/admin/audit", query)
    return visit.page("audit.html", filters=filters, items=page["items"], next=page["nextCursor"])


async def _with_parked(visit: Visit, what: str, body: Json) -> Response:
    message_id = visit.id_of("message_id")
    key = visit.form.get("key", "") or new_key()
    settled = await visit.api.post(f"/admin/parked/{message_id}/{what}", body, key=key)
    return RedirectResponse(str(URL("/parked").include_query_params(done=settled.get("outcome") or what)), 303)
